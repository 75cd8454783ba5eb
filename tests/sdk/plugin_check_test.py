#!/usr/bin/env python3
"""gorb-plugin-check finds the one fault of each plugin in tests/sdk/bad, and names it.

    plugin_check_test.py CHECK FOLDER
"""
import subprocess
import sys
import unittest
from pathlib import Path

CHECK, FOLDER = "", Path()


def check(*words):
    run = subprocess.run([CHECK, *map(str, words)], capture_output=True, text=True, errors="replace", timeout=120)
    return run.returncode, run.stdout + run.stderr


class Faults(unittest.TestCase):
    def found(self, plugin, *sentences, options=()):
        status, text = check("-n", "20", "-t", "100", *options, FOLDER / f"bad-{plugin}.so")
        self.assertEqual(status, 1, text)
        for sentence in sentences:
            self.assertIn(sentence, text)

    def clean(self, plugin, *sentences, options=()):
        status, text = check("-n", "20", "-t", "100", *options, FOLDER / f"bad-{plugin}.so")
        self.assertEqual(status, 0, text)
        for sentence in sentences:
            self.assertIn(sentence, text)

    def test_a_run_answered_twice(self):
        self.found("answers_twice", "was answered twice")

    def test_a_call_that_blocks_the_loop(self):
        self.found("blocks", "start() took 15", "the loop stood still")

    def test_a_table_without_its_size(self):
        self.found("forgets_struct_size", "gorb_conn_events is too small: is struct_size set?")

    def test_a_failure_without_words(self):
        self.found("no_words", "has no detail that says why")

    def test_an_option_that_is_not_in_the_table(self):
        self.found("misspells", 'the option table has no "wrod" of the type it is read as')

    def test_our_trouble_blamed_on_the_target(self):
        self.found("blames", "FAIL bad: no connection can be had", "the target was blamed: FAIL, no free file descriptor")
        self.found("blames_workers", "FAIL bad: all workers are busy", "the target was blamed: FAIL, no worker looked at it")

    def test_descriptors_left_open(self):
        self.found("leaks_descriptor", "descriptors left after destroy(): /dev/null", options=("-n", "3"))

    def test_a_timer_left_armed(self):
        self.found("leaves_timer", "20 timers left after destroy()")

    def test_a_crash_is_a_finding_that_names_the_check(self):
        self.found("crashes", "FAIL bad: two instances live side by side", "took the process with it")

    def test_a_call_that_never_returns(self):
        self.found("hangs", "FAIL bad: two instances live side by side", "did not come back within 3 s", options=("--limit", "3"))

    def test_an_exception_that_leaves_the_plugin(self):
        self.found("throws", "this must not leave the plugin")

    def test_another_major_version(self):
        self.found("other_major", "it is made for ABI 2, this is 1")

    def test_a_newer_minor_version(self):
        self.found("newer_minor", "it needs minor version 2, this is 1", "there is no plugin in it")

    def test_no_entry(self):
        self.found("no_entry", "gorb_plugin_entry is missing", "it has no symbol gorb_plugin_entry")

    def test_more_than_one_symbol(self):
        self.found("shows_more", "other symbols", "version script")

    def test_a_missing_symbol(self):
        self.found("missing_symbol", "undefined symbol: nobody_has_this")

    def test_a_load_that_fails(self):
        self.found("fails_to_load", "the licence server is out for lunch")

    def test_a_loop_function_called_on_a_worker(self):
        self.found("wrong_thread", "at() was called on a thread that is not the loop's")

    def test_tables_full_of_mistakes(self):
        self.found("bad_tables", 'the name "Bad_Name" is not', "version is not one line", "summary is not one line",
                   'option "Port" has a name that is not', 'its own default is refused: option "low"', 'option "low" is there twice',
                   'option "helpless" has no help', 'option "both" is required and has a default too', 'option "bytes": its default and its range must be UTF-8',
                   'its own default is refused: option "doubled"', 'option "choices": the range "" can not be read', 'the unknown type 99',
                   'option "wide": the range "1-9" can not be read', 'its own default is refused: option "deep"',
                   'note: option "interval" can be given within "args" only')

    def test_a_bar_does_not_end_a_cell_of_the_table(self):
        status, text = check("--options-markdown", FOLDER / "bad-bad_tables.so")
        self.assertEqual(status, 0)
        self.assertIn("| `deep` | json | `{` |  | a default that is no JSON, but [\\| |\n", text)

    def test_two_plugins_of_one_name(self):
        self.found("twins", 'two plugins are called "bad"')

    def test_a_share_of_more_than_all(self):
        self.found("more_than_all", "101 is no share")

    def test_what_only_opens_does_not_talk(self):
        self.found("talks_on_a_probe", "send() was called for a GORB_CONN_PROBE")

    def test_a_plugin_of_an_older_sdk_is_as_good_as_any(self):
        self.clean("of_1_0")

    def test_a_plugin_that_never_answers(self):
        self.found("never_answers", "no answer before the deadline", "report() was never called")

    def test_exceptions_in_callbacks_whoever_catches_them(self):
        self.found("throws_in_callbacks", *(f"an exception in {where}: thrown in {where}"
                                            for where in ("watch", "timer", "post", "worker", "done", "cancel", "expire")))

    def test_a_pass_that_asks_for_no_traffic_is_told(self):
        self.clean("no_share", "times PASS with share 0: such a backend gets no traffic")

    def test_more_plugins_than_gorbd_takes_of_one_library(self):
        self.found("many", "has no end (NULL) within 64 entries")

    def test_checks_that_block_long_after_their_deadline_are_waited_for(self):
        self.clean("takes_its_time", options=("-n", "1000"))

    def test_late_answers_do_no_harm(self):
        self.clean("late", "late reports, which got -ESTALE")


class Usage(unittest.TestCase):
    def test_help(self):
        status, text = check("--help")
        self.assertEqual(status, 0)
        self.assertIn("usage: gorb-plugin-check", text)

    def test_wrong_usage_is_2(self):
        for words in ((), ("a", "b"), ("--frob", "x"), ("-n", "0", "x"), ("-a", "novalue", "x")):
            self.assertEqual(check(*words)[0], 2, words)

    def test_what_is_no_library(self):
        status, text = check(__file__)
        self.assertEqual(status, 1)
        self.assertIn("no ELF file", text)
        self.assertEqual(check(FOLDER / "none.so")[0], 1)

    def test_a_plugin_that_is_not_in_the_library(self):
        status, text = check("-p", "nobody", FOLDER / "bad-late.so")
        self.assertEqual(status, 1)
        self.assertIn("plugin nobody is in the library", text)


if __name__ == "__main__":
    CHECK, FOLDER = sys.argv[1], Path(sys.argv[2])
    unittest.main(argv=[sys.argv[0], "-v"])
