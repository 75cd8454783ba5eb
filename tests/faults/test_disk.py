"""A disk that fills, becomes read-only, or whose file goes away while gorbd runs: what can not be written is refused with what to
do, everything else goes on, and when the disk is back so is everything, without a restart."""
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from gorbd import Gorbd, wait_until

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000


def own_mounts():
    """A mount namespace for this process, which has one thread: what it mounts is seen by its children alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if uid else 0)) != 0:
        raise AssertionError(f"no mount namespace can be made: {os.strerror(ctypes.get_errno())}; run as root, or allow user "
                             "namespaces (sysctl kernel.unprivileged_userns_clone=1)")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    mount("--make-rprivate", "/")


def mount(*words):
    subprocess.run(["mount", *words], check=True, timeout=20)


class Listener:
    """A server that can be stopped and come back at the same port."""

    def __init__(self):
        self.socket = self.port = None
        self.up()

    def up(self):
        self.socket = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = self.socket.getsockname()[1]

    def down(self):
        self.socket.close()


class Disk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        own_mounts()

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        mount("-t", "tmpfs", "-o", "size=4m,mode=0755", "gorb", str(self.disk))
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(self.disk)], check=False)
        self.state = self.disk / "state"
        self.server = Listener()
        self.addCleanup(lambda: self.server.down())
        self.daemon = self.enterContext(Gorbd("--driver", "memory", "--state-directory", self.state))
        self.daemon.made("/service/web", {"address": "10.0.0.1", "port": 80})
        self.daemon.made("/service/web/b1", {
            "address": "127.0.0.1", "port": self.server.port, "weight": 50,
            "pulse": {"type": "tcp", "interval": "100ms", "rise": 1, "fall": 1}})
        self.wait_for_weight(50)

    def wait_for_weight(self, weight):
        self.daemon.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == weight, f"weight {weight}")

    def health_goes_on(self):
        self.server.down()
        self.wait_for_weight(0)
        self.server.up()
        self.wait_for_weight(50)

    def reads_go_on(self):
        for path in ("/config", "/service", "/service/web", "/service/web/b1", "/kernel", "/metrics", "/events", "/healthz"):
            self.assertEqual(self.daemon.get(path).status, 200, path)

    def writes(self):
        """One of each kind, with what they answered."""
        config = self.daemon.get("/config").json
        config["services"]["other"] = {"address": "10.0.0.3", "port": 80}
        return [self.daemon.put("/service/new", {"address": "10.0.0.2", "port": 80}),
                self.daemon.put("/service/web/b2", {"address": "10.1.0.2", "port": 80}),
                self.daemon.patch("/service/web", {"method": "rr"}),
                self.daemon.patch("/service/web/b1", {"weight": 60}),
                self.daemon.put("/config", config),
                self.daemon.delete("/service/web/b1"),
                self.daemon.delete("/service/web")]

    def refused(self, status, *words):
        before = self.daemon.get("/config").json
        for reply in self.writes():
            self.assertEqual(reply.status, status, reply)
            for word in words:
                self.assertIn(word, reply.text)
        self.assertEqual(self.daemon.get("/config").json, before)  # Nothing of it is there.

    def recovers(self):
        """Without a restart; and what a restart finds is all of it."""
        late = {"address": "10.0.0.9", "port": 80}
        wait_until("a change is taken again", lambda: self.daemon.put("/service/late", late).status == 200, 20)
        self.daemon.made("/service/late/b1", {"address": "10.1.0.9", "port": 80, "pulse": {"type": "none"}})
        before = self.daemon.get("/config").json
        self.assertEqual(set(before["services"]), {"web", "late"})
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.daemon.get("/config").json, before)
        self.wait_for_weight(50)

    def test_a_full_disk(self):
        filler = self.disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
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

    def test_a_read_only_disk(self):
        # SQLite has its files open for writing, so it is the writing itself that has to fail: as after an error of the disk.
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
        filler = self.disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
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
