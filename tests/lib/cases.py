#!/usr/bin/env python3
"""Finds and runs single test methods: `test_NAME` of a class in FOLDER/test_FILE.py is called FILE.NAME.

    cases.py list FOLDER         the names
    cases.py run FOLDER NAME     runs one; exit status 0 only if it ran and passed
"""
import ast
import importlib
import sys
import unittest
from pathlib import Path


def find_tests(folder):
    """{name: (module, class, method)}, read from the sources without running them."""
    found = {}
    for path in sorted(Path(folder).glob("test_*.py")):
        for part in ast.parse(path.read_text()).body:
            if isinstance(part, ast.ClassDef):
                for method in part.body:
                    if isinstance(method, ast.FunctionDef) and method.name.startswith("test_"):
                        name = f"{path.stem[5:]}.{method.name[5:]}"
                        if name in found:
                            raise SystemExit(f"two tests are called {name}")
                        found[name] = (path.stem, part.name, method.name)
    return found


def run_test(folder, test):
    """True if it ran and passed. A skipped test has not shown anything."""
    for path in (str(folder), str(Path(__file__).resolve().parent)):
        if path not in sys.path:
            sys.path.insert(0, path)
    module, group, method = test
    case = getattr(importlib.import_module(module), group)(method)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(case)
    return result.wasSuccessful() and not result.skipped and result.testsRun == 1


def main(words):
    if len(words) == 2 and words[0] == "list":
        print("\n".join(find_tests(words[1])))
        return 0
    if len(words) == 3 and words[0] == "run":
        tests = find_tests(words[1])
        if words[2] in tests:
            return 0 if run_test(words[1], tests[words[2]]) else 1
        print(f"there is no test {words[2]}")
        return 1
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
