"""Plugins as the daemon finds, lists and survives them. The bad ones are made from plugins/faulty.cpp."""
import tempfile
import unittest

from gorbd import BUILD, Gorbd, run_gorbd, wait_until

OWN = BUILD / "plugins"
FAULTY = BUILD / "tests" / "faulty"
BACKEND = {"address": "127.0.0.1", "port": 9}


class Plugins(unittest.TestCase):
    def with_plugins(self, *faults, config=""):
        file = self.enterContext(tempfile.NamedTemporaryFile("w", suffix=".ini"))
        file.write(config)
        file.flush()
        directories = [word for fault in faults for word in ("--plugin-dir", FAULTY / fault)]
        gorbd = self.enterContext(Gorbd("--driver", "memory", "--plugin-dir", OWN, *directories, "--config", file.name))
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        return gorbd

    def put(self, gorbd, pulse, name="b1", port=9):
        return gorbd.made(f"/service/web/{name}", {**BACKEND, "port": port, "pulse": {
            "type": pulse, "interval": "50ms", "timeout": "200ms"}})

    def still_sound(self, gorbd):
        """The daemon goes on, and other checks with it."""
        self.put(gorbd, "none", "sound", 10)
        gorbd.wait_for("/service/web/sound", lambda b: b["state"] == "up", "up")
        self.assertEqual(gorbd.get("/healthz").status, 200)

    def refused(self, fault, *words):
        gorbd = self.with_plugins(fault)
        refused = gorbd.get("/plugins").json["refused"]
        self.assertEqual([entry["file"] for entry in refused], [str(FAULTY / fault / f"{fault}.so")])
        for word in words:
            self.assertIn(word, refused[0]["reason"])
        self.assertIn(f"{fault}.so", gorbd.log())
        self.assertEqual(gorbd.log().count("plugin refused"), 1)
        self.still_sound(gorbd)

    def test_those_beside_the_daemon_are_found_without_configuration(self):
        with Gorbd("--driver", "memory") as gorbd:
            listed = gorbd.get("/plugins").json
        self.assertEqual(listed["refused"], [])
        found = {plugin["name"]: plugin for plugin in listed["plugins"]}
        self.assertLessEqual({"tcp", "http", "none"}, set(found))
        http = found["http"]
        self.assertEqual((http["kind"], http["file"]), ("gorb.pulse/1", str(OWN / "pulse-http.so")))
        self.assertNotEqual(http["version"], "")
        self.assertLessEqual({"path", "method", "host", "port", "expect"}, {option["name"] for option in http["args"]})
        self.assertTrue(all(option["help"] and option["type"] for option in http["args"]))

    def test_the_command_line_lists_them(self):
        status, said = run_gorbd("--plugins")
        self.assertEqual(status, 0, said)
        for word in ("tcp", "http", "none", "pulse-http.so", "path", "[plugin.exec]", "max-running"):
            self.assertIn(word, said)
        status, said = run_gorbd("--plugins", "--plugin-dir", FAULTY / "no_entry")
        self.assertNotEqual(status, 0)
        self.assertIn("no_entry.so", said)

    def test_directories_of_the_configuration(self):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write(f"[plugins]\ndirectories = {OWN}:{FAULTY / 'sound'}\n")
            file.flush()
            with Gorbd("--driver", "memory", "--config", file.name) as gorbd:
                self.assertLessEqual({"tcp", "sound"}, {plugin["name"] for plugin in gorbd.get("/plugins").json["plugins"]})

    def test_a_foreign_plugin_checks_backends(self):
        gorbd = self.with_plugins("sound")
        self.put(gorbd, "sound")
        gorbd.wait_for("/service/web/b1", lambda b: b["state"] == "up" and b["last"]["reason"] == "well", "up")

    def test_another_abi_major_is_refused(self):
        self.refused("abi_major", "ABI")

    def test_a_plugin_that_wants_a_newer_minor_is_refused(self):
        self.refused("abi_minor", "9999")

    def test_a_plugin_that_can_not_load_is_refused_with_its_words(self):
        self.refused("load_fails", "the licence has run out")

    def test_a_library_that_is_no_plugin_is_refused(self):
        self.refused("no_entry", "gorb_plugin_entry")

    def test_a_missing_symbol_is_refused_with_its_name(self):
        self.refused("missing_symbol", "nobody_has_this_function")

    def check_config(self, config):
        file = self.enterContext(tempfile.NamedTemporaryFile("w", suffix=".ini"))
        file.write(config)
        file.flush()
        return run_gorbd("--check-config", "--config", file.name)

    def test_what_nobody_has_set_is_said_with_its_section(self):
        section = "pulse-req can not be used: [plugin.req] of the configuration: token-file is required"
        gorbd = self.with_plugins("needs_option")
        self.assertIn(section, gorbd.log())
        self.put(gorbd, "req")
        gorbd.wait_for("/service/web/b1", lambda b: section in b.get("warning", ""), "the reason")
        status, said = self.check_config(f"[plugins]\ndirectories = {FAULTY / 'needs_option'}\n")
        self.assertEqual(status, 0, said)
        self.assertIn(f"warning: {section}", said)
        gorbd = self.with_plugins("needs_option", config="[plugin.req]\ntoken-file = /etc/token\n")
        self.assertNotIn("can not be used", gorbd.log())
        self.put(gorbd, "req")
        gorbd.wait_for("/service/web/b1", lambda b: b["state"] == "up", "up")

    def test_a_start_goes_on_without_the_section_of_a_plugin_that_is_refused(self):
        """Of a library of two, and of a library of any name that nobody can read."""
        for fault, name in (("half", "second"), ("no_entry", "anything")):
            config = f"[plugin.{name}]\nx = 3\n"
            said = self.with_plugins(fault, config=config).log()
            self.assertIn(f":2: [plugin.{name}]: no plugin of that name is loaded. It may be one of those", said)
        folder = f"[plugins]\ndirectories = {FAULTY / 'half'}\n"
        status, said = self.check_config(f"{folder}[plugin.second]\nx = 3\n")
        self.assertEqual(status, 0, said)
        self.assertIn(":4: [plugin.second]: no plugin of that name is loaded", said)
        # Which one is refused is known there, so another one is a mistake.
        self.assertEqual(self.check_config(f"{folder}[plugin.secand]\nx = 3\n")[0], 2)

    def test_a_throwing_constructor_takes_nothing_down(self):
        gorbd = self.with_plugins("throws_at_create")
        reply = gorbd.put("/service/web/b1", {**BACKEND, "pulse": {"type": "throws-at-create", "interval": "50ms"}})
        if reply.status == 200:  # Refused at once or never up: either way the reason is said.
            gorbd.wait_for("/service/web/b1", lambda b: "no luck today" in str(b["last"]) + gorbd.log(), "the reason")
            self.assertNotEqual(gorbd.get("/service/web/b1").json["state"], "up")
        else:
            self.assertIn("no luck today", reply.text)
        self.still_sound(gorbd)

    def test_a_check_that_throws_counts_for_neither_side(self):
        gorbd = self.with_plugins("throws_at_start")
        self.put(gorbd, "throws-at-start")
        gorbd.wait_for("/service/web/b1", lambda b: b["counts"]["unknowns"] > 2, "unknown")
        b = gorbd.get("/service/web/b1").json
        self.assertEqual((b["last"]["verdict"], b["counts"]["failures"]), ("unknown", 0))
        self.assertIn("no luck at all", b["last"]["reason"])
        self.still_sound(gorbd)

    def test_a_check_that_never_answers_times_out(self):
        gorbd = self.with_plugins("silent")
        self.put(gorbd, "silent")
        gorbd.wait_for("/service/web/b1", lambda b: b["state"] == "down", "down")
        self.assertEqual(gorbd.get("/service/web/b1").json["last"]["verdict"], "fail")
        self.still_sound(gorbd)
        self.assertEqual(gorbd.terminate(), 0, gorbd.log())

    def test_a_check_that_blocks_its_loop_is_named_in_the_log(self):
        gorbd = self.with_plugins("blocks", config="[health]\nblocked-after = 200ms\n")
        self.put(gorbd, "blocks")
        line = wait_until("the log names it", lambda: [
            line for line in gorbd.log().splitlines() if "loop is blocked" in line], 20)[0]
        self.assertIn("blocks", line.split("loop is blocked")[1])
        self.assertEqual(gorbd.get("/service/web").status, 200)  # REST does not wait for it.
        self.assertEqual(gorbd.delete("/service/web/b1").status, 200)
        wait_until("the log says that it goes on", lambda: "loop goes on" in gorbd.log(), 20)
        self.still_sound(gorbd)
