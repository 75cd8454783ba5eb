"""The driver's own tests against this kernel: the contract suite that the memory driver keeps as well, and more."""
import subprocess
import unittest

from gorbd import BUILD, SLOW


class Driver(unittest.TestCase):
    def test_keeps_the_contract(self):
        """ipvs_kernel_test makes its namespaces itself; what unloads the module is for test_alone.py."""
        done = subprocess.run([BUILD / "bin" / "ipvs_kernel_test", "--gtest_filter=-KernelModule.*"],
                              stdin=subprocess.DEVNULL, timeout=50 * SLOW)
        self.assertEqual(done.returncode, 0)
