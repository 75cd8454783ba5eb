"""What gorbd did not make is not its to touch; what it made stays unless it is told otherwise."""
import signal

from gorbd import run_gorbd
from lab import VIP, LabTest

WEB = f"tcp {VIP}:80"
FOREIGN = "tcp 10.9.0.50:8080"


class Ownership(LabTest):
    servers = 0

    def add_foreign(self):
        """Entries of somebody else, with more to them than gorbd's own: all of it has to stay."""
        self.lab.ipvsadm("-A", "-t", "10.9.0.50:8080", "-s", "sh", "-p", "77", "-M", "255.255.0.0", "-b", "sh-port")
        self.lab.ipvsadm("-a", "-t", "10.9.0.50:8080", "-r", "10.1.9.9:8080", "-g", "-w", "7", "-x", "50", "-y", "10")
        self.lab.ipvsadm("-A", "-f", "5", "-s", "lc")
        self.lab.ipvsadm("-a", "-f", "5", "-r", "10.1.9.8:0", "-i", "-w", "3")
        return self.lab.ipvsadm("-Sn")

    def foreign(self):
        """What is left of them, in ipvsadm's own words."""
        lines = self.lab.ipvsadm("-Sn").splitlines(keepends=True)
        return "".join(line for line in lines if VIP + ":" not in line)

    def put(self, gorbd):
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "wrr"})
        gorbd.made("/service/web/b1", {"address": "10.1.9.1", "port": 80, "pulse": {"type": "none"}, "weight": 10})
        self.wait_for_weights(WEB, {"10.1.9.1:80": 10})

    def test_foreign_entries_are_untouched_by_start_work_and_stop(self):
        before = self.add_foreign()
        gorbd = self.gorbd()
        self.assertEqual(self.foreign(), before)
        self.assertEqual(gorbd.get("/service").json, [])
        self.put(gorbd)
        self.assertEqual(self.foreign(), before)
        gorbd.patch("/service/web", {"method": "rr"})
        self.assertEqual(gorbd.delete("/service/web").status, 200)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.put(gorbd)
        self.assertEqual(gorbd.terminate(), 0)
        self.assertEqual(self.foreign(), before)

    def test_foreign_entries_are_untouched_by_kill_and_restart(self):
        before = self.add_foreign()
        gorbd = self.gorbd()
        self.put(gorbd)
        gorbd.kill()
        self.assertEqual(self.foreign(), before)
        gorbd.start()
        self.assertEqual(self.foreign(), before)
        self.put(gorbd)
        self.assertEqual(gorbd.terminate(), 0)
        self.assertEqual(self.foreign(), before)

    def test_sigterm_leaves_the_table_in_place(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            gorbd = self.gorbd()
            self.put(gorbd)
            before = self.lab.ipvsadm("-Sn")
            self.assertEqual(gorbd.terminate(number), 0)
            self.assertEqual(self.lab.ipvsadm("-Sn"), before)
            self.assertIn(WEB, self.lab.table())

    def test_release_on_exit_removes_what_gorbd_made_and_nothing_else(self):
        before = self.add_foreign()
        gorbd = self.gorbd("--release-on-exit", "--vip-interface", "vips")
        self.put(gorbd)
        gorbd.made("/service/other", {"address": "10.9.0.51", "port": 53, "protocol": "udp", "method": "rr"})
        self.assertIn("10.9.0.51/32", self.lab.director.sh("ip", "-o", "addr", "show", "vips"))
        self.assertEqual(gorbd.terminate(), 0)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.assertNotIn("10.9.0.51", self.lab.director.sh("ip", "-o", "addr", "show"))
        self.assertIn(VIP, self.lab.director.sh("ip", "-o", "addr", "show"))

    def test_flush_at_start_removes_everything(self):
        self.add_foreign()
        self.gorbd()
        self.assertIn(FOREIGN, self.lab.table())
        self.gorbd("-f")
        self.assertEqual(self.lab.table(), {})

    def test_a_daemon_that_can_not_start_flushes_nothing(self):
        before = self.add_foreign()
        first = self.gorbd()
        status, said = run_gorbd("-f", "--listen", f"{first.address[0]}:{first.address[1]}", namespace=self.lab.director)
        self.assertNotEqual(status, 0, said)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)

    def test_a_service_of_the_kernel_is_taken_over_by_putting_it(self):
        self.lab.ipvsadm("-A", "-t", f"{VIP}:80", "-s", "rr")
        self.lab.ipvsadm("-a", "-t", f"{VIP}:80", "-r", "10.1.9.1:80", "-m", "-w", "3")
        self.lab.ipvsadm("-a", "-t", f"{VIP}:80", "-r", "10.1.9.2:80", "-m", "-w", "4")
        gorbd = self.gorbd()
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "wlc"})
        table = self.lab.table()
        self.assertEqual(table[WEB]["scheduler"], "wlc")
        self.assertEqual({a: s["weight"] for a, s in table[WEB]["servers"].items()}, {"10.1.9.1:80": 3, "10.1.9.2:80": 4})
        gorbd.made("/service/web/b1", {"address": "10.1.9.1", "port": 80, "weight": 50, "pulse": {"type": "none"}})
        self.wait_for_weights(WEB, {"10.1.9.1:80": 50, "10.1.9.2:80": 4})
        self.assertEqual(gorbd.get("/service/web").json["backends"], ["b1"])

    def test_the_same_service_is_taken_over_again_after_a_crash(self):
        gorbd = self.gorbd()
        self.put(gorbd)
        gorbd.kill()
        before = self.lab.ipvsadm("-Sn")
        gorbd.start()
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.put(gorbd)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
