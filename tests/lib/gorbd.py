"""A gorbd under test: starting it, speaking to it over REST, reading its log, ending it.

GORB_BUILD names the build directory. Every wait is bounded; where everything is slower (an emulated guest), GORB_SLOW
stretches the bounds.
"""
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

BUILD = Path(os.environ.get("GORB_BUILD", "build/dev")).resolve()
BINARY = BUILD / "bin" / "gorbd"
SLOW = float(os.environ.get("GORB_SLOW", "6" if os.environ.get("GORB_IN_VM") else "1"))


def wait_until(what, condition, seconds=10.0, every=0.02):
    """The first true value of condition(); AssertionError naming `what` (or what() then says) when there is none in time."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds * SLOW:.0f} s: {what() if callable(what) else what}")
        time.sleep(every)


class Reply:
    """An answer: status, headers (lower case), text, and its JSON."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status} {self.text}"


class Gorbd:
    """One daemon. Use as a context manager, or end it with terminate() or kill().

    `namespace` is a context manager that moves the calling thread into a network namespace (lab.Namespace). With the kernel's
    table it keeps its state in a folder of its own, which outlives kill() and start().
    """

    def __init__(self, *options, namespace=None, env=None, start=True, listen="127.0.0.1:0"):
        self.namespace = namespace or contextlib.nullcontext()
        self.folder = tempfile.TemporaryDirectory(prefix="gorbd.")
        self.log_file = Path(self.folder.name) / "log"
        self.state = Path(self.folder.name) / "state"
        options = list(map(str, options))
        if "memory" not in options and not any(option.startswith("--state-directory") for option in options):
            options += ["--state-directory", str(self.state)]
        self.command = [str(BINARY), *(["--listen", listen] if listen else []), *options]
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.starts = 0
        if start:
            self.start()

    def start(self, listening=True):
        with self.log_file.open("ab") as log, self.namespace:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env, cwd="/")
        if listening:
            self.address = self._wait_for_address()
            self.starts += 1
        return self

    def _wait_for_address(self):
        def found():
            if self.process.poll() is not None:
                raise AssertionError(f"gorbd ended at its start with {self.process.returncode}:\n{self.log()}")
            lines = re.findall(r"^.*\blistening\b.*\baddress=(\S+):(\d+)", self.log(), re.MULTILINE)
            return lines[self.starts:]  # One line for each start before this one.

        host, port = wait_until("gorbd says where it listens", found, 20)[-1]
        return host.strip("[]"), int(port)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def request(self, method, path, body=None, headers=None, raw=None):
        """`body` is sent as JSON, `raw` as it is."""
        headers = dict(headers or {})
        if body is not None:
            raw = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(*self.address, timeout=20 * SLOW)
        with contextlib.closing(connection):
            with self.namespace:
                connection.connect()
            connection.request(method, path, raw, headers)
            return Reply(connection.getresponse())

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def put(self, path, body=None, **more):
        return self.request("PUT", path, body, **more)

    def patch(self, path, body=None, **more):
        return self.request("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def made(self, path, body, **more):
        """PUT that has to succeed."""
        reply = self.put(path, body, **more)
        assert reply.status == 200, f"PUT {path}: {reply}"
        return reply.json

    def wait_for(self, path, condition, what, seconds=10.0):
        """Waits until condition(GET path as JSON)."""
        return wait_until(lambda: f"{path}: {what}; at last {self.get(path)}", lambda: condition(self.get(path).json), seconds)

    def ended(self, seconds=10.0):
        """The exit status, once it ends by itself."""
        try:
            return self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"gorbd does not end; its log:\n{self.log()}") from None

    def terminate(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.ended()

    def kill(self):
        self.process.kill()
        return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process and self.process.poll() is None:
            self.kill()
        if kind:
            print(f"---- log of gorbd\n{self.log()}----")
        self.folder.cleanup()


def run_gorbd(*options, namespace=None, seconds=20.0, env=None, before=()):
    """Runs gorbd to its end: (exit status, everything it wrote). `before` is a command that runs it."""
    with namespace or contextlib.nullcontext():
        done = subprocess.run([*before, str(BINARY), *map(str, options)], stdin=subprocess.DEVNULL, cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds * SLOW,
                              env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(errors="replace")
