"""Probes on reused sockets: what core/README.md says of them holds on this kernel."""
import subprocess

from gorbd import BUILD, SLOW
from lab import LabTest


class Probe(LabTest):
    servers = 0

    def test_a_probe_costs_three_segments_and_leaves_nothing_behind(self):
        done = subprocess.run([BUILD / "bin" / "probe-facts"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              text=True, timeout=60 * SLOW)
        print(done.stdout)
        self.assertEqual(done.returncode, 0)
        self.assertNotIn("FAIL", done.stdout)
