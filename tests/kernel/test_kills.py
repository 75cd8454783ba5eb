"""gorbd is killed at random instants while a client writes and ipvsadm edits the table: nothing acknowledged is lost."""
import http.client
import random
import threading
import time

from gorbd import SLOW
from lab import VIP, LabTest

KILLS = 15
ROUNDS = 3  # Each with KILLS / ROUNDS kills, so that one round fits in the time of a test.
WEB = f"tcp {VIP}:80"


class Writer(threading.Thread):
    """Puts, weighs and deletes backends, one request after the other, until the daemon is gone.

    `known` is what was acknowledged: {name: weight}; `open` the one request whose answer never came.
    """

    def __init__(self, gorbd, known, dice):
        super().__init__(daemon=True)
        self.gorbd, self.known, self.dice = gorbd, known, dice
        self.open = None
        self.trouble = None

    def run(self):
        while True:
            name = f"b{self.dice.randrange(12)}"
            weight = self.dice.randrange(1, 100)
            there = name in self.known
            if not there:
                wanted = ("PUT", name, weight)
            elif self.dice.random() < 0.3:
                wanted = ("DELETE", name, None)
            else:
                wanted = ("PATCH", name, weight)
            self.open = wanted
            try:
                reply = self.send(*wanted)
            except (OSError, http.client.HTTPException):
                return
            if reply.status != 200:
                self.trouble = f"{wanted}: {reply}"
                return
            self.open = None
            self.apply(*wanted)

    def send(self, method, name, weight):
        body = None if weight is None else {"weight": weight}
        if method == "PUT":
            body |= {"address": "10.1.9.1", "port": 1000 + int(name[1:]), "pulse": {"type": "none"}}
        return self.gorbd.request(method, f"/service/web/{name}", body)

    def apply(self, _, name, weight):
        if weight is None:
            del self.known[name]
        else:
            self.known[name] = weight


class Kills(LabTest):
    servers = 0

    def edits(self, dice, until):
        """Somebody with ipvsadm, on what is ours and on what is not."""
        while time.monotonic() < until:
            port = 1000 + dice.randrange(12)
            change = dice.choice([("-d", "-t", f"{VIP}:80", "-r", f"10.1.9.1:{port}"),
                                  ("-e", "-t", f"{VIP}:80", "-r", f"10.1.9.1:{port}", "-m", "-w", "999"),
                                  ("-E", "-t", f"{VIP}:80", "-s", dice.choice(["rr", "wlc"])),
                                  ("-e", "-t", "10.9.0.50:80", "-r", "10.1.9.9:80", "-m", "-w", str(dice.randrange(9)))])
            self.lab.director.sh("ipvsadm", *change, check=False)

    def shown(self):
        servers = self.lab.table().get(WEB, {"servers": {}})["servers"]
        return {f"b{int(address.split(':')[1]) - 1000}": server["weight"] for address, server in servers.items()}

    def round(self, seed):
        dice = random.Random(seed)
        self.lab.ipvsadm("-A", "-t", "10.9.0.50:80", "-s", "lc")
        self.lab.ipvsadm("-a", "-t", "10.9.0.50:80", "-r", "10.1.9.9:80", "-m", "-w", "3")
        gorbd = self.gorbd(settings={"reconcile": {"period": "300ms"}})
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "wrr"})
        known = {}
        for number in range(KILLS // ROUNDS):
            writer = Writer(gorbd, known, dice)
            writer.start()
            self.edits(dice, time.monotonic() + dice.uniform(0.02, 0.3) * SLOW)
            gorbd.kill()
            writer.join(30 * SLOW)
            self.assertFalse(writer.is_alive())
            self.assertIsNone(writer.trouble)
            gorbd.start()

            after = dict(known)
            if writer.open:
                writer.known = after
                writer.apply(*writer.open)
            document = gorbd.get("/config").json["services"]["web"]
            stored = {name: backend["weight"] for name, backend in document.get("backends", {}).items()}
            self.assertIn(stored, (known, after), f"kill {number} of seed {seed}, unanswered: {writer.open}")
            known.clear()
            known.update(stored)
            # A change that ipvsadm makes after the start's look would be drift; none was made.
            self.assertEqual(self.shown(), stored, f"kill {number} of seed {seed}")
            self.assertEqual(self.lab.table()[WEB]["scheduler"], "wrr")
            self.assertEqual(gorbd.get("/kernel").json["differences"], [])
            self.assertIn("10.1.9.9:80", self.lab.table()["tcp 10.9.0.50:80"]["servers"])

    def test_nothing_acknowledged_is_lost_by_kills_1(self):
        self.round(1)

    def test_nothing_acknowledged_is_lost_by_kills_2(self):
        self.round(2)

    def test_nothing_acknowledged_is_lost_by_kills_3(self):
        self.round(3)
