"""A disk or a plugin that hangs: what goes on, who is told, and how gorbd still ends."""
import contextlib
import json
import os
import signal
import socket
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
                    "GORB_HUNG_FOLDER": str(self.disk),
                    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

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
        self.assertEqual(gorbd.log().count("b.json: this is not JSON"), 2, gorbd.log())
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

    @contextlib.contextmanager
    def put_that_hangs(self, gorbd, path, address="10.0.0.2"):
        """A PUT whose answer waits for the disk, on a connection of its own."""
        self.hang()
        with socket.create_connection(gorbd.address) as client:
            body = json.dumps({"address": address, "port": 80})
            client.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
            self.wait_for_waiting()
            yield client

    def test_a_disk_that_hangs_holds_up_changes_and_nothing_else(self):
        gorbd = self.daemon("--state-directory", self.disk / "state")
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        # A change of a backend is made by the thread that serves REST, which another one stands in for.
        for number, path in enumerate(("/service/more", "/service/web/b1", "/service/web/b2")):
            with self.subTest(path), self.put_that_hangs(gorbd, path, f"10.0.0.{2 + number}") as client:
                for _ in range(20):
                    self.assertIn("web", gorbd.get("/service").json)
                self.assertEqual(gorbd.get("/healthz").status, 200)
                self.go_on()
                client.settimeout(10 * SLOW)
                self.assertIn(b" 200 ", client.recv(65536))
        self.assertEqual(gorbd.terminate(), 0, gorbd.log())

    def test_a_disk_that_hangs_at_the_end_is_said_to(self):
        gorbd = self.daemon("--state-directory", self.disk / "state")
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        for path in ("/service/more", "/service/web/b1"):
            with self.subTest(path):
                with self.put_that_hangs(gorbd, path):
                    gorbd.process.send_signal(signal.SIGTERM)
                    self.assertEqual(gorbd.ended(30), 1, gorbd.log())
                said = gorbd.log().split("leaving without")[-1]
                self.assertIn("store", said)
                self.assertNotIn("plugin", said)
                self.go_on()
                gorbd.start()
                self.assertIn("web", gorbd.get("/service").json)


class HungPlugin(unittest.TestCase):
    """A plugin that does not return from a call on the loop of the checks."""

    def test_a_loop_that_is_blocked_is_told_to_whoever_asks(self):
        manager = ServiceManager(self)
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        config = folder / "gorb.ini"
        config.write_text(f"[plugins]\ndirectories = {BUILD}/tests/faulty/hangs\n[health]\nblocked-after = 200ms\n")
        env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"}
        gorbd = self.enterContext(Gorbd("--driver", "memory", "--config", config, env=env))
        self.assertIn("\ngorb_check_loops_blocked 0\n", gorbd.get("/metrics").text)
        self.assertEqual(gorbd.get("/readyz").status, 200)
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        gorbd.put("/service/web/b1", {"address": "10.1.0.1", "port": 80, "pulse": {"type": "hangs"}})
        wait_until("/readyz says so", lambda: gorbd.get("/readyz").status == 503)
        self.assertIn("hangs", gorbd.get("/readyz").text)
        self.assertIn("\ngorb_check_loops_blocked 1\n", gorbd.get("/metrics").text)
        # A stall that is short is no reason to be ended.
        self.assertEqual(gorbd.get("/healthz").status, 200)
        manager.wait_for("WATCHDOG=1")

        def unhealthy():
            manager.forget()  # it would have to wait for a service manager that does not read
            return gorbd.get("/healthz").status == 503

        wait_until("/healthz says so", unhealthy, 60)
        self.assertIn("hangs", gorbd.get("/healthz").text)
        wait_until("the service manager is not told that all is well",
                   lambda: "not telling the service manager that all is well" in gorbd.log())
        gorbd.process.send_signal(signal.SIGTERM)
        self.assertEqual(gorbd.ended(30), 1, gorbd.log())
        self.assertIn("loops", gorbd.log().split("leaving without")[1])


if __name__ == "__main__":
    unittest.main()
