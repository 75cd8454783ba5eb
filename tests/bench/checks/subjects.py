"""The checkers that are compared. Each is a context manager around one process, pinned to the checker's cpu."""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from world import PORT, address, cpus, pinned

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

PER_SERVICE = 1000
PIPELINED = 256  # requests that are sent before the answer of the first is read


class Floor:
    """bench_floor: tcp, http (kept connections) or fresh (one for each check)."""

    def __init__(self, build, mode, backends, interval):
        self.name, self.kind, self.rate = "floor", "tcp" if mode == "tcp" else "http", backends / interval
        self.command = [build / "bin" / "bench_floor", mode, str(backends), str(int(interval * 1000)), str(PORT)]

    def __enter__(self):
        with pinned(cpus()[0]):
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        return self

    def late(self):
        """(p50, p99) in ms since the last call."""
        self.process.stdin.write("stats\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        return int(words[2]) / 1000, int(words[3]) / 1000

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class HAProxy:
    """Its checks only: nothing connects to its frontends. It opens a connection for every check."""

    def __init__(self, kind, backends, interval, where=None):
        self.name, self.kind, self.rate = "haproxy", kind, backends / interval
        self.backends, self.interval, self.where = backends, interval, where or (lambda i: (address(i), PORT))
        self.down = {}  # When it said that a server is, in ns of the wall clock.

    def config(self):
        yield (f"global\n  nbthread 1\n  maxconn 1000\n"
               f"defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n"
               f"  timeout check 1s\n  default-server inter {int(self.interval * 1000)}ms fall 3 rise 2\n")
        for i in range(self.backends):
            if i % PER_SERVICE == 0:
                yield f"backend b{i}\n  balance roundrobin\n"
                if self.kind == "http":
                    yield "  option httpchk\n  http-check send meth GET uri / ver HTTP/1.1 hdr Host bench\n" \
                          "  http-check expect status 200\n"
            host, port = self.where(i)
            yield f"  server s{i} {host}:{port} check\n"
        yield "frontend f\n  bind 127.0.0.1:4699\n  default_backend b0\n"

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="haproxy.")
        file = Path(self.folder.name) / "haproxy.cfg"
        file.write_text("".join(self.config()))
        with pinned(cpus()[0]):
            self.process = subprocess.Popen(["haproxy", "-db", "-f", file], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self.listen)
        self.reader.start()
        return self

    def listen(self):
        for line in self.process.stderr:
            if found := re.search(rb"Server b\d+/s(\d+) is DOWN", line):
                self.down.setdefault(int(found[1]), time.time_ns())

    def late(self):
        return None, None  # It does not tell.

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()
        self.folder.cleanup()


