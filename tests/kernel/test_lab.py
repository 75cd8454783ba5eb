"""The lab itself, without gorbd: when this fails, look here first and not at gorb."""
import servers
from lab import VIP, VIP6, LabTest


class Lab(LabTest):
    def test_balances_with_ipvsadm_alone(self):
        lab = self.lab
        for number in (1, 2):
            lab.serve(number, servers.http_server)
        for vip, family in ((VIP, 4), (VIP6, 6)):
            def spelled(address):
                return f"[{address}]:80" if family == 6 else f"{address}:80"

            lab.ipvsadm("-A", "-t", spelled(vip), "-s", "rr")
            for number in (1, 2):
                lab.ipvsadm("-a", "-t", spelled(vip), "-r", spelled(lab.address(number, family)), "-m", "-w", number)
            self.assertEqual(lab.count(8, vip), {"s1": 4, "s2": 4})
        self.assertEqual(lab.table()[f"tcp {VIP}:80"]["servers"]["10.1.2.2:80"]["weight"], 2)
        lab.processes[(1, "http_server", ())].kill()
        with self.assertRaises(OSError):
            lab.count(2, VIP)
