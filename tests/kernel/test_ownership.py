"""What gorbd did not make is not its to touch; what it made stays unless it is told otherwise."""
import re
import signal

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
        gorbd = self.gorbd()
        self.put(gorbd)
        for number in (signal.SIGTERM, signal.SIGINT):
            before = self.lab.ipvsadm("-Sn")
            self.assertEqual(gorbd.terminate(number), 0)
            self.assertEqual(self.lab.ipvsadm("-Sn"), before)
            self.assertIn(WEB, self.lab.table())
            gorbd.start()
            self.assertEqual(self.lab.ipvsadm("-Sn"), before)

    def test_release_on_exit_removes_what_is_gorbds_and_nothing_else(self):
        before = self.add_foreign()
        gorbd = self.gorbd("--release-on-exit", "--vip-interface", "vips")
        self.put(gorbd)
        gorbd.made("/service/other", {"address": "10.9.0.51", "port": 53, "protocol": "udp", "method": "rr"})
        self.lab.ipvsadm("-A", "-t", f"{VIP}:81", "-s", "rr")
        self.lab.ipvsadm("-a", "-t", f"{VIP}:81", "-r", "10.1.9.1:80", "-m", "-w", "3")
        self.assertEqual(gorbd.request("POST", "/kernel/adopt", {"address": VIP, "port": 81}).status, 200)
        self.assertIn("10.9.0.51/32", self.lab.director.sh("ip", "-o", "addr", "show", "vips"))
        self.assertEqual(gorbd.terminate(), 0)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.assertNotIn("10.9.0.51", self.lab.director.sh("ip", "-o", "addr", "show"))
        self.assertIn(VIP, self.lab.director.sh("ip", "-o", "addr", "show"))

    def test_release_on_exit_leaves_a_service_that_has_destinations_of_others(self):
        gorbd = self.gorbd("--release-on-exit", "--vip-interface", "vips")
        self.put(gorbd)
        self.lab.ipvsadm("-a", "-t", f"{VIP}:80", "-r", "10.1.9.7:80", "-m", "-w", "9")
        shared = "10.9.0.51"
        for name, address in (("shared", shared), ("own", "10.9.0.52")):
            gorbd.made(f"/service/{name}", {"address": address, "port": 80, "method": "wrr"})
        self.lab.ipvsadm("-a", "-t", f"{shared}:80", "-r", "10.1.9.7:80", "-m", "-w", "9")
        self.assertEqual(gorbd.terminate(), 0)
        self.assertEqual(sorted(self.lab.ipvsadm("-Sn").splitlines()), sorted(
            line for vip in (VIP, shared) for line in (f"-A -t {vip}:80 -s wrr", f"-a -t {vip}:80 -r 10.1.9.7:80 -m -w 9")))

        def vips():
            return set(re.findall(r"inet (\S+)/32", self.lab.director.sh("ip", "-o", "addr", "show", "vips")))

        # Whose clients are still served goes on being reached, and is gorb's to remove after the next start.
        self.assertEqual(vips(), {shared})
        gorbd.start()
        self.assertEqual({a: s["weight"] for a, s in self.lab.table()[WEB]["servers"].items()},
                         {"10.1.9.1:80": 10, "10.1.9.7:80": 9})
        self.assertEqual(vips(), {shared, "10.9.0.52"})
        self.assertEqual(gorbd.delete("/service/shared").status, 200)
        self.assertEqual(vips(), {"10.9.0.52"})

    def test_flush_at_start_removes_everything(self):
        self.add_foreign()
        self.gorbd()
        self.assertIn(FOREIGN, self.lab.table())
        self.gorbd("-f")
        self.assertEqual(self.lab.table(), {})

    def test_a_daemon_that_can_not_start_flushes_nothing(self):
        before = self.add_foreign()
        first = self.gorbd()
        status, said = self.lab.run_gorbd("-f", "--listen", f"{first.address[0]}:{first.address[1]}")
        self.assertNotEqual(status, 0, said)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)

    def test_a_daemon_whose_store_is_damaged_or_newer_leaves_the_table_as_it_is(self):
        self.add_foreign()
        gorbd = self.gorbd()
        self.put(gorbd)
        before = self.lab.ipvsadm("-Sn")
        self.assertEqual(gorbd.terminate(), 0)
        database = gorbd.state / "gorb.db"
        good = database.read_bytes()
        # SQLite's user_version, big endian at 60 (fileformat2.html), is the schema's.
        damages = {"damaged": good[:100] + bytes(3000) + good[3100:],
                   "newer": good[:60] + (9999).to_bytes(4, "big") + good[64:]}
        for what, content in damages.items():
            for option in ([], ["-f"]):
                with self.subTest(what, option=option):
                    database.write_bytes(content)
                    status, said = self.lab.run_gorbd("--state-directory", gorbd.state, *option)
                    self.assertNotEqual(status, 0, said)
                    self.assertIn("gorb.db", said)
                    self.assertEqual(self.lab.ipvsadm("-Sn"), before)
                    self.assertEqual(database.read_bytes(), content)
        database.write_bytes(good)
        gorbd.start()
        self.assertEqual(gorbd.get("/service").json, ["web"])
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)

    def test_a_key_that_a_foreign_entry_holds_is_refused_unless_it_is_to_be_adopted(self):
        self.lab.ipvsadm("-A", "-t", f"{VIP}:80", "-s", "rr")
        self.lab.ipvsadm("-a", "-t", f"{VIP}:80", "-r", "10.1.9.1:80", "-m", "-w", "3")
        self.lab.ipvsadm("-a", "-t", f"{VIP}:80", "-r", "10.1.9.2:80", "-m", "-w", "4")
        before = self.lab.ipvsadm("-Sn")
        gorbd = self.gorbd()
        service, backend = ({"address": VIP, "port": 80, "method": "wlc"},
                            {"address": "10.1.9.1", "port": 80, "weight": 50, "pulse": {"type": "none"}})
        refused = gorbd.put("/service/web", service)
        self.assertEqual(refused.status, 409, refused)
        self.assertIn(f"{VIP}:80", refused.json["error"])
        self.assertIn("adopt", refused.json["error"])
        self.assertEqual(gorbd.get("/service").json, [])
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)

        gorbd.made("/service/web?adopt=true", service)
        table = self.lab.table()
        self.assertEqual(table[WEB]["scheduler"], "wlc")
        self.assertEqual({a: s["weight"] for a, s in table[WEB]["servers"].items()}, {"10.1.9.1:80": 3, "10.1.9.2:80": 4})
        before = self.lab.ipvsadm("-Sn")
        refused = gorbd.put("/service/web/b1", backend)
        self.assertEqual(refused.status, 409, refused)
        self.assertIn("10.1.9.1:80", refused.json["error"])
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        gorbd.made("/service/web/b1?adopt=true", backend)
        self.wait_for_weights(WEB, {"10.1.9.1:80": 50, "10.1.9.2:80": 4})
        self.assertEqual(gorbd.get("/service/web").json["backends"], ["b1"])

        # The service is gorb's, its other destination is not: that stays, and the service for it.
        self.assertEqual(gorbd.delete("/service/web/b1").status, 200)
        self.wait_for_weights(WEB, {"10.1.9.2:80": 4})

    def test_the_table_shows_who_has_made_what(self):
        self.add_foreign()
        gorbd = self.gorbd()
        self.put(gorbd)
        self.lab.ipvsadm("-a", "-t", f"{VIP}:80", "-r", "10.1.9.7:80", "-m", "-w", "9")
        shown = gorbd.get("/kernel").json
        services = {service.get("fwmark", f"{service.get('address')}:{service.get('port')}"): service
                    for service in shown["services"]}
        self.assertEqual({key: service["owner"] for key, service in services.items()},
                         {f"{VIP}:80": "gorb", "10.9.0.50:8080": "foreign", 5: "foreign"})
        self.assertEqual({dest["address"]: (dest["owner"], dest.get("name")) for dest in services[f"{VIP}:80"]["destinations"]},
                         {"10.1.9.1": ("gorb", "b1"), "10.1.9.7": ("foreign", None)})
        self.assertEqual(shown["differences"], [])

    def test_what_a_killed_gorbd_has_made_is_its_own_after_the_start(self):
        gorbd = self.gorbd()
        self.put(gorbd)
        before = self.lab.ipvsadm("-Sn")
        gorbd.kill()
        gorbd.start()
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.put(gorbd)  # Its own: no 409.
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.assertEqual(gorbd.delete("/service/web").status, 200)
        self.assertEqual(self.lab.table(), {})
