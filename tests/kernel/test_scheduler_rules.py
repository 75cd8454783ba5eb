"""What weight 0 means to each scheduler, with real packets: the facts that gorb's rules rest on, and the rules."""
import collections
import socket
import struct

import servers
from lab import VIP, LabTest, wait_until

SERVICE = f"tcp {VIP}:80"
PULSE = {"type": "tcp", "interval": "200ms", "timeout": "5s", "rise": 1, "fall": 1}
CLIENTS = [f"10.0.0.{n}" for n in range(20, 84)]
SOME = CLIENTS[:24]  # as good as all, and sooner asked
# Much longer than anything here is waited for: who has the whole weight has not ramped.
RAMP = {"recovery": "ramp", "slow-start": "10m"}


def at(number):
    return f"10.1.{number}.2:80"


class SchedulerRules(LabTest):
    servers = 3

    def setUp(self):
        super().setUp()
        self.held = []  # (server, connection)

    def put(self, method, weights=(1, 1, 1), pulse=None, **service):
        self.lab.client.ip(*(f"addr add {address}/24 dev eth0" for address in CLIENTS))
        gorbd = self.gorbd()
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": method, **service})
        for number, weight in enumerate(weights, 1):
            self.lab.serve(number, servers.http_server)
            gorbd.made(f"/service/web/b{number}", {"address": self.lab.address(number), "port": 80, "weight": weight,
                                                   "pulse": pulse or PULSE})
        return gorbd

    def ask_all(self, clients=CLIENTS):
        """{server: clients it served, None: those that nobody served}"""
        served = collections.Counter()
        for address in clients:
            try:
                served[self.lab.fetch(VIP, source=address, seconds=1)] += 1
            except OSError:
                served[None] += 1
        return served

    def weights(self, **weights):
        self.wait_for_weights(SERVICE, {at(int(name[1:])): weight for name, weight in weights.items()})

    def stop(self, number):
        self.lab.processes[(number, "http_server", ())].kill()

    def flags(self):
        return self.lab.table()[SERVICE]["flags"]

    def hash_with_fallback(self, method):
        gorbd = self.put(method)
        self.weights(b1=1, b2=1, b3=1)
        self.assertEqual(self.flags(), f"({method}-fallback)")
        before = self.ask_all()
        self.assertEqual(set(before), {"s1", "s2", "s3"}, before)
        self.stop(1)
        self.weights(b1=0, b2=1, b3=1)
        after = self.ask_all()
        self.assertEqual(set(after), {"s2", "s3"}, after)
        self.assertEqual(sum(after.values()), len(CLIENTS))
        return gorbd

    def test_sh_falls_back_by_itself(self):
        self.hash_with_fallback("sh")

    def test_mh_falls_back_by_itself(self):
        self.hash_with_fallback("mh")

    def hash_without_fallback(self, method):
        gorbd = self.put(method, fallback="off")
        self.weights(b1=1, b2=1, b3=1)
        self.assertEqual(set(self.ask_all()), {"s1", "s2", "s3"})
        self.assertEqual(self.flags(), "")
        self.stop(1)
        self.weights(b1=0, b2=1, b3=1)
        served = self.ask_all()
        self.assertGreater(served[None], 0, served)
        self.assertEqual(set(served) - {None}, {"s2", "s3"}, served)
        self.assertIn("fallback is refused", " ".join(gorbd.get("/service/web").json["warnings"]))
        return gorbd

    def test_sh_without_fallback_swallows_clients_and_gorb_warns(self):
        self.hash_without_fallback("sh")

    def test_mh_without_fallback_swallows_clients_until_it_is_allowed(self):
        gorbd = self.hash_without_fallback("mh")
        reply = gorbd.patch("/service/web", {"fallback": "auto"})
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(self.flags(), "(mh-fallback)")
        self.assertEqual(reply.json["warnings"], [])
        self.assertEqual(set(self.ask_all()), {"s2", "s3"})

    def test_sh_gets_weights_divided_so_that_every_backend_has_slots(self):
        gorbd = self.put("sh", (100, 100, 100))
        self.weights(b1=1, b2=1, b3=1)
        self.assertEqual(set(self.ask_all()), {"s1", "s2", "s3"})
        self.assertEqual(gorbd.get("/service/web").json["warnings"], [])
        gorbd.patch("/service/web/b1", {"weight": 101})
        self.weights(b1=101, b2=100, b3=100)
        self.assertIn("256 slots", " ".join(gorbd.get("/service/web").json["warnings"]))

    def test_dh_removes_what_is_down(self):
        """dh hashes the destination, which is the VIP: all clients go to one server, and lose it without removal."""
        gorbd = self.put("dh")
        self.weights(b1=1, b2=1, b3=1)
        first = self.ask_all()
        self.assertEqual(len(first), 1, first)
        chosen = int(next(iter(first))[1:])
        self.stop(chosen)
        self.weights(**{f"b{n}": 1 for n in (1, 2, 3) if n != chosen})
        self.assertTrue(gorbd.get(f"/service/web/b{chosen}").json["weight"]["removed"])
        second = self.ask_all()
        self.assertNotIn(None, second)
        self.assertNotIn(f"s{chosen}", second)

    def returns_at_once(self, gorbd, first, **weights):
        """Stops b1, which is then back with its whole weight while a ramp would have it near the tenth that it begins with. Who
        served meanwhile."""
        self.stop(1)
        self.weights(**{**weights, "b1": 0})
        after = self.ask_all(SOME)
        self.lab.serve(1, servers.http_server)
        self.weights(**weights)
        self.assertEqual(self.ask_all(SOME), first)
        self.assertIn("no effect", " ".join(gorbd.get("/service/web").json["warnings"]))
        return set(after)

    def hash_does_not_ramp(self, method, **weights):
        """Each client is at the end served by whom it was served before. `weights` are the kernel's."""
        gorbd = self.put(method, (60, 40, 50), **RAMP)
        self.weights(**weights)
        first = self.ask_all(SOME)
        self.assertEqual(set(first), {"s1", "s2", "s3"}, first)
        self.assertEqual(self.returns_at_once(gorbd, first, **weights), {"s2", "s3"})

    def test_sh_does_not_ramp(self):
        self.hash_does_not_ramp("sh", b1=6, b2=4, b3=5)

    def test_mh_does_not_ramp(self):
        self.hash_does_not_ramp("mh", b1=60, b2=40, b3=50)

    def test_fo_keeps_the_whole_weight_which_is_a_rank(self):
        """A rank that rises is a wrong rank until it has risen."""
        gorbd = self.put("fo", (30, 20, 10), **RAMP)
        self.weights(b1=30, b2=20, b3=10)
        first = self.ask_all(SOME)
        self.assertEqual(set(first), {"s1"}, first)
        self.assertEqual(self.returns_at_once(gorbd, first, b1=30, b2=20, b3=10), {"s2"})

    def hold(self, count):
        """Opens so many connections, which stay, one after the other, and says who serves each."""
        names = []
        for _ in range(count):
            connection = self.lab.connect(VIP, 80)
            self.addCleanup(connection.close)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")  # Answered: the kernel has it as active.
            answer = b""
            while not answer.endswith(b"\n") or b"\r\n\r\n" not in answer or answer.endswith(b"\r\n\r\n"):
                part = connection.recv(1000)
                self.assertTrue(part, answer)
                answer += part
            names.append(answer.split()[-1].decode())
            self.held.append((names[-1], connection))
        return names

    def release(self, name):
        """Ends one of them, by a reset: what is over is not active at once."""
        (connection,) = [connection for held, connection in self.held if held == name][:1]
        before = self.lab.table()[SERVICE]["servers"][at(int(name[1:]))]["active"]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        wait_until("it is not active", lambda: self.lab.table()[SERVICE]["servers"][at(int(name[1:]))]["active"] < before)

    def test_ovf_fills_by_rank_up_to_the_weight(self):
        self.put("ovf", (2, 50, 1))
        self.weights(b1=2, b2=50, b3=1)
        self.assertEqual(set(self.ask_all()), {"s2"})
        self.stop(2)
        self.weights(b1=2, b2=0, b3=1)
        self.assertEqual(self.lab.fetch(VIP), "s1")

    def test_ovf_overflows_to_the_next_when_as_many_connections_are_active_as_the_weight_says(self):
        """To the kernel a backend is full with more than its weight, so each has room for one more."""
        self.put("ovf", (3, 1, 2))
        self.weights(b1=3, b2=1, b3=2)
        self.assertEqual(self.hold(7), ["s1"] * 4 + ["s3"] * 3)
        self.release("s1")
        self.assertEqual(self.hold(1), ["s1"])
        self.stop(3)
        self.weights(b1=3, b2=1, b3=0)
        self.assertEqual(self.hold(2), ["s2"] * 2)
        with self.assertRaises(OSError):  # All are full: nobody gets what is too much for him.
            self.lab.fetch(VIP, seconds=1)

    def newcomer(self, method, **backend):
        """Two backends at their weight and with three connections each, and a third that comes now."""
        gorbd = self.put(method, (100, 100))
        self.lab.serve(3, servers.http_server)
        self.weights(b1=100, b2=100)
        reply = gorbd.patch("/service/web", RAMP)
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(sorted(self.hold(6)), ["s1"] * 3 + ["s2"] * 3)
        gorbd.made("/service/web/b3", {"address": self.lab.address(3), "port": 80, "pulse": PULSE, **backend})
        return gorbd

    def test_wlc_does_not_swamp_a_newcomer_that_ramps(self):
        """It has no connection, so by its weight it is the emptiest: with all of it at once it gets all that comes."""
        gorbd = self.newcomer("wlc")
        wait_until("a first part of the weight", lambda: 0 < self.lab.weights(SERVICE).get(at(3), 0) < 30)
        self.assertEqual(self.hold(5).count("s3"), 1)
        gorbd.patch("/service/web", {"recovery": "immediate"})
        self.weights(b1=100, b2=100, b3=100)
        self.assertEqual(self.hold(3), ["s3"] * 3)

    def test_lc_swamps_a_newcomer_unless_it_has_an_upper_threshold(self):
        """lc reads a weight as in or out, so a ramp is no help, and that is said."""
        gorbd = self.newcomer("lc", **{"upper-threshold": 2})
        self.weights(b1=100, b2=100, b3=100)
        self.assertIn("no effect", " ".join(gorbd.get("/service/web").json["warnings"]))
        self.assertEqual(collections.Counter(self.hold(4)), {"s3": 2, "s1": 1, "s2": 1})
        gorbd.patch("/service/web/b3", {"upper-threshold": 0})
        self.assertEqual(self.hold(2), ["s3"] * 2)

    def test_rr_reads_a_weight_as_in_or_out(self):
        gorbd = self.put("rr", (1, 100, 7), **RAMP)
        self.weights(b1=1, b2=100, b3=7)
        served = self.lab.count(9, VIP)
        self.assertEqual(served, {"s1": 3, "s2": 3, "s3": 3})
        self.assertIn("no effect", " ".join(gorbd.get("/service/web").json["warnings"]))
