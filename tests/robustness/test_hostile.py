"""Servers that behave badly, many of each at once, and a gorbd in front of them that keeps its deadlines, its memory, its
descriptors, its other checks and its words."""
import contextlib
import http.client
import json
import os
import tempfile
import unittest
from pathlib import Path

from gorbd import SLOW, wait_until
from room import COUNT, FIRST, LONG, SANITIZED, RobustTest, Server, addresses

# Where we may not go before the rest of the machine, its part in how late things are is allowed for.
PATIENCE = SLOW * (1 if FIRST else 4)
TIMEOUT = 5.0 if LONG else 1.0 if FIRST else 3.0
TIMED_OUT = "timed out"
NOT_IN_TIME = "timed out|within the timeout"
# Of those that came later, fewer in the short form: they are variations.
FEW = COUNT if LONG else min(COUNT, 50)
# Of what costs the servers or gorbd more, in the long form too.
SOME = min(COUNT, 1000)
# What a backend may take over TLS. In the long form the kinds come one after the other, and what one leaves counts for the next.
TLS_KIB = 190 if LONG else 60
# Servers that never get through a TLS handshake.
OUTSIDE_TLS = {"handshake", "silent", "full"}
# Each half of the backends is checked over one: (family, what tells the names of their services, the address of these).
FAMILIES = (4, "", "10.0.0.1"), (6, "-over-ipv6", "fd00::1")
# For a check that ends by its deadline: how late its result may be.
GRACE = (2.0 if LONG else 0.4) * PATIENCE


def programs():
    """Those that the pulse exec has started here: {number: command line}"""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "ns/net") == os.readlink("/proc/self/ns/net") and b"GORB_BACKEND=" in (process / "environ").read_bytes():
                found[process.name] = (process / "cmdline").read_text()
    return found


