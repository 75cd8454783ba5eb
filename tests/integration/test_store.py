"""The command line's actions on the store, and declarative files: what they do, and what is said of what they can not."""
import json
import os
import signal
import sqlite3
import stat
import tempfile
import unittest
from pathlib import Path

from gorbd import Gorbd, run_gorbd, wait_until

WEB = {"services": {"web": {"address": "10.0.0.1", "port": 80,
                            "backends": {"b1": {"address": "10.1.0.1", "port": 80},
                                         "b2": {"address": "10.1.0.2", "port": 80, "pulse": {"type": "tcp"}}}}}}
SAVED = """-A -t 10.0.0.1:80 -s wrr -p 300
-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 100
-a -t 10.0.0.1:80 -r 10.1.0.2:80 -g -w 0
-A -u [2001:db8::1]:53 -s rr
-a -u [2001:db8::1]:53 -r [2001:db8:1::1]:53 -m -w 1
"""


class Store(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.state = self.folder / "state"

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def run_gorbd(self, *options):
        return run_gorbd("--state-directory", self.state, *options)

    def good(self, *options):
        status, said = self.run_gorbd(*options)
        self.assertEqual(status, 0, said)
        return said

    def bad(self, *options):
        status, said = self.run_gorbd(*options)
        self.assertEqual(status, 1, said)
        return said

    def imported(self, content):
        return self.good("--import", self.write("import", content))

    def test_a_document_is_imported_and_counted(self):
        self.assertIn("imported 1 virtual service, 2 backends", self.imported(WEB))
        self.assertIn("is good", self.good("--check-store"))

    def test_a_saved_table_of_ipvsadm_is_imported(self):
        self.assertIn("2 virtual services, 3 backends", self.imported(SAVED))

    def test_the_store_is_its_owners_alone(self):
        self.imported(WEB)
        self.assertEqual(stat.S_IMODE(self.state.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((self.state / "gorb.db").stat().st_mode), 0o600)

    def test_a_store_that_has_services_is_replaced_by_force_only(self):
        self.imported(WEB)
        other = self.write("other", SAVED)
        said = self.bad("--import", other)
        self.assertIn("1 virtual service, 2 backends", said)
        self.assertIn("--force", said)
        self.good("--import", other, "--force")
        # What was replaced is leaving: the next start takes it out of the kernel.
        with sqlite3.connect(self.state / "gorb.db") as database:
            rows = [row for (table,) in database.execute("select name from sqlite_master where name like '%leaving%'"
                                                         " and type = 'table'").fetchall()
                    for row in database.execute(f"select * from {table}").fetchall()]
        database.close()
        self.assertTrue(any("10.1.0.1" in str(row) for row in rows), rows)

    def test_every_fault_of_a_file_is_named_and_nothing_is_imported(self):
        said = self.bad("--import", self.write("import", {"services": {"web": {"port": -1, "colour": 1}}}))
        self.assertIn(f"{self.folder}/import: /services/web/address is missing", said)
        self.assertIn("/services/web/port must be a whole number", said)
        self.assertIn("/services/web/colour is not known here", said)
        said = self.bad("--import", self.write("import", "-A -t 10.0.0.1:80 -s wrr\n-A -f 7 -s rr\n"))
        self.assertIn("line 2 is of a firewall mark", said)
        self.assertFalse(self.state.exists())

    def test_a_pulse_of_no_plugin_is_not_imported(self):
        document = {"services": {"web": {"address": "10.0.0.1", "port": 80, "backends": {
            "b1": {"address": "10.1.0.1", "port": 80, "pulse": {"type": "nonsense"}}}}}}
        said = self.bad("--import", self.write("import", document))
        self.assertIn("/services/web/backends/b1/pulse/type there is no pulse plugin", said)
        self.assertFalse(self.state.exists())

    def test_a_missing_file_is_said(self):
        self.assertIn("missing: there is none", self.bad("--import", self.folder / "missing"))

    def test_a_backup_is_restored(self):
        self.imported(WEB)
        copy = self.folder / "copy"
        self.assertIn(str(copy), self.good("--backup", copy))
        self.bad("--backup", copy)  # Never over a file.
        self.good("--import", self.write("other", SAVED), "--force")
        self.assertIn("restored", self.good("--restore", copy))
        self.assertIn("1 virtual service, 2 backends", self.bad("--import", copy.with_name("import")))

    def test_a_damaged_store_is_found_and_not_touched(self):
        self.imported(WEB)
        database = self.state / "gorb.db"
        with database.open("r+b") as file:
            file.seek(100)
            file.write(os.urandom(3000))
        before = database.read_bytes()
        self.assertTrue(self.bad("--check-store").strip())
        self.bad("--import", self.write("other", SAVED), "--force")
        self.assertEqual(database.read_bytes(), before)

    def test_what_is_no_copy_is_not_restored(self):
        self.imported(WEB)
        self.bad("--restore", self.write("junk", "junk"))
        self.assertIn("is good", self.good("--check-store"))

    def test_a_store_in_memory_has_nothing_to_do_with_files(self):
        config = self.write("gorb.ini", "[store]\nstore = memory\n")
        for action in (["--import", self.write("import", WEB)], ["--backup", "x"], ["--check-store"], ["--restore", "x"]):
            status, said = run_gorbd("--config", config, *action)
            self.assertEqual(status, 1, said)
            self.assertIn("--state-directory", said)


class Declared(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "declared").mkdir()
        self.config = self.folder / "gorb.ini"
        self.config.write_text(f"[store]\ndeclared = {self.folder}/declared\n")

    def check(self, **files):
        for name, content in files.items():
            (self.folder / "declared" / f"{name}.json").write_text(
                content if isinstance(content, str) else json.dumps(content))
        return run_gorbd("--check-config", "--config", self.config)

    def test_good_files_are_good(self):
        status, said = self.check(a=WEB, b={"services": {}})
        self.assertEqual(status, 0, said)

    def test_a_fault_is_named_with_file_and_pointer(self):
        status, said = self.check(a=WEB, b={"services": {"dns": {"address": "10.0.0.2", "port": 0}}})
        self.assertEqual(status, 2)
        self.assertIn(f"{self.folder}/declared/b.json: /services/dns/port", said)
        status, said = self.check(b="{")
        self.assertEqual(status, 2)
        self.assertIn("declared/b.json: this is not JSON", said)

    def test_a_service_in_two_files_names_both(self):
        status, said = self.check(a=WEB, b=WEB)
        self.assertEqual(status, 2)
        self.assertIn("declared/b.json: /services/web is in", said)
        self.assertIn("declared/a.json already", said)

    def test_pulses_are_checked_by_their_plugins(self):
        document = {"services": {"web": {"address": "10.0.0.1", "port": 80, "backends": {
            "b1": {"address": "10.1.0.1", "port": 80, "pulse": {"type": "http", "path": "no"}}}}}}
        status, said = self.check(a=document)
        self.assertEqual(status, 2)
        self.assertIn("/services/web/backends/b1/pulse/args", said)

    def test_the_file_of_a_wrong_pulse_is_named(self):
        def document(name, n, pulse):
            return {"services": {name: {"address": f"10.0.0.{n}", "port": 80, "backends": {
                "b1": {"address": "10.1.0.1", "port": 80, "pulse": pulse}}}}}

        pulses = {"type": "http", "pth": "/"}
        files = {"a": document("web", 1, {"type": "http", "path": "/"}), "b": document("dns", 2, pulses),
                 "c": document("old", 3, pulses)}
        status, said = self.check(**files)
        self.assertEqual(status, 2)
        for name, service in (("b", "dns"), ("c", "old")):
            self.assertIn(f"{self.folder}/declared/{name}.json: /services/{service}/backends/b1/pulse", said)
        # A start and SIGHUP say the same in the log.
        with Gorbd("--driver", "memory", "--config", self.config) as gorbd:
            for times in (1, 2):
                wait_until("the log names the files", lambda: all(
                    gorbd.log().count(f"{name}.json: /services/{service}/backends/b1/pulse") >= times
                    for name, service in (("b", "dns"), ("c", "old"))))
                gorbd.process.send_signal(signal.SIGHUP)
            self.assertEqual(gorbd.get("/service").json, [])

    def test_a_missing_folder_is_said(self):
        self.config.write_text(f"[store]\ndeclared = {self.folder}/missing\n")
        status, said = self.check()
        self.assertEqual(status, 2)
        self.assertIn(f"{self.folder}/missing", said)
