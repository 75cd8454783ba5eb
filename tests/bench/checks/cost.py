"""What a check costs: gorbd beside HAProxy and the floor program, in turn."""
import time

from subjects import PER_SERVICE, Floor, Gorbd, HAProxy
from world import Farm, median, watch

TCP = {"type": "tcp"}
HTTP = {"type": "http", "path": "/"}  # as it is by itself: kept connections, every tenth check with a fresh one
HTTP_KEPT = {"type": "http", "path": "/", "keep-alive": True, "fresh-every": 0}
HTTP_FRESH = {"type": "http", "path": "/", "keep-alive": False}


def in_turn(makers, farm, rounds, seconds):
    """Figures of each maker's subject, by its name: A B C, A B C ..."""
    figures = {}
    for _ in range(rounds):
        for name, make in makers.items():
            with make() as subject:
                time.sleep(2)
                figure = watch(subject, farm, seconds)
                figure.bare = getattr(subject, "bare", 0)
                figures.setdefault(name, []).append(figure)
    return figures


def tell(report, title, figures, backends):
    us, user = {}, {}
    for name, all_of in figures.items():
        us[name] = median([f.us for f in all_of])
        user[name] = median([f.user_us for f in all_of])
        low, high = min(f.us for f in all_of), max(f.us for f in all_of)
        report.line(f"{title} {name}: cpu a check", us[name], f"us [{low:.1f}-{high:.1f}]")
        report.line(f"{title} {name}: of it user space", user[name], "us",
                    3 if name.startswith("gorbd") and backends >= 10000 else None)
        report.line(f"{title} {name}: done of due", 100 * median([f.done / f.due for f in all_of]), "%")
        report.line(f"{title} {name}: rss a backend",
                    median([(f.memory - f.bare) / backends for f in all_of]), "B",
                    512 if name.startswith("gorbd") and backends >= 10000 else None)
        report.line(f"{title} {name}: rss", median([f.memory for f in all_of]) / 1e6, "MB")
        for i, part in enumerate(("p50", "p99")):
            late = median([f.late[i] for f in all_of])
            if late is not None or name.startswith("gorbd"):
                report.line(f"{title} {name}: late {part}", late, "ms")
    return us, user


def compare(report, title, us, user, name, peer, goal=None):
    """`name` beside a peer, and what it does in user space beyond that: of the floor all of it is system calls."""
    report.line(f"{title}: {name} / {peer}", us[name] / us[peer], "x", goal)
    if peer.startswith("floor"):
        report.line(f"{title}: {name} - {peer}, user space", user[name] - user[peer], "us")


def size(backends):
    return f"{backends // 1000}k" if backends >= 1000 else str(backends)


def tcp(report, bench, backends, interval=1.0):
    makers = {"gorbd": lambda: Gorbd(bench.build, TCP, backends, interval),
              "haproxy": lambda: HAProxy("tcp", backends, interval),
              "floor": lambda: Floor(bench.build, "tcp", backends, interval)}
    with Farm(bench.build) as farm:
        costs = tell(report, f"tcp {size(backends)}", in_turn(makers, farm, bench.rounds, bench.seconds), backends)
    compare(report, f"tcp {size(backends)}", *costs, "gorbd", "haproxy", 0.65)
    compare(report, f"tcp {size(backends)}", *costs, "gorbd", "floor", 1.5 if backends >= 10000 else None)


def http(report, bench, backends, interval=1.0):
    makers = {"gorbd": lambda: Gorbd(bench.build, HTTP, backends, interval),
              "gorbd-kept": lambda: Gorbd(bench.build, HTTP_KEPT, backends, interval),
              "gorbd-fresh": lambda: Gorbd(bench.build, HTTP_FRESH, backends, interval),
              "haproxy": lambda: HAProxy("http", backends, interval),
              "floor-kept": lambda: Floor(bench.build, "http", backends, interval),
              "floor-fresh": lambda: Floor(bench.build, "fresh", backends, interval)}
    with Farm(bench.build) as farm:
        costs = tell(report, f"http {size(backends)}", in_turn(makers, farm, bench.rounds, bench.seconds), backends)
    compare(report, f"http {size(backends)}", *costs, "gorbd", "haproxy", 0.25)
    for kind, goal in (("kept", 0.25), ("fresh", 0.9)):
        compare(report, f"http {size(backends)}", *costs, f"gorbd-{kind}", "haproxy", goal)
        compare(report, f"http {size(backends)}", *costs, f"gorbd-{kind}", f"floor-{kind}")


