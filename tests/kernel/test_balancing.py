"""Packets of clients, balanced by the kernel over real servers that were registered over REST."""
import servers
from lab import VIP, VIP6, LabTest

PULSE = {"type": "tcp", "interval": "200ms", "timeout": "5s"}


class Balancing(LabTest):
    def balance(self, vip, family, port=80, protocol="tcp", server=servers.http_server, args=(), pulse=None, **service):
        """A service with both servers behind it, once both have their weight."""
        gorbd = self.gorbd()
        for number in (1, 2):
            self.lab.serve(number, server, *args)
        gorbd.made("/service/web", {"address": vip, "port": port, "protocol": protocol, "method": "rr", **service})
        for number in (1, 2):
            gorbd.made(f"/service/web/s{number}", {"address": self.lab.address(number, family), "port": port,
                                                   "method": "nat", "pulse": pulse or PULSE, "weight": 100})

        def spelled(address):
            return f"[{address}]:{port}" if family == 6 else f"{address}:{port}"

        self.wait_for_weights(f"{protocol} {spelled(vip)}",
                              {spelled(self.lab.address(number, family)): 100 for number in (1, 2)})
        return gorbd

    def test_nat_shares_requests_over_two_servers(self):
        self.balance(VIP, 4)
        self.assertEqual(self.lab.count(20, VIP), {"s1": 10, "s2": 10})

    def test_ipv6(self):
        self.balance(VIP6, 6)
        self.assertEqual(self.lab.count(20, VIP6), {"s1": 10, "s2": 10})

    def test_udp(self):
        # A tcp pulse can not see a udp server, so these are not checked.
        self.balance(VIP, 4, 5353, "udp", servers.udp_echo, (5353,), {"type": "none"})
        answers = {self.lab.ask_udp(VIP, 5353, "hello") for _ in range(6)}
        self.assertEqual(answers, {"s1 hello", "s2 hello"})

    def test_udp_over_ipv6(self):
        self.balance(VIP6, 6, 5353, "udp", servers.udp_echo, (5353,), {"type": "none"})
        answers = {self.lab.ask_udp(VIP6, 5353, "hello") for _ in range(6)}
        self.assertEqual(answers, {"s1 hello", "s2 hello"})

    def test_weights_share_requests_in_their_proportion(self):
        gorbd = self.balance(VIP, 4, method="wrr")
        reply = gorbd.patch("/service/web/s2", {"weight": 300})
        self.assertEqual(reply.status, 200, reply)
        self.wait_for_weights(f"tcp {VIP}:80", {"10.1.1.2:80": 100, "10.1.2.2:80": 300})
        self.assertEqual(self.lab.count(20, VIP), {"s1": 5, "s2": 15})

    def test_weight_zero_drains(self):
        gorbd = self.balance(VIP, 4)
        gorbd.patch("/service/web/s1", {"weight": 0})
        self.wait_for_weights(f"tcp {VIP}:80", {"10.1.1.2:80": 0, "10.1.2.2:80": 100})
        self.assertEqual(self.lab.count(6, VIP), {"s2": 6})
