"""gorbd is killed at random instants while clients write, servers die and return, and ipvsadm edits the table: nothing that was
acknowledged is lost, nothing is half-made, the kernel is as it is wanted, and nobody else's is touched."""
import collections
import os
import random
import re
import threading
import time
from pathlib import Path

import servers
from gorbd import SLOW, wait_until
from lab import VIP, LabTest
from writer import GOING, THEIR_METHOD, THEIR_SERVER, THEIR_WEIGHT, Writer

ROUNDS = 3
KILLS = 510 if os.environ.get("GORB_FAULTS_LONG") else 15  # of all rounds
WRITERS = 2
STEADY, KEPT = f"tcp {VIP}:80", f"tcp {VIP}:8"
PULSE = {"type": "tcp", "interval": "200ms", "timeout": "5s", "rise": 1, "fall": 1}
REAL = (7001, 7002)  # Ports of servers that die and return; the backup's never does.
BACKUP = 7003


def parse_saved(text):
    """{"tcp 10.9.0.1:80": {"scheduler", "servers": {address: weight}}} of `ipvsadm -Sn`."""
    table = {}
    for line in text.splitlines():
        words = line.split()
        key = f"tcp {words[2]}"
        if words[0] == "-A":
            table[key] = {"scheduler": words[words.index("-s") + 1], "servers": {}}
        else:
            table[key]["servers"][words[4]] = int(words[words.index("-w") + 1])
    return table