class Program:
    """What the pulse exec runs instead of asking a server."""
    port = 9

    def __init__(self, name):
        self.pulse = {"program": name}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Hostile(RobustTest):
    memory = None  # of gorbd before the first group

    def mistreat(self, pulse, cases, each_kib, tls=False, reused=False, timeout=TIMEOUT, count=COUNT, server=Server):
        """`cases`: {mode: (verdict, what the reason has to match, whether the deadline has to pass)}. `each_kib`: what gorbd may
        use for a backend while all of them are being checked. `reused`: it keeps sockets for half a minute, for the next checks.
        The modes are there at the same time; with thousands over TLS one after the other, for want of memory in their servers."""
        gorbd = self.daemon()
        certificate = self.certificate() if tls else ()
        well = self.server("well")
        self.serve(gorbd, "healthy", well, {"type": "http", "interval": "200ms", "timeout": "1s"}, 20)
        self.results(gorbd, "healthy", 10, 2)
        for modes in [[mode] for mode in cases] if tls and LONG else [list(cases)]:
            with contextlib.ExitStack() as ends:
                servers = {mode: ends.enter_context(server(mode, *(() if mode in OUTSIDE_TLS else certificate))) for mode in modes}
                self.at_once(gorbd, well, servers, pulse, cases, each_kib, reused, timeout, count)
        for backend in self.results(gorbd, "healthy", 10):
            self.assertEqual((backend["state"], backend["counts"]["failures"]), ("up", 0), backend)
        self.assertEqual(gorbd.terminate(), 0, gorbd.log())

    @staticmethod
    def serve(gorbd, name, server, pulse, count):
        """So many backends, half of them over each family."""
        for n, (family, more, vip) in enumerate(FAMILIES):
            gorbd.serve(name + more, server.port, {**pulse, **server.pulse}, addresses((count + n) // 2, family), vip)

    def results(self, gorbd, name, seconds, checks=1):
        """All of these backends, once they were checked so often."""
        return [backend for _, more, _ in FAMILIES for backend in self.checked(gorbd, name + more, seconds, checks).values()]

    def remove(self, gorbd, name):
        for _, more, _ in FAMILIES:
            self.assertEqual(gorbd.delete(f"/service/{name}{more}").status, 200)

    def at_once(self, gorbd, well, servers, pulse, cases, each_kib, reused, timeout, count):
        """So many of each of the servers."""
        # One of each, so that all that is made once is there.
        for mode, server in servers.items():
            self.serve(gorbd, f"first-{mode}", server, {**pulse, "timeout": "300ms", "interval": "1h"}, 2)
        for mode in servers:
            self.results(gorbd, f"first-{mode}", 10)
            self.remove(gorbd, f"first-{mode}")
        healthy = len(self.results(gorbd, "healthy", 10))
        fds = len(gorbd.descriptors())
        memory = self.memory = self.memory or gorbd.memory("VmRSS")  # what one group leaves is there for the next
        gorbd.forget_peak()
        self.gaps(gorbd, well)

        full = {**pulse, "timeout": f"{timeout}s", "interval": "1h"}
        for mode, server in servers.items():
            self.serve(gorbd, mode, server, full, count)
        results = {mode: self.results(gorbd, mode, timeout + 20) for mode in servers}
        peak = gorbd.memory("VmHWM")
        for mode, backends in results.items():
            self.assertEqual(len(backends), count)
            for backend in backends:
                self.judge(mode, backend, timeout, *cases[mode])

        gaps = self.gaps(gorbd, well)
        self.assertEqual(len(gaps), healthy)
        late = max(gaps.values()) - 0.2
        grown = (peak - memory) / (count * len(servers))
        print(f"{count} of each of {', '.join(servers)}: {grown:.1f} KiB each at the peak; "
              f"healthy checks at most {late * 1000:.0f} ms late", flush=True)
        if not SANITIZED:
            self.assertLess(grown, each_kib, "KiB of memory for each backend")
        self.assertLess(late, 0.6 * PATIENCE, "s late was a check of a healthy backend")
        for mode in servers:
            self.remove(gorbd, mode)
        wait_until(lambda: f"its programs are gone; there are {programs()}", lambda: not programs())
        # Those of the healthy checks come and go. The short form does not wait for sockets to be given back.
        most = fds + healthy + (count * len(servers) if reused and not LONG else 0)
        wait_until(lambda: f"descriptors return to {most}; now {len(gorbd.descriptors())}",
                   lambda: len(gorbd.descriptors()) <= most, 120 if reused and LONG else 10)

    def judge(self, mode, backend, timeout, verdict, reason, to_the_deadline):
        last = backend["last"]
        words = f"{mode}: {last}"
        self.assertEqual(last["verdict"], verdict, words)
        self.assertRegex(last["reason"], reason, words)
        took = last["latency"] / 1e9
        self.assertLess(took, timeout + GRACE, words)
        if to_the_deadline:
            self.assertGreater(took, timeout * 0.9, words)

    @staticmethod
    def gaps(gorbd, well):
        """The longest time between two checks of each healthy backend, since the last call."""
        connection = http.client.HTTPConnection("127.0.0.1", well.port, timeout=20 * SLOW)
        connection.request("GET", "/gaps")
        gaps = json.loads(connection.getresponse().read())
        connection.close()
        return gaps

    def test_http(self):
        self.mistreat({"type": "http"}, {
            "silent": ("fail", TIMED_OUT, True),
            "drip": ("fail", TIMED_OUT, True),
            "full": ("fail", TIMED_OUT, True),
            "headers": ("fail", "header", False),
            "babble": ("fail", "not an HTTP reply", False),
            "garbage": ("fail", "not an HTTP reply", False),
            "body": ("pass", "status 200", False),
            "cut": ("fail", "connection closed in the middle of a reply", False),
            "reset": ("fail", "connection reset by the other side", False),
            "hangup": ("fail", "connection closed before a reply", False),
        }, each_kib=5, reused=True)

    def test_http_with_a_body_that_is_looked_at(self):
        """The only check that keeps what a server sends."""
        self.mistreat({"type": "http", "expect-body": "fine"}, {
            "swollen": ("fail", TIMED_OUT, True),
            "body": ("fail", "body does not match /fine/ .first 64 KiB", False),
            "cut": ("fail", "connection closed in the middle of a reply", False),
        }, each_kib=80, reused=True, count=SOME)

    def test_tcp_connect(self):
        self.mistreat({"type": "tcp"}, {
            "full": ("fail", TIMED_OUT, True),
            "silent": ("pass", "connected", False),
            "babble": ("pass", "connected", False),
            "hangup": ("pass", "connected", False),
        }, each_kib=4, reused=True)

    def test_tcp_conversation(self):
        self.mistreat({"type": "tcp", "expect": "220 "}, {
            "silent": ("fail", NOT_IN_TIME, True),
            "handshake": ("fail", NOT_IN_TIME, True),
            "full": ("fail", NOT_IN_TIME, True),
            "garbage": ("fail", NOT_IN_TIME, True),
            "babble": ("fail", "expected .220 ", False),
            "cut": ("fail", "connection closed before .* got .HTTP", False),
            "reset": ("fail", "connection reset by the other side", False),
            "hangup": ("fail", "connection closed before", False),
        }, each_kib=5, reused=True)

    def test_https(self):
        # Thousands of handshakes at once, on both sides: that alone takes two processors some seconds.
        self.mistreat({"type": "http", "tls": True, "verify": False}, {
            "silent": ("fail", TIMED_OUT, True),
            "handshake": ("fail", TIMED_OUT, True),
            "full": ("fail", TIMED_OUT, True),
            "drip": ("fail", TIMED_OUT, True),
            "headers": ("fail", "header", False),
            "body": ("pass", "status 200", False),
            "babble": ("fail", "not an HTTP reply", False),
            "garbage": ("fail", "not an HTTP reply", False),
            "cut": ("fail", "connection closed in the middle of a reply", False),
            "reset": ("fail", "connection reset by the other side", False),
            "hangup": ("fail", "connection closed before a reply", False),
        }, each_kib=TLS_KIB, tls=True, timeout=60.0 if LONG else 8.0)

    def test_tcp_over_tls(self):
        self.mistreat({"type": "tcp", "tls": True, "verify": False, "expect": "220 "}, {
            "silent": ("fail", NOT_IN_TIME, True),
            "handshake": ("fail", NOT_IN_TIME, True),
            "full": ("fail", NOT_IN_TIME, True),
            "drip": ("fail", NOT_IN_TIME, True),
            "babble": ("fail", "expected .220 ", False),
            "garbage": ("fail", NOT_IN_TIME, True),
            "cut": ("fail", "connection closed before .* got .HTTP", False),
            "reset": ("fail", "connection reset by the other side", False),
            "hangup": ("fail", "connection closed before", False),
        }, each_kib=TLS_KIB, tls=True, timeout=60.0 if LONG else 3.0, count=FEW)

    def test_dns_over_tcp(self):
        self.mistreat({"type": "dns", "name": "www.example.org", "transport": "tcp"}, {
            "silent": ("fail", "no answer over TCP", True),
            "drip": ("fail", "no answer over TCP", True),
            "full": ("fail", TIMED_OUT, True),
            "garbage": ("fail", "no answer over TCP", True),  # it begins with the length of a long message
            "babble": ("fail", "no answer to the query", False),
            "cut": ("fail", "connection closed before an answer", False),
            "reset": ("fail", "connection reset by the other side", False),
            "hangup": ("fail", "connection closed before an answer", False),
        }, each_kib=5, reused=True, count=FEW)

    def test_dns(self):
        self.mistreat({"type": "dns", "name": "www.example.org"}, {
            "udp-silent": ("fail", "no answer to 3 queries", True),
            "udp-stranger": ("fail", "no answer to 3 queries", True),
            "udp-empty": ("fail", "no answer", True),
            "udp-garbage": ("fail", "no answer", True),
            "dns-others": ("fail", "no answer", True),
            "dns-cut": ("fail", "malformed answer", False),
            "dns-truncated": ("fail", "refused", False),
        }, each_kib=5, reused=True, count=min(FEW, SOME))

    def test_udp(self):
        self.mistreat({"type": "udp", "send": "ping", "expect": "fine"}, {
            "udp-silent": ("fail", "no answer within .* .3 tries", True),
            "udp-stranger": ("fail", "no answer within .* .3 tries", True),
            "udp-empty": ("fail", 'expected "fine", got ""', False),
            "udp-garbage": ("fail", r'expected "fine", got "\\x80', False),
            # Of so many at once the first datagrams may be lost, where others fill the queues.
            "udp-flood": ("fail", 'expected "fine", got "blah |no answer within', False),
        }, each_kib=4, reused=True, count=SOME)

    def test_exec(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        for name, lines in {
            "hangs": "exec sleep 600",
            "is-deaf": "trap '' TERM INT HUP; echo still here; while :; do sleep 600; done",
            "babbles": "exec yes well",
            "ends-badly": "echo halfway; kill -SEGV $$",
            "garbage": "printf 'caf\\351\\033[2J\\n'; exit 2",
            "leaves-others": "sleep 600 & sleep 600 & echo fine",
        }.items():
            (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
            (folder / name).chmod(0o755)
        self.CONFIG += f"[plugin.exec]\ndirectory = {folder}\nmax-running = 4096\n"
        self.mistreat({"type": "exec"}, {
            "hangs": ("fail", "no exit within .*, killed$", True),
            "is-deaf": ("fail", "no exit within .*, killed; it said: still here", True),
            "babbles": ("fail", "no exit within .*, killed; it said: well", True),
            "ends-badly": ("fail", "killed by SIGSEGV: halfway", False),
            "garbage": ("fail", r"caf.\?\[2J$", False),
            "leaves-others": ("pass", "fine", False),
        }, each_kib=8, timeout=3.0 * PATIENCE, count=min(COUNT, 50), server=Program)

    # What HTTP/2 adds to what may be done to a check.
    HTTP2 = {
        "h2-silent": ("fail", "timed out, before an answer", True),
        "h2-drip": ("fail", "timed out", True),
        "h2-headers": ("fail", "headers are longer than 16 KiB|breaks HTTP/2", False),
        "h2-body": ("fail", "answer is longer than 4 KiB|breaks HTTP/2", False),
        "h2-pings": ("fail", "breaks HTTP/2|more than 128 KiB", False),
        "h2-settings": ("fail", "breaks HTTP/2|more than 128 KiB", False),
        "h2-cut": ("fail", "connection closed in the middle of an answer", False),
    }

    def test_grpc(self):
        self.mistreat({"type": "grpc"}, {
            "silent": ("fail", "timed out, before an answer", True),
            "drip": ("fail", TIMED_OUT, True),
            "full": ("fail", "timed out, before the connection was made", True),
            "headers": ("fail", "speaks HTTP/1", False),
            "babble": ("fail", "does not speak HTTP/2", False),
            "garbage": ("fail", "does not speak HTTP/2", False),
            "reset": ("fail", "speaks HTTP/1", False),
            "hangup": ("fail", "connection closed before an answer", False),
            **self.HTTP2,
        }, each_kib=14, reused=True, count=FEW)

    def test_grpc_over_tls(self):
        self.mistreat({"type": "grpc", "tls": True, "verify": False}, {
            "silent": ("fail", "timed out, in the TLS handshake", True),
            "handshake": ("fail", "timed out, in the TLS handshake", True),
            "full": ("fail", "timed out, before the connection was made", True),
            "garbage": ("fail", "does not speak HTTP/2", False),
            "hangup": ("fail", "connection closed before an answer", False),
            **self.HTTP2,
        }, each_kib=TLS_KIB, tls=True, timeout=60.0 if LONG else 3.0, count=FEW)


if __name__ == "__main__":
    unittest.main()
