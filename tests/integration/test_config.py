"""Command line and configuration files: what is understood, and what is said of what is not."""
import re
import tempfile
import unittest
from pathlib import Path

from gorbd import Gorbd, run_gorbd

ROOT = Path(__file__).resolve().parents[2]


class Config(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write(self, text, name="gorb.ini"):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def check(self, text):
        return run_gorbd("--check-config", "--config", self.write(text))

    def test_the_shipped_file_is_good_and_holds_every_option_commented(self):
        shipped = (ROOT / "conf" / "gorb.ini").read_text()
        self.assertEqual(self.check(shipped), (0, f"the configuration in {self.folder}/gorb.ini is good\n"))
        uncommented, options = re.subn(r"^;([a-z-]+ =)", r"\1", shipped, flags=re.MULTILINE)
        self.assertGreater(options, 10)
        status, said = self.check(uncommented)  # The defaults, said aloud.
        self.assertEqual(status, 0, said)

    def test_an_unknown_key_is_named_with_file_and_line(self):
        status, said = self.check("[gorbd]\n; a comment\nlisten = 127.0.0.1:0\nlissen = x\n")
        self.assertNotEqual(status, 0)
        self.assertIn(f"{self.folder}/gorb.ini:4", said)
        self.assertIn("lissen", said)

    def test_a_wrong_value_is_named_with_file_and_line(self):
        for section, line in (("gorbd", "driver = floppy"), ("gorbd", "listen = nowhere"),
                              ("gorbd", "flush-on-start = perhaps"), ("store", "store = tape"),
                              ("store", "directory = here"), ("reconcile", "drift = ignore"),
                              ("reconcile", "guard-share = 200"), ("reconcile", "period = soon")):
            status, said = self.check(f"[{section}]\n{line}\n")
            self.assertNotEqual(status, 0, line)
            self.assertIn("gorb.ini:2", said)
        self.assertIn("[rest]", (ROOT / "conf" / "gorb.ini").read_text())

    def test_an_option_that_only_its_plugin_can_judge_is_named_with_file_and_section(self):
        for line, word in (("directory = checks", "no absolute path"), ("user = nobody-of-that-name", "no user")):
            status, said = self.check(f"[gorbd]\ndriver = memory\n[plugin.exec]\n{line}\n")
            self.assertEqual(status, 2, said)
            for wanted in (f"{self.folder}/gorb.ini:4", "[plugin.exec]", line.split()[0], word):
                self.assertIn(wanted, said)
        status, said = self.check("[plugin.exec]\ndirectory = /srv/checks\nmax-running = 3\n[plugin.icmp]\nsocket = raw\n")
        self.assertEqual(status, 0, said)

    def test_an_option_that_a_plugin_does_not_have_is_named_with_file_and_line(self):
        for line, word in (("directories = /srv", "not known"), ("max-running = many", "whole number")):
            status, said = self.check(f"[plugin.exec]\ndirectory = /srv\n{line}\n")
            self.assertEqual(status, 2, said)
            for wanted in (f"{self.folder}/gorb.ini:3", "[plugin.exec]", line.split()[0], word):
                self.assertIn(wanted, said)
        self.assertIn("gorb.ini:2: [plugin.nothing]", self.check("[plugin.nothing]\nx = 1\n")[1])

    def test_a_folder_of_plugins_that_is_not_there_is_named_with_file_and_line(self):
        status, said = self.check(f"[plugins]\ndirectories = {self.folder}:{self.folder}/missing\n")
        self.assertEqual(status, 2, said)
        for word in (f"{self.folder}/gorb.ini:2: ", "plugins.directories", f"{self.folder}/missing"):
            self.assertIn(word, said)
        status, said = run_gorbd("--check-config", "--config", self.write(f"[plugins]\ndirectories = {self.folder}\n"),
                                 "--plugin-dir", "/nowhere")
        self.assertEqual(status, 2, said)
        self.assertIn("/nowhere", said)
        self.assertNotIn("gorb.ini:", said)

    def test_files_that_begin_with_a_byte_order_mark_are_read_like_all_others(self):
        mark = "\ufeff"
        declared = self.write(mark + '{"services": {"web": {"address": "10.0.0.1", "port": 80}}}', "declared/web.json").parent
        ini = self.write(f"{mark}[gorbd]\ndriver = memory\n[store]\ndeclared = {declared}\n")
        self.write(mark + "; a comment\n[gorbd]\nlog-level = debug\n", "conf.d/10.ini")
        status, said = run_gorbd("--check-config", "--config", ini)
        self.assertEqual(status, 0, said)
        for text in ('{"services": {"web": {"address": "10.0.0.1", "port": 80}}}', "-A -t 10.0.0.1:80 -s wrr\n"):
            file = self.write(mark + text, "to-import")
            status, said = run_gorbd("--import", file, "--force", "--state-directory", self.folder / "state")
            self.assertEqual(status, 0, said)
            self.assertIn("1 virtual service,", said)
        status, said = self.check(f"{mark}[gorbd]\nlissen = x\n")
        self.assertIn("gorb.ini:2", said)

    def test_an_import_of_a_file_with_nothing_in_it_does_not_empty_a_store(self):
        state, one = self.folder / "state", '{"services": {"web": {"address": "10.0.0.1", "port": 80}}}'
        for text, status, word in (("", 0, "imported 0 virtual services"), (one, 0, "imported 1 virtual service,"),
                                   ("", 2, "there is no virtual service in it"), ("# nothing\n", 2, "1 virtual service"),
                                   ('{"services": {}}', 0, "imported 0 virtual services")):
            with self.subTest(text=text):
                got, said = run_gorbd("--import", self.write(text, "to-import"), "--force", "--state-directory", state)
                self.assertEqual(bool(got), bool(status), said)
                self.assertIn(word, said)

    def test_a_file_in_utf_16_is_refused_as_that(self):
        ini = self.write("")
        for order in ("utf-16-le", "utf-16-be"):
            ini.write_bytes("\ufeff[gorbd]\nlog-level = debug\n".encode(order))
            status, said = run_gorbd("--check-config", "--config", ini)
            self.assertEqual(status, 2, said)
            self.assertIn(f"{ini}: is in UTF-16; it must be in UTF-8", said)

    def test_a_folder_is_not_taken_for_a_file_with_nothing_in_it(self):
        ini = self.write("[gorbd]\ndriver = memory\n")
        part = self.folder / "conf.d" / "10.ini"
        part.mkdir(parents=True)
        for given, wrong in ((self.folder, self.folder), (ini, part)):
            status, said = run_gorbd("--check-config", "--config", given)
            self.assertEqual(status, 2, said)
            self.assertIn(f"can not read the configuration file {wrong}: it is a folder", said)

    def test_a_comment_behind_the_name_of_a_folder_is_not_part_of_it(self):
        for comment in (" ; the state", " # the state"):
            status, said = self.check(f"[store]\ndirectory = {self.folder}/state{comment}\n")
            self.assertEqual(status, 2, said)
            self.assertIn(f"{self.folder}/gorb.ini:2: store.directory must be an absolute path", said)
            self.assertIn("a line of its own", said)

    def test_a_plugin_library_that_is_refused_is_named_and_does_not_make_the_configuration_wrong(self):
        library = self.write("no library at all", "plugins/pulse-own.so")
        ini = self.write(f"[plugins]\ndirectories = {library.parent}\n")
        status, said = run_gorbd("--check-config", "--config", ini)
        self.assertEqual(status, 0, said)
        self.assertIn(f"refused: {library}: ", said)
        self.assertIn("is good", said)

    def test_a_wrong_file_does_not_start_the_daemon(self):
        status, said = run_gorbd("--driver", "memory", "--config", self.write("[gorbd]\nx = 1\n"))
        self.assertNotEqual(status, 0)
        self.assertIn("gorb.ini:2", said)
        status, said = run_gorbd("--config", self.folder / "missing.ini")
        self.assertNotEqual(status, 0)
        self.assertIn("missing.ini", said)

    def test_conf_d_comes_after_the_file_and_the_command_line_after_all(self):
        self.write("[gorbd]\ndriver = memory\nlisten = 127.0.0.1:1\nlog-level = error\n")
        self.write("[gorbd]\nlisten = 127.0.0.1:2\n", "conf.d/10.ini")
        self.write("[gorbd]\nlisten = 127.0.0.1:0\nlog-level = debug\n", "conf.d/20.ini")
        self.write("not read", "conf.d/30.txt")
        with Gorbd("--config", self.folder / "gorb.ini", listen=None) as gorbd:
            self.assertEqual(gorbd.get("/log").json, {"level": "debug"})
        status, said = run_gorbd("--config", self.write("[gorbd]\nbad = 1\n", "conf.d/40.ini").parent.parent / "gorb.ini")
        self.assertNotEqual(status, 0)
        self.assertIn("40.ini:2", said)
        (self.folder / "conf.d/40.ini").unlink()
        (self.folder / "conf.d/20.ini").unlink()
        with Gorbd("--config", self.folder / "gorb.ini", "-v") as gorbd:  # --listen stands on the command line.
            self.assertEqual(gorbd.get("/log").json, {"level": "debug"})

    def test_help_and_version(self):
        status, said = run_gorbd("--help")
        self.assertEqual(status, 0)
        for option in ("--config", "--check-config", "--driver", "--listen", "--flush", "--interface", "--vip-interface",
                       "--plugin-dir", "--plugins", "--release-on-exit", "--state-directory", "--import", "--force",
                       "--backup", "--check-store", "--restore"):
            self.assertIn(option, said)
        status, said = run_gorbd("--version")
        self.assertEqual(status, 0)
        self.assertRegex(said, r"\d+\.\d+")

    def test_flags_of_upstream_work_or_say_what_replaces_them(self):
        with Gorbd("--driver", "memory", "-l", "127.0.0.1:0", "-f", "-i", "lo", "-v", listen=None) as gorbd:
            made = gorbd.made("/service/web", {"port": 80})
            self.assertIn("127.0.0.1", made["options"].values())
        for flag in ("-c", "-store"):
            status, said = run_gorbd(flag, "x")
            self.assertNotEqual(status, 0)
            self.assertIn(flag, said)
            self.assertEqual(len(said.strip().splitlines()), 1, said)

    def test_an_interface_without_an_address_is_told_at_the_start(self):
        with Gorbd("--driver", "memory", "-i", "none-such") as gorbd:
            self.assertRegex(gorbd.log(), r" warning .*has no address.* interface=none-such\n")
            self.assertEqual(gorbd.put("/service/web", {"port": 80}).status, 400)
        with Gorbd("--driver", "memory", "-i", "lo") as gorbd:
            self.assertNotIn("has no address", gorbd.log())

    def test_an_unknown_option_is_refused(self):
        status, said = run_gorbd("--lissen", "x")
        self.assertNotEqual(status, 0)
        self.assertIn("--lissen", said)
