"""How soon gorbd notices, and what faults, floods and time do to the other checks."""
import http.client
import json
import multiprocessing
import random
import re
import time
from datetime import datetime

from cost import HTTP, HTTP_FRESH, HTTP_KEPT, TCP, size
from subjects import Gorbd, HAProxy
from world import (HOLE, PORT, VICTIM, Farm, address, descriptors, percentile, rss, time_waits, victim_address, watch)


def noticed(log_file, offset, killed):
    """When the driver had weight 0 of each backend that was killed, in seconds of the wall clock."""
    seen = {}
    with log_file.open(errors="replace") as log:
        log.seek(offset)
        for line in log:
            found = re.match(r"(\S+)Z info weight set .*backend=b(\d+)\b.* weight=0\b", line)
            if found and int(found[2]) in killed:
                at = datetime.fromisoformat(found[1] + "+00:00").timestamp()
                if at * 1e3 >= killed[int(found[2])] // 1_000_000:
                    seen.setdefault(int(found[2]), at)
    return seen


def kill_victims(bench, farm):
    """Kills all of them at random moments; when, in ns of the wall clock, by their numbers."""
    killed = {}
    for i in random.sample(range(bench.victims), bench.victims):
        time.sleep(random.uniform(0, 2 * bench.spacing))
        killed[i] = farm.kill(i)
    return killed


def wait_for_all(bench, seconds, seen):
    end = time.monotonic() + seconds
    while len(found := seen()) < bench.victims and time.monotonic() < end:
        time.sleep(0.1)
    return found


def tell_delays(report, title, bench, delays, goal=None):
    report.line(f"{title}: noticed", len(delays), f"of {bench.victims}", bench.victims, least=True)
    report.line(f"{title}: delay p50", percentile(delays, 50), "ms")
    report.line(f"{title}: delay p99", percentile(delays, 99), "ms", goal)
    report.line(f"{title}: delay max", max(delays, default=None), "ms")


def detection(report, bench, pulse, backends, interval, fall, title, goal, background=0):
    """Kills victims at random moments; the time until the log says that the driver has weight 0."""
    def where(i):
        return (victim_address(i), VICTIM) if i < bench.victims else (address(i), PORT)
    pulse = {**pulse, "fall": fall, "rise": 1}
    with Farm(bench.build, bench.victims) as farm, \
            Gorbd(bench.build, pulse, backends, interval, where=where) as subject:
        if background:
            subject.where = lambda i: (address(i + 20000), PORT)
            subject.pulse = {**TCP, "interval": "5s", "timeout": "1s"}
            subject.load(0, background, service="more")
            time.sleep(3)
        time.sleep(interval + 1.5)
        offset = subject.daemon.log_file.stat().st_size
        killed = kill_victims(bench, farm)
        seen = wait_for_all(bench, interval * fall + 20, lambda: noticed(subject.daemon.log_file, offset, killed))
    # The log cuts off parts of a millisecond: in the middle it is half of one more.
    tell_delays(report, title, bench, [seen[i] * 1e3 + 0.5 - killed[i] / 1e6 for i in seen], goal)


def haproxy_detection(report, bench, backends, interval, title):
    """The same of HAProxy (fall 3): until it says that the server is down."""
    def where(i):
        return (victim_address(i), VICTIM) if i < bench.victims else (address(i), PORT)
    with Farm(bench.build, bench.victims) as farm, HAProxy("tcp", backends, interval, where) as subject:
        time.sleep(2 * interval + 1.5)
        subject.down.clear()
        killed = kill_victims(bench, farm)
        seen = wait_for_all(bench, interval * 3 + 20,
                            lambda: {i: at for i, at in dict(subject.down).items() if i in killed and at > killed[i]})
    tell_delays(report, title, bench, [(seen[i] - killed[i]) / 1e6 for i in seen])


def blackhole(report, bench, backends=10000):
    """Every fifth backend drops what it is sent, and its checks run into their timeout."""
    def where(i):
        return address(i), (HOLE if i % 5 == 0 else PORT)
    with Farm(bench.build) as farm, Gorbd(bench.build, TCP, backends, 1.0, where=where) as subject:
        def passes():
            return sum(b["counts"]["passes"] for b in subject.backends_of("s1"))
        time.sleep(4)
        start, before = time.monotonic(), passes()
        figure = watch(subject, farm, bench.seconds)
        done, spent = passes() - before, time.monotonic() - start
    report.line("20 % blackholed: the others' done of due", 100 * done / spent / 800, "%")
    report.line("20 % blackholed: cpu a check", figure.us, "us")
    report.line("20 % blackholed: late p50", figure.late[0], "ms")
    report.line("20 % blackholed: late p99", figure.late[1], "ms", 10)


