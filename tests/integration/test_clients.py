"""Clients that keep connections open and clients that drip keep nobody else waiting."""
import contextlib
import resource
import socket
import tempfile
import time
import unittest

from gorbd import SLOW, Gorbd, wait_until

IDLE = 1000
DRIPPING = 64  # More than any pool of workers has threads.


class Clients(unittest.TestCase):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        state = self.enterContext(tempfile.TemporaryDirectory())  # durable, as it is by itself
        self.gorbd = self.enterContext(Gorbd("--driver", "memory", "--state-directory", state))
        self.open = self.enterContext(contextlib.ExitStack())

    def connect(self):
        return self.open.enter_context(socket.create_connection(self.gorbd.address, 10 * SLOW))

    def fresh(self):
        """Seconds that a client waits who comes now."""
        since = time.monotonic()
        self.assertEqual(self.gorbd.get("/service").status, 200)
        return time.monotonic() - since

    def test_a_thousand_idle_connections(self):
        for _ in range(IDLE):
            idle = self.connect()
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
            self.assertIn(b" 200 ", idle.recv(4096))
        self.assertLessEqual(min(self.fresh() for _ in range(3)), 0.1 * SLOW)
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")  # And the idle ones are still served.
        self.assertIn(b" 200 ", idle.recv(4096))

    def test_clients_that_send_a_byte_a_second(self):
        dripping = [self.connect() for _ in range(DRIPPING)]
        for second in range(2):
            for client in dripping:
                client.sendall(b"GET /service"[second:second + 1])
            self.assertLessEqual(self.fresh(), 10 * SLOW)
            time.sleep(1)

    def test_who_takes_too_long_is_told_so(self):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write("[rest]\nrequest-timeout = 300ms\n")
            file.flush()
            with Gorbd("--driver", "memory", "--config", file.name) as gorbd:
                with socket.create_connection(gorbd.address, 10 * SLOW) as slow:
                    slow.sendall(b"GET /service HTTP/1.1\r\nHost:")
                    answer = wait_until("an answer", lambda: slow.recv(4096), 10)
                    self.assertIn(b" 408 ", answer.split(b"\r\n")[0])
