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

    def test_the_driver_reports_a_module_that_goes_and_gets_it_back(self):
        test = "KernelModule.OneThatGoesIsReportedAndGotBack"
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