class Kills(LabTest):
    servers = 1

    def setUp(self):
        super().setUp()
        self.counts = collections.Counter()
        for port in (*REAL, BACKUP, 7004):
            self.lab.serve(1, servers.tcp_echo, port)
        self.dead = set()
        self.lab.ipvsadm("-A", "-t", "10.9.0.50:80", "-s", "sh", "-p", "77", "-b", "sh-port")
        self.lab.ipvsadm("-a", "-t", "10.9.0.50:80", "-r", "10.1.9.9:80", "-g", "-w", "7", "-x", "50", "-y", "10")
        self.theirs = self.lab.ipvsadm("-Sn")

    def put(self, gorbd):
        gorbd.made("/service/steady", {"address": VIP, "port": 80, "method": "wrr"})
        for port in (*REAL, BACKUP):
            gorbd.made(f"/service/steady/b{port}", {"address": "10.1.1.2", "port": port, "pulse": PULSE, "weight": 10,
                                                    "backup": port == BACKUP})
        gorbd.made("/service/kept", {"address": VIP, "port": 8, "method": "rr"})
        gorbd.made("/service/kept/b", {"address": "10.1.1.2", "port": 7004, "pulse": {"type": "none"}})
        self.wait_for_weights(STEADY, self.steady())
        # Theirs, in one of ours.
        self.lab.ipvsadm("-a", "-t", f"{VIP}:8", "-r", "10.1.9.8:80", "-m", "-w", "0", "-x", "9")

    def steady(self):
        weights = {f"10.1.1.2:{port}": 0 if port in self.dead else 10 for port in REAL}
        return {**weights, f"10.1.1.2:{BACKUP}": 0 if any(weights.values()) else 10}

    def die_or_return(self, dice):
        port = dice.choice(REAL)
        if port in self.dead:
            self.lab.serve(1, servers.tcp_echo, port)
            self.dead.remove(port)
        else:
            self.lab.processes[(1, "tcp_echo", (port,))].kill()
            self.dead.add(port)
        self.counts["servers that died or returned"] += 1

    def edit(self, dice, over):
        """Somebody with ipvsadm, at what is ours."""
        while not over.is_set():
            number = dice.randrange(WRITERS) + 1
            service, server = ("-t", f"10.9.1.{number}:80"), ("-r", f"10.1.9.{number}:{1000 + dice.randrange(6)}")
            change = dice.choice([("-d", *service, *server), ("-e", *service, *server, "-m", "-w", "999"),
                                  ("-E", *service, "-s", dice.choice(["rr", "wlc"])), ("-D", *service),
                                  ("-d", "-t", f"{VIP}:80", "-r", f"10.1.1.2:{BACKUP}")])
            self.lab.director.sh("ipvsadm", *change, check=False)
            self.counts["edits with ipvsadm"] += 1
            over.wait(dice.random() * 0.1 * SLOW)

    def work_until_killed(self, gorbd, writers, dice):
        if dice.random() < 0.4:  # Before there are threads: a fork would keep what they are about to close.
            self.die_or_return(dice)
        over = threading.Event()
        before = sum(sum(writer.answered.values()) for writer in writers)
        threads = [writer.start(gorbd.address) for writer in writers]
        threads.append(threading.Thread(target=self.edit, args=(random.Random(dice.random()), over), daemon=True))
        threads[-1].start()
        least, end = dice.randrange(1, 12), time.monotonic() + 3 * SLOW
        while (sum(sum(writer.answered.values()) for writer in writers) < before + least and time.monotonic() < end
               and not any(writer.trouble for writer in writers)):
            time.sleep(0.002)
        time.sleep(dice.random() * 0.02 * SLOW)
        gorbd.kill()
        over.set()
        for thread in threads:
            thread.join(30 * SLOW)
        self.assertFalse([thread for thread in threads if thread.is_alive()])
        self.assertEqual([writer.trouble for writer in writers if writer.trouble], [])
        self.counts["kills"] += 1

    def start(self, gorbd, dice):
        """Gives the log of the one that was killed; the file has that of the new one."""
        earlier = gorbd.log()
        gorbd.log_file.write_text("")
        gorbd.starts = 0
        if dice.random() < 0.1:  # Killed before it is there.
            gorbd.start(listening=False)
            time.sleep(dice.random() * 0.3 * SLOW)
            gorbd.kill()
            gorbd.log_file.write_text("")
            self.counts["kills while it started"] += 1
        gorbd.start()
        return earlier

    def look(self, gorbd, writers):
        """What there is right after a start."""
        document = gorbd.get("/config").json

        def leaves(name):
            reply = gorbd.get(f"/service/{name}")
            return reply.status == 404 or reply.json.get("deleting", False)  # 404: in between it has gone.

        self.counts["unanswered"] += sum(writer.settle(document, leaves) for writer in writers)
        names = {"steady", "kept", *(name for writer in writers for name in (writer.own, writer.taken))}
        self.assertLessEqual(set(document["services"]), names)
        self.assertEqual(gorbd.get("/kernel").json["differences"], [])
        saved = self.lab.ipvsadm("-Sn")
        table = parse_saved(saved)
        for writer in writers:
            self.compare(table.pop(f"tcp {writer.address}:80", None), writer)
            self.compare_taken(table.pop(f"tcp {writer.taken_address}:80", None), writer)
        self.assertEqual(set(table), {STEADY, KEPT, "tcp 10.9.0.50:80"})
        self.assertEqual(set(table[STEADY]["servers"]), set(self.steady()))
        self.assertEqual(set(table[KEPT]["servers"]), {"10.1.1.2:7004", "10.1.9.8:80"})
        self.assertIn(self.theirs, saved)
        self.assertIn(f"-a -t {VIP}:8 -r 10.1.9.8:80 -m -w 0", saved)
        self.compare_vips(writers)

    def compare(self, entry, writer):
        known = writer.known.get(writer.own)
        if known is None:
            self.assertIsNone(entry)
        if known is None or entry is None and known == GOING:
            return
        self.assertIsNotNone(entry, known)
        wanted = writer.weights()
        # What is to go has no weight, if it is still there.
        shown = {address: weight for address, weight in entry["servers"].items() if address in wanted or weight}
        self.assertEqual(shown, wanted)
        if known != GOING:
            self.assertEqual(entry["scheduler"], known[1])

    def compare_taken(self, entry, writer):
        """Its destination is the same, whosever it is."""
        known = writer.known.get(writer.taken)
        if known is None and not writer.foreign:
            self.assertIsNone(entry)
            return
        self.assertEqual(entry["scheduler"], known[1] if known else THEIR_METHOD)
        self.assertEqual(entry["servers"], {THEIR_SERVER: THEIR_WEIGHT})

    def compare_vips(self, writers):
        with self.lab.director:
            there = set(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", Path("/proc/thread-self/net/fib_trie").read_text()))
        for writer in writers:
            for name, address in ((writer.own, writer.address), (writer.taken, writer.taken_address)):
                if name in writer.known:
                    self.assertTrue(address in there or writer.known[name] == GOING, (address, there))
                else:  # nobody else adds it, so it was gorb's
                    self.assertNotIn(address, there)

    def round(self, seed):
        dice = random.Random(seed)
        gorbd = self.gorbd("--vip-interface", "vips", pulses=("none", "tcp"),
                           settings={"reconcile": {"period": "300ms", "guard-share": 100}})
        self.put(gorbd)
        kept = self.lab.connect(VIP, 8)
        self.addCleanup(kept.close)
        writers = [Writer(number, self.lab, random.Random(dice.random())) for number in range(WRITERS)]
        earlier = ""
        for number in range(KILLS // ROUNDS):
            try:
                self.work_until_killed(gorbd, writers, dice)
                self.echo(kept, "nobody in charge")
                earlier = self.start(gorbd, dice)
                self.look(gorbd, writers)
                self.wait_for_weights(STEADY, self.steady())
                self.echo(kept, "again")
                with self.lab.connect(VIP, 80) as fresh:
                    self.echo(fresh, "new")
            except AssertionError as error:
                raise AssertionError(f"kill {number} of seed {seed}: {error}; the log before it:\n{earlier}") from error
        answered = collections.Counter()
        for writer in writers:
            answered.update(writer.answered)
        print(f"{dict(self.counts)}; answered: {answered.total()}, {dict(answered)}")
        self.assertGreaterEqual(answered.total(), self.counts["kills"])
        self.finish(gorbd, writers)

    def finish(self, gorbd, writers):
        """What was promised to go has gone."""
        leaving = [name for writer in writers for name, value in writer.known.items() if value == GOING]
        for name in leaving:
            wait_until(f"{name} has gone", lambda path=f"/service/{name}": gorbd.get(path).status == 404, 20)

    def echo(self, connection, text):
        connection.sendall(text.encode())
        self.assertEqual(connection.recv(1000), b"s1 " + text.encode())

    def test_nothing_acknowledged_is_lost_by_kills_1(self):
        self.round(1)

    def test_nothing_acknowledged_is_lost_by_kills_2(self):
        self.round(2)

    def test_nothing_acknowledged_is_lost_by_kills_3(self):
        self.round(3)