def asking(host_port, paths, stop, answers):
    """Asks for one backend after the other over a kept connection, every 2 ms, in a process of its own. How long the
    answers took, in ms, and when the backends were checked, in s, by their paths."""
    conn = http.client.HTTPConnection(*host_port, timeout=60)
    delays, checked = [], {path: set() for path in paths}
    while not stop.is_set():
        for path in paths:
            start = time.monotonic()
            conn.request("GET", path)
            answer = conn.getresponse().read()
            delays.append((time.monotonic() - start) * 1e3)
            checked[path].add(datetime.fromisoformat(json.loads(answer)["last"]["at"].replace("Z", "+00:00")).timestamp())
            time.sleep(0.002)
    answers.put((delays, checked))


def flood(report, bench, whole, backends=100000):
    """Adds backends in one go while others are checked, and asks for one all the while: by as many PUTs, or by one PUT
    /config of all, with the store on disk."""
    with Farm(bench.build), Gorbd(bench.build, {**TCP, "jitter": "0%"}, 1000, 1.0, durable=whole) as subject:
        time.sleep(1.5)
        stop, answers = multiprocessing.Event(), multiprocessing.Queue()
        asker = multiprocessing.Process(
            target=asking, args=(subject.daemon.address, [f"/service/s0/b{i}" for i in range(0, 1000, 20)], stop, answers))
        asker.start()
        subject.late()
        subject.pulse = {**TCP, "interval": "5s", "timeout": "1s"}
        subject.where = lambda i: (address(i + 2000), PORT)
        start = time.monotonic()
        if whole:
            document = subject.document(0, backends, "more")
            start = time.monotonic()
            subject.put_config(document)
        else:
            subject.load(0, backends, service="more")
        spent = time.monotonic() - start
        stop.set()
        delays, checked = answers.get()
        asker.join()
        late = subject.late()
    # Without jitter a check comes one interval after the last, and what it is late the next one makes up for.
    gaps = [(after - before - 1.0) * 1e3 for times in checked.values()
            for before, after in zip(sorted(times), sorted(times)[1:])]
    title = f"adding {size(backends)} {'at once' if whole else 'one by one'}"
    report.line(f"{title}: time", spent, "s")
    report.line(f"{title}: GET meanwhile p50", percentile(delays, 50), "ms")
    report.line(f"{title}: GET meanwhile p99", percentile(delays, 99), "ms", 20)
    report.line(f"{title}: checks of backends that were there, late p99", percentile(gaps, 99), "ms", 10)
    report.line(f"{title}: all checks, first ones of new backends too, late p99", late[1], "ms")


def soak(report, bench, seconds):
    """Checks of all kinds, some of which fail, for long: nothing may grow."""
    def where(i):
        return address(i), (HOLE if i % 50 == 0 else 1 if i % 50 == 1 else PORT)
    with Farm(bench.build), Gorbd(bench.build, HTTP, 3000, 1.0, where=where) as subject:
        for name, pulse in (("tcp", TCP), ("kept", HTTP_KEPT), ("fresh", HTTP_FRESH)):
            subject.pulse = {**pulse, "interval": "1s", "timeout": "1s"}
            subject.load(0, 3000, service=name)
        time.sleep(min(30, seconds / 4))
        def now():
            return descriptors(subject.pid), rss(subject.pid), time_waits()
        rows = [now()]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(10, seconds / 4))
            rows.append(now())
    third = max(1, len(rows) // 3)
    # Highest of the last third against highest of the first: what swings does not count as growth.
    first, last = ([max(column) for column in zip(*part)] for part in (rows[:third], rows[-third:]))
    report.line(f"soak {seconds:.0f} s: descriptors", last[0], f"({first[0]})", first[0] * 1.02 + 10)
    report.line(f"soak {seconds:.0f} s: rss", last[1] / 1e6, f"MB ({first[1] / 1e6:.1f})", first[1] / 1e6 * 1.02 + 0.5)
    report.line(f"soak {seconds:.0f} s: TIME_WAIT", last[2], f"({first[2]})", first[2] + 50)
