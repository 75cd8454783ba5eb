"""VIP addresses on the interface that --vip-interface names."""
from gorbd import run_gorbd
from lab import VIP, LabTest


class Vip(LabTest):
    servers = 0

    def addresses(self):
        """{"10.9.0.60/32", ...} of the interface `vips`, without its link-local one."""
        lines = self.lab.director.sh("ip", "-o", "addr", "show", "dev", "vips").splitlines()
        return {words[3] for line in lines if not (words := line.split())[3].startswith("fe80:")}

    def put(self, gorbd, name, address, port=80):
        gorbd.made(f"/service/{name}", {"address": address, "port": port, "method": "rr"})

    def test_comes_with_the_first_service_and_goes_with_the_last(self):
        gorbd = self.gorbd("--vip-interface", "vips")
        self.assertEqual(self.addresses(), set())
        self.put(gorbd, "a", "10.9.0.60")
        self.put(gorbd, "b", "10.9.0.60", 81)
        self.put(gorbd, "six", "fd09::60")
        self.assertEqual(self.addresses(), {"10.9.0.60/32", "fd09::60/128"})
        gorbd.delete("/service/a")
        self.assertEqual(self.addresses(), {"10.9.0.60/32", "fd09::60/128"})
        gorbd.delete("/service/b")
        self.assertEqual(self.addresses(), {"fd09::60/128"})
        gorbd.delete("/service/six")
        self.assertEqual(self.addresses(), set())

    def test_one_that_was_there_stays(self):
        self.lab.director.ip("addr add 10.9.0.61/32 dev vips", "addr add fd09::61/128 dev vips nodad")
        gorbd = self.gorbd("-vipi", "vips")  # Upstream's spelling.
        self.put(gorbd, "a", "10.9.0.61")
        self.put(gorbd, "six", "fd09::61")
        gorbd.delete("/service/a")
        gorbd.delete("/service/six")
        self.assertEqual(self.addresses(), {"10.9.0.61/32", "fd09::61/128"})

    def test_is_there_at_once_for_packets(self):
        gorbd = self.gorbd("--vip-interface", "vips")
        self.put(gorbd, "six", "fd09::62")
        with self.assertRaises(ConnectionRefusedError):  # By the director itself: nothing listens on this port.
            self.lab.connect("fd09::62", 81)

    def test_an_interface_that_is_not_there_is_said(self):
        status, said = run_gorbd("--vip-interface", "nowhere", "--listen", "127.0.0.1:0", namespace=self.lab.director)
        self.assertNotEqual(status, 0)
        self.assertIn("nowhere", said)

    def test_interface_gives_its_address_to_services_without_one(self):
        gorbd = self.gorbd("-i", "client")
        made = gorbd.made("/service/web", {"port": 80, "method": "rr"})
        self.assertEqual(made["options"].get("address", made["options"].get("host")), "10.0.0.1")
        self.assertIn("tcp 10.0.0.1:80", self.lab.table())
        self.assertNotIn(f"tcp {VIP}:80", self.lab.table())
