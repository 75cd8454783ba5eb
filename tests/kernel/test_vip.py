"""VIP addresses on the interface that --vip-interface names."""
from gorbd import wait_until
from lab import VIP, LabTest


class Vip(LabTest):
    servers = 0

    def addresses(self, interface="vips"):
        """{"10.9.0.60/32", ...} of an interface, without its link-local one."""
        lines = self.lab.director.sh("ip", "-o", "addr", "show", "dev", interface).splitlines()
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

    def test_one_that_a_service_of_somebody_else_has_stays(self):
        gorbd = self.gorbd("--vip-interface", "vips")
        self.put(gorbd, "a", "10.9.0.62")
        self.lab.ipvsadm("-A", "-t", "10.9.0.62:443", "-s", "rr")
        gorbd.delete("/service/a")
        self.assertEqual(self.addresses(), {"10.9.0.62/32"})
        gorbd.terminate()
        gorbd.start()
        self.assertEqual(self.addresses(), {"10.9.0.62/32"})
        self.lab.ipvsadm("-D", "-t", "10.9.0.62:443")
        wait_until("the VIP goes with it", lambda: not self.addresses(), 30)

    def test_one_that_gorbd_added_is_remembered_over_a_restart(self):
        gorbd = self.gorbd("--vip-interface", "vips")
        self.put(gorbd, "a", "10.9.0.63")
        self.put(gorbd, "six", "fd09::63")
        self.lab.director.ip("addr add 10.9.0.64/32 dev vips")
        self.put(gorbd, "theirs", "10.9.0.64")
        for end in (gorbd.terminate, gorbd.kill):
            end()
            self.assertEqual(self.addresses(), {"10.9.0.63/32", "fd09::63/128", "10.9.0.64/32"})
            gorbd.start()
            self.assertEqual(self.addresses(), {"10.9.0.63/32", "fd09::63/128", "10.9.0.64/32"})
        for name in ("a", "six", "theirs"):
            self.assertEqual(gorbd.delete(f"/service/{name}").status, 200)
        self.assertEqual(self.addresses(), {"10.9.0.64/32"})

    def test_one_that_was_lost_is_there_again_after_a_start(self):
        gorbd = self.gorbd("--vip-interface", "vips")
        self.put(gorbd, "a", "10.9.0.65")
        gorbd.terminate()
        self.lab.director.ip("addr del 10.9.0.65/32 dev vips")  # As after a boot.
        gorbd.start()
        self.assertEqual(self.addresses(), {"10.9.0.65/32"})
        gorbd.delete("/service/a")
        self.assertEqual(self.addresses(), set())

    def test_moves_with_the_interface_that_is_named(self):
        gorbd = self.gorbd("--vip-interface", "vips")
        own = self.addresses("client")
        self.put(gorbd, "a", "10.9.0.66")
        self.put(gorbd, "six", "fd09::66")
        self.lab.director.ip("addr add 10.9.0.67/32 dev vips")
        self.put(gorbd, "theirs", "10.9.0.67")
        gorbd.terminate()
        gorbd.command[gorbd.command.index("vips")] = "client"
        gorbd.start()
        self.assertEqual(self.addresses("client"), own | {"10.9.0.66/32", "fd09::66/128"})
        self.assertEqual(self.addresses(), {"10.9.0.67/32"})
        for name in ("a", "six", "theirs"):
            self.assertEqual(gorbd.delete(f"/service/{name}").status, 200)
        self.assertEqual(self.addresses("client"), own)
        self.assertEqual(self.addresses(), {"10.9.0.67/32"})

    def test_one_that_the_host_has_elsewhere_as_well_is_left_there_by_a_start(self):
        gorbd = self.gorbd("--vip-interface", "vips")
        self.put(gorbd, "a", "10.9.0.68")
        self.put(gorbd, "six", "fd09::68")
        # For a routing daemon, say.
        self.lab.director.ip("addr add 10.9.0.68/32 dev lo", "addr add fd09::68/128 dev lo nodad")
        theirs = self.addresses("lo")
        for end in (gorbd.terminate, gorbd.kill):
            end()
            gorbd.start()
            self.assertEqual(self.addresses(), {"10.9.0.68/32", "fd09::68/128"})
            self.assertEqual(self.addresses("lo"), theirs)
        for name in ("a", "six"):
            self.assertEqual(gorbd.delete(f"/service/{name}").status, 200)
        self.assertEqual(self.addresses(), set())
        self.assertEqual(self.addresses("lo"), theirs)

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
        status, said = self.lab.run_gorbd("--vip-interface", "nowhere", "--listen", "127.0.0.1:0")
        self.assertNotEqual(status, 0)
        self.assertIn("nowhere", said)

    def test_interface_gives_its_address_to_services_without_one(self):
        gorbd = self.gorbd("-i", "client")
        made = gorbd.made("/service/web", {"port": 80, "method": "rr"})
        self.assertEqual(made["options"].get("address", made["options"].get("host")), "10.0.0.1")
        self.assertIn("tcp 10.0.0.1:80", self.lab.table())
        self.assertNotIn(f"tcp {VIP}:80", self.lab.table())

    def test_a_vip_is_not_taken_for_the_interfaces_own_address(self):
        gorbd = self.gorbd("-i", "client", "--vip-interface", "client")
        self.put(gorbd, "a", "10.9.0.69")
        # As a network manager does when it starts again: the VIP comes first then.
        self.lab.director.ip("addr del 10.0.0.1/24 dev client", "addr add 10.0.0.1/24 dev client")
        made = gorbd.made("/service/web", {"port": 81, "method": "rr"})
        self.assertEqual(made["options"]["address"], "10.0.0.1")
