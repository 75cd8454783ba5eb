"""Where a benchmark of checks runs: a network namespace of its own, a server farm on the last cpu, the checker on the
first; and what is read of both: CPU time, memory, connections."""
import contextlib
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

PORT, HOLE, VICTIM = 9000, 9001, 9002
TICK = os.sysconf("SC_CLK_TCK")
ALLOWED = sorted(os.sched_getaffinity(0))
PAGE = os.sysconf("SC_PAGE_SIZE")


def enter_namespace():
    """Starts this program again in a new network namespace; returns there, and never where it was called."""
    if os.environ.get("GORB_BENCH_INSIDE") != "1":
        user = [] if os.geteuid() == 0 else ["-r"]
        inside = subprocess.Popen(["unshare", *user, "-n", sys.executable, *sys.argv], start_new_session=True,
                                  env={**os.environ, "GORB_BENCH_INSIDE": "1"})
        signal.signal(signal.SIGTERM, lambda *_: inside.terminate())
        try:
            sys.exit(inside.wait())
        except KeyboardInterrupt:
            inside.terminate()
            sys.exit(inside.wait())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Ends what was started on the way out.
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/core/somaxconn").write_text("65535")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    # Other work on the machine shall matter less. Where tasks are grouped by session, only the group's niceness counts.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("-20")
    os.sched_setaffinity(0, cpus()[1])


def cpus():
    """(the checker's cpus, the farm's)"""
    return {ALLOWED[0]}, {ALLOWED[-1]}


@contextlib.contextmanager
def pinned(where):
    """What is started within runs on these cpus."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, where)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def address(i):
    """The i-th of the farm's addresses, as bench_floor counts them."""
    return f"127.{1 + i // 62500}.{i // 250 % 250}.{i % 250 + 1}"


def victim_address(i):
    return f"127.255.{i // 250}.{i % 250 + 1}"


class Farm:
    def __init__(self, build, victims=0):
        with pinned(cpus()[1]):
            self.process = subprocess.Popen(
                [build / "bin" / "bench_farm", "--port", str(PORT), "--hole", str(HOLE), "--victims", str(victims),
                 "--victim-port", str(VICTIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "bench_farm did not start"

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return [int(word) for word in self.process.stdout.readline().split()]

    def requests(self):
        return self.ask("stats")[0]

    def kill(self, victim):
        """Ends a victim; the wall clock's ns just before."""
        return self.ask(f"kill {victim}")[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def tcp_counter(name):
    """Of this namespace, /proc/net/snmp: ActiveOpens, AttemptFails ..."""
    head, values = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:")]
    return int(values[head.index(name)])


def time_waits():
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        words = line.split()
        if words[0] == "TCP:":
            return int(words[words.index("tw") + 1])
    return 0


def rss(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Cpu:
    """CPU time of a process so far: `total` in seconds, exact; `user` and `system` by the ticks the kernel saw."""

    def __init__(self, pid):
        self.total = self.user = self.system = 0.0
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                self.total += int((task / "schedstat").read_text().split()[0]) / 1e9
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        self.user, self.system = int(words[11]) / TICK, int(words[12]) / TICK


class Figure:
    """What was measured of one checker over one stretch of time."""

    def __init__(self, seconds, checks, due, before, after, memory, late=(None, None)):
        self.done, self.due = checks / seconds, due
        self.us = (after.total - before.total) / max(checks, 1) * 1e6
        ticks = (after.user + after.system) - (before.user + before.system)
        self.user_us = self.us * ((after.user - before.user) / ticks if ticks else 0)
        self.memory, self.late = memory, late


def watch(subject, farm, seconds):
    """Watches a running checker; counts connections for tcp, requests for http."""
    count = (lambda: tcp_counter("ActiveOpens")) if subject.kind == "tcp" else farm.requests
    memory = rss(subject.pid)  # Before late(), which may have it write a long page.
    subject.late()
    before, checks, start = Cpu(subject.pid), count(), time.monotonic()
    time.sleep(seconds)
    after, checks, spent = Cpu(subject.pid), count() - checks, time.monotonic() - start
    return Figure(spent, checks, subject.rate, before, after, memory, subject.late())


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else None


def need(program, package):
    if not shutil.which(program):
        sys.exit(f"{program} is missing; on Debian: apt-get install {package} (packaging/packages.sh bench)")
