#!/usr/bin/env python3
"""The layout check sees what must not happen: a member moved, removed, re-typed, or added behind padding.

    layout_test.py LAYOUT_FOLDER CC HEADER
"""
import sys
import tempfile
import unittest
from pathlib import Path

FOLDER, CC, HEADER = sys.argv[1:4]
sys.dont_write_bytecode = True
sys.path.insert(0, FOLDER)
import layout  # noqa: E402


# The end of a struct that grows.
LAST = """    gorb_str detail;                    /* at most 256 bytes of UTF-8, "" for none              */
} gorb_push;"""


class Layout(unittest.TestCase):
    def check(self, old, new):
        text = Path(HEADER).read_text()
        self.assertEqual(text.count(old), 1, old)
        with tempfile.NamedTemporaryFile("w", suffix=".h") as changed:
            changed.write(text.replace(old, new))
            changed.flush()
            truth = layout.compiled(CC, changed.name)
        return list(layout.differences(truth, Path(FOLDER, "lp64.txt").read_text(), "lp64.txt"))

    def test_nothing_changed(self):
        self.assertEqual(self.check("uint32_t  fwmark, flags;", "uint32_t  fwmark, flags;"), [])

    def test_members_that_changed_places(self):
        self.assertIn("lp64.txt: gorb_conn_options.fwmark was 56 4, is 60 4", self.check("uint32_t  fwmark, flags;", "uint32_t  flags, fwmark;"))

    def test_a_member_that_is_gone(self):
        found = self.check("    uint64_t  deadline_ns;\n", "")
        self.assertIn("lp64.txt: gorb_conn_options.deadline_ns was 96 8, is gone", found)

    def test_a_new_member_is_not_recorded_yet(self):
        found = self.check(LAST, LAST.replace("detail;", "detail; uint64_t more;"))
        self.assertIn("lp64.txt: gorb_push.more 32 8 is new and not recorded", found)

    def test_padding_at_the_end_does_not_compile(self):
        with self.assertRaises(layout.subprocess.CalledProcessError):
            self.check(LAST, LAST.replace("detail;", "detail; uint32_t more;"))

    def test_every_struct_of_the_header_is_recorded(self):
        recorded = {line.split()[0] for line in Path(FOLDER, "lp64.txt").read_text().splitlines() if "." not in line.split()[0]}
        self.assertEqual(set(layout.structs(HEADER)), recorded)
        self.assertGreaterEqual(len(recorded), 21)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
