"""When most unrelated targets fail at once gorbd suspects the machine it runs on: the settings, and what an operator sees of it."""
import socket
import tempfile
import unittest

from gorbd import Gorbd, wait_until

TARGETS = 12
PULSE = {"type": "tcp", "interval": "300ms", "timeout": "1s", "rise": 1, "fall": 2, "jitter": "0%"}


class Machine:
    """A port that is open, or closed, on all addresses of 127.0.0.0/8 at once: each is a target of its own."""

    def __init__(self):
        self.listener = None
        with socket.create_server(("0.0.0.0", 0)) as probe:
            self.port = probe.getsockname()[1]

    def open(self):
        self.listener = socket.create_server(("0.0.0.0", self.port), backlog=1024)

    def close(self):
        if self.listener:
            self.listener.close()
            self.listener = None

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.close()


class Suspicion(unittest.TestCase):
    def daemon(self, *options, **settings):
        file = self.enterContext(tempfile.NamedTemporaryFile("w", suffix=".ini"))
        file.write("[health]\n" + "".join(f"{name.replace('_', '-')} = {value}\n" for name, value in settings.items()))
        file.flush()
        return self.enterContext(Gorbd("--driver", "memory", "--config", file.name, *options))

    def serve(self, gorbd, *machines, address=lambda n: f"127.0.1.{n + 1}"):
        """TARGETS backends, in turn on the ports of these machines; all are up."""
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        for n in range(TARGETS):
            gorbd.made(f"/service/web/b{n}", {"address": address(n), "port": machines[n % len(machines)].port, "pulse": PULSE})
        self.all_are(gorbd, "up", 100)

    @staticmethod
    def backends(gorbd):
        return gorbd.get("/service/web?expand=backends").json["backends"]

    def all_are(self, gorbd, state, weight, of=lambda n: True):
        """Those backends come to that state, with that weight in the driver's table as well."""
        names = {f"b{n}" for n in range(TARGETS) if of(n)}

        def so():
            shown = {b["name"]: (b["state"], b["weight"]["effective"]) for b in self.backends(gorbd)}
            return all(shown[name] == (state, weight) for name in names)
        wait_until(lambda: f"all are {state} with weight {weight}: {self.backends(gorbd)}", so)
        table = {d["name"]: d["weight"] for d in gorbd.get("/kernel").json["services"][0]["destinations"]}
        self.assertEqual({name: table[name] for name in names}, dict.fromkeys(names, weight))

    @staticmethod
    def frozen(gorbd):
        return "\ngorb_health_frozen 1\n" in gorbd.get("/metrics").text

    def suspects(self, gorbd):
        wait_until(lambda: f"it suspects itself; {gorbd.log()}", lambda: gorbd.get("/readyz").status == 503)

    def calm(self, gorbd):
        """It neither suspects itself nor has done so."""
        self.assertEqual(gorbd.get("/readyz").status, 200)
        self.assertFalse(self.frozen(gorbd))
        self.assertNotIn("suspected", gorbd.log())

    def test_weights_stay_while_most_targets_fail_at_once_and_go_on_by_themselves(self):
        gorbd = self.daemon(suspicion_thaw_after=0)
        with Machine() as machine:
            self.serve(gorbd, machine)
            self.calm(gorbd)
            so_far = len(gorbd.log())
            machine.close()
            self.suspects(gorbd)
            # What is known of the health goes on; the weights do not follow.
            self.all_are(gorbd, "down", 100)
            reason = gorbd.get("/readyz").json["error"]
            self.assertRegex(reason, r"weights are frozen: 1\d of 1\d unrelated targets that were well stopped being so within")
            self.assertIn('PATCH {"admin": "maint"} takes a backend out at once', reason)
            self.assertTrue(self.frozen(gorbd))
            self.assertRegex(gorbd.log(), r"warning .*this machine is suspected of being ill, weights stay as they are")
            for backend in self.backends(gorbd):
                self.assertRegex(backend["weight"]["why"], "^down, but it keeps its weight, because gorbd suspects its own machine")
                self.assertIn("refused", backend["weight"]["reasons"]["health"])
            # A change of the user's is not held up by it.
            gorbd.patch("/service/web/b0", {"weight": 40})
            gorbd.wait_for("/service/web/b0", lambda b: b["weight"]["effective"] == 40, "40 for one that is held as it was")
            gorbd.patch("/service/web/b0", {"weight": 100})

            machine.open()
            wait_until("it is ready again", lambda: gorbd.get("/readyz").status == 200)
            self.all_are(gorbd, "up", 100)
            self.assertEqual({backend["weight"]["why"] for backend in self.backends(gorbd)}, {""})
            self.assertFalse(self.frozen(gorbd))
            self.assertIn("this machine is suspected no longer", gorbd.log())
            self.assertNotRegex(gorbd.log()[so_far:], r"weight set .*\bweight=0\b")

            # And now what fails alone counts again.
            with Machine() as other:
                gorbd.made("/service/web/alone", {"address": "127.0.1.100", "port": other.port, "pulse": PULSE})
                gorbd.wait_for("/service/web/alone", lambda b: b["weight"]["effective"] == 100, "up")
            gorbd.wait_for("/service/web/alone", lambda b: b["weight"]["effective"] == 0, "down, and with weight 0")

    def test_a_restart_during_a_freeze_takes_no_weight_away(self):
        gorbd = self.daemon("--state-directory", self.enterContext(tempfile.TemporaryDirectory()), suspicion_thaw_after=0)
        with Machine() as machine:
            self.serve(gorbd, machine)
            machine.close()
            self.suspects(gorbd)
            self.all_are(gorbd, "down", 100)
            so_far = len(gorbd.log())
            gorbd.terminate()
            gorbd.start()
            self.suspects(gorbd)
            self.all_are(gorbd, "down", 100)
            self.assertNotRegex(gorbd.log()[so_far:], r"weight set .*\bweight=0\b")
            machine.open()
            wait_until("it is ready again", lambda: gorbd.get("/readyz").status == 200)
            self.all_are(gorbd, "up", 100)

    def test_reports_of_failures_are_believed_at_once_and_a_restart_waits_for_new_ones(self):
        gorbd = self.daemon("--state-directory", self.enterContext(tempfile.TemporaryDirectory()))
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        for n in range(TARGETS):
            gorbd.made(f"/service/web/b{n}", {"address": f"127.0.1.{n + 1}", "port": 9, "pulse": {
                "type": "ttl", "ttl": "1h", "interval": "200ms", "rise": 1, "fall": 1}})

        def report(**body):
            for n in range(TARGETS):
                self.assertEqual(gorbd.put(f"/service/web/b{n}/pulse", body).status, 200)

        report(status="pass")
        self.all_are(gorbd, "up", 100)
        report(status="fail", reason="the rack is being switched off")
        self.all_are(gorbd, "down", 0)
        self.calm(gorbd)
        report(status="pass")
        self.all_are(gorbd, "up", 100)
        gorbd.terminate()
        gorbd.start()
        wait_until("each has been looked at", lambda: all(
            (b["last"] or {}).get("reason") == "no report yet (ttl 3600s)" for b in self.backends(gorbd)))
        self.all_are(gorbd, "up", 100)
        self.assertIn("\ngorb_backends_unchecked 0\n", gorbd.get("/metrics").text)
        # Nor does another interval of all of them.
        config = gorbd.get("/config").json
        for backend in config["services"]["web"]["backends"].values():
            backend["pulse"]["interval"] = "300ms"
        self.assertEqual(gorbd.put("/config", config).status, 200)
        report(status="pass")
        self.all_are(gorbd, "up", 100)
        self.calm(gorbd)
        self.assertNotIn("can not be checked", gorbd.log())

    def test_failures_that_last_are_believed(self):
        gorbd = self.daemon(suspicion_thaw_after=8)
        with Machine() as machine:
            self.serve(gorbd, machine)
            machine.close()
            self.suspects(gorbd)
            self.all_are(gorbd, "down", 100)
            self.all_are(gorbd, "down", 0)
            self.assertEqual(gorbd.get("/readyz").status, 200)
            self.assertFalse(self.frozen(gorbd))
            self.assertIn("most targets have been ill for 8 intervals: that is believed now", gorbd.log())

    def test_off_under_the_least_number_and_for_one_host_nothing_is_suspected(self):
        daemons = [self.daemon(suspicion="false"), self.daemon(suspicion_least=TARGETS + 1), self.daemon(suspicion_least=2)]
        with Machine() as machine:
            for gorbd in daemons[:2]:
                self.serve(gorbd, machine)
            machines = [self.enterContext(Machine()) for _ in range(TARGETS)]
            self.serve(daemons[2], *machines, address=lambda n: "127.0.1.1")
            for each in [machine, *machines]:
                each.close()
            for gorbd in daemons:
                self.all_are(gorbd, "down", 0)
                self.calm(gorbd)

    def test_the_threshold_is_the_share_that_has_to_fail(self):
        patient, wary = self.daemon(suspicion_threshold=70, suspicion_least=2), self.daemon(suspicion_threshold=45, suspicion_least=2)
        with Machine() as half, Machine() as other_half:
            for gorbd in (patient, wary):
                self.serve(gorbd, half, other_half)
            half.close()
            self.all_are(patient, "down", 0, of=lambda n: n % 2 == 0)
            self.calm(patient)
            self.all_are(wary, "down", 100, of=lambda n: n % 2 == 0)
            self.assertTrue(self.frozen(wary))
            self.all_are(wary, "up", 100, of=lambda n: n % 2 == 1)


if __name__ == "__main__":
    unittest.main()
