"""Programs of the pulse exec, checked by a gorbd that now and then stands still."""
import os
import signal
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from gorbd import Gorbd, wait_until


class Exec(unittest.TestCase):
    def daemon(self, places, **programs):
        """With these programs, of which so many may run at once."""
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        for name, lines in programs.items():
            (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
            (folder / name).chmod(0o755)
        config = folder / "gorb.ini"
        config.write_text(f"[health]\nsuspicion = false\n[plugin.exec]\ndirectory = {folder}\nmax-running = {places}\n")
        # ThreadSanitizer takes the clone() of exec for a fork, and knows nothing of the threads' end then.
        self.enterContext(mock.patch.dict(os.environ, TSAN_OPTIONS="report_bugs=0 die_after_fork=0"))
        gorbd = self.enterContext(Gorbd("--driver", "memory", "--config", config))
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        return gorbd

    @staticmethod
    def serve(gorbd, name, program, timeout, port):
        gorbd.made(f"/service/web/{name}", {"address": "10.1.0.1", "port": port, "pulse": {
            "type": "exec", "program": program, "timeout": timeout, "interval": "100ms", "fall": 1}})

    def standing_still(self, gorbd, seconds, until):
        """Stops it for so long, again and again, until that is so."""
        def once():
            gorbd.process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            gorbd.process.send_signal(signal.SIGCONT)
            return until()

        wait_until("it has been so", once, 60, every=0.05)

    def test_who_waits_for_a_place_until_a_deadline_that_is_seen_late_has_not_failed(self):
        gorbd = self.daemon(1, hangs="exec sleep 600", well="exit 0")
        self.serve(gorbd, "hangs", "hangs", "10m", 80)
        waiting = [f"b{n}" for n in range(10)]
        for port, name in enumerate(waiting, 1):
            self.serve(gorbd, name, "well", "1s", port)

        def of(kind):
            return [gorbd.get(f"/service/web/{name}").json["counts"][kind] for name in waiting]

        self.standing_still(gorbd, 0.3, lambda: min(of("unknowns")) >= 4 or max(of("failures")))
        for name in waiting:
            backend = gorbd.get(f"/service/web/{name}").json
            self.assertEqual((backend["state"], backend["counts"]["failures"]), ("unknown", 0), backend)
            self.assertEqual(backend["last"]["reason"], "all 1 places for programs are taken")


if __name__ == "__main__":
    unittest.main()
