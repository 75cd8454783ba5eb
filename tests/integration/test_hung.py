"""A disk that hangs: what goes on, and how gorbd still ends."""
import json
import signal
import tempfile
import time
import unittest
from pathlib import Path

from gorbd import BUILD, SLOW, Gorbd, wait_until
from test_process import ServiceManager

WEB = {"services": {"web": {"address": "10.0.0.1", "port": 80}}}


class HungDisk(unittest.TestCase):
    """Of everything below self.disk."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.disk = self.folder / "disk"
        (self.disk / "declared").mkdir(parents=True)
        (self.disk / "declared" / "a.json").write_text(json.dumps(WEB))
        self.config = self.folder / "gorb.ini"
        self.config.write_text(f"[store]\ndeclared = {self.disk}/declared\n")
        self.flag = self.folder / "hangs"
        self.waits = self.folder / "hangs.waits"
        self.env = {"LD_PRELOAD": str(BUILD / "tests" / "hung_disk.so"), "GORB_HUNG": str(self.flag),
                    "GORB_HUNG_FOLDER": str(self.disk)}

    def hang(self):
        self.flag.touch()

    def wait_for_waiting(self):
        wait_until("somebody waits for the disk", self.waits.exists)

    def go_on(self):
        self.flag.unlink()
        self.waits.unlink()

    def daemon(self, *options, env=None, **more):
        return self.enterContext(Gorbd("--driver", "memory", *options, env={**self.env, **(env or {})}, **more))

    def ends_at_once(self, gorbd, status=0):
        began = time.monotonic()
        self.assertEqual(gorbd.terminate(), status, gorbd.log())
        self.assertLess(time.monotonic() - began, 5 * SLOW)

    def test_files_that_can_not_be_read_on_sighup_hold_up_nothing(self):
        manager = ServiceManager(self)
        gorbd = self.daemon("--config", self.config, env={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000"})
        manager.wait_for("WATCHDOG=1")
        self.hang()
        gorbd.process.send_signal(signal.SIGHUP)
        self.wait_for_waiting()
        manager.forget()
        for _ in range(3):
            manager.wait_for("WATCHDOG=1")
        self.ends_at_once(gorbd)

    def test_who_asks_for_the_files_while_they_are_read_has_them_read_once_more(self):
        gorbd = self.daemon("--config", self.config)
        self.hang()
        gorbd.process.send_signal(signal.SIGHUP)
        self.wait_for_waiting()
        for count in (1, 2):
            gorbd.process.send_signal(signal.SIGHUP)
            wait_until("it is noted", lambda: gorbd.log().count("still being read") == count)
        # Each reading says what is wrong.
        (self.disk / "declared" / "b.json").write_text("{")
        self.go_on()
        wait_until("they are read twice", lambda: gorbd.log().count("b.json: this is not JSON") == 2)
        (self.disk / "declared" / "b.json").write_text(json.dumps({"services": {"dns": {"address": "10.0.0.2", "port": 53}}}))
        gorbd.process.send_signal(signal.SIGHUP)
        gorbd.wait_for("/service", lambda names: names == ["dns", "web"], "both are there")
        self.ends_at_once(gorbd)

    def test_a_start_that_is_held_up_ends_when_it_is_told_to(self):
        for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
            for options in (["--config", self.config], ["--state-directory", self.disk / f"state-{name}"]):
                self.hang()
                gorbd = self.daemon(*options, start=False).start(listening=False)
                self.wait_for_waiting()
                began = time.monotonic()
                self.assertEqual(gorbd.terminate(number), 0, gorbd.log())
                self.assertLess(time.monotonic() - began, 5 * SLOW)
                self.assertIn(name, gorbd.log())
                self.go_on()


if __name__ == "__main__":
    unittest.main()
