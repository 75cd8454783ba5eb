"""Servers that behave badly, many of each at once, and a gorbd in front of them that keeps its deadlines, its memory, its
descriptors, its other checks and its words."""
import contextlib
import http.client
import json
import unittest

from gorbd import SLOW, wait_until
from room import COUNT, FIRST, LONG, SANITIZED, RobustTest, Server, addresses

# Where we may not go before the rest of the machine, its part in how late things are is allowed for.
PATIENCE = SLOW * (1 if FIRST else 4)
TIMEOUT = 5.0 if LONG else 1.0 if FIRST else 3.0
TIMED_OUT = "timed out"
NOT_IN_TIME = "timed out|within the timeout"
# Of those that came later, fewer in the short form: they are variations.
FEW = COUNT if LONG else min(COUNT, 50)
# Servers that never get through a TLS handshake.
OUTSIDE_TLS = {"handshake", "silent", "full"}
# For a check that ends by its deadline: how late its result may be.
GRACE = (2.0 if LONG else 0.4) * PATIENCE


class Hostile(RobustTest):
    memory = None  # of gorbd before the first group

    def mistreat(self, pulse, cases, each_kib, tls=False, reused=False, timeout=TIMEOUT, count=COUNT):
        """`cases`: {mode: (verdict, what the reason has to match, whether the deadline has to pass)}. `each_kib`: what gorbd may
        use for a backend while all of them are being checked. `reused`: it keeps sockets for half a minute, for the next checks.
        The modes are there at the same time; with thousands over TLS one after the other, for want of memory in their servers."""
        gorbd = self.daemon()
        certificate = self.certificate() if tls else ()
        well = self.server("well")
        healthy = addresses(20)
        gorbd.serve("healthy", well.port, {"type": "http", "interval": "200ms", "timeout": "1s"}, healthy)
        self.checked(gorbd, "healthy", 10, 2)
        for modes in [[mode] for mode in cases] if tls and LONG else [list(cases)]:
            with contextlib.ExitStack() as ends:
                servers = {mode: ends.enter_context(Server(mode, *(() if mode in OUTSIDE_TLS else certificate))) for mode in modes}
                self.at_once(gorbd, well, servers, pulse, cases, each_kib, reused, timeout, count)
        for name, backend in gorbd.backends("healthy").items():
            self.assertEqual((backend["state"], backend["counts"]["failures"]), ("up", 0), name)
        self.assertEqual(gorbd.terminate(), 0, gorbd.log())

    def at_once(self, gorbd, well, servers, pulse, cases, each_kib, reused, timeout, count):
        """So many of each of the servers."""
        # One of each, so that all that is made once is there.
        for mode, server in servers.items():
            gorbd.serve(f"first-{mode}", server.port, {**pulse, "timeout": "300ms", "interval": "1h"}, addresses(1))
        for mode in servers:
            self.checked(gorbd, f"first-{mode}", 10)
            gorbd.delete(f"/service/first-{mode}")
        healthy = len(gorbd.backends("healthy"))
        fds = len(gorbd.descriptors())
        memory = self.memory = self.memory or gorbd.memory("VmRSS")  # what one group leaves is there for the next
        gorbd.forget_peak()
        self.gaps(gorbd, well)

        full = {**pulse, "timeout": f"{timeout}s", "interval": "1h"}
        for mode, server in servers.items():
            gorbd.serve(mode, server.port, full, addresses(count))
        results = {mode: self.checked(gorbd, mode, timeout + 20) for mode in servers}
        peak = gorbd.memory("VmHWM")
        for mode, backends in results.items():
            self.assertEqual(len(backends), count)
            for backend in backends.values():
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
            self.assertEqual(gorbd.delete(f"/service/{mode}").status, 200)
        # Those of the healthy checks come and go. The short form does not wait for sockets to be given back.
        most = fds + healthy + (count * len(servers) if reused and not LONG else 0)
        wait_until(f"descriptors return to {most}; now {len(gorbd.descriptors())}",
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
            "cut": ("fail", "connection (closed|reset).* in the middle of a reply", False),
            "reset": ("fail", "connection (reset|closed)", False),
            "hangup": ("fail", "connection (closed|reset)", False),
        }, each_kib=40, reused=True)

    def test_tcp_connect(self):
        self.mistreat({"type": "tcp"}, {
            "full": ("fail", TIMED_OUT, True),
            "silent": ("pass", "connected", False),
            "babble": ("pass", "connected", False),
            "hangup": ("pass", "connected", False),
        }, each_kib=8, reused=True)

    def test_tcp_conversation(self):
        self.mistreat({"type": "tcp", "expect": "220 "}, {
            "silent": ("fail", NOT_IN_TIME, True),
            "handshake": ("fail", NOT_IN_TIME, True),
            "full": ("fail", NOT_IN_TIME, True),
            "garbage": ("fail", NOT_IN_TIME, True),
            "babble": ("fail", "expected .220 ", False),
            "cut": ("fail", "closed", False),
            "reset": ("fail", "reset|closed", False),
            "hangup": ("fail", "closed", False),
        }, each_kib=40, reused=True)

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
            "cut": ("fail", "connection (closed|reset).* in the middle of a reply", False),
            "reset": ("fail", "connection (reset|closed)", False),
            "hangup": ("fail", "closed", False),
        }, each_kib=150, tls=True, timeout=60.0 if LONG else 8.0)

    def test_tcp_over_tls(self):
        self.mistreat({"type": "tcp", "tls": True, "verify": False, "expect": "220 "}, {
            "silent": ("fail", NOT_IN_TIME, True),
            "handshake": ("fail", NOT_IN_TIME, True),
            "full": ("fail", NOT_IN_TIME, True),
            "drip": ("fail", NOT_IN_TIME, True),
            "babble": ("fail", "expected .220 ", False),
            "garbage": ("fail", NOT_IN_TIME, True),
            "cut": ("fail", "closed", False),
            "reset": ("fail", "reset|closed", False),
            "hangup": ("fail", "closed", False),
        }, each_kib=150, tls=True, timeout=60.0 if LONG else 3.0, count=FEW)

    def test_dns_over_tcp(self):
        self.mistreat({"type": "dns", "name": "www.example.org", "transport": "tcp"}, {
            "silent": ("fail", "no answer over TCP", True),
            "drip": ("fail", "no answer over TCP", True),
            "full": ("fail", TIMED_OUT, True),
            "garbage": ("fail", "no answer over TCP", True),  # it begins with the length of a long message
            "babble": ("fail", "no answer to the query", False),
            "cut": ("fail", "closed before an answer|reset", False),
            "reset": ("fail", "reset|closed", False),
            "hangup": ("fail", "closed before an answer|reset", False),
        }, each_kib=80, reused=True, count=FEW)

    # What HTTP/2 adds to what may be done to a check.
    HTTP2 = {
        "h2-silent": ("fail", "timed out, before an answer", True),
        "h2-drip": ("fail", "timed out", True),
        "h2-headers": ("fail", "headers are longer than 16 KiB|breaks HTTP/2", False),
        "h2-body": ("fail", "answer is longer than 4 KiB|breaks HTTP/2", False),
        "h2-pings": ("fail", "breaks HTTP/2|more than 128 KiB", False),
        "h2-settings": ("fail", "breaks HTTP/2|more than 128 KiB", False),
        "h2-cut": ("fail", "closed|reset", False),
    }

    def test_grpc(self):
        self.mistreat({"type": "grpc"}, {
            "silent": ("fail", "timed out, before an answer", True),
            "drip": ("fail", TIMED_OUT, True),
            "full": ("fail", "timed out, before the connection was made", True),
            "headers": ("fail", "speaks HTTP/1", False),
            "babble": ("fail", "does not speak HTTP/2", False),
            "garbage": ("fail", "does not speak HTTP/2", False),
            "reset": ("fail", "reset|closed|speaks HTTP/1", False),
            "hangup": ("fail", "closed|reset", False),
            **self.HTTP2,
        }, each_kib=60, reused=True, count=FEW)

    def test_grpc_over_tls(self):
        self.mistreat({"type": "grpc", "tls": True, "verify": False}, {
            "silent": ("fail", "timed out, in the TLS handshake", True),
            "handshake": ("fail", "timed out, in the TLS handshake", True),
            "full": ("fail", "timed out, before the connection was made", True),
            "garbage": ("fail", "does not speak HTTP/2", False),
            "hangup": ("fail", "closed|reset", False),
            **self.HTTP2,
        }, each_kib=200, tls=True, timeout=60.0 if LONG else 3.0, count=FEW)


if __name__ == "__main__":
    unittest.main()
