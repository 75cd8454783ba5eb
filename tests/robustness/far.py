"""A second network namespace, and two ways to it: `way-a`, which is taken unless something else is asked for, and `way-b`.

    here  10.1.0.1 ── way-a ── 10.1.0.2  there: every address of 10.9.0.0/24 and fd09::/64
          10.2.0.1 ── way-b ── 10.2.0.2
          10.3.0.1 and 10.4.0.1 on lo, known there by way-a and way-b

IPv6 likewise, fd01:: for 10.1.0. and so on. Packets marked 7 take way-b.
"""
import contextlib
import ctypes
import ipaddress
import os
import socket
import subprocess
from pathlib import Path

from gorbd import wait_until
from room import ip

MARK = 7
ETH_P_ALL = 3
HERE = f"/proc/{os.getpid()}/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


def address(family, n):
    """The n-th of those that are there."""
    return f"10.9.0.{n}" if family == 4 else str(ipaddress.ip_address(f"fd09::{n:x}"))


class Far:
    """Use as a context manager, by a process with one thread that has a namespace of its own. It is gone with end()."""

    def __init__(self):
        self.keeper = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.path = f"/proc/{self.keeper.pid}/ns/net"
        ours = os.readlink(HERE)
        wait_until("there is a second namespace", lambda: os.readlink(self.path) != ours and Path(
            f"/proc/{self.keeper.pid}/comm").read_text() == "cat\n")

    def connect(self):
        """Lays both ways."""
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "route", "add", "local", "10.9.0.0/24", "dev", "lo")
        self.run("ip", "-6", "route", "add", "local", "fd09::/64", "dev", "lo")
        self.lay("way-a", 1)
        self.lay("way-b", 2)
        for n, by in ((3, 1), (4, 2)):
            ip("address", "add", f"10.{n}.0.1/32", "dev", "lo")
            ip("address", "add", f"fd0{n}::1/128", "dev", "lo")
            self.run("ip", "route", "add", f"10.{n}.0.1", "via", f"10.{by}.0.1")
            self.run("ip", "-6", "route", "add", f"fd0{n}::1", "via", f"fd0{by}::1")
        for family, net, there in (("-4", "10.9.0.0/24", "10.2.0.2"), ("-6", "fd09::/64", "fd02::2")):
            ip(family, "rule", "add", "fwmark", str(MARK), "table", str(MARK))
            ip(family, "route", "add", net, "via", there, "dev", "way-b", "table", str(MARK))
        Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("0")

    def lay(self, way, n):
        ip("link", "add", way, "type", "veth", "peer", "name", way, "netns", str(self.keeper.pid))
        for do, side in ((lambda *words: self.run("ip", *words), 2), (ip, 1)):
            do("address", "add", f"10.{n}.0.{side}/24", "dev", way)
            do("address", "add", f"fd0{n}::{side}/64", "dev", way, "nodad")
            do("link", "set", way, "up")
        for family, net, there in (("-4", "10.9.0.0/24", f"10.{n}.0.2"), ("-6", "fd09::/64", f"fd0{n}::2")):
            ip(family, "route", "add", net, "via", there, "dev", way, "metric", str(10 * n))
        # What comes by way-b is not what this table would send there: only the marked is.
        Path(f"/proc/sys/net/ipv4/conf/{way}/rp_filter").write_text("0")

    def run(self, *command):
        subprocess.run([*self.inside(), *command], check=True, timeout=20)

    def inside(self):
        return ["nsenter", f"--net={self.path}"]

    @contextlib.contextmanager
    def entered(self):
        with open(HERE, encoding="utf-8") as here, open(self.path, encoding="utf-8") as there:
            assert _libc.setns(there.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert _libc.setns(here.fileno(), 0) == 0, os.strerror(ctypes.get_errno())

    def end(self):
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def stray_reset(packet):
    """A reset without ACK: the kernel's own answer, by the routes alone, to a segment of no connection. A server's FIN that crosses
    the reset of a check gets one, after the socket is gone that had a mark or a device."""
    protocol, at = (packet[9], (packet[0] & 15) * 4) if packet[0] >> 4 == 4 else (packet[6], 40)
    return protocol == socket.IPPROTO_TCP and packet[at + 13] & 0x3f == 0x04


class Witness:
    """Sees every packet that arrives there, but stray resets: for each address, by which way and from which source."""

    def __init__(self, far):
        with far.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.seen = {}

    def look(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, (way, _, kind, *_) = self.socket.recvfrom(65535)
                if kind == socket.PACKET_HOST and way != "lo" and not stray_reset(packet):
                    size, at = (4, 12) if packet[0] >> 4 == 4 else (16, 8)
                    source, to = (str(ipaddress.ip_address(packet[n:n + size])) for n in (at, at + size))
                    self.seen.setdefault(to, {}).setdefault((way, source), 0)
                    self.seen[to][way, source] += 1
        return self.seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
