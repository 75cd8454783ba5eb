"""A day's work in minutes, by the whole daemon: clients change and ask over REST, checks of a real plugin go up and down, and memory,
descriptors and the store stay as small as they were."""
import json
import os
import random
import re
import socket
import tempfile
import threading
import unittest
from pathlib import Path

from disk import Listener
from gorbd import SLOW, Gorbd, wait_until

OPERATIONS = 1_000_000 if os.environ.get("GORB_FAULTS_LONG") else 8_000
SEED = int(os.environ.get("GORB_FAULTS_SEED", "2026"))
CLIENTS = 4
AT_ONCE = 40  # requests that are sent before their answers are read
BACKENDS = 12
ANSWER = re.compile(rb"HTTP/1\.1 (\d+) [^\r]*\r\n(?:[^\r]+\r\n)*?Content-Length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n")


class Client(threading.Thread):
    """Works on two services of its own, with all that there is."""

    def __init__(self, number, address, port):
        super().__init__(daemon=True)
        self.number, self.address, self.port = number, address, port
        self.dice = random.Random(SEED + number)
        self.share, self.done, self.statuses, self.trouble = 0, 0, {}, None

    def request(self):
        dice = self.dice
        service = f"c{self.number}-{dice.randrange(2)}"
        backend = f"{service}/b{dice.randrange(BACKENDS)}"
        kind = dice.random()
        if kind < 0.06:
            # Each name has its own address, so that nobody is in the way of somebody else.
            return "PUT", service, {"address": f"10.0.{self.number}.{service[-1]}", "port": 80, "persistent": dice.randrange(1, 99),
                                    "quorum": dice.randrange(1, 4)}
        if kind < 0.064:
            return "DELETE", service + dice.choice(("", "", "?drain=1s")), None
        if kind < 0.28:
            pulse = dice.choice(({"type": "none"}, {"type": "tcp", "interval": f"{dice.randrange(100, 103)}ms", "rise": 1, "fall": 1}))
            return "PUT", backend, {"address": f"127.0.{self.number}.{dice.randrange(1, 40)}", "port": self.port, "pulse": pulse,
                                    "weight": dice.randrange(1000), "backup": dice.random() < 0.2}
        if kind < 0.34:
            return "DELETE", backend + dice.choice(("", "?drain=1s")), None
        if kind < 0.42:
            return "PATCH", backend, {"admin": dice.choice(("ready", "ready", "drain", "maint"))}
        if kind < 0.76:
            return "PATCH", backend, {"weight": dice.randrange(1000)}
        if kind < 0.86:
            return "PATCH", service, {"method": dice.choice(("wrr", "rr", "wlc", "sh"))}
        return "GET", dice.choice((service, backend, f"{service}?expand=backends")), None

    def run(self):
        try:
            with socket.create_connection(self.address, timeout=60 * SLOW) as connection:
                for _ in range(0, self.share, AT_ONCE):
                    connection.sendall(b"".join(self.bytes_of(*self.request()) for _ in range(AT_ONCE)))
                    self.read(connection)
        except (OSError, AssertionError) as error:
            self.trouble = repr(error)

    @staticmethod
    def bytes_of(method, path, body):
        content = json.dumps(body) if body else ""
        match = "If-Match: *\r\n" if method == "PUT" and len(content) % 2 else ""
        return (f"{method} /service/{path} HTTP/1.1\r\nHost: gorb\r\n{match}Content-Type: application/json\r\n"
                f"Content-Length: {len(content)}\r\n\r\n{content}").encode()

    def read(self, connection):
        buffer, left = b"", AT_ONCE
        while left:
            part = connection.recv(1 << 20)
            if not part:
                raise AssertionError(f"the connection ended; {buffer[-500:]}")
            buffer += part
            at = 0
            while (answer := ANSWER.match(buffer, at)) and answer.end() + int(answer[2]) <= len(buffer):
                at = answer.end() + int(answer[2])
                self.statuses[answer[1]] = self.statuses.get(answer[1], 0) + 1
                if answer[1] not in (b"200", b"202", b"400", b"404", b"409", b"412"):
                    raise AssertionError(buffer[answer.start():at])
                self.done += 1
                left -= 1
            buffer = buffer[at:]


class Churn(unittest.TestCase):
    def setUp(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.state = Path(self.enterContext(tempfile.TemporaryDirectory(dir=memory))) / "state"
        self.daemon = self.enterContext(Gorbd("--driver", "memory", "--state-directory", self.state))
        self.server = Listener("0.0.0.0")
        self.addCleanup(lambda: self.server.down())

    def size(self):
        """(KB resident, descriptors, bytes of the store)"""
        process = Path("/proc", str(self.daemon.process.pid))
        resident = int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())[1])
        return resident, len(list((process / "fd").iterdir())), sum(path.stat().st_size for path in self.state.iterdir())

    def work(self, clients, operations):
        """All of them at once, while the servers that are checked go and come."""
        threads = [Client(number, self.daemon.address, self.server.port) for number in range(CLIENTS)]
        for thread, before in zip(threads, clients or threads):
            thread.share, thread.dice = operations // CLIENTS, before.dice
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.server.down()
            threads[0].join(0.25)
            self.server.up()
            threads[0].join(0.25)
        self.assertEqual([thread.trouble for thread in threads if thread.trouble], [])
        return threads

    def test_a_daemon_that_works_all_day_is_as_small_as_it_was(self):
        sizes, clients, statuses, done = [], None, {}, 0
        for _ in range(10):
            clients = self.work(clients, OPERATIONS // 10)
            done += sum(client.done for client in clients)
            for client in clients:
                for status, times in client.statuses.items():
                    statuses[status] = statuses.get(status, 0) + times
            sizes.append(self.size())
        print(f"{done} requests, {statuses}; KB resident, descriptors, bytes of the store after each tenth: {sizes}")
        self.assertGreaterEqual(done, OPERATIONS)
        self.assertGreater(statuses[b"200"], done // 3)
        early, late = sizes[2:5], sizes[5:]
        if not os.environ.get("GORB_SANITIZE"):
            self.assertLess(max(size[0] for size in late), max(size[0] for size in early) + 8 * 1024)
        # Checks that are under way have one each; of backends there are never more.
        self.assertLess(max(size[1] for size in sizes), 100 + CLIENTS * 2 * BACKENDS)
        self.assertLess(max(size[2] for size in sizes), 16 << 20)
        # What was drained is gone by and by, and all of the rest is there after a kill.
        wait_until("nothing drains any more", lambda: '"draining"' not in self.daemon.get("/config").text, 20)
        for service in self.daemon.get("/service").json:
            self.assertIn(self.daemon.delete(f"/service/{service}").status, (200, 404))
        self.assertEqual(self.daemon.get("/config").json["services"], {})
        self.assertEqual(self.daemon.get("/kernel").json["services"], [])
        wait_until("the descriptors of the checks are closed", lambda: self.size()[1] < 60, 20)
        self.daemon.kill()
        self.assertEqual(self.daemon.start().get("/config").json["services"], {})
