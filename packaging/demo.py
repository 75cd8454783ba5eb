#!/usr/bin/env python3
"""What gorb is for, on real traffic: run by packaging/quickstart in namespaces of their own, here or in a guest.

A client asks a virtual IP all the time; the kernel's IPVS balances its requests over two real HTTP servers that were
registered over REST; one is killed, gets weight 0, and no further request fails; it returns and gets traffic again.
Every step is checked, and the exit status is 0 only if all of them really happened. GORB_BUILD names the build.
"""
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "kernel"))

import servers  # noqa: E402
from lab import Lab, Process, wait_until  # noqa: E402

VIP = "10.9.0.80"
REQUESTS = 100  # looked at in each phase
BOLD, PLAIN = ("\033[1m", "\033[0m") if os.environ.get("GORB_COLOUR") else ("", "")


def step(text):
    step.number += 1
    print(f"\n{BOLD}{step.number}. {text}{PLAIN}", flush=True)


step.number = 0


def must(condition, otherwise):
    if not condition:
        raise AssertionError(otherwise)


class Director:
    """The machine in the middle: gorbd, curl and ipvsadm run there."""

    def __init__(self, lab):
        self.lab = lab
        self.gorbd = lab.gorbd("--vip-interface", "vips", listen="127.0.0.1:4672")

    def curl(self, method, path, body=None):
        command = ["curl", "-sS", "--fail-with-body", "-X", method, f"http://127.0.0.1:4672{path}"]
        shown = f"curl -X {method} http://127.0.0.1:4672{path}"
        if body is not None:
            command += ["--json", json.dumps(body)]
            shown += f" --json '{json.dumps(body)}'"
        print(f"$ {shown}")
        answer = self.lab.director.sh(*command)
        print(f"{answer.strip()}", flush=True)
        return json.loads(answer)

    def table(self):
        print("$ ipvsadm -Ln")
        print(self.lab.ipvsadm("-Ln").rstrip(), flush=True)

    def weights(self):
        found = self.lab.table().get(f"tcp {VIP}:80", {"servers": {}})["servers"]
        return {address: server["weight"] for address, server in found.items()}


class Client:
    """A process that asks the VIP again and again, each time on a new connection, and notes what became of it."""

    def __init__(self, lab):
        self.notes = tempfile.NamedTemporaryFile("r")

        def ask(ready):
            with open(self.notes.name, "w", buffering=1) as notes:
                ready()
                while True:
                    try:
                        notes.write(lab.fetch(VIP) + "\n")
                    except (OSError, AssertionError) as error:
                        notes.write(f"failed: {error}\n")
                    time.sleep(0.01)

        self.process = Process(lab.client, ask)

    def so_far(self):
        self.notes.seek(0)
        return [line.strip() for line in self.notes.read().split("\n")[:-1]]

    def next(self, count=REQUESTS):
        """What became of the next `count` requests, from one that is only begun now."""
        before = len(self.so_far()) + 1
        wait_until("the client's requests", lambda: len(self.so_far()) >= before + count, 60)
        return self.so_far()[before:before + count]


def show(answers):
    names = sorted({name for name in answers if not name.startswith("failed")})
    failed = [answer for answer in answers if answer.startswith("failed")]
    print(f"{len(answers)} requests of the client to http://{VIP}/:", end=" ")
    print(", ".join(f"{answers.count(name)} answered by {name}" for name in names), end="; ")
    print(f"{len(failed)} failed" + (f" ({failed[0]})" if failed else ""), flush=True)
    return names, failed


def demonstrate(lab):
    step("A client (10.0.0.2), a director (10.0.0.1) and two servers, s1 and s2, each in a network namespace of its own")
    for number in (1, 2):
        lab.serve(number, servers.http_server)
        print(f"s{number}: a real HTTP server on {lab.address(number)}:80")

    step("gorbd starts on the director")
    director = Director(lab)
    print(f"$ gorbd --vip-interface vips\n{director.gorbd.log().rstrip()}")

    step("A virtual service and its two backends are registered over REST")
    director.curl("PUT", "/service/web", {"address": VIP, "port": 80, "protocol": "tcp", "method": "wrr"})
    director.curl("PUT", "/service/web/s1", {"address": "10.1.1.2", "port": 80, "method": "nat", "weight": 100,
                                             "pulse": {"type": "http", "path": "/health", "interval": "500ms"}})
    director.curl("PUT", "/service/web/s2", {"address": "10.1.2.2", "port": 80, "method": "nat", "weight": 100,
                                             "pulse": {"type": "tcp", "interval": "500ms"}})
    up = {"10.1.1.2:80": 100, "10.1.2.2:80": 100}
    wait_until("both servers are up", lambda: director.weights() == up, 30)
    director.table()

    step("The client asks the virtual IP, and the kernel shares its requests over both servers")
    client = Client(lab)
    names, failed = show(client.next())
    must(names == ["s1", "s2"] and not failed, "the requests were not shared")

    step("s1 is killed while the client goes on asking")
    asked = len(client.so_far())
    lab.processes[(1, "http_server", ())].kill()
    wait_until("weight 0", lambda: director.weights() == {"10.1.1.2:80": 0, "10.1.2.2:80": 100}, 30)
    print("Until three checks in a row had failed and its weight became 0:")
    show(client.so_far()[asked:])
    director.table()
    shown = director.curl("GET", "/service/web/s1")
    must(shown["weight"]["effective"] == 0 and shown["weight"]["configured"] == 100, "REST does not show the weight")

    step("From then on no request fails")
    names, failed = show(client.next())
    must(names == ["s2"] and not failed, "a request failed, or went to the dead server")

    step("s1 comes back and gets traffic again")
    lab.serve(1, servers.http_server)
    wait_until("weight 100 again", lambda: director.weights() == up, 30)
    director.table()
    names, failed = show(client.next())
    must(names == ["s1", "s2"] and not failed, "the returned server got no traffic, or a request failed")

    step("gorbd stops; the kernel goes on balancing")
    must(director.gorbd.terminate() == 0, "gorbd did not end well")
    names, failed = show(client.next())
    must(names == ["s1", "s2"] and not failed, "the kernel's table did not stay")
    client.process.kill()


def main():
    lab = Lab()
    try:
        demonstrate(lab)
    except AssertionError as error:
        print(f"\nThis did not happen: {error}\n{lab.ipvsadm('-Ln')}")
        return 1
    finally:
        lab.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
