#!/usr/bin/env python3
"""The kernel tests: lists them, runs them where IPVS is there, and gives the result of each.

    run.py list                     names, FILE.TEST, of every `test_TEST` in every test_FILE.py
    run.py all RESULTS              runs them through tests/vm/anywhere; one file per test in the folder RESULTS
    run.py here RESULTS NAME...     runs those in this namespace and kernel
    run.py result RESULTS NAME      prints what that test said; exit status 0 if it passed
    run.py long RESULTS             runs the long versions (GORB_FAULTS_LONG) of those that have one; exit status 0 if all passed

One boot of a guest serves all tests: CTest runs `all` as the fixture kernel.run, and each test is an entry of its own that
reads its result. A test without a result has failed. GORB_KERNEL_TESTS (names) narrows `all`. Tests of test_alone.py change the
whole machine, so they run last, one by one, and always in a guest.
"""
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

from cases import find_tests, run_test  # noqa: E402
from gorbd import SLOW  # noqa: E402

AT_ONCE = 3  # Tests mostly wait: for a check's interval, for a timeout.
SECONDS_A_TEST = 60
SECONDS_FOR_ALL = 2400
LONG = ("kills.",)  # what begins so has a long version
LONGER = 10  # times as long as the others that may take


def run_long(results):
    names = [name for name in find_tests(HERE) if name.startswith(LONG)]
    os.environ.update(GORB_FAULTS_LONG="1", GORB_KERNEL_TESTS=" ".join(names))
    status = run_all(results)
    return max(status, *(show_result(results, name) for name in names))


def is_long():
    return bool(os.environ.get("GORB_FAULTS_LONG"))


def run_all(results):
    wanted = os.environ.get("GORB_KERNEL_TESTS", "").split() or list(find_tests(HERE))
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    vm = HERE.parent / "vm"
    where = subprocess.run([vm / "where"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    alone = [name for name in wanted if is_alone(name)]
    others = [name for name in wanted if not is_alone(name)]
    # One guest for all of them; what runs natively leaves only those that need a guest of their own.
    runs = [("vm", others + alone)] if where == "vm" else [(where, others), ("vm", alone)]
    status = 0
    for place, names in runs:
        if names:
            command = [vm / "anywhere", str(SECONDS_FOR_ALL * (2 if is_long() else 1)), results, sys.executable, HERE / "run.py", "here", results, *names]
            status = subprocess.run(command, stdin=subprocess.DEVNULL, env={**os.environ, "GORB_WHERE": place}).returncode or status
    tell_slowest(results, wanted)
    missing = [name for name in wanted if not (results / name).exists()]
    if missing:
        print(f"without a result: {', '.join(missing)}; the run ended with status {status}")
    # A failed test speaks for itself; this entry is about whether they ran.
    return 1 if missing or status else 0


def tell_slowest(results, names, count=10):
    took = {name: float((results / name).read_text(errors="replace").split("\n")[1].split()[0])
            for name in names if (results / name).exists()}
    print(f"{len(took)} tests took {sum(took.values()):.0f} s, up to {AT_ONCE} at a time; the slowest:")
    for name in sorted(took, key=took.get, reverse=True)[:count]:
        print(f"{took[name]:6.1f} s  {name}")


def is_alone(name):
    return name.startswith("alone.")


def run_here(results, names):
    """Up to AT_ONCE at a time, each in a process group of its own, bounded."""
    tests, running, waiting = find_tests(HERE), {}, list(names)
    unknown = [name for name in names if name not in tests]
    if unknown:
        print(f"no such test: {', '.join(unknown)}")
        return 1
    load_schedulers()
    for module in {tests[name][0] for name in names}:  # Once for all that are forked.
        importlib.import_module(module)
    limit = SECONDS_A_TEST * SLOW * (LONGER if is_long() else 1)
    while waiting or running:
        while waiting and len(running) < (1 if is_alone(waiting[0]) else AT_ONCE):
            name = waiting.pop(0)
            running[start(tests[name], results / f"{name}.running")] = (name, time.monotonic())
        time.sleep(0.05)
        for pid, (name, since) in list(running.items()):
            over = time.monotonic() - since > limit
            done, status = os.waitpid(pid, os.WNOHANG)
            if done or over:
                kill_group(pid)
                if not done:
                    os.waitpid(pid, 0)
                del running[pid]
                finish(results, name, "passed" if done and status == 0 else "failed", time.monotonic() - since,
                       f"\nkilled after {limit:.0f} s\n" if not done else "")
                forget_namespaces(pid)
    return 0


def load_schedulers():
    """Loads every module of IPVS before the tests do so by using them. The kernel loads a scheduler while it holds the lock
    of all IPVS tables; some schedulers wait, while they are loaded, for namespaces that are just being removed, and those
    wait for that lock. One test alone never sees that, several at a time do.
    """
    folder = Path("/lib/modules") / os.uname().release / "kernel" / "net" / "netfilter" / "ipvs"
    names = sorted(path.name.split(".ko")[0] for path in folder.glob("ip_vs*.ko*"))
    if names:
        subprocess.run(["modprobe", "-a", "-q", *names], check=False, timeout=60 * SLOW)


def start(test, output):
    """Forks a process that runs one test with its output in a file."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = 0 if run_test(HERE, test) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def forget_namespaces(pid):
    """Those that a killed test left; lab.py begins their names with its process."""
    for path in Path("/run/netns").glob(f"g{pid}[a-z]*"):
        subprocess.run(["ip", "netns", "delete", path.name], check=False)


def finish(results, name, verdict, seconds, note):
    with (results / f"{name}.running").open("a") as output:
        output.write(note)
    text = (results / f"{name}.running").read_text(errors="replace")
    (results / f"{name}.running").unlink()
    (results / name).write_text(f"{verdict}\n{seconds:.1f} s\n{text}")
    print(f"{verdict} {seconds:6.1f} s  {name}", flush=True)


def show_result(results, name):
    try:
        verdict, text = (results / name).read_text(errors="replace").split("\n", 1)
    except (OSError, ValueError):
        print(f"{name} was not run: see kernel.run")
        return 1
    print(text)
    return 0 if verdict == "passed" else 1


def main(words):
    if words == ["list"]:
        print("\n".join(find_tests(HERE)))
        return 0
    if len(words) == 2 and words[0] == "all":
        return run_all(Path(words[1]).resolve())
    if len(words) == 2 and words[0] == "long":
        return run_long(Path(words[1]).resolve())
    if len(words) > 2 and words[0] == "here":
        return run_here(Path(words[1]), words[2:])
    if len(words) == 3 and words[0] == "result":
        return show_result(Path(words[1]), words[2])
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
