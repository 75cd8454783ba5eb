"""Clients that do not notice: restarts, kills, upgrades, restores and adoptions under traffic."""
import contextlib
import json
import re
import sqlite3
from pathlib import Path

import servers
from gorbd import BUILD, wait_until
from lab import VIP, LabTest
from traffic import Traffic
from witness import TableWrites

WEB = f"tcp {VIP}:80"
UP = {"10.1.1.2:80": 100, "10.1.2.2:80": 100}
PULSE = {"type": "tcp", "interval": "200ms", "timeout": "5s"}
THEIRS = "10.9.0.50:8080"


class Durable(LabTest):
    def setUp(self):
        super().setUp()
        for number in (1, 2):
            self.lab.serve(number, servers.http_server)
        self.lab.ipvsadm("-A", "-t", THEIRS, "-s", "sh", "-p", "77", "-M", "255.255.0.0", "-b", "sh-port")
        self.lab.ipvsadm("-a", "-t", THEIRS, "-r", "10.1.9.9:8080", "-g", "-w", "7", "-x", "50", "-y", "10")
        self.theirs = self.lab.ipvsadm("-Sn")

    def put(self, gorbd):
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "wrr", "persistent": 300})
        for number in (1, 2):
            gorbd.made(f"/service/web/s{number}", {"address": self.lab.address(number), "port": 80, "pulse": PULSE})
        self.wait_for_weights(WEB, UP)

    def loaded(self, gorbd):
        """What the latest start did in the kernel."""
        line = re.findall(r"desired state loaded.*", gorbd.log())[-1]
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}

    def in_sync(self, gorbd):
        found = self.loaded(gorbd)
        self.assertEqual({name: found[name] for name in ("added", "changed", "removed", "refused")},
                         {"added": 0, "changed": 0, "removed": 0, "refused": 0})

    def untouched(self, before):
        """The whole table is as it was, theirs included."""
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.assertIn(self.theirs, before)

    def through(self, again):
        """Traffic before, during and after again(gorbd), which ends the daemon and starts it; the kernel is not written to."""
        gorbd = self.gorbd()
        self.put(gorbd)
        before = self.lab.ipvsadm("-Sn")
        with Traffic(self.lab, VIP) as traffic, TableWrites(self.lab.director) as writes:
            again(gorbd, traffic)
            traffic.goes_on()
            self.assertEqual(gorbd.get("/service/web").json["backends"], ["s1", "s2"])
            gorbd.wait_for("/service/web/s1", lambda shown: shown["metrics"]["status"] == 0, "is up")
            self.in_sync(gorbd)
            self.untouched(before)
            self.assertEqual(writes.seen(), [])
            self.assertEqual(len(traffic.servers()), 1)

    def test_traffic_runs_through_stop_and_start(self):
        def again(gorbd, traffic):
            self.assertEqual(gorbd.terminate(), 0)
            traffic.goes_on()
            gorbd.start()

        self.through(again)

    def test_traffic_runs_through_kill_9_and_start(self):
        def again(gorbd, traffic):
            gorbd.kill()
            traffic.goes_on()
            gorbd.start()

        self.through(again)

    def upgrade(self, gorbd):
        """The next start is of another build."""
        gorbd.command[0] = str(BUILD / "bin" / "gorbd-next")

    def versions(self, gorbd):
        return re.findall(r"gorbd is starting version=(\S+)", gorbd.log())

    def test_traffic_runs_through_an_upgrade_to_another_version_and_back(self):
        def again(gorbd, traffic):
            old = gorbd.command[0]
            self.upgrade(gorbd)
            self.assertEqual(gorbd.terminate(), 0)
            traffic.goes_on()
            gorbd.start()
            traffic.goes_on()
            self.in_sync(gorbd)
            gorbd.command[0] = old
            self.assertEqual(gorbd.terminate(), 0)
            gorbd.start()
            first, second, third = self.versions(gorbd)
            self.assertEqual((second, third), (f"{first}-next", first))

        self.through(again)

    def test_traffic_runs_through_an_upgrade_of_a_store_of_the_first_schema(self):
        def again(gorbd, traffic):
            self.upgrade(gorbd)
            self.assertEqual(gorbd.terminate(), 0)
            newest = self.to_schema_1(gorbd.state)
            traffic.goes_on()
            gorbd.start()
            gorbd.patch("/service/web/s1", {"weight": 100})  # It can be written to; this changes nothing.
            self.assertEqual((gorbd.state / "gorb.db.schema-1").exists(), newest > 1)
            with contextlib.closing(sqlite3.connect(gorbd.state / "gorb.db")) as store:
                self.assertEqual(store.execute("PRAGMA user_version").fetchone(), (newest,))

        self.through(again)

    def to_schema_1(self, state):
        """Makes of a store what the first gorbd would have written. Says which schema it had."""
        path, old = state / "gorb.db", state / "old.db"
        with contextlib.closing(sqlite3.connect(path)) as store:
            newest, mark = (store.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
        with contextlib.closing(sqlite3.connect(old)) as store:
            store.executescript((Path(__file__).parents[1] / "lib" / "schema_1.sql").read_text())
            store.execute(f"PRAGMA application_id={mark}")
            store.execute("PRAGMA user_version=1")
            store.execute("ATTACH ? AS new", (str(path),))
            for (table,) in store.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
                columns = ", ".join(row[1] for row in store.execute(f"PRAGMA main.table_info({table})") if row[1] != "crc")
                # Without check sums: those of another schema would be over other values.
                store.execute(f"INSERT INTO main.{table} ({columns}, crc) SELECT {columns}, 0 FROM new.{table}")
            store.commit()
        for name in ("gorb.db-wal", "gorb.db-shm"):
            (state / name).unlink(missing_ok=True)
        old.rename(path)
        return newest

    def test_a_server_that_was_down_gets_no_traffic_from_a_start(self):
        gorbd = self.gorbd()
        self.put(gorbd)
        self.lab.processes[(1, "http_server", ())].kill()
        down = {"10.1.1.2:80": 0, "10.1.2.2:80": 100}
        self.wait_for_weights(WEB, down)
        before = self.lab.ipvsadm("-Sn")
        gorbd.terminate()
        with TableWrites(self.lab.director) as writes:
            gorbd.start()
            self.assertEqual(self.lab.count(10, VIP), {"s2": 10})
            self.in_sync(gorbd)
            self.assertEqual(writes.seen(), [])
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)

    def test_a_table_that_was_lost_is_made_again(self):
        """As after a boot: nothing is in the kernel, everything in the store."""
        gorbd = self.gorbd()
        self.put(gorbd)
        before = self.lab.ipvsadm("-Sn")
        gorbd.terminate()
        self.lab.ipvsadm("-C")
        gorbd.start()
        self.assertEqual(self.lab.ipvsadm("-Sn"), before.replace(self.theirs, ""))
        found = self.loaded(gorbd)
        self.assertEqual((found["added"], found["removed"]), (3, 0))
        self.assertEqual(sum(self.lab.count(4, VIP).values()), 4)

    def test_traffic_runs_through_a_restore_of_the_store(self):
        gorbd = self.gorbd()
        self.put(gorbd)
        before = self.lab.ipvsadm("-Sn")
        copy = Path(gorbd.folder.name) / "copy"
        with Traffic(self.lab, VIP) as traffic:
            # While gorbd runs.
            status, said = self.lab.run_gorbd("--state-directory", gorbd.state, "--backup", copy)
            self.assertEqual(status, 0, said)
            gorbd.patch("/service/web", {"method": "wlc"})
            gorbd.patch("/service/web/s1", {"weight": 7})
            gorbd.made("/service/web/s3", {"address": self.lab.address(2), "port": 81, "pulse": {"type": "none"}, "weight": 0})
            self.wait_for_weights(WEB, {"10.1.1.2:80": 7, "10.1.2.2:80": 100, "10.1.2.2:81": 0})
            self.assertEqual(gorbd.terminate(), 0)
            status, said = self.lab.run_gorbd("--state-directory", gorbd.state, "--restore", copy)
            self.assertEqual(status, 0, said)
            traffic.goes_on()
            gorbd.start()
            traffic.goes_on()
            self.assertEqual(gorbd.get("/service/web").json["backends"], ["s1", "s2"])
            # What the copy does not know is gorb's own all the same: it goes.
            self.wait_for_weights(WEB, UP)
            self.untouched(before)

    def of_ipvsadm(self):
        """A service as an administrator made it by hand."""
        self.lab.ipvsadm("-A", "-t", f"{VIP}:80", "-s", "wrr", "-p", "300")
        for number in (1, 2):
            self.lab.ipvsadm("-a", "-t", f"{VIP}:80", "-r", f"{self.lab.address(number)}:80", "-m", "-w", "100")
        return self.lab.ipvsadm("-Sn")

    def test_traffic_runs_through_an_adoption(self):
        before = self.of_ipvsadm()
        with Traffic(self.lab, VIP) as traffic:
            gorbd = self.gorbd()
            with TableWrites(self.lab.director) as writes:
                reply = gorbd.request("POST", "/kernel/adopt", {"address": VIP, "port": 80, "name": "web", "pulse": PULSE})
                self.assertEqual(reply.status, 200, reply)
                traffic.goes_on()
                gorbd.wait_for("/service/web", lambda shown: shown["health"] == 1, "is well")
                self.untouched(before)
                self.assertEqual(writes.seen(), [])
            owners = {service["address"]: service["owner"] for service in gorbd.get("/kernel").json["services"]}
            self.assertEqual(owners, {VIP: "gorb", THEIRS.split(":")[0]: "foreign"})
            gorbd.kill()
            gorbd.start()
            traffic.goes_on()
            self.in_sync(gorbd)
            self.untouched(before)
            self.assertEqual(len(traffic.servers()), 1)

    def test_what_a_tcp_check_tells_nothing_of_keeps_its_traffic_when_it_is_adopted(self):
        """UDP, and a service of every port, whose destinations have no port to check."""
        self.lab.serve(1, servers.udp_echo, 53)
        self.lab.serve(1, servers.http_server)
        gorbd = self.gorbd()
        for protocol, port in (("udp", 53), ("tcp", 0)):
            service = (f"-{protocol[0]}", f"{VIP}:{port}")
            self.lab.ipvsadm("-A", *service, "-s", "rr", "-p", "300")
            self.lab.ipvsadm("-a", *service, "-r", f"10.1.1.2:{port}", "-m", "-w", "7")
            reply = gorbd.request("POST", "/kernel/adopt", {"address": VIP, "port": port, "protocol": protocol, "name": protocol})
            self.assertEqual(reply.status, 200, reply)
            gorbd.wait_for(f"/service/{protocol}/10.1.1.2-{port}", lambda backend: backend["last"], "is checked")
            self.assertEqual(self.lab.weights(f"{protocol} {VIP}:{port}"), {f"10.1.1.2:{port}": 7})
        self.assertEqual(self.lab.ask_udp(VIP, 53), "s1 ?")
        self.assertEqual(self.lab.fetch(VIP), "s1")

    def test_traffic_runs_through_an_import_of_what_ipvsadm_saved(self):
        before = self.of_ipvsadm()
        gorbd = self.gorbd(start=False)
        saved = Path(gorbd.folder.name) / "saved"
        saved.write_text("".join(line for line in before.splitlines(keepends=True) if f"{VIP}:80" in line))
        with Traffic(self.lab, VIP) as traffic, TableWrites(self.lab.director) as writes:
            status, said = self.lab.run_gorbd("--state-directory", gorbd.state, "--import", saved)
            self.assertEqual(status, 0, said)
            gorbd.start()
            traffic.goes_on()
            (name,) = gorbd.get("/service").json
            gorbd.wait_for(f"/service/{name}", lambda shown: shown["health"] == 1, "is well", 30)
            self.in_sync(gorbd)
            self.untouched(before)
            self.assertEqual(writes.seen(), [])
            self.assertEqual(len(traffic.servers()), 1)

    def download(self):
        """A connection on which something comes without end."""
        connection = self.lab.connect(VIP, 80, source="10.0.0.5")
        self.addCleanup(connection.close)
        connection.sendall(b"GET /endless HTTP/1.0\r\n\r\n")
        connection.recv(1000)
        return connection

    def test_a_removed_backend_keeps_its_connections_until_they_end(self):
        gorbd = self.gorbd()
        self.put(gorbd)
        download = self.download()
        (taken,) = [address for address, server in self.lab.table()[WEB]["servers"].items() if server["active"] > 0]
        name = "s1" if taken == "10.1.1.2:80" else "s2"
        reply = gorbd.delete(f"/service/web/{name}?drain=40s")
        self.assertEqual(reply.status, 202, reply)
        self.wait_for_weights(WEB, {address: 0 if address == taken else 100 for address in UP})
        shown = gorbd.wait_for(f"/service/web/{name}", lambda shown: shown.get("drain", {}).get("active", 0) > 0, "counts it")
        self.assertTrue(shown)
        other = "s2" if name == "s1" else "s1"
        self.assertEqual(self.lab.count(4, VIP, source="10.0.0.6"), {other: 4})
        gorbd.kill()  # What was promised is kept over this.
        gorbd.start()
        total = sum(len(download.recv(65536)) for _ in range(10))
        self.assertGreater(total, 0)
        self.assertIn(taken, self.lab.table()[WEB]["servers"])
        download.close()
        wait_until("the backend is gone", lambda: taken not in self.lab.table()[WEB]["servers"], 60)
        self.assertEqual(gorbd.get(f"/service/web/{name}").status, 404)
        self.assertIn(self.theirs, self.lab.ipvsadm("-Sn"))

    def test_a_removed_service_keeps_its_connections_until_they_end(self):
        gorbd = self.gorbd()
        self.put(gorbd)
        download = self.download()
        reply = gorbd.delete("/service/web?drain=40s")
        self.assertEqual(reply.status, 202, reply)
        self.wait_for_weights(WEB, dict.fromkeys(UP, 0))
        gorbd.kill()  # What was promised is kept over this.
        gorbd.start()
        self.assertGreater(sum(len(download.recv(65536)) for _ in range(10)), 0)
        self.assertIn(WEB, self.lab.table())
        download.close()
        wait_until("the service is gone", lambda: WEB not in self.lab.table(), 60)
        wait_until("nobody speaks of it any more", lambda: gorbd.get("/service/web").status == 404)
        self.assertIn(self.theirs, self.lab.ipvsadm("-Sn"))

    def test_a_put_of_the_whole_state_changes_only_what_differs(self):
        gorbd = self.gorbd()
        self.put(gorbd)
        before = self.lab.ipvsadm("-Sn")
        with Traffic(self.lab, VIP) as traffic:
            document = gorbd.get("/config").json
            with TableWrites(self.lab.director) as writes:
                self.assertEqual(gorbd.put("/config", document).status, 200)
                self.assertEqual(writes.seen(), [])
            text = json.dumps(document)
            self.assertIn('"weight": 100', text)
            changed = gorbd.request("PUT", "/config", raw=text.replace('"weight": 100', '"weight": 30', 1),
                                    headers={"Content-Type": "application/json"})
            self.assertEqual(changed.status, 200, changed)
            self.wait_for_weights(WEB, {"10.1.1.2:80": 30, "10.1.2.2:80": 100})
            traffic.goes_on()
            self.assertEqual(gorbd.put("/config", document).status, 200)
            self.wait_for_weights(WEB, UP)
            self.untouched(before)