class Gorbd:
    """gorbd as it is shipped, with the table in memory. `pulse` is what its backends are given."""

    def __init__(self, build, pulse, backends, interval, where=None, loops=1, name="gorbd", durable=False):
        os.environ["GORB_BUILD"] = str(build)
        from gorbd import Gorbd as Daemon
        self.name, self.kind, self.rate = name, pulse["type"], backends / interval
        self.pulse = {"interval": f"{int(interval * 1e6)}us", "timeout": "1s", **pulse}
        self.backends, self.where, self.loops = backends, where or (lambda i: (address(i), PORT)), loops
        self.make, self.durable = Daemon, durable
        self.services = 0

    def __enter__(self):
        self.config = tempfile.NamedTemporaryFile("w", suffix=".ini")
        self.config.write(f"[health]\nloops = {self.loops}\n")
        self.config.flush()
        with pinned(cpus()[0] if self.loops == 1 else cpus()[0] | cpus()[1]):
            self.daemon = self.make("--driver", "memory", "--config", self.config.name, start=False)
            if self.durable:
                self.daemon.command += ["--state-directory", str(self.daemon.state)]
            self.daemon.start()
        self.pid = self.daemon.process.pid
        self.bare = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        self.seen = {}
        self.load(0, self.backends)
        return self

    def restart(self):
        """kill -9 and a start from the store."""
        self.daemon.kill()
        with pinned(cpus()[0] if self.loops == 1 else cpus()[0] | cpus()[1]):
            self.daemon.start()
        self.pid = self.daemon.process.pid

    def put(self, path, body):
        text = json.dumps(body)
        return (f"PUT {path} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(text)}\r\n\r\n{text}").encode()

    def load(self, first, count, service="s"):
        """Creates backends with pipelined PUTs over one connection, 1,000 to a service; the seconds it took."""
        start = time.monotonic()
        requests = []
        for i in range(first, first + count):
            if i % PER_SERVICE == 0:
                vip = {"address": f"10.0.{self.services // 250}.{self.services % 250 + 1}", "port": 80}
                requests.append(self.put(f"/service/{service}{i // PER_SERVICE}", vip))
                self.services += 1
            host, port = self.where(i)
            requests.append(self.put(f"/service/{service}{i // PER_SERVICE}/b{i}",
                                     {"address": host, "port": port, "pulse": self.pulse}))
        with socket.create_connection(self.daemon.address, timeout=60) as conn:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(requests), PIPELINED):
                part = requests[at:at + PIPELINED]
                conn.sendall(b"".join(part))
                answers(conn, len(part))
        return time.monotonic() - start

    def document(self, first, count, service):
        """What PUT /config takes: what there is, and backends as load() makes them, 1,000 to a service."""
        document = self.daemon.get("/config").json
        for i in range(first, first + count):
            if i % PER_SERVICE == 0:
                backends = {}
                document["services"][f"{service}{i // PER_SERVICE}"] = {
                    "address": f"10.0.{self.services // 250}.{self.services % 250 + 1}", "port": 80, "backends": backends}
                self.services += 1
            host, port = self.where(i)
            backends[f"b{i}"] = {"address": host, "port": port, "pulse": self.pulse}
        return json.dumps(document).encode()

    def put_config(self, document):
        reply = self.daemon.request("PUT", "/config", raw=document, headers={"Content-Type": "application/json"})
        assert reply.status == 200, reply

    def metrics(self):
        """Metrics without labels, by name. The page is long: it is written on the farm's cpu, beside the checks."""
        rest = [int(task.name) for task in Path(f"/proc/{self.pid}/task").iterdir()
                if (task / "comm").read_text() in ("rest\n", "rest-worker\n")]
        before = [os.sched_getaffinity(task) for task in rest]
        for task in rest:
            os.sched_setaffinity(task, cpus()[1])
        text = self.daemon.get("/metrics").text
        for task, where in zip(rest, before):
            os.sched_setaffinity(task, where)
        return {m[1]: float(m[2]) for m in re.finditer(r"^([a-z_]+(?:\{le=\"[^\"]+\"\})?) (\S+)$", text, re.MULTILINE)}

    def late(self):
        """(p50, p99) in ms since the last call, from the histogram of lateness."""
        now = {k: v for k, v in self.metrics().items() if k.startswith("gorb_check_lateness_seconds_bucket")}
        counts = sorted((float(re.search(r'"(.*)"', k)[1]), v - self.seen.get(k, 0)) for k, v in now.items())
        self.seen = now
        total = counts[-1][1] if counts else 0
        if not total:
            return None, None
        return tuple(next(le for le, n in counts if n >= total * part) * 1000 for part in (0.5, 0.99))

    def backends_of(self, service):
        """The backends of one service as they are now."""
        return self.daemon.get(f"/service/{service}?expand=backends").json["backends"]

    def __exit__(self, *_):
        if self.daemon.process.poll() is None:
            self.daemon.kill()
        self.daemon.folder.cleanup()
        self.config.close()


def answers(conn, count):
    """Reads so many answers, all of which have to be 200."""
    data = b""
    while data.count(b"HTTP/1.1 ") < count or not data.endswith(b"}"):
        part = conn.recv(1 << 20)
        if not part:
            raise AssertionError(f"gorbd closed the connection after {data[-300:]!r}")
        data += part
        if b"}" not in part[-3:]:
            continue
    bad = re.search(rb"HTTP/1\.1 (?!200)[^\r]*\r\n.*", data, re.DOTALL)
    assert not bad, f"gorbd answered {bad[0][:500]!r}"
