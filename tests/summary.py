#!/usr/bin/env python3
"""The closing lines of tests/run, from CTest's JUnit report: what failed, then "N passed, N failed".

A test that did not run, for whatever reason, counts as failed. Exit status 0 only if some passed and none failed.
"""
import sys
from xml.etree import ElementTree

passed, failed = [], []
try:
    for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
        (passed if case.get("status") == "run" else failed).append(case.get("name"))
except (OSError, ElementTree.ParseError) as error:
    print(f"no report of the tests: {error}", file=sys.stderr)
    sys.exit(1)
for name in failed:
    print(f"failed: {name}")
print(f"{len(passed)} passed, {len(failed)} failed")
sys.exit(0 if passed and not failed else 1)
