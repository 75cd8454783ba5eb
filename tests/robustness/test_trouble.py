"""Trouble of the machine that checks is UNKNOWN: it counts for neither side and changes no state, and when it is over the checks
go on by themselves."""
import socket
import unittest

import room
from gorbd import wait_until
from room import RobustTest, addresses, ip, sysctl

room.FIRST = False  # nothing here is a matter of time, and one test is in a race with gorbd
QUICK = {"interval": "100ms", "timeout": "1s"}
# A connection of its own for each check.
HTTP = {"type": "http", "keep-alive": False, **QUICK}


def plug_in():
    """A device and an address that is here by it."""
    ip("link", "add", "wire", "type", "veth", "peer", "name", "other")
    ip("address", "add", "203.0.113.5/24", "dev", "wire")
    for end in ("wire", "other"):
        ip("link", "set", end, "up")


class Trouble(RobustTest):
    def up(self, gorbd, service):
        """All of the service up; how often each was checked."""
        wait_until(f"{service} is up", lambda: all(b["state"] == "up" for b in gorbd.backends(service).values()), 10)

    def unknown(self, gorbd, service, reason):
        """Three checks of each are UNKNOWN for this reason; the state and the weight stay, no failure is counted."""
        before = {name: b["counts"]["unknowns"] for name, b in gorbd.backends(service).items()}
        found = wait_until(f"{service} is unknown: {gorbd.backends(service)}", lambda: (
            lambda now: now if all(b["counts"]["unknowns"] >= before[name] + 3 for name, b in now.items()) else None)(
                gorbd.backends(service)), 10)
        for name, b in found.items():
            self.assertEqual((b["last"]["verdict"], b["state"], b["counts"]["failures"]), ("unknown", "up", 0), f"{name}: {b}")
            self.assertRegex(b["last"]["reason"], reason)
            self.assertEqual((b["weight"]["effective"], b["weight"]["configured"]), (100, 100), f"{name}: {b}")

    def passes_again(self, gorbd, service):
        before = {name: b["counts"]["passes"] for name, b in gorbd.backends(service).items()}
        wait_until(f"{service} passes again: {gorbd.backends(service)}", lambda: all(
            b["counts"]["passes"] >= before[name] + 2 for name, b in gorbd.backends(service).items()), 10)
        for name, b in gorbd.backends(service).items():
            self.assertEqual((b["state"], b["counts"]["failures"], b["counts"]["changes"]), ("up", 0, 1), f"{name}: {b}")

    def test_no_descriptor_left(self):
        gorbd, well = self.daemon(), self.server("well")
        gorbd.get("/healthz")
        free = next(n for n in range(1000) if n not in gorbd.descriptors())
        # Each of its checks needs a socket of its own.
        gorbd.serve("full", well.port, {"type": "tcp", "full-handshake": True, **QUICK}, addresses(10))
        gorbd.serve("web", well.port, HTTP, addresses(10))
        self.up(gorbd, "full")
        self.up(gorbd, "web")
        gorbd.limit_descriptors(free)
        self.unknown(gorbd, "full", "no free file descriptor in this process|Too many open files")
        gorbd.limit_descriptors(1000)
        self.passes_again(gorbd, "full")
        self.passes_again(gorbd, "web")
        self.assertIn("backend can not be checked", gorbd.log())
        self.assertEqual(gorbd.terminate(), 0, gorbd.log())

    def test_no_port_left_to_connect_from(self):
        gorbd, well = self.daemon(), self.server("well")
        gorbd.get("/healthz")  # its connection, and the ports to listen on, are none of the eight
        sysctl("ipv4/ip_local_port_range", "20000 20007")
        gorbd.serve("web", well.port, HTTP, ["127.0.0.1"])
        gorbd.serve("tcp", well.port, {"type": "tcp", "send": "GET / HTTP/1.1\\r\\n\\r\\n", "expect": " 200 ", **QUICK}, ["127.0.0.1"])
        self.up(gorbd, "web")
        self.up(gorbd, "tcp")
        held = []

        def all_taken():
            """Every port that leads to this server is ours."""
            sock = socket.socket()
            try:
                sock.connect(("127.0.0.1", well.port))
                held.append(sock)
            except OSError:
                sock.close()
            return len(held) >= 8

        wait_until("all ports are taken", all_taken, 30, every=0)
        for service in ("web", "tcp"):
            self.unknown(gorbd, service, "no (free port|local address or port is free) to connect from")
        for sock in held:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        for service in ("web", "tcp"):
            self.passes_again(gorbd, service)

    def test_no_route(self):
        gorbd, well = self.daemon(), self.server("well")
        ip("address", "add", "203.0.113.5/32", "dev", "lo")
        gorbd.serve("web", well.port, HTTP, ["203.0.113.5"])
        self.up(gorbd, "web")
        ip("address", "del", "203.0.113.5/32", "dev", "lo")
        self.unknown(gorbd, "web", "no route to that network|[Nn]etwork (is )?unreachable")
        ip("address", "add", "203.0.113.5/32", "dev", "lo")
        self.passes_again(gorbd, "web")

    def test_the_interface_goes_away(self):
        gorbd, well = self.daemon(), self.server("well")
        plug_in()
        gorbd.serve("web", well.port, HTTP, ["203.0.113.5"])
        self.up(gorbd, "web")
        ip("link", "del", "wire")
        self.unknown(gorbd, "web", "no route to that network|[Nn]etwork (is )?unreachable")
        plug_in()
        self.passes_again(gorbd, "web")

    def test_the_interface_of_the_pulse_is_missing(self):
        gorbd, well = self.daemon(), self.server("well")
        gorbd.serve("web", well.port, {**HTTP, "interface": "lo"}, addresses(1))
        self.up(gorbd, "web")
        gorbd.serve("gone", well.port, {**HTTP, "interface": "nowhere"}, addresses(2))
        for name, b in self.checked(gorbd, "gone", 10, 3).items():
            self.assertEqual((b["last"]["verdict"], b["state"], b["counts"]["failures"]), ("unknown", "unknown", 0), f"{name}: {b}")
            self.assertRegex(b["last"]["reason"], "nowhere|no such network device")


if __name__ == "__main__":
    unittest.main()
