"""What the tests of robustness share: a network namespace of the test's own, hostile servers, and a daemon that is looked at
from outside (memory, descriptors) while it is mistreated."""
import contextlib
import ctypes
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from gorbd import SLOW, Gorbd, Reply, wait_until

LONG = bool(os.environ.get("GORB_ROBUSTNESS_LONG"))
SANITIZED = bool(os.environ.get("GORB_SANITIZE"))  # then memory is not what it is


def may_be_first():
    """Whether processes of ours may run before the rest of the machine."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        return False
    return True


FIRST = may_be_first()
COUNT = int(os.environ.get("GORB_ROBUSTNESS_COUNT", "10000" if LONG else "50" if SANITIZED else "200" if FIRST else "100"))
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
# Out of 127.0.0.0/8 and of this: one address for each backend, so that no two are the same target.
NET6 = "fd0a"
NETS = iter(range(1, 250))


def leave_the_network():
    """Moves this process, which has one thread, into a network namespace of its own, with nothing but loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)) != 0:
        raise AssertionError(f"no network namespace can be made: {os.strerror(ctypes.get_errno())}; run as root, or allow "
                             "user namespaces (sysctl kernel.unprivileged_userns_clone=1)")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    ip("link", "set", "lo", "up")
    ip("-6", "route", "add", "local", f"{NET6}::/16", "dev", "lo")
    sysctl("core/somaxconn", 65535)
    sysctl("ipv4/tcp_max_syn_backlog", 65535)


def first(priority, *command):
    """The command so that it runs before what else this machine does: how late a check is would be the others' doing. Of two of
    these the one with the higher priority."""
    return ["chrt", "--rr", str(priority), *command] if FIRST else list(command)


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=20)


def sysctl(name, value):
    Path("/proc/sys/net", name).write_text(str(value))


def addresses(count, family=4):
    net = next(NETS)
    return [f"127.{net}.{n // 250}.{n % 250 + 1}" if family == 4 else f"{NET6}:{net:x}::{n + 1:x}" for n in range(count)]


class Server:
    """hostile.py as a process of its own: .port."""
    pulse = {}  # what it adds to the pulse that checks it

    def __init__(self, mode, *certificate):
        command = first(2 if mode == "well" else 1, sys.executable, str(Path(__file__).with_name("hostile.py")), mode, *certificate)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Good:
    """good.py as a process of its own, which `inside` runs: .ports."""

    def __init__(self, certificate, inside=()):
        command = [*inside, sys.executable, str(Path(__file__).with_name("good.py")), *certificate]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ports = json.loads(self.process.stdout.readline())

    __enter__, __exit__ = Server.__enter__, Server.__exit__


class Daemon(Gorbd):
    """gorbd, spoken to over one connection that stays: it needs no descriptor or port at a bad moment."""

    def start(self, listening=True):
        self.command = first(2, *self.command)
        super().start(listening)
        self.connection = http.client.HTTPConnection(*self.address, timeout=60 * SLOW)
        return self

    def request(self, method, path, body=None, headers=None, raw=None):
        headers = dict(headers or {})
        if body is not None:
            raw = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        self.connection.request(method, path, raw, headers)
        return Reply(self.connection.getresponse())

    def __exit__(self, *problem):
        self.connection.close()
        if self.process.poll():  # It ended by itself, and not well.
            print(f"gorbd ended with {self.process.returncode}; its log:\n{self.log()[-4000:]}----")
        super().__exit__(*problem)

    def proc(self, name):
        return Path(f"/proc/{self.process.pid}/{name}")

    def descriptors(self):
        return {int(name) for name in os.listdir(self.proc("fd"))}

    def memory(self, what):
        """VmRSS or VmHWM (the peak since forget_peak()), in KiB."""
        return int(re.search(rf"^{what}:\s+(\d+)", self.proc("status").read_text(), re.MULTILINE)[1])

    def forget_peak(self):
        self.proc("clear_refs").write_text("5")

    def limit_descriptors(self, number):
        """None: as before."""
        subprocess.run(["prlimit", f"--pid={self.process.pid}", f"--nofile={number}:"], check=True, timeout=20)

    def backends(self, service):
        """{name: what GET says of it}"""
        listed = self.get(f"/service/{service}?expand=backends").json["backends"]
        return {b["name"]: b for b in (listed.values() if isinstance(listed, dict) else listed)}

    def serve(self, service, port, pulse, where, vip="10.0.0.1"):
        """A service with a backend at each of these addresses."""
        self.made(f"/service/{service}", {"address": vip, "port": self.next_port()})
        for n, address in enumerate(where):
            self.made(f"/service/{service}/b{n}", {"address": address, "port": port, "pulse": pulse})

    def next_port(self):
        self.services = getattr(self, "services", 0) + 1
        return self.services


class RobustTest(unittest.TestCase):
    CONFIG = "[health]\nsuspicion = false\nmax-per-host = 0\n"

    def setUp(self):
        leave_the_network()

    def daemon(self, config=None, descriptors=None):
        """`descriptors`: as many as it may have from its start on."""
        file = self.enterContext(tempfile.NamedTemporaryFile("w", suffix=".ini"))
        file.write(self.CONFIG if config is None else config)
        file.flush()
        if LONG:
            self.raise_limit()
        gorbd = Daemon("--driver", "memory", "--config", file.name, start=False)
        if descriptors:
            gorbd.command = ["prlimit", f"--nofile={descriptors}:{descriptors}", *gorbd.command]
        return self.enterContext(gorbd.start())

    @staticmethod
    def raise_limit():
        import resource
        hard = max(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 300000)
        with contextlib.suppress(ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def server(self, mode, *certificate):
        return self.enterContext(Server(mode, *certificate))

    def good(self):
        return self.enterContext(Good(self.certificate()))

    def certificate(self):
        """(certificate, key): files of a self-signed one for 127.0.0.1."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=hostile"],
                       check=True, timeout=60, stderr=subprocess.DEVNULL)
        return cert, key

    def checked(self, gorbd, service, seconds, count=1):
        """Waits until every backend of the service was checked so often."""
        def all_checked():
            found = gorbd.backends(service)
            return found if all(sum(b["counts"][kind] for kind in ("passes", "failures", "unknowns")) >= count
                                for b in found.values()) else None
        return wait_until(f"all of {service} are checked", all_checked, seconds)
