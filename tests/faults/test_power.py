"""The power goes while gorbd works: of its files, names and folders only what was synced is sure to be there afterwards, and that is
enough. At random instants while clients write, and at every operation of a first start, a restore, a backup, an import, and of making
anew a store that was lost. And a disk that refuses everything, with each of the errors that there are."""
import errno
import http.client
import json
import os
import random
import shutil
import tempfile
import threading
import time
import unittest
from pathlib import Path

from gorbd import BUILD, SLOW, Gorbd, run_gorbd, wait_until
from powercut import KEPT, LOST, SOME, Disk
from test_kill import Client, parts

LONG = bool(os.environ.get("GORB_FAULTS_LONG"))
SEED = int(os.environ.get("GORB_FAULTS_SEED", "2026"))
WAYS = (LOST, SOME, KEPT)


def service(number):
    return {"address": f"10.0.0.{number}", "port": 80, "method": "wrr"}


def document(*numbers):
    return {"services": {f"s{number}": service(number) for number in numbers}}


class Power(unittest.TestCase):
    def setUp(self):
        self.dice = random.Random(SEED)
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(dir=memory)))
        self.disk = Disk(self.folder)
        # Two folders deep, as /var/lib/gorb may be.
        self.state = self.disk.root / "lib" / "gorb"
        # One plugin: here is much that starts.
        plugins = self.folder / "plugins"
        plugins.mkdir()
        (plugins / "pulse-none.so").symlink_to(BUILD / "plugins" / "pulse-none.so")
        self.options = ("--state-directory", self.state, "--plugin-dir", plugins)
        self.daemon = self.enterContext(Gorbd("--driver", "memory", *self.options, start=False, env=self.disk.env()))
        self.changes = 0

    # ---- the daemon, where it may be killed at any operation

    def begin(self):
        """False: it was killed meanwhile."""
        self.daemon.log_file.write_text("")
        self.daemon.starts = 0
        try:
            self.daemon.start()
        except AssertionError:
            if self.daemon.process.poll() != -9:
                raise
            return False
        return True

    def asked(self, method, path, body):
        """The status; None: it was killed before it answered."""
        try:
            self.reply = self.daemon.request(method, path, body)
            return self.reply.status
        except (OSError, http.client.HTTPException):
            self.daemon.ended()
            return None

    def is_there(self):
        """What a start finds."""
        self.disk.cut_after(None)
        self.assertTrue(self.begin())
        found = self.daemon.get("/config").json
        self.daemon.terminate()
        return set(found["services"])

    def is_old_or_new(self, over):
        """s3 was there, and s1 and s2 were to be in its place."""
        found = self.is_there()
        if over:
            self.assertEqual(found, {"s1", "s2"})
        else:
            self.assertIn(found, ({"s1", "s2"}, {"s3"}))

    def holds(self, *numbers):
        """The disk anew, with a store of these services; with nothing where there are none."""
        made = self.folder / f"holds-{numbers}"
        shutil.rmtree(self.disk.root)
        if made.exists():
            shutil.copytree(made, self.disk.root)
        else:
            self.disk.root.mkdir()
            self.disk.settle()
            if numbers:
                self.assertEqual(self.run_gorbd("--import", self.written(document(*numbers))), 0)
            shutil.copytree(self.disk.root, made)
        self.disk.settle()

    def written(self, content):
        path = self.folder / "document"
        path.write_text(json.dumps(content))
        return path

    def run_gorbd(self, *options):
        """The exit status; -9: it was killed."""
        status, said = run_gorbd(*self.options, *options, env=self.disk.env())
        self.assertIn(status, (0, -9), said)
        return status

    def at_every_cut(self, prepare, act, look):
        """act() with the power going at the first operation, the second, and so on until it comes to its end, each in every way;
        of all that some in the short version. look(whether act() came to its end) after each."""
        cuts = 0
        step = 1 if LONG else 16
        operations = self.dice.randrange(step)
        while True:
            over = False
            for how in WAYS if LONG else (self.dice.choice(WAYS),):
                prepare()
                self.disk.cut_after(operations)
                over = act()
                self.disk.cut(how, self.dice)
                with self.subTest(operations=operations, how=how, over=over, seed=SEED):
                    look(over)
                cuts += 1
            if over:
                break
            operations += step
        # Its end is a cut, too, and the one that matters: with nothing but what was synced.
        prepare()
        self.assertTrue(act())
        self.disk.cut(LOST, self.dice)
        look(True)
        print(f"{cuts} cuts")
        self.assertGreater(operations, step)

    # ---- the tests

    def test_what_was_answered_is_there_after_any_power_cut(self):
        clients = [Client(number, random.Random(SEED + 1 + number)) for number in range(3)]
        rounds = 500 if LONG else 12
        revision, cuts, late = 0, 0, set()
        for number in range(rounds + 1):
            if number:
                self.disk.cut(self.dice.choice(WAYS), self.dice)
                cuts += 1
            if self.dice.random() < 0.1:  # While it starts.
                self.disk.cut_after(self.dice.randrange(30))
                if not self.begin():
                    continue
                self.daemon.kill()
            self.disk.cut_after(None)
            self.assertTrue(self.begin())
            reply = self.daemon.get("/config")
            with self.subTest(round=number, seed=SEED):
                self.compare(clients, reply.json)
                self.assertLessEqual(late, set(reply.json["services"]))
                self.assertGreaterEqual(reply.json["revision"], revision)
            if number and self.dice.random() < 0.3:
                late.add(self.lose_the_store())
            if number and self.dice.random() < 0.2:
                self.go_back()
            revision = self.daemon.get("/config").json["revision"]
            self.disk.cut_after(self.dice.randrange(200))
            threads = [threading.Thread(target=client.run, args=(self.daemon.address,)) for client in clients]
            for thread in threads:
                thread.start()
            try:
                self.assertEqual(self.daemon.ended(20), -9)
            finally:
                self.daemon.kill()
                for thread in threads:
                    thread.join(30 * SLOW)
            self.assertEqual([client.failed for client in clients if client.failed], [])
        answered = sum(client.answered for client in clients)
        print(f"{cuts} cuts, {answered} changes answered")
        self.assertGreater(answered, 5 * rounds)

    def compare(self, clients, document_now):
        is_now = parts(document_now)
        for client in clients:
            for name in client.names():
                self.assertIn(is_now.get(name), client.may.get(name, [None]), name)
                client.may[name] = [is_now.get(name)]

    def lose_the_store(self):
        """Somebody takes it away, and gorbd has made it anew by the time it answers."""
        if self.dice.random() < 0.5:
            (self.state / "gorb.db").unlink()
        else:
            self.state.rename(self.folder / f"lost-{time.monotonic_ns()}")
        return self.answers_again()

    def answers_again(self):
        self.changes += 1
        name, change = f"late{self.changes}", {**service(1), "port": 100 + self.changes}
        wait_until(lambda: f"a change is taken again; at last {self.reply}",
                   lambda: self.asked("PUT", f"/service/{name}", change) in (200, None), 20)
        return name

    def go_back(self):
        """A backup, and a restore of it after more was changed."""
        copy = self.disk.root / f"copy-{time.monotonic_ns()}"
        self.assertEqual(self.run_gorbd("--backup", copy), 0)
        self.assertEqual(self.asked("PUT", "/service/later", service(98)), 200)
        self.daemon.terminate()
        self.assertEqual(self.run_gorbd("--restore", copy), 0)
        self.disk.cut(LOST, self.dice)
        self.assertTrue(self.begin())
        self.assertEqual(self.daemon.get("/service/later").status, 404)

    def test_a_disk_that_fails_is_said_with_its_words_and_used_again_when_it_does_not(self):
        self.assertTrue(self.begin())
        done = 0
        for number, status, words in ((errno.EROFS, 503, "Read-only file system"), (errno.EIO, 503, "Input/output error"),
                                      (errno.ENOSPC, 507, "full"), (errno.EDQUOT, 507, "full")):
            with self.subTest(os.strerror(number)):
                self.disk.fails_with(number)
                for change in (service(50), service(51)):
                    self.assertEqual(self.asked("PUT", "/service/refused", change), status, self.reply)
                    self.assertIn(words, self.reply.text)
                self.assertEqual(self.daemon.get("/service/refused").status, 404)
                self.assertEqual(len(self.daemon.get("/service").json), done)
                self.disk.fails_with(0)
                wait_until("a change is taken again", lambda: self.asked("PUT", f"/service/s{number}", service(number)) == 200, 20)
                done += 1
        before = self.daemon.get("/config").json
        self.daemon.kill()
        self.disk.cut(LOST, self.dice)
        self.assertTrue(self.begin())
        self.assertEqual(self.daemon.get("/config").json, before)

    def test_a_first_start_has_all_that_it_answered_at_whatever_operation_the_power_goes(self):
        answered = set()

        def start():
            answered.clear()
            if not self.begin():
                return False
            for number in (1, 2):
                if self.asked("PUT", f"/service/s{number}", service(number)) != 200:
                    return False
                answered.add(f"s{number}")
            self.daemon.kill()
            return True

        def look(_):
            found = self.is_there()
            self.assertLessEqual(answered, found)
            self.assertLessEqual(len(found), len(answered) + 1)

        self.at_every_cut(self.holds, start, look)

    def test_what_a_start_that_was_killed_did_not_sync_the_next_one_does(self):
        step = 1 if LONG else 16
        operations = self.dice.randrange(step)
        while True:
            self.holds()
            self.disk.cut_after(operations)
            over = self.begin()
            self.daemon.kill()
            self.disk.cut_after(None)
            self.assertTrue(self.begin())
            self.assertEqual(self.asked("PUT", "/service/s1", service(1)), 200)
            self.daemon.kill()
            self.disk.cut(LOST, self.dice)
            with self.subTest(operations=operations):
                self.assertEqual(self.is_there(), {"s1"})
            if over:
                break
            operations += step
        self.assertGreater(operations, step)

    def test_a_restore_is_the_old_state_or_the_new_one_at_whatever_operation_the_power_goes(self):
        copy = self.folder / "copy"
        self.holds(1, 2)
        self.assertEqual(self.run_gorbd("--backup", copy), 0)
        self.at_every_cut(lambda: self.holds(3), lambda: self.run_gorbd("--restore", copy) == 0, self.is_old_or_new)

    def test_a_restore_into_a_new_folder_is_there_once_it_is_called_done(self):
        copy = self.folder / "copy"
        self.holds(1, 2)
        self.assertEqual(self.run_gorbd("--backup", copy), 0)
        self.holds()
        self.assertEqual(self.run_gorbd("--restore", copy), 0)
        self.disk.cut(LOST, self.dice)
        self.assertEqual(self.is_there(), {"s1", "s2"})

    def test_an_import_is_there_wholly_or_not_at_all_at_whatever_operation_the_power_goes(self):
        wanted = self.folder / "wanted"
        wanted.write_text(json.dumps(document(1, 2)))
        self.at_every_cut(lambda: self.holds(3), lambda: self.run_gorbd("--import", wanted, "--force") == 0, self.is_old_or_new)

    def test_a_backup_is_whole_or_not_there_at_whatever_operation_the_power_goes(self):
        copy = self.disk.root / "copy"

        def look(over):
            self.assertTrue(copy.exists() or not over)
            if copy.exists():
                self.assertEqual(self.run_gorbd("--restore", copy), 0)
                self.assertEqual(self.is_there(), {"s1"})

        self.at_every_cut(lambda: self.holds(1), lambda: self.run_gorbd("--backup", copy) == 0, look)

    def test_a_store_that_was_lost_has_all_that_was_answered_at_whatever_operation_the_power_goes(self):
        answered = set()

        def running():
            answered.clear()
            self.holds(1, 2)
            self.assertTrue(self.begin())

        def remove():
            self.state.rename(self.folder / f"lost-{time.monotonic_ns()}")
            late = self.answers_again()
            if self.daemon.process.poll() is not None:
                return False
            answered.update(("s1", "s2", late))
            self.daemon.kill()
            return True

        def look(_):
            found = self.is_there()
            # What was removed and not made anew when the power went is not there, or its removal was not.
            if answered:
                self.assertLessEqual(answered, found)
            else:
                self.assertIn(found - {f"late{self.changes}"}, (set(), {"s1", "s2"}))

        self.at_every_cut(running, remove, look)
