"""`source`, `interface` and `fwmark` of a pulse, as every packet of its checks shows them that arrives at the other end."""
import unittest

import room
from far import MARK, Far, Witness, address
from gorbd import wait_until
from room import RobustTest

room.FIRST = False  # nothing here is a matter of time
PULSE = {"interval": "200ms", "timeout": "5s", "rise": 1}
# What is asked for, and the n of the way and of the source that follow: 10.n.0.1 and fd0n::1.
WAYS = (
    ({}, "way-a", 1),
    ({"source": 3}, "way-a", 3),
    ({"interface": "way-b"}, "way-b", 2),
    ({"fwmark": MARK}, "way-b", 2),
    ({"source": 4, "interface": "way-b"}, "way-b", 4),
    ({"source": 4, "fwmark": MARK}, "way-b", 4),
)


class Ways(RobustTest):
    def setUp(self):
        super().setUp()
        self.far = self.enterContext(Far())
        self.far.connect()
        self.ports = self.enterContext(room.Good(self.certificate(), inside=self.far.inside())).ports
        self.gorbd = self.daemon()

    def goes(self, *pulses):
        """Checks of each of these (pulse, port) go as they are told to, every packet of them."""
        witness, wanted = self.enterContext(Witness(self.far)), {}
        for service, vip, own in (("web4", "10.0.0.1", "10.{}.0.1"), ("web6", "fd00::1", "fd0{}::1")):
            self.gorbd.made(f"/service/{service}", {"address": vip, "port": 80})
            for n, (pulse, port) in enumerate(pulses):
                for m, (asked, way, source) in enumerate(WAYS):
                    if "source" in asked:
                        asked = {**asked, "source": own.format(asked["source"])}
                    to = address(4 if service == "web4" else 6, 1 + n * len(WAYS) + m)
                    self.gorbd.made(f"/service/{service}/{to}", {
                        "address": to, "port": self.ports[port] if port else 80, "pulse": {**PULSE, **pulse, **asked}})
                    wanted[to] = ((way, own.format(source)), {**pulse, **asked})

        def backends():
            return [b for service in ("web4", "web6") for b in self.gorbd.backends(service).values()]
        wait_until(lambda: "all are checked three times; not " + str([b for b in backends() if b["counts"]["passes"] < 3]),
                   lambda: all(b["counts"]["passes"] >= 3 for b in backends()))
        for b in backends():
            self.assertEqual((b["counts"]["failures"], b["counts"]["unknowns"]), (0, 0), b)
        seen = witness.look()
        for to, (way, pulse) in wanted.items():
            if "full-handshake" in pulse and ":" in to and "interface" in pulse:
                # The ACK of the other side's FIN comes from TIME_WAIT, where the kernel prefers the interface to other ways over
                # IPv4 only.
                last_ack = seen[to].pop(("way-a", way[1]), 0)
                self.assertLess(last_ack, seen[to][way] / 2)
            self.assertEqual(set(seen[to]), {way}, f"{pulse}: {seen[to]}")
            self.assertGreaterEqual(seen[to][way], 3)

    def test_tcp(self):
        talk = {"send": "GET / HTTP/1.1\\r\\n\\r\\n", "expect": " 200 "}
        self.goes(({"type": "tcp"}, "web"), ({"type": "tcp", "full-handshake": True}, "web"), ({"type": "tcp", **talk}, "web"),
                  ({"type": "tcp", "tls": True, "verify": False, **talk}, "web-tls"))

    def test_http(self):
        self.goes(({"type": "http", "keep-alive": False}, "web"), ({"type": "http", "keep-alive": True}, "web"),
                  ({"type": "http", "tls": True, "verify": False}, "web-tls"))

    def test_udp(self):
        self.goes(({"type": "udp", "send": "x", "expect": "echo x"}, "udp"))

    def test_dns(self):
        self.goes(({"type": "dns", "name": "www.example.org"}, "dns"),
                  ({"type": "dns", "name": "www.example.org", "transport": "tcp"}, "dns"))

    def test_icmp(self):
        self.goes(({"type": "icmp"}, ""))

    def test_grpc(self):
        self.goes(({"type": "grpc"}, "grpc"), ({"type": "grpc", "keep-alive": True}, "grpc"),
                  ({"type": "grpc", "tls": True, "verify": False}, "grpc-tls"))


if __name__ == "__main__":
    unittest.main()
