"""Persistence: a client stays with its server."""
import socket

import servers
from lab import VIP, VIP6, LabTest


class Persistence(LabTest):
    def put(self, vip=VIP, **service):
        gorbd = self.gorbd()
        for number in (1, 2):
            self.lab.serve(number, servers.http_server)
        gorbd.made("/service/web", {"address": vip, "port": 80, "method": "rr", **service})
        for number in (1, 2):
            gorbd.made(f"/service/web/s{number}", {"address": self.lab.address(number, 6 if ":" in vip else 4), "port": 80,
                                                   "pulse": {"type": "none"}})
        self.wait_for_weights(f"tcp [{vip}]:80" if ":" in vip else f"tcp {vip}:80",
                              {(f"[fd00:1:{n}::2]:80" if ":" in vip else f"10.1.{n}.2:80"): 100 for n in (1, 2)})
        return gorbd

    def flags(self, vip=VIP):
        return self.lab.table()[f"tcp [{vip}]:80" if ":" in vip else f"tcp {vip}:80"]["flags"]

    def test_true_keeps_each_client_on_its_server(self):
        self.put(persistent=True)
        self.assertEqual(self.flags(), "persistent 300")
        names = []
        for host in range(2, 6):
            first = self.lab.fetch(VIP, source=f"10.0.0.{host}")
            self.assertEqual(self.lab.count(5, VIP, source=f"10.0.0.{host}"), {first: 5})
            names.append(first)
        self.assertEqual(sorted(names), ["s1", "s1", "s2", "s2"])  # Clients are still shared out.

    def test_off_spreads_one_client_over_the_servers(self):
        self.put(persistent=False)
        self.assertEqual(self.flags(), "")
        self.assertEqual(self.lab.count(6, VIP, source="10.0.0.3"), {"s1": 3, "s2": 3})

    def test_seconds_and_durations_reach_the_kernel(self):
        gorbd = self.put(persistent=60)
        self.assertEqual(self.flags(), "persistent 60")
        # `true` leaves the timeout of a service that is persistent already.
        for given, shown in (("2m", "persistent 120"), (True, "persistent 120"), (False, ""), (True, "persistent 300")):
            reply = gorbd.patch("/service/web", {"persistent": given})
            self.assertEqual(reply.status, 200, reply)
            self.assertEqual(self.flags(), shown)

    def test_a_netmask_groups_clients(self):
        self.put(persistent=True, netmask="255.255.255.0")
        self.assertEqual(self.flags(), "persistent 300 mask 255.255.255.0")
        first = self.lab.fetch(VIP, source="10.0.0.2")
        for host in range(3, 8):
            self.assertEqual(self.lab.fetch(VIP, source=f"10.0.0.{host}"), first)

    def test_ipv6_with_a_prefix_length(self):
        self.put(VIP6, persistent="90s", netmask=64)
        self.assertEqual(self.flags(VIP6), "persistent 90 mask 64")
        first = self.lab.fetch(VIP6)
        self.assertEqual(self.lab.count(5, VIP6), {first: 5})

    def test_a_service_of_every_port_keeps_the_clients_port_whatever_its_backends_say(self):
        """As README has it, and the kernel: a backend's port is the one that is checked."""
        gorbd = self.gorbd()
        for number, port in ((1, 80), (1, 8080), (2, 80)):
            self.lab.serve(number, servers.http_server, port)
        gorbd.made("/service/web", {"address": VIP, "port": 0, "method": "rr", "persistent": True})
        gorbd.made("/service/web/s1", {"address": "10.1.1.2", "port": 8080, "pulse": {"type": "tcp"}})
        gorbd.made("/service/web/s2", {"address": "10.1.2.2", "port": 0, "pulse": {"type": "tcp", "port": 80}})
        self.wait_for_weights(f"tcp {VIP}:0", {"10.1.1.2:8080": 100, "10.1.2.2:0": 100})
        self.lab.processes[1, "http_server", (8080,)].kill()
        self.assertEqual({self.lab.fetch(VIP, source=f"10.0.0.{host}") for host in (2, 3)}, {"s1", "s2"})

    def test_clients_of_a_backend_that_is_down_get_another_one_only_if_it_is_removed(self):
        """The kernel does not end a persistence by weight 0 (net.ipv4.vs.expire_quiescent_template = 0), which is said."""
        gorbd = self.gorbd()
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "rr", "persistent": True})
        servers_of = {}
        for number in (1, 2):
            servers_of[f"s{number}"] = self.lab.serve(number, servers.http_server)
            gorbd.made(f"/service/web/s{number}", {"address": self.lab.address(number), "port": 80, "pulse": {
                "type": "tcp", "interval": "100ms", "rise": 1, "fall": 1}})
        self.wait_for_weights(f"tcp {VIP}:80", {"10.1.1.2:80": 100, "10.1.2.2:80": 100})
        mine = self.lab.fetch(VIP)
        other = {"s1": "s2", "s2": "s1"}[mine]
        # A client of the same server that is quiet until the operator has dealt with it.
        quiet = next(source for source in (f"10.0.0.{host}" for host in range(3, 8)) if self.lab.fetch(VIP, source=source) == mine)
        servers_of[mine].kill()
        gone, left = (f"10.1.{name[1]}.2:80" for name in (mine, other))
        self.wait_for_weights(f"tcp {VIP}:80", {gone: 0, left: 100})
        for _ in range(3):
            with self.assertRaises(ConnectionRefusedError):
                self.lab.fetch(VIP)
        self.assertIn('on-down "remove"', "".join(gorbd.get("/service/web").json["warnings"]))

        self.assertEqual(gorbd.patch("/service/web", {"on-down": "remove"}).status, 200)
        self.wait_for_weights(f"tcp {VIP}:80", {left: 100})
        self.assertEqual(self.lab.count(3, VIP), {other: 3})
        self.assertEqual(gorbd.get("/service/web").json["warnings"], [])
        self.assertEqual(gorbd.patch(f"/service/web/{mine}", {"admin": "maint"}).status, 200)
        self.assertEqual(self.lab.weights(f"tcp {VIP}:80"), {left: 100})
        self.assertEqual(self.lab.count(3, VIP, source=quiet), {other: 3})

    def test_a_udp_client_stays_with_a_backend_that_is_down_until_it_is_removed(self):
        """What the kernel knows of it is renewed by each of its packets, which is said."""
        gorbd = self.gorbd()
        gorbd.made("/service/echo", {"address": VIP, "port": 53, "protocol": "udp", "method": "rr"})
        for number in (1, 2):
            self.lab.serve(number, servers.udp_echo, 53)
            gorbd.made(f"/service/echo/s{number}", {"address": self.lab.address(number), "port": 53, "pulse": {
                "type": "tcp", "port": 80, "interval": "100ms", "rise": 1, "fall": 1}})
            self.lab.serve(number, servers.http_server)
        self.wait_for_weights(f"udp {VIP}:53", {"10.1.1.2:53": 100, "10.1.2.2:53": 100})
        with self.lab.client:
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client:
            client.settimeout(20)

            def ask():
                client.sendto(b"?", (VIP, 53))
                return client.recv(100).decode().split()[0]

            mine = ask()
            gone, left = ("10.1.1.2:53", "10.1.2.2:53") if mine == "s1" else ("10.1.2.2:53", "10.1.1.2:53")
            self.lab.processes[int(mine[1]), "http_server", ()].kill()
            self.wait_for_weights(f"udp {VIP}:53", {gone: 0, left: 100})
            self.assertEqual([ask(), ask()], [mine, mine])
            self.assertIn('on-down "remove"', "".join(gorbd.get("/service/echo").json["warnings"]))
            self.lab.director.sysctl(ipv4__vs__expire_nodest_conn=1)
            self.assertEqual(gorbd.patch("/service/echo", {"on-down": "remove"}).status, 200)
            self.wait_for_weights(f"udp {VIP}:53", {left: 100})
            self.assertNotEqual(ask(), mine)
            self.assertEqual(gorbd.get("/service/echo").json["warnings"], [])
