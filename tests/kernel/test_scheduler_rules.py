"""What weight 0 means to each scheduler, with real packets: the facts that gorb's rules rest on, and the rules."""
import collections

import servers
from lab import VIP, LabTest

SERVICE = f"tcp {VIP}:80"
PULSE = {"type": "tcp", "interval": "200ms", "timeout": "1s", "rise": 1, "fall": 1}
CLIENTS = [f"10.0.0.{n}" for n in range(20, 84)]


def at(number):
    return f"10.1.{number}.2:80"


class SchedulerRules(LabTest):
    servers = 3

    def put(self, method, weights=(1, 1, 1), pulse=None, **service):
        self.lab.client.ip(*(f"addr add {address}/24 dev eth0" for address in CLIENTS))
        gorbd = self.gorbd()
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": method, **service})
        for number, weight in enumerate(weights, 1):
            self.lab.serve(number, servers.http_server)
            gorbd.made(f"/service/web/b{number}", {"address": self.lab.address(number), "port": 80, "weight": weight,
                                                   "pulse": pulse or PULSE})
        return gorbd

    def ask_all(self):
        """{server: clients it served, None: those that nobody served}"""
        served = collections.Counter()
        for address in CLIENTS:
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

    def test_sh_without_fallback_swallows_clients_and_gorb_warns(self):
        gorbd = self.put("sh", fallback="off")
        self.weights(b1=1, b2=1, b3=1)
        self.assertEqual(self.flags(), "")
        self.stop(1)
        self.weights(b1=0, b2=1, b3=1)
        served = self.ask_all()
        self.assertGreater(served[None], 0, served)
        self.assertIn("fallback is refused", " ".join(gorbd.get("/service/web").json["warnings"]))

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

    def test_hash_schedulers_do_not_ramp(self):
        gorbd = self.put("mh", (50, 50, 50), recovery="ramp")
        self.weights(b1=50, b2=50, b3=50)
        self.stop(1)
        self.weights(b1=0, b2=50, b3=50)
        self.lab.serve(1, servers.http_server)
        self.weights(b1=50, b2=50, b3=50)
        self.assertIn("no effect", " ".join(gorbd.get("/service/web").json["warnings"]))

    def test_fo_keeps_the_whole_weight_which_is_a_rank(self):
        gorbd = self.put("fo", (30, 20, 10), **{"slow-start": "60s"})
        self.weights(b1=30, b2=20, b3=10)
        self.assertEqual(set(self.ask_all()), {"s1"})
        self.stop(1)
        self.weights(b1=0, b2=20, b3=10)
        self.assertEqual(set(self.ask_all()), {"s2"})
        self.lab.serve(1, servers.http_server)
        self.weights(b1=30, b2=20, b3=10)  # At once: a rank that rises is a wrong rank until it has risen.
        self.assertEqual(set(self.ask_all()), {"s1"})
        self.assertIn("no effect", " ".join(gorbd.get("/service/web").json["warnings"]))

    def test_ovf_fills_by_rank_up_to_the_weight(self):
        self.put("ovf", (2, 50, 1))
        self.weights(b1=2, b2=50, b3=1)
        self.assertEqual(set(self.ask_all()), {"s2"})
        self.stop(2)
        self.weights(b1=2, b2=0, b3=1)
        self.assertEqual(self.lab.fetch(VIP), "s1")

    def test_rr_reads_a_weight_as_in_or_out(self):
        gorbd = self.put("rr", (1, 100, 7), **{"slow-start": "60s"})
        self.weights(b1=1, b2=100, b3=7)
        served = self.lab.count(9, VIP)
        self.assertEqual(served, {"s1": 3, "s2": 3, "s3": 3})
        self.assertIn("no effect", " ".join(gorbd.get("/service/web").json["warnings"]))
