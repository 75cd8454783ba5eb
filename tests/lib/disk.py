"""A gorbd whose store is on a disk of its own, and what has to be so when that disk has trouble."""
import ctypes
import os
import socket
import subprocess
import tempfile
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


def unmount(folder):
    subprocess.run(["umount", "--lazy", folder], check=False, timeout=20)


class Listener:
    """A server that can be stopped and come back at the same port."""

    def __init__(self, address="127.0.0.1"):
        self.address = address
        self.socket = self.port = None
        self.up()

    def up(self):
        self.socket = socket.create_server((self.address, self.port or 0))
        self.port = self.socket.getsockname()[1]

    def down(self):
        self.socket.close()


class DiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        own_mounts()

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        self.mount_disk()
        self.addCleanup(unmount, str(self.disk))
        self.state = self.disk / "state"
        self.server = Listener()
        self.addCleanup(lambda: self.server.down())
        self.daemon = self.enterContext(Gorbd("--driver", "memory", "--state-directory", self.state))
        self.daemon.made("/service/web", {"address": "10.0.0.1", "port": 80})
        self.daemon.made("/service/web/b1", {
            "address": "127.0.0.1", "port": self.server.port, "weight": 50,
            "pulse": {"type": "tcp", "interval": "100ms", "rise": 1, "fall": 1}})
        self.wait_for_weight(50)

    def mount_disk(self):
        """On self.disk; one that is in memory and small."""
        mount("-t", "tmpfs", "-o", "size=4m,mode=0755", "gorb", str(self.disk))

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
