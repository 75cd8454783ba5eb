#!/usr/bin/env python3
"""clang-tidy over everything of ours that a build compiles, by its compile_commands.json.

    tidy.py BUILD_DIR

Sources that are compiled together (a unity build) are looked at together: most of the time goes into the headers that
all of them include. What was clean is not looked at again until it, a file of ours that it includes (as ninja
recorded), its compile command or .clang-tidy changes; what is remembered lies in BUILD_DIR/tidy.
"""
import concurrent.futures
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS_A_FILE = 300


def recorded_includes(build):
    """{object file: paths of ours it was compiled from}, from ninja's log."""
    shown = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, timeout=60).stdout
    deps, current = {}, None
    for line in shown.splitlines():
        if line and not line.startswith(" "):
            current = deps.setdefault(line.split(":")[0], [])
        elif line.strip() and current is not None:
            path = Path(os.path.normpath(build / line.strip()))
            if path.is_relative_to(ROOT):
                current.append(path)
    return deps


def digest(command, paths):
    total = hashlib.sha256(command.encode())
    for path in sorted(set(paths)):
        total.update(str(path).encode())
        total.update(path.read_bytes() if path.exists() else b"")
    return total.hexdigest()


def main():
    build = Path(sys.argv[1]).resolve()
    tool = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if not tool:
        print("clang-tidy-14 is missing")
        return 1
    memory = build / "tidy"
    memory.mkdir(exist_ok=True)
    deps = recorded_includes(build)
    work, known, seen = {}, 0, set()
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = Path(entry["file"])
        together = source.is_relative_to(build) and source.parent.name == "Unity"
        if not together and (not source.is_relative_to(ROOT) or source.is_relative_to(build)):
            continue
        if source in seen:  # Compiled several times with other definitions: looked at once.
            continue
        seen.add(source)
        words = shlex.split(entry["command"])
        included = deps.get(words[words.index("-o") + 1])
        mark = None
        if included:
            mark = memory / digest(entry["command"], [source, ROOT / ".clang-tidy", *included])
            if mark.exists():
                known += 1
                continue
        work[source] = mark

    def check(source):
        done = subprocess.run([tool, "--quiet", "--extra-arg=-Wno-unknown-warning-option", "-p", str(build), str(source)],
                              capture_output=True, text=True, timeout=SECONDS_A_FILE)
        return done.returncode, done.stdout + (done.stderr if done.returncode else "")

    faults = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(check, source): source for source in work}
        for future in concurrent.futures.as_completed(running):
            source = running[future]
            status, said = future.result()
            if status:
                faults += 1
                print(f"{source.relative_to(ROOT)}:\n{said}")
            elif work[source]:
                work[source].touch()
    print(f"{len(work)} files checked, {known} unchanged since they were clean, {faults} with faults")
    return 1 if faults or not work and not known else 0


if __name__ == "__main__":
    sys.exit(main())
