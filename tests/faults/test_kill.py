"""kill -9 at any instant while clients write over REST: what was answered is in the store afterwards, what was not answered is
there wholly or not at all, and numbers go on growing."""
import contextlib
import http.client
import json
import os
import random
import shutil
import sqlite3
import tempfile
import threading
import time
import unittest
from pathlib import Path

from gorbd import SLOW, Gorbd

ROUNDS = 500 if os.environ.get("GORB_FAULTS_LONG") else 15
CLIENTS = 4
BACKENDS = 4
METHODS = ("wrr", "rr", "wlc")


class Client:
    """Writes objects of its own, one request after the other. `may` has for each of them what it can be: one value when it was
    answered, more when the answer never came. None: it is not there."""

    def __init__(self, number, dice):
        self.service = f"s{number}"
        self.address = f"10.0.0.{number + 1}"
        self.dice = dice
        self.may = {}
        self.answered = 0
        self.failed = None  # an answer that should not be

    def value(self, name):
        """What it is now; only asked when that is sure."""
        (value,) = self.may.get(name, [None])
        return value

    def names(self):
        return [self.service] + [f"{self.service}/b{n}" for n in range(BACKENDS)]

    def change(self):
        """(method, path, body, {object: what it becomes})"""
        dice, name = self.dice, self.service
        if self.value(name) is None:
            method = dice.choice(METHODS)
            return "PUT", name, {"address": self.address, "port": 80, "method": method}, {name: ("service", method)}
        kind = dice.random()
        if kind < 0.05:
            return "DELETE", name, None, {each: None for each in self.names()}
        if kind < 0.15:
            method = dice.choice(METHODS)
            return "PATCH", name, {"method": method}, {name: ("service", method)}
        backend = f"{name}/b{dice.randrange(BACKENDS)}"
        weight = dice.randrange(1, 1000)
        now = self.value(backend)
        if now is None:
            body = {"address": f"10.1.0.{backend[-1]}", "port": 80, "weight": weight, "pulse": {"type": "none"}}
            return "PUT", backend, body, {backend: ("backend", weight)}
        if kind < 0.3:
            return "DELETE", backend, None, {backend: None}
        return "PATCH", backend, {"weight": weight}, {backend: ("backend", weight)}

    def run(self, address):
        connection = http.client.HTTPConnection(*address, timeout=20 * SLOW)
        try:
            while True:
                method, path, body, becomes = self.change()
                # Until it is answered it may be both.
                before = {name: self.may.get(name, [None]) for name in becomes}
                for name, value in becomes.items():
                    self.may[name] = list({*before[name], value})
                connection.request(method, f"/service/{path}", json.dumps(body) if body else None,
                                   {"Content-Type": "application/json"})
                response = connection.getresponse()
                text = response.read()
                if response.status != 200:
                    self.failed = f"{method} {path} {body}: {response.status} {text}"
                    return
                for name, value in becomes.items():
                    self.may[name] = [value]
                self.answered += 1
        except (OSError, http.client.HTTPException):
            pass  # It was killed.
        finally:
            connection.close()


def parts(document):
    """{object: what it is} of GET /config."""
    is_now = {}
    for name, service in document["services"].items():
        is_now[name] = ("service", service["method"])
        for backend, options in service.get("backends", {}).items():
            is_now[f"{name}/{backend}"] = ("backend", options["weight"])
    return is_now


class Kill(unittest.TestCase):
    def test_what_was_answered_is_there_after_any_kill(self):
        seed = int(os.environ.get("GORB_FAULTS_SEED", "2026"))
        dice = random.Random(seed)
        clients = [Client(number, random.Random(seed + 1 + number)) for number in range(CLIENTS)]
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        state = Path(self.enterContext(tempfile.TemporaryDirectory(dir=memory))) / "state"
        revision, identity, in_flight = 0, None, 0
        with Gorbd("--driver", "memory", "--state-directory", state, start=False) as daemon:
            for number in range(ROUNDS + 1):
                if dice.random() < 0.1:  # While it starts.
                    daemon.start(listening=False)
                    time.sleep(dice.random() * 0.05)
                    daemon.kill()
                    daemon.log_file.write_text("")
                    daemon.starts = 0
                if number:
                    self.look_at_rows(state)
                daemon.start()
                reply = daemon.get("/config")
                self.assertEqual(reply.status, 200, reply)
                with self.subTest(round=number, seed=seed):
                    self.compare(clients, reply.json)
                    self.assertGreaterEqual(reply.json["revision"], revision)
                    tag, _, last = reply.headers["etag"].strip('"').rpartition("-")
                    self.assertEqual(identity or tag, tag)
                identity, revision = tag, max(revision, int(last))
                if number == ROUNDS:
                    daemon.terminate()
                    break
                if dice.random() < 0.2:
                    revision = self.replace(daemon, reply, dice)
                in_flight += self.work_until_killed(daemon, clients, dice)
        answered = sum(client.answered for client in clients)
        print(f"{ROUNDS} kills, {answered} changes answered, {in_flight} under way when it was killed")
        self.assertGreater(answered, 10 * ROUNDS)
        self.assertGreater(in_flight, ROUNDS // 2)

    def work_until_killed(self, daemon, clients, dice):
        """How many requests never got their answer."""
        threads = [threading.Thread(target=client.run, args=(daemon.address,)) for client in clients]
        least = sum(client.answered for client in clients) + dice.randrange(60)
        end = time.monotonic() + 20 * SLOW
        for thread in threads:
            thread.start()
        while sum(client.answered for client in clients) < least and time.monotonic() < end:
            if any(client.failed for client in clients):
                break
            time.sleep(0.0005)
        time.sleep(dice.random() * 0.004)
        daemon.kill()
        for thread in threads:
            thread.join(30 * SLOW)
        self.assertEqual([client.failed for client in clients if client.failed], [])
        return sum(any(len(values) > 1 for values in client.may.values()) for client in clients)

    def replace(self, daemon, reply, dice):
        """PUT /config: the state as it is, with one service more or another one."""
        document = reply.json
        document["services"]["whole"] = {"address": "10.0.9.9", "port": 80, "method": dice.choice(METHODS)}
        answer = daemon.put("/config?force=true", document, headers={"If-Match": reply.headers["etag"]})
        self.assertEqual(answer.status, 200, answer)
        after = daemon.get("/config")
        self.assertEqual(after.json["services"]["whole"]["method"], document["services"]["whole"]["method"])
        return after.json["revision"]

    def compare(self, clients, document):
        is_now = parts(document)
        for client in clients:
            for name in client.names():
                self.assertIn(is_now.get(name), client.may.get(name, [None]), name)
                client.may[name] = [is_now.get(name)]
        known = {name for client in clients for name in client.names()} | {"whole"}
        self.assertEqual(set(is_now) - known, set())

    def look_at_rows(self, state):
        """What lies on the disk, read without gorbd from a copy: whole, and nothing half-made."""
        with tempfile.TemporaryDirectory() as copy:
            for name in ("gorb.db", "gorb.db-wal"):
                if (state / name).exists():
                    shutil.copy(state / name, copy)
            file = sqlite3.connect(Path(copy) / "gorb.db")
            with contextlib.closing(file):
                self.assertEqual(file.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
                self.assertEqual(file.execute("PRAGMA foreign_key_check").fetchall(), [])
                orphans = "SELECT service, name FROM backend WHERE service NOT IN (SELECT name FROM service)"
                self.assertEqual(file.execute(orphans).fetchall(), [])
