"""The examples of the documents, run as they stand there."""
import http.server
import itertools
import json
import os
import re
import shlex
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from gorbd import Gorbd

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


# The two requests of the specification that gorb was made after; "a|b" means either. Its path reads "/health (ignored for
# tcp pulse)": the remark is none of the value, and what it says has to hold.
SPECIFICATION = {
    "/service/<service>": """{
        "address": "10.0.0.1",
        "port": 12345,
        "protocol": "tcp|udp",
        "method": "rr|wrr|lc|wlc|lblc|lblcr|sh|dh|sed|nq",
        "persistent": true
    }""",
    "/service/<service>/<backend>": """{
        "address": "10.1.0.1",
        "port": 12346,
        "method": "nat|tunnel",
        "pulse": {
            "type": "tcp|http",
            "interval": "5s",
            "path": "/health"
        },
        "weight": 128
    }""",
}


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


def rows():
    """(what it is called there, place, objects) of each row of the tables of plugins/README.md."""
    for line in re.findall(r"^\|.*\|$", (ROOT / "plugins" / "README.md").read_text(), re.MULTILINE):
        name, place, last = [cell.strip() for cell in line.split("|")[1:-1]]
        yield name, place, re.findall(r"`(\{.*?\})`", last)


def row(name):
    """The object of the row of this name."""
    ((text,),) = [texts for other, _, texts in rows() if other == name]
    return json.loads(text)


class Readme(unittest.TestCase):
    def setUp(self):
        self.gorbd = self.enterContext(Gorbd("--driver", "memory"))

    def test_requests_run_as_written_and_in_their_order(self):
        requests = re.findall(r"```http\n(\w+) (\S+)\n\n(.*?)```", README.read_text(), re.DOTALL)
        self.assertGreaterEqual(len(requests), 2)
        self.assertLessEqual({"PUT", "PATCH"}, {method for method, _, _ in requests})
        for method, path, text in requests:
            if path.count("/") == 3 and json.loads(text).get("method") in ("tunnel", "dr"):
                self.fail(f"{path}: the example would need a service with the same port")
            reply = self.gorbd.request(method, path, raw=text.encode(), headers={"Content-Type": "application/json"})
            self.assertEqual(reply.status, 200, reply)
            self.shows(path, json.loads(text))

    def test_requests_of_the_specification_in_all_their_spellings(self):
        tried = 0
        for path, text in SPECIFICATION.items():
            for body in spellings(json.loads(text)):
                with self.subTest(path=path, body=body):
                    if path.endswith("<backend>"):
                        # A tunnel keeps the service's port, so the service has the backend's.
                        self.gorbd.made("/service/web", {"address": "10.0.0.1", "port": body["port"]})
                    where = path.replace("<service>", "web").replace("<backend>", "b1")
                    reply = self.gorbd.put(where, body)
                    self.assertEqual(reply.status, 200, reply)
                    self.shows(where, body)
                    self.assertEqual(self.gorbd.delete("/service/web").status, 200)
                    tried += 1
        self.assertEqual(tried, 12)

    def shows(self, path, body):
        shown = self.gorbd.get(path).json["options"]
        for key in ("port", "method", "weight", "protocol", "persistent"):
            if key in body:
                self.assertEqual(shown[key], body[key])

    def test_the_shown_answer_has_the_members_of_a_real_one(self):
        (text,) = re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL)
        self.gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        self.gorbd.made("/service/web/b1", {"address": "127.0.0.1", "port": 1, "pulse": {"type": "http", "interval": "50ms"}})
        self.gorbd.wait_for("/service/web/b1", lambda b: b["state"] == "down", "down")

        def members(value):
            return {key: members(inner) if key != "options" else None for key, inner in value.items()} \
                if isinstance(value, dict) else None

        real = self.gorbd.get("/service/web/b1").json
        self.assertEqual(members(json.loads(text)), members(real))

    def test_what_is_to_be_watched_can_be(self):
        self.gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        self.gorbd.made("/service/web/b1", {"address": "127.0.0.1", "port": 1, "pulse": {"type": "none"}})
        told = set(re.findall(r"^(gorb_\w+)", self.gorbd.get("/metrics").text, re.MULTILINE))
        named = set(re.findall(r"\bgorb_\w+", (ROOT / "packaging" / "OPERATING.md").read_text()))
        self.assertGreater(len(named), 10)
        self.assertEqual(named - told, set())

    def test_what_others_have_can_be_had_as_it_is_said(self):
        """Each object in a last column of plugins/README.md, put into what it is said to be for."""
        tried = 0
        for _, place, texts in rows():
            for text in texts:
                with self.subTest(text=text):
                    given, tried = json.loads(text), tried + 1
                    self.gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80, **(given if place == "service" else {})})
                    backend = {"service": {}, "backend": given, "pulse": {"pulse": given}}[place]
                    self.gorbd.made("/service/web/b1", {"address": "10.1.0.1", "port": 80, **backend})
                    self.assertEqual(self.gorbd.delete("/service/web").status, 200)
        self.assertGreaterEqual(tried, 50)

    def verdict(self, gorbd, pulse, port=80):
        """What the first check of a backend with this pulse comes to."""
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        gorbd.made("/service/web/b1", {"address": "127.0.0.1", "port": port, "pulse": pulse})
        backend = gorbd.wait_for("/service/web/b1", lambda b: b["last"] and b, "checked")
        self.assertEqual(gorbd.delete("/service/web").status, 200)
        return backend["last"]["verdict"]

    def test_a_program_of_the_others_means_by_its_exit_status_what_it_meant_there(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        config = folder / "gorb.ini"
        config.write_text(f"[health]\nsuspicion = false\n[plugin.exec]\ndirectory = {folder}\n")
        for status in (0, 1, 2, 3):
            (folder / f"exits_{status}").write_text(f"#!/bin/sh\nexit {status}\n")
            (folder / f"exits_{status}").chmod(0o755)
        # ThreadSanitizer takes the clone() of exec for a fork, and knows nothing of the threads' end then.
        self.enterContext(mock.patch.dict(os.environ, TSAN_OPTIONS="report_bugs=0 die_after_fork=0"))
        gorbd = self.enterContext(Gorbd("--driver", "memory", "--config", config))
        for name in ("`external-check command`", "`MISC_CHECK`"):
            for status, verdict in ((0, "pass"), (1, "fail"), (2, "fail"), (3, "fail")):
                with self.subTest(row=name, status=status):
                    self.assertEqual(self.verdict(gorbd, {**row(name), "program": f"exits_{status}"}), verdict)

    def test_httpchk_takes_the_statuses_that_it_took_there(self):
        class Server(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        status = 200
        server = self.enterContext(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        self.addCleanup(server.shutdown)
        pulse = {**row("`option httpchk`, `http-check send meth HEAD uri /up hdr Host shop.lan`"), "keep-alive": False}
        for status, verdict in ((200, "pass"), (204, "pass"), (302, "pass"), (404, "fail"), (503, "fail")):
            with self.subTest(status=status):
                self.assertEqual(self.verdict(self.gorbd, pulse, server.server_address[1]), verdict)

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
