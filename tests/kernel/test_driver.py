"""The driver's own tests against this kernel: the contract suite that the memory driver keeps as well."""
import subprocess

from gorbd import BUILD
from lab import SLOW, LabTest


class Driver(LabTest):
    servers = 0

    def test_keeps_the_contract(self):
        with self.lab.director:
            done = subprocess.run([BUILD / "bin" / "ipvs_kernel_test"], stdin=subprocess.DEVNULL, timeout=50 * SLOW)
        self.assertEqual(done.returncode, 0)
