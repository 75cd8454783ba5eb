"""The examples of the documents, run as they stand there."""
import itertools
import json
import re
import shlex
import unittest
from pathlib import Path

from gorbd import Gorbd

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def examples(text):
    """[(method, path, JSON text)]: each JSON block with the request that is named last before it."""
    found = []
    for match in re.finditer(r"```json\n(.*?)```", text, re.DOTALL):
        named = re.findall(r"`(PUT|PATCH) (/service/\S+?)`", text[:match.start()])
        if named:
            found.append((*named[-1], match.group(1)))
    return found


def spellings(body):
    """A value "a|b" stands for either: every alternative in turn, with the first of the others."""
    choices = {key: value.split("|") for key, value in body.items() if isinstance(value, str) and "|" in value}
    nested = {key: list(spellings(value)) for key, value in body.items() if isinstance(value, dict)}
    choices.update(nested)
    if not choices:
        yield body
        return
    for combination in itertools.zip_longest(*choices.values()):
        chosen = {key: value if value is not None else choices[key][0] for key, value in zip(choices, combination)}
        yield {**body, **chosen}


class Readme(unittest.TestCase):
    def setUp(self):
        self.gorbd = self.enterContext(Gorbd("--driver", "memory"))

    def test_json_examples_run_as_written(self):
        found = examples(README.read_text())
        self.assertEqual([(method, path) for method, path, _ in found][:2],
                         [("PUT", "/service/<service>"), ("PUT", "/service/<service>/<backend>")])
        port = itertools.count(20000)
        for method, path, text in found:
            for body in spellings(json.loads(text)):
                with self.subTest(path=path, body=body):
                    parent = {"address": "10.0.0.1", "port": body.get("port", 80)}
                    name = f"s{next(port)}"
                    if path.count("/") == 3:
                        # Direct routing and tunnels keep the service's port, so the service has the backend's.
                        self.gorbd.made(f"/service/{name}", parent)
                    where = path.replace("<service>", name).replace("<backend>", "b1")
                    reply = self.gorbd.request(method, where, body)
                    self.assertEqual(reply.status, 200, reply)
                    shown = self.gorbd.get(where).json["options"]
                    for key in ("port", "method", "weight", "protocol"):
                        if key in body:
                            self.assertEqual(shown[key], body[key])
                    self.assertEqual(self.gorbd.delete(f"/service/{name}").status, 200)

    def test_curl_commands_run_in_their_order(self):
        """Commands of code blocks that speak to gorbd's own address, one after the other, on a daemon of the test's."""
        blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", README.read_text(), re.DOTALL)
        commands = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()
                    if re.search(r"\bcurl\b.*(127\.0\.0\.1|localhost):4672", line)]
        self.assertGreater(len(commands), 1)
        for command in commands:
            method, path, body = read_curl(command)
            with self.subTest(command=command):
                reply = self.gorbd.request(method, path, raw=body.encode() if body else None,
                                           headers={"Content-Type": "application/json"} if body else None)
                self.assertEqual(reply.status, 200, reply)


def read_curl(command):
    """(method, path, body) of a curl command line."""
    words = shlex.split(command.lstrip("$ "), comments=True)
    words = words[words.index("curl") + 1:]
    method, body, path = None, None, None
    position = 0
    while position < len(words):
        word = words[position]
        if word in ("-X", "--request", "-d", "--data", "--json", "-H"):
            position += 1
            if word in ("-X", "--request"):
                method = words[position]
            elif word != "-H":
                body = words[position]
        elif word == "|":
            break
        elif (address := re.match(r"(?:http://)?[^/]*:4672(/.*)?$", word)):
            path = address.group(1) or "/"
        position += 1
    return method or ("POST" if body else "GET"), path, body
