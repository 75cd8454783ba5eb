"""Tests that take the module ip_vs from the whole machine: run.py runs them last, one by one, in a guest."""
import os
import re
import subprocess
from pathlib import Path

from gorbd import BUILD, SLOW
from lab import VIP, LabTest, sh, wait_until


def modules():
    """{name: uses} of everything of IPVS that is loaded."""
    lines = Path("/proc/modules").read_text().splitlines()
    return {words[0]: int(words[2]) for line in lines if (words := line.split())[0].startswith("ip_vs")}


class Alone(LabTest):
    servers = 0

    def setUp(self):
        self.assertTrue(os.environ.get("GORB_IN_VM"), "not on a machine that others use")
        super().setUp()
        # Namespaces of earlier tests are taken apart in the background, and hold their schedulers until then.
        wait_until("nobody uses IPVS", lambda: not any(
            uses for name, uses in modules().items() if name != "ip_vs"), 60)

    def test_the_driver_gets_a_module_back_by_the_next_call(self):
        test = "KernelModule.OneThatGoesIsGotBackByTheNextCall"
        done = subprocess.run([BUILD / "bin" / "ipvs_kernel_test", f"--gtest_filter={test}"], stdin=subprocess.DEVNULL,
                              env={**os.environ, "GORB_ALONE": "1"}, stdout=subprocess.PIPE, text=True, timeout=50 * SLOW)
        print(done.stdout)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(re.search(r"\[  PASSED  \] 1 test", done.stdout))

    def test_gorbd_loads_a_missing_module(self):
        for name in sorted(modules(), key=lambda name: name == "ip_vs"):
            sh("rmmod", name)
        self.assertEqual(modules(), {})
        gorbd = self.gorbd()
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "wrr"})
        self.assertIn("ip_vs_wrr", modules())
        self.assertIn(f"tcp {VIP}:80", self.lab.table())

    def unload(self):
        """Takes all of IPVS out of the kernel, also while gorbd repairs. What the tables had is gone with it."""

        def gone():
            if "ip_vs" in modules():
                self.lab.ipvsadm("-C")  # It would load the module.
            for name in sorted(modules(), key=lambda name: name == "ip_vs"):
                sh("rmmod", name, check=False)
            return not modules()

        wait_until("the modules are gone", gone, every=0)

    def with_a_service(self, period):
        gorbd = self.gorbd(settings={"reconcile": {"period": period}})
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "wrr"})
        gorbd.made("/service/web/b1", {"address": "10.1.9.1", "port": 80, "pulse": {"type": "none"}, "weight": 10})
        self.wait_for_weights(f"tcp {VIP}:80", {"10.1.9.1:80": 10})
        return gorbd, self.lab.ipvsadm("-Sn")

    def test_a_module_that_was_unloaded_is_loaded_and_its_table_made_again(self):
        gorbd, before = self.with_a_service("2s")
        wait_until("a look at the table is over", lambda: gorbd.request("POST", "/reconcile").status == 200)
        self.unload()
        wait_until("the module is back", lambda: "ip_vs" in modules(), 10)
        wait_until("the table is back", lambda: self.lab.ipvsadm("-Sn") == before, 10)
        # Where the module went while the table was being looked at, it is an attempt that failed and one that did not.
        wait_until("that is said", lambda: "drift repaired" in gorbd.log() or "made at last" in gorbd.log())

    def test_a_module_that_was_loaded_anew_is_read_and_changed_by_the_next_request(self):
        """As with other options for it. The kernel knows it by another number then."""
        gorbd, _ = self.with_a_service("1h")
        for method, path, body in (("GET", "/kernel", None), ("PUT", "/service/two", {"address": VIP, "port": 81}),
                                   ("PATCH", "/service/web/b1", {"weight": 20})):
            self.assertEqual(gorbd.get("/kernel").status, 200)
            self.unload()
            sh("modprobe", "ip_vs")
            reply = gorbd.request(method, path, body)
            self.assertEqual(reply.status, 200, reply)
        self.wait_for_weights(f"tcp {VIP}:80", {"10.1.9.1:80": 20})

    def test_while_the_module_can_not_be_loaded_that_is_said_and_repaired_when_it_is_back(self):
        gorbd, before = self.with_a_service("1h")
        forbidden = Path("/etc/modprobe.d/gorb-test.conf")
        forbidden.write_text("install ip_vs /bin/false\n")
        self.addCleanup(forbidden.unlink, missing_ok=True)
        self.unload()
        for reply in (gorbd.get("/kernel"), gorbd.put("/service/other", {"address": VIP, "port": 81, "method": "wrr"})):
            self.assertIn(reply.status, (500, 503), reply)
            self.assertIn("ip_vs", reply.json["error"])
            self.assertIn("module", reply.json["error"])
        self.assertEqual(gorbd.get("/service").json, ["web"])  # What was refused is not in the state.
        looked = gorbd.request("POST", "/reconcile")
        self.assertEqual(looked.status, 200, looked)
        self.assertGreater(looked.json["refused"], 0)
        self.assertEqual(gorbd.get("/service/web").json.get("applied"), False, gorbd.get("/service/web"))
        changed = gorbd.patch("/service/web/b1", {"weight": 20})
        self.assertIn(changed.status, (500, 503), changed)
        self.assertEqual(modules(), {})

        forbidden.unlink()
        sh("modprobe", "ip_vs")
        # By itself, with the next attempt: nobody asks for it.
        wait_until("the table is back", lambda: self.lab.ipvsadm("-Sn") == before, 60)
        gorbd.wait_for("/service/web", lambda shown: shown.get("applied", True), "is applied")
        gorbd.made("/service/other", {"address": VIP, "port": 81, "method": "wrr"})

    def test_a_start_without_ipvs_is_refused_with_what_would_help(self):
        self.unload()
        forbidden = Path("/etc/modprobe.d/gorb-test.conf")
        forbidden.write_text("install ip_vs /bin/false\n")
        self.addCleanup(forbidden.unlink, missing_ok=True)
        status, said = self.lab.run_gorbd("--listen", "127.0.0.1:0")
        self.assertNotEqual(status, 0, said)
        complaint = [line for line in said.splitlines() if "ip_vs" in line]
        self.assertEqual(len(complaint), 1, said)
        for words in ("no IPVS", "modprobe ip_vs", "--driver memory"):
            self.assertIn(words, complaint[0])
