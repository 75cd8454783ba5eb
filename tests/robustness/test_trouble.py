"""Trouble of the machine that checks is UNKNOWN: it counts for neither side and changes no state, and when it is over the checks
go on by themselves."""
import http.client
import signal
import socket
import time
import unittest
from pathlib import Path

import room
from gorbd import wait_until
from far import Far, address
from room import Good, RobustTest, addresses, ip, sysctl

room.FIRST = False  # nothing here is a matter of time, and one test is in a race with gorbd
QUICK = {"interval": "100ms", "timeout": "1s"}
# A connection of its own for each check.
HTTP = {"type": "http", "keep-alive": False, **QUICK}


NO_ROUTE = r"no route to (that network|\d)|[Nn]etwork (is )?unreachable"


def pulses():
    """{name: (pulse, its port)}: one of each kind that uses the network, with a connection of its own for each check."""
    tls = {"tls": True, "verify": False}
    talk = {"send": "GET / HTTP/1.1\\r\\n\\r\\n", "expect": " 200 "}
    dns = {"type": "dns", "name": "www.example.org"}
    return {name: ({**pulse, **QUICK}, port) for name, pulse, port in (
        ("tcp", {"type": "tcp"}, "web"), ("tcp-full", {"type": "tcp", "full-handshake": True}, "web"),
        ("tcp-talk", {"type": "tcp", **talk}, "web"), ("tcp-tls", {"type": "tcp", **tls, **talk}, "web-tls"),
        ("http", {"type": "http", "keep-alive": False}, "web"), ("kept", {"type": "http", "keep-alive": True}, "web"), ("https", {"type": "http", "keep-alive": False, **tls}, "web-tls"),
        ("udp", {"type": "udp", "send": "x", "expect": "echo x"}, "udp"),
        ("dns", dns, "dns"), ("dns-tcp", {**dns, "transport": "tcp"}, "dns"),
        ("icmp", {"type": "icmp"}, None),
        ("grpc", {"type": "grpc"}, "grpc"), ("grpc-tls", {"type": "grpc", **tls}, "grpc-tls"))}


def plug_in():
    """A device and an address that is here by it."""
    ip("link", "add", "wire", "type", "veth", "peer", "name", "other")
    ip("address", "add", "203.0.113.5/24", "dev", "wire")
    for end in ("wire", "other"):
        ip("link", "set", end, "up")


def links():
    """The devices of this namespace."""
    return [line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]]


