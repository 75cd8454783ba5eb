"""Clients that must not notice anything: a download without end, requests on one connection that stays, and requests on
connections of their own from one address (which a persistent service sends to one server).

They run in a process of their own in the client's namespace. What they do is counted in memory that both processes see, what
went wrong is written down in words.
"""
import contextlib
import mmap
import signal
import socket
import struct
import tempfile
import threading
import time

from gorbd import SLOW, wait_until
from lab import Process

KINDS = ("download", "kept", "fresh")
BLOCK = 8 * 512  # as servers.http_server writes it: a number, 512 times
PATIENCE = 20  # No answer for so long is a failure; a packet that was dropped comes again well before.


class Traffic:
    """Use as a context manager; at its end each client has to have come on, and nothing to have failed."""

    def __init__(self, lab, address, port=80, download=None):
        """The download may be from another (address, port)."""
        self.lab, self.address, self.download = lab, (address, port), download or (address, port)
        self.shared = mmap.mmap(-1, 8 * (len(KINDS) + 1))
        self.trouble = tempfile.NamedTemporaryFile(prefix="traffic.")
        self.names = tempfile.NamedTemporaryFile(prefix="traffic.")
        self.process = None

    def counts(self):
        return dict(zip(KINDS, struct.unpack_from(f"{len(KINDS)}Q", self.shared)))

    def servers(self):
        """Who answered on fresh connections, in order, each once for as long as it was the same."""
        with open(self.names.name) as file:
            return file.read().split()

    def failures(self):
        with open(self.trouble.name) as file:
            return file.read()

    def goes_on(self, steps=3):
        """Waits until every client has come on by so many steps, and says what failed before."""
        before = self.counts()

        def on():
            if self.failures():
                raise AssertionError(self.failures())
            return all(now >= before[kind] + steps for kind, now in self.counts().items())

        wait_until(lambda: f"traffic goes on: {before} -> {self.counts()}", on, 30)

    def __enter__(self):
        self.process = Process(self.lab.client, self._run)
        self.goes_on()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.goes_on()
        finally:
            print(f"---- traffic: {self.counts()}, served by {self.servers()}; failures: {self.failures() or 'none'}")
            self.process.kill()
            self.trouble.close()
            self.names.close()

    # ---- in the process of the clients

    def _run(self, ready):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threads = [threading.Thread(target=self._client, args=(number, kind), daemon=True) for number, kind in enumerate(KINDS)]
        for thread in threads:
            thread.start()
        ready()
        for thread in threads:
            thread.join()

    def _client(self, number, kind):
        def step():
            struct.pack_into("Q", self.shared, 8 * number, struct.unpack_from("Q", self.shared, 8 * number)[0] + 1)

        try:
            getattr(self, f"_{kind}")(step)
        except (OSError, AssertionError) as error:
            with open(self.trouble.name, "a") as file:
                file.write(f"{kind}: {type(error).__name__} {error}\n")

    def _connect(self, to, source=None):
        return socket.create_connection(to, PATIENCE * SLOW, (source, 0) if source else None)

    def _download(self, step):
        with contextlib.closing(self._connect(self.download)) as connection:
            connection.sendall(b"GET /endless HTTP/1.1\r\nHost: vip\r\n\r\n")
            stream = connection.makefile("rb")
            while stream.readline().strip():
                pass
            number = 0
            while True:
                block = stream.read(BLOCK)
                assert len(block) == BLOCK, f"the download ended after {number} blocks"
                assert block == number.to_bytes(8, "big") * 512, f"block {number} is another one"
                number += 1
                step()

    def _kept(self, step):
        with contextlib.closing(self._connect(self.address)) as connection:
            stream = connection.makefile("rb")
            first = self._ask(connection, stream)
            while True:
                name = self._ask(connection, stream)
                assert name == first, f"{name} answered on a connection to {first}"
                step()
                time.sleep(0.02)

    def _fresh(self, step):
        last = None
        while True:
            with contextlib.closing(self._connect(self.address, "10.0.0.3")) as connection:
                name = self._ask(connection, connection.makefile("rb"))
            if name != last:
                with open(self.names.name, "a") as file:
                    file.write(f"{name}\n")
                last = name
            step()
            time.sleep(0.02)

    @staticmethod
    def _ask(connection, stream):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n")
        status = stream.readline()
        assert b" 200 " in status, f"answer {status!r}"
        length = 0
        while line := stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return stream.read(length).decode().strip()