def many(report, bench, backends=100000, interval=5.0):
    """100,000 backends: cost, memory, how soon all have been checked for the first time."""
    title = f"tcp {size(backends)}"
    with Farm(bench.build) as farm:
        with Floor(bench.build, "tcp", backends, interval) as subject:
            time.sleep(interval + 1)
            figure = watch(subject, farm, bench.seconds + 2)
            floor = figure.us
            report.line(f"{title} floor: cpu a check", figure.us, "us")
        with HAProxy("tcp", backends, interval) as subject:
            time.sleep(2 * interval)
            figure = watch(subject, farm, bench.seconds + 2)
            haproxy = figure.us
            report.line(f"{title} haproxy: cpu a check", figure.us, "us")
            report.line(f"{title} haproxy: done of due", 100 * figure.done / figure.due, "%")
        start = time.monotonic()
        with Gorbd(bench.build, TCP, backends, interval) as subject:
            report.line(f"{title} gorbd: time to create them over REST", time.monotonic() - start, "s")
            loaded = time.monotonic()
            last = f"s{(backends - 1) // PER_SERVICE}"
            while any(b["state"] == "unknown" for b in subject.backends_of(last)) and time.monotonic() < loaded + 60:
                time.sleep(0.02)
            report.line(f"{title} gorbd: all checked, after the last PUT", time.monotonic() - loaded, "s", 2)
            time.sleep(interval + 1)
            figure = watch(subject, farm, bench.seconds + 2)
            report.line(f"{title} gorbd: cpu a check", figure.us, "us")
            report.line(f"{title} gorbd: of it user space", figure.user_us, "us", 3)
            report.line(f"{title} gorbd / floor", figure.us / floor, "x")
            if haproxy:  # It may not have begun after two intervals.
                report.line(f"{title} gorbd / haproxy", figure.us / haproxy, "x", 0.65)
            report.line(f"{title} gorbd: done of due", 100 * figure.done / figure.due, "%", 99, least=True)
            report.line(f"{title} gorbd: late p99", figure.late[1], "ms", 10)
            report.line(f"{title} gorbd: rss", figure.memory / 1e6, "MB", 100)
            report.line(f"{title} gorbd: rss a backend", (figure.memory - subject.bare) / backends, "B", 512)


def start(report, bench, backends=100000, interval=5.0):
    """100,000 backends in the store: from the start of the process until each has been checked."""
    title = f"tcp {size(backends)} from the store"
    services = [f"s{i}" for i in range((backends - 1) // PER_SERVICE + 1)]
    with Farm(bench.build) as farm, Gorbd(bench.build, TCP, backends, interval, durable=True) as subject:
        figures = []
        for _ in range(bench.rounds):
            begun = time.monotonic()
            subject.restart()
            ready = time.monotonic() - begun
            # First checks come in the order of creation, so the last service is asked: a list of all takes the core for
            # seconds itself. When that has been checked the others are looked at, and count if they have not been.
            done = 0
            for service in [services[-1], *services[:-1]]:
                while any(b["counts"]["passes"] + b["counts"]["failures"] == 0 for b in subject.backends_of(service)):
                    done = 0
                    if time.monotonic() > begun + 60:
                        raise AssertionError(f"{service} was not checked in 60 s")
                    time.sleep(0.02)
                done = done or time.monotonic() - begun
            figures.append((ready, done))
    report.line(f"{title}: answers REST, after the start of the process", median([f[0] for f in figures]), "s")
    report.line(f"{title}: all checked, after the start of the process", median([f[1] for f in figures]), "s", 2)
    report.line(f"{title}: all checked, after it answered", median([f[1] - f[0] for f in figures]), "s")


def ramp(report, bench, kind, goal):
    """The most checks on one core on schedule (97 % of what is due, late p99 at most 10 ms), and without regard to that."""
    pulse, backends = (TCP if kind == "tcp" else HTTP), 8000
    best, on_schedule = 0, 0
    with Farm(bench.build) as farm:
        for rate in bench.rates(kind):
            with Gorbd(bench.build, pulse, backends, backends / rate) as subject:
                time.sleep(1.5)
                figure = watch(subject, farm, bench.seconds)
                report.line(f"{kind} ramp {rate // 1000}k/s: done of due", 100 * figure.done / rate, "%")
                report.line(f"{kind} ramp {rate // 1000}k/s: late p99", figure.late[1], "ms")
                report.line(f"{kind} ramp {rate // 1000}k/s: cpu a check", figure.us, "us")
                if figure.done < 0.97 * rate:
                    break
                best = max(best, figure.done)
                if figure.late[1] <= 10:
                    on_schedule = max(on_schedule, figure.done)
    report.line(f"{kind}: most checks on one core, on schedule", on_schedule, "a second", goal, least=True)
    report.line(f"{kind}: most checks on one core, however late", best, "a second")


def loops(report, bench):
    """Two loops on two cores against one on one: what each does of far more than it can."""
    done = {}
    with Farm(bench.build) as farm:
        for _ in range(bench.rounds):
            for n in (1, 2):
                with Gorbd(bench.build, TCP, 16000, 16000 / 400000, loops=n) as subject:
                    time.sleep(1.5)
                    done.setdefault(n, []).append(watch(subject, farm, bench.seconds).done)
    for n, values in done.items():
        report.line(f"tcp, {n} loop{'s' * (n > 1)}: most checks", median(values), "a second")
    report.line("tcp: two loops / one", median(done[2]) / median(done[1]), "x", 1.8, least=True)
