"""Backends for the daemon's checks: on loopback, in threads of the test, on ports of the kernel's choice; and what those of
Debian's packages need to be started by a test."""
import contextlib
import http.server
import os
import shutil
import socket
import threading


def program(name, package):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is missing; Debian's package is {package}"
    return found


def free_port(*kinds):
    """A port that is free for all of these, TCP unless said otherwise."""
    kinds = kinds or (socket.SOCK_STREAM,)
    for _ in range(100):
        with contextlib.ExitStack() as probes:
            port = 0
            try:
                for kind in kinds:
                    probe = probes.enter_context(socket.socket(socket.AF_INET, kind))
                    probe.bind(("127.0.0.1", port))
                    port = probe.getsockname()[1]
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


class HttpBackend:
    """An HTTP server whose answer can be changed. Use as a context manager; .port, .seen (requests), .status."""

    def __init__(self, status=200):
        self.status, self.seen = status, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                outer.seen.append((self.command, self.path, dict(self.headers)))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_POST = do_OPTIONS = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class TcpBackend:
    """A port that can be opened and closed."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.listener = None

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        return self

    def close(self):
        if self.listener:
            self.listener.close()
            self.listener = None

    def __enter__(self):
        return self.open()

    def __exit__(self, *_):
        self.close()