class Trouble(RobustTest):
    def setUp(self):
        super().setUp()
        self.came_up = {}

    def serve_all(self, gorbd, ports, where, vip="10.0.0.1", of=None, prefix="", **more):
        """A service of each kind of pulse, or `of` these, with one backend there. Their names."""
        kinds = {name: pulse for name, pulse in pulses().items() if of is None or name in of}
        for name, (pulse, port) in kinds.items():
            gorbd.serve(prefix + name, ports[port] if port else 80, {**pulse, **more}, [where], vip)
        for name in kinds:
            self.up(gorbd, prefix + name)
        return [prefix + name for name in kinds]

    def up(self, gorbd, service):
        """All of the service up. A first check may have come before the way was there: what follows counts from here."""
        found = wait_until(f"{service} is up", lambda: (
            lambda now: now if all(b["state"] == "up" for b in now.values()) else None)(gorbd.backends(service)), 10)
        for name, b in found.items():
            self.came_up[service, name] = b["counts"]["changes"], b["counts"]["failures"]

    def since_up(self, service, name, counts):
        """(changes, failures) since up()."""
        changes, failures = self.came_up[service, name]
        return counts["changes"] - changes, counts["failures"] - failures

    def unknown(self, gorbd, service, reason, under_way=0):
        """Three checks of each are UNKNOWN for this reason; the state and the weight stay, no failure is counted, but for those
        that were under way when it began: of a connection that stands nobody is told that its route is gone, it times out."""
        before = {name: b["counts"]["unknowns"] for name, b in gorbd.backends(service).items()}
        found = wait_until(lambda: f"{service} is unknown: {gorbd.backends(service)}", lambda: (
            lambda now: now if all(b["counts"]["unknowns"] >= before[name] + 3 for name, b in now.items()) else None)(
                gorbd.backends(service)), 10)
        for name, b in found.items():
            self.assertEqual((b["last"]["verdict"], b["state"]), ("unknown", "up"), f"{name}: {b}")
            self.assertLessEqual(self.since_up(service, name, b["counts"])[1], under_way, f"{name}: {b}")
            self.assertRegex(b["last"]["reason"], reason)
            self.assertEqual((b["weight"]["effective"], b["weight"]["configured"]), (100, 100), f"{name}: {b}")

    def passes_again(self, gorbd, service, under_way=0):
        """The same at its end: an address is there a moment before the kernel's routes know of it."""
        before = {name: b["counts"]["passes"] for name, b in gorbd.backends(service).items()}
        wait_until(lambda: f"{service} passes again: {gorbd.backends(service)}", lambda: all(
            b["counts"]["passes"] >= before[name] + 2 for name, b in gorbd.backends(service).items()), 10)
        for name, b in gorbd.backends(service).items():
            changes, failures = self.since_up(service, name, b["counts"])
            self.assertEqual((b["state"], changes), ("up", 0), f"{name}: {b}")
            self.assertLessEqual(failures, under_way, f"{name}: {b}")

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

    def test_no_descriptor_left_for_a_pulse_of_any_kind(self):
        gorbd, good = self.daemon(), self.good()
        gorbd.get("/healthz")
        gorbd.limit_descriptors(next(n for n in range(1000) if n not in gorbd.descriptors()))
        for name, (pulse, port) in pulses().items():
            gorbd.serve(name, good.ports[port] if port else 80, pulse, ["127.0.0.1"])
        for name in pulses():
            for b in self.checked(gorbd, name, 10, 3).values():
                self.assertEqual((b["last"]["verdict"], b["state"], b["counts"]["failures"]), ("unknown", "unknown", 0), b)
                self.assertRegex(b["last"]["reason"], "no free file descriptor in this process|Too many open files")
        gorbd.limit_descriptors(1000)
        for name in pulses():
            self.up(gorbd, name)
            for b in gorbd.backends(name).values():
                self.assertEqual(b["counts"]["failures"], 0, b)

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

    def test_no_port_left_to_send_from(self):
        gorbd, good = self.daemon(), self.good()
        gorbd.get("/healthz")
        sysctl("ipv4/ip_local_port_range", "20000 20007")
        kinds = self.serve_all(gorbd, good.ports, "127.0.0.1", of=("udp", "dns"))
        held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
        for n, sock in enumerate(held):
            # Where a check has that port at the moment, it is free when that is over.
            wait_until(f"port {20000 + n}", lambda: self.bound(sock, 20000 + n), every=0)
        for service in kinds:
            self.unknown(gorbd, service, "no free port to send from")
        for sock in held:
            sock.close()
        for service in kinds:
            self.passes_again(gorbd, service)

    @staticmethod
    def bound(sock, port):
        try:
            sock.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True

    def test_more_targets_than_ports_that_lead_to_them(self):
        """Kept connections to one address and port: who has one does not have it for ever."""
        gorbd, good = self.daemon(), self.good()
        gorbd.get("/healthz")
        sysctl("ipv4/ip_local_port_range", "20000 20007")
        for kind, port, own in (("http", "web", "path"), ("grpc", "grpc", "service")):
            gorbd.made(f"/service/{kind}", {"address": "10.0.0.1", "port": gorbd.next_port()})
            for n in range(24):
                pulse = {"type": kind, "port": good.ports[port], own: f"/{n}", "keep-alive": True, **QUICK}
                gorbd.made(f"/service/{kind}/b{n}", {"address": "127.0.0.1", "port": 1000 + n, "pulse": pulse})
        for kind in ("http", "grpc"):
            self.up(gorbd, kind)
            for name, b in gorbd.backends(kind).items():
                self.assertEqual(b["counts"]["failures"], 0, f"{name}: {b}")

    def test_kept_connections_and_silent_servers_leave_descriptors_for_each_other_and_for_rest(self):
        gorbd, good = self.daemon(descriptors=512), self.good()
        plug_in()
        silent = [f"203.0.113.{n}" for n in range(10, 250)]  # nobody answers ARP
        gorbd.serve("kept", good.ports["web"], {"type": "http", **QUICK}, addresses(400))
        gorbd.serve("silent", 80, {"type": "tcp", "interval": "100ms", "timeout": "500ms"}, silent)
        gorbd.serve("more", 80, {"type": "tcp", "send": "x", "expect": "x", "interval": "100ms", "timeout": "500ms"}, silent)
        for service in ("kept", "silent", "more"):
            for name, b in self.checked(gorbd, service, 60, 2).items():
                self.assertEqual(b["counts"]["unknowns"], 0, f"{name}: {b}")
        fresh = [http.client.HTTPConnection(*gorbd.address, timeout=10) for _ in range(20)]
        for connection in fresh:
            connection.request("GET", "/healthz")
            self.assertEqual(connection.getresponse().status, 200)
        for connection in fresh:
            connection.close()

    def test_an_answer_that_came_while_gorbd_was_stopped_is_one(self):
        """However late it is seen: what stood still was not the server."""
        gorbd, good = self.daemon(), self.good()
        pulse = {"type": "http", "fresh-every": 0, "interval": "250ms", "timeout": "2s"}
        gorbd.serve("web", good.ports["thoughtful"], pulse, addresses(100))
        self.up(gorbd, "web")
        for _ in range(4):
            gorbd.process.send_signal(signal.SIGSTOP)
            time.sleep(2.8)  # the deadlines of those under way are 0.8 s ago then
            gorbd.process.send_signal(signal.SIGCONT)
            before = gorbd.backends("web")
            wait_until("all were checked again", lambda: all(
                b["counts"]["passes"] >= before[name]["counts"]["passes"] + 2 for name, b in gorbd.backends("web").items()), 20)
        for name, b in gorbd.backends("web").items():
            self.assertEqual((self.since_up("web", name, b["counts"])[1], b["counts"]["unknowns"]), (0, 0), f"{name}: {b}")

    def test_no_route(self):
        gorbd, good = self.daemon(), self.good()
        ip("address", "add", "203.0.113.5/32", "dev", "lo")
        services = self.serve_all(gorbd, good.ports, "203.0.113.5")
        ip("address", "del", "203.0.113.5/32", "dev", "lo")
        for service in services:
            self.unknown(gorbd, service, NO_ROUTE, under_way=1)
        ip("address", "add", "203.0.113.5/32", "dev", "lo")
        for service in services:
            self.passes_again(gorbd, service, under_way=2)

    def test_the_interface_goes_away(self):
        gorbd, good = self.daemon(), self.good()
        plug_in()
        services = self.serve_all(gorbd, good.ports, "203.0.113.5")
        ip("link", "del", "wire")
        for service in services:
            self.unknown(gorbd, service, NO_ROUTE, under_way=1)
        plug_in()
        for service in services:
            self.passes_again(gorbd, service, under_way=2)

    def test_the_interface_of_the_pulse_goes_away_and_another_of_its_name_comes(self):
        gorbd = self.daemon()
        with Far() as far:
            far.connect()
            good = self.enterContext(Good(self.certificate(), inside=far.inside()))
            services = self.serve_all(gorbd, good.ports, address(4, 1), interface="way-b")
            ip("link", "del", "way-b")
            for service in services:
                self.unknown(gorbd, service, "no such (network )?device|none of that name|No such device|no route", under_way=1)
            far.lay("way-b", 2)
            for service in services:
                self.passes_again(gorbd, service, under_way=2)

    def test_the_source_address_of_the_pulse_goes_away(self):
        gorbd = self.daemon()
        with Far() as far:
            far.connect()
            good = self.enterContext(Good(self.certificate(), inside=far.inside()))
            kinds = ("tcp", "tcp-tls", "http", "udp", "icmp", "grpc")
            four = self.serve_all(gorbd, good.ports, address(4, 1), of=kinds, source="10.3.0.1")
            six = self.serve_all(gorbd, good.ports, address(6, 1), "fd00::1", of=kinds, prefix="six-", source="fd03::1")
            ip("address", "del", "10.3.0.1/32", "dev", "lo")
            ip("address", "del", "fd03::1/128", "dev", "lo")
            for service in four + six:
                self.unknown(gorbd, service, "no such address|source address|no route", under_way=1)
            ip("address", "add", "10.3.0.1/32", "dev", "lo")
            ip("address", "add", "fd03::1/128", "dev", "lo")
            for service in four + six:
                self.passes_again(gorbd, service, under_way=2)

    def test_the_namespace_at_the_other_end_goes_away(self):
        gorbd = self.daemon()
        with Far() as far:
            far.connect()
            good = self.enterContext(Good(self.certificate(), inside=far.inside()))
            # Until the kernel has cleared it away and its devices with it, it is the servers that are gone.
            services = self.serve_all(gorbd, good.ports, address(4, 1), fall=100)
        good.process.kill()
        for way in ("way-a", "way-b"):
            wait_until(f"{way} is gone with it", lambda: way not in links(), 20)
        before = {service: gorbd.backends(service)["b0"]["counts"]["failures"] for service in services}
        for service in services:
            self.unknown(gorbd, service, NO_ROUTE, under_way=before[service] + 1)

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
