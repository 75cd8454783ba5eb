"""A disk that fills, becomes read-only, or whose file goes away while gorbd runs: what can not be written is refused with what to
do, everything else goes on, and when the disk is back so is everything, without a restart."""
import contextlib
import os
import shutil
import subprocess
import threading

from disk import DiskTest, mount, unmount
from gorbd import run_gorbd, wait_until


class Disk(DiskTest):
    def fill(self):
        """The disk, with a file, which is given back."""
        filler = self.disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        return filler

    def test_a_full_disk(self):
        filler = self.fill()
        # What is allotted already may still take some.
        for number in range(3000):
            if self.daemon.patch("/service/web", {"method": "rr" if number % 2 else "wrr"}).status != 200:
                break
        self.refused(507, "full", "no restart is needed")
        self.reads_go_on()
        self.health_goes_on()
        self.refused(507, "full")
        filler.unlink()
        self.recovers()

    def test_a_disk_that_is_full_when_the_daemon_starts(self):
        self.assertEqual(self.daemon.terminate(), 0)
        filler = self.fill()
        for options in (("--check-store",), ("--backup", self.folder / "copy")):
            status, said = run_gorbd("--state-directory", self.state, *options)
            self.assertEqual(status, 0, said)
        status, said = run_gorbd("--state-directory", self.state, "--restore", self.folder / "copy")
        self.assertEqual(status, 1, said)
        self.assertIn("full", said)
        self.assertNotIn("next change", said)
        self.daemon.start()
        self.wait_for_weight(50)
        self.refused(507, "full", "no restart is needed")
        self.reads_go_on()
        self.health_goes_on()
        filler.unlink()
        self.recovers()

    def test_a_disk_that_refuses_every_write(self):
        limit_files(self.daemon.process.pid, 0)
        replies = self.writes()
        self.assertTrue(all(reply.status in (503, 507) for reply in replies), replies)
        self.reads_go_on()
        self.health_goes_on()
        limit_files(self.daemon.process.pid, None)
        self.recovers()

    def test_a_read_only_file_system_under_a_daemon_that_starts(self):
        self.daemon.terminate()
        mount("-o", "remount,ro", str(self.disk))
        self.daemon.start(listening=False)
        self.assertNotEqual(self.daemon.ended(), 0)
        self.assertIn("ead-only", self.daemon.log())
        mount("-o", "remount,rw", str(self.disk))
        self.daemon.start()
        self.wait_for_weight(50)

    def test_a_store_on_a_disk_that_can_only_be_read_is_checked_saved_and_restored(self):
        self.daemon.terminate()
        mount("-o", "remount,ro", str(self.disk))
        copy, other = self.folder / "copy", self.folder / "a?b#c%20"
        for options in (("--state-directory", self.state, "--check-store"),
                        ("--state-directory", self.state, "--backup", copy),
                        ("--state-directory", other, "--restore", self.state / "gorb.db")):
            status, said = run_gorbd(*options)
            self.assertEqual(status, 0, said)
        # A name is a name, however SQLite writes it.
        mount("--bind", str(other), str(other))
        self.addCleanup(unmount, str(other))
        mount("-o", "remount,ro,bind", str(other))
        status, said = run_gorbd("--state-directory", other, "--check-store")
        self.assertEqual(status, 0, said)

    def made_anew(self):
        """The first write may find it and be refused; what follows is taken."""
        reply = self.daemon.put("/service/late", {"address": "10.0.0.9", "port": 80})
        self.assertIn(reply.status, (200, 503), reply)
        if reply.status == 503:
            self.assertIn("gorb.db", reply.text)
            self.assertIn("made anew", reply.text)
        self.reads_go_on()
        self.health_goes_on()
        self.recovers()

    def test_a_file_that_is_removed(self):
        (self.state / "gorb.db").unlink()
        self.made_anew()

    def test_a_folder_that_is_removed(self):
        shutil.rmtree(self.state)
        self.made_anew()

    def test_a_file_that_is_replaced(self):
        copy = self.disk / "copy"
        shutil.copy(self.state / "gorb.db", copy)
        copy.rename(self.state / "gorb.db")
        self.made_anew()

    def test_a_file_that_is_truncated(self):
        os.truncate(self.state / "gorb.db", 0)
        self.made_anew()

    def test_a_log_that_is_truncated(self):
        os.truncate(self.state / "gorb.db-wal", 0)
        self.made_anew()

    def test_a_file_that_is_removed_while_the_disk_is_full(self):
        (self.state / "gorb.db").unlink()
        filler = self.fill()
        reply = self.daemon.put("/service/late", {"address": "10.0.0.9", "port": 80})
        self.assertIn(reply.status, (503, 507), reply)
        self.health_goes_on()
        self.reads_go_on()
        filler.unlink()
        self.recovers()

    def test_a_file_that_is_removed_under_many_writers(self):
        ending = threading.Event()

        def write(number):
            while not ending.is_set():
                self.daemon.patch("/service/web", {"method": ("rr", "wrr", "wlc")[number % 3]})

        threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        try:
            (self.state / "gorb.db").unlink()
            wait_until("the file is made anew", lambda: (self.state / "gorb.db").exists(), 20)
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        self.recovers()


def limit_files(pid, size):
    """How large files of that process may become; None: as large as they like."""
    subprocess.run(["prlimit", f"--pid={pid}", f"--fsize={'unlimited' if size is None else size}:unlimited"], check=True, timeout=20)
