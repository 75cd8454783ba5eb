"""The time of day jumps while gorbd runs: no interval, deadline or ramp goes by it."""
import os
import re
import struct
import tempfile
import time
import unittest

from gorbd import BUILD, SLOW, Gorbd, wait_until
from servers import HttpBackend, TcpBackend

HOUR = 3600
QUICK = {"interval": "100ms", "timeout": "1s", "rise": 1, "fall": 1}


class Clock(unittest.TestCase):
    def setUp(self):
        self.off_by = self.enterContext(tempfile.NamedTemporaryFile("r+b", buffering=0))
        self.jump_to(0)
        self.gorbd = self.enterContext(Gorbd("--driver", "memory", env={
            "LD_PRELOAD": str(BUILD / "tests" / "time_of_day.so"), "GORB_TIME_OF_DAY": self.off_by.name,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}))
        self.tcp = self.enterContext(TcpBackend())

    def jump_to(self, hours):
        """The time of day is by so much another than the machine's."""
        self.off_by.seek(0)
        self.off_by.write(struct.pack("=q", hours * HOUR))

    def serve(self, service, pulse, port=None, **more):
        self.services = getattr(self, "services", 0) + 1
        self.gorbd.made(f"/service/{service}", {"address": "10.0.0.1", "port": self.services, **more})
        self.gorbd.made(f"/service/{service}/b1", {"address": "127.0.0.1", "port": port or self.tcp.port, "pulse": pulse})

    def backend(self, service):
        return self.gorbd.get(f"/service/{service}/b1").json

    def wait_for(self, service, condition, what):
        self.gorbd.wait_for(f"/service/{service}/b1", condition, what)

    def test_checks_keep_their_pace(self):
        web = self.enterContext(HttpBackend())
        self.serve("tcp", QUICK)
        self.serve("http", {"type": "http", **QUICK}, web.port)
        self.serve("seldom", {**QUICK, "interval": "1h"})
        for service in ("tcp", "http", "seldom"):
            self.wait_for(service, lambda b: b["state"] == "up", "up")
        stamps = {self.backend("tcp")["last"]["at"][:13]}
        before, begun = {s: self.backend(s)["counts"]["passes"] for s in ("tcp", "http")}, time.monotonic()
        for hours in (6, -6, 1000, -1000, 0):
            self.jump_to(hours)
            seen = self.backend("tcp")["counts"]["passes"]
            self.wait_for("tcp", lambda b, seen=seen: b["counts"]["passes"] >= seen + 3, "three checks more")
            stamps.add(self.backend("tcp")["last"]["at"][:13])
        due = (time.monotonic() - begun) / 0.1
        self.assertGreaterEqual(len(stamps), 5, "the jumps are seen: results have their time of day")
        for service, passes in before.items():
            b = self.backend(service)
            done = b["counts"]["passes"] - passes
            self.assertTrue(due * 0.7 / SLOW <= done <= due * 1.2 + 2, f"{done} checks where {due:.1f} were due")
            self.assertEqual((b["counts"]["failures"], b["counts"]["unknowns"], b["counts"]["changes"]), (0, 0, 1), b)
        self.assertEqual(self.backend("seldom")["counts"]["passes"], 1, "an hour that did not pass is not over")
        self.assertNotIn("error", self.gorbd.log())

    def test_a_report_is_good_for_its_time_and_no_longer(self):
        self.serve("long", {"type": "ttl", "ttl": "1h", **QUICK})
        self.serve("short", {"type": "ttl", "ttl": "1s", **QUICK})
        for service in ("long", "short"):
            self.assertEqual(self.gorbd.put(f"/service/{service}/b1/pulse", {"status": "pass"}).status, 200)
        self.jump_to(6)
        passes = self.backend("long")["counts"]["passes"]
        self.wait_for("long", lambda b: b["counts"]["passes"] >= passes + 3, "three checks more")
        self.assertEqual(self.backend("long")["state"], "up")
        self.assertEqual(self.gorbd.put("/service/short/b1/pulse", {"status": "pass"}).status, 200)
        self.wait_for("short", lambda b: b["state"] == "up", "up")
        self.jump_to(-6)
        self.wait_for("short", lambda b: b["state"] == "down", "down, although the time of day says that it spoke in the future")
        self.assertIn("no report", self.backend("short")["because"])
        self.assertEqual(self.backend("long")["state"], "up")

    def test_a_ramp_takes_its_time(self):
        self.serve("web", {**QUICK, "interval": "50ms"}, recovery="ramp", **{"slow-start": "2s", "slow-start-least": "10%"})
        self.wait_for("web", lambda b: b["weight"]["effective"] == 100, "up")
        self.tcp.close()
        self.wait_for("web", lambda b: b["weight"]["effective"] == 0, "down")
        so_far = len(self.gorbd.log())
        self.tcp.open()
        self.wait_for("web", lambda b: b["state"] == "up", "up")
        begun, weights = time.monotonic(), []

        def grown(to):
            """Waits for that weight, and remembers those on the way."""
            def enough():
                weights.append(self.backend("web")["weight"]["effective"])
                return weights[-1] >= to
            wait_until(lambda: f"the ramp goes on to {to}: {weights}", enough, 6)
        self.jump_to(6)
        grown(30)
        self.assertLess(weights[0], 100)
        self.jump_to(-6)
        grown(100)
        # Steps lie on a grid, so the first may be early and the last one late, by less than a second.
        self.assertTrue(1.0 < time.monotonic() - begun < 3.5 * SLOW, weights)
        self.assertEqual(weights, sorted(weights))
        self.assertGreater(len(set(weights)), 2, "in steps")

        def told():
            return re.findall(r"weight set .*weight=(\d+) configured=100", self.gorbd.log()[so_far:])
        wait_until("the log tells of the end", lambda: "100" in told())
        self.assertEqual(len(told()), 2, "the beginning and the end of it, not each step")


if __name__ == "__main__":
    unittest.main()
