"""Health that is reported through REST, for the pulse ttl."""
import unittest

from gorbd import Gorbd


class Reports(unittest.TestCase):
    def setUp(self):
        self.gorbd = self.enterContext(Gorbd("--driver", "memory"))
        self.gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})

    def put(self, **pulse):
        self.gorbd.made("/service/web/b1", {"address": "127.0.0.1", "port": 9,
                                            "pulse": {"type": "ttl", "interval": "100ms", "rise": 1, "fall": 1, **pulse}})

    def report(self, **body):
        reply = self.gorbd.put("/service/web/b1/pulse", body)
        self.assertEqual(reply.status, 200, reply)

    def weight(self, effective):
        self.gorbd.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == effective, f"weight {effective}")

    def test_a_report_takes_effect_at_once_with_its_share(self):
        # The next regular check is an hour away: what happens comes from the report.
        self.put(ttl="2h", interval="1h")
        self.report(status="pass")
        self.weight(100)
        self.report(status="pass", share=40, reason="half of the disks")
        self.weight(40)
        shown = self.gorbd.get("/service/web/b1").json
        self.assertIn("half of the disks", shown["last"]["reason"])
        self.assertEqual(shown["weight"]["factors"]["share"], 40)
        self.report(status="fail", reason="going away")
        self.weight(0)
        self.assertIn("going away", self.gorbd.get("/service/web/b1").json["because"])

    def test_one_without_a_report_is_told_to_wait_for_that_and_not_for_a_check(self):
        def why(backend, words):
            self.gorbd.wait_for(f"/service/web/{backend}", lambda b: b["weight"]["why"] == words, words)
            self.assertEqual(self.gorbd.get(f"/service/web/{backend}").json["weight"]["reasons"]["health"], words)

        self.put(ttl="1h")
        why("b1", "no check has counted yet: no report yet (ttl 3600s)")
        self.gorbd.made("/service/web/b2", {"address": "127.0.0.1", "port": 10,
                                            "pulses": [{"type": "none"}, {"type": "ttl", "ttl": "2h"}]})
        why("b2", "no check has counted yet: ttl: no report yet (ttl 7200s)")

    def test_silence_brings_it_down(self):
        self.put(ttl="1s")
        self.report(status="pass")
        self.weight(100)
        self.gorbd.wait_for("/service/web/b1", lambda b: b["state"] == "down", "down")
        self.assertIn("no report", self.gorbd.get("/service/web/b1").json["because"])
        self.report(status="pass")
        self.weight(100)

    def test_a_report_is_for_each_pulse_that_takes_reports(self):
        short, long = ({"type": "ttl", "ttl": ttl, "interval": "100ms", "rise": 1, "fall": 1} for ttl in ("1h", "2h"))
        self.gorbd.made("/service/web/b1", {"address": "127.0.0.1", "port": 9, "pulses": [short, {"type": "none"}, long]})
        self.report(status="pass", share=40)
        self.weight(40)
        self.report(status="fail", reason="going away")
        self.gorbd.wait_for("/service/web/b1", lambda b: [c["state"] for c in b["checks"]] == ["down", "up", "down"], "both say so")

    def test_a_pulse_that_takes_no_reports_says_so(self):
        self.gorbd.made("/service/web/b2", {"address": "127.0.0.1", "port": 9, "pulse": {"type": "tcp"}})
        reply = self.gorbd.put("/service/web/b2/pulse", {"status": "pass"})
        self.assertEqual(reply.status, 409, reply)
        self.assertIn("tcp", reply.json["error"])
