"""Somebody edits the table with ipvsadm: what is ours is repaired, or reported; what is theirs stays theirs."""
import re

import servers
from gorbd import wait_until
from lab import VIP, LabTest
from traffic import Traffic

WEB = f"tcp {VIP}:80"
UP = {"10.1.1.2:80": 100, "10.1.2.2:80": 100}
SERVICE = ("-t", f"{VIP}:80")
FIRST, SECOND = ("-r", "10.1.1.2:80", "-m"), ("-r", "10.1.2.2:80", "-m")
HOUR = {"reconcile": {"period": "1h"}}
SOON = {"reconcile": {"period": "500ms"}}


class Drift(LabTest):
    def start(self, settings, service=None):
        """A daemon with a service of two servers, in a table that has entries of others, one of them in that service."""
        for number in (1, 2):
            self.lab.serve(number, servers.http_server)
        self.lab.ipvsadm("-A", "-t", "10.9.0.50:8080", "-s", "sh", "-p", "77", "-b", "sh-port")
        self.lab.ipvsadm("-a", "-t", "10.9.0.50:8080", "-r", "10.1.9.9:8080", "-g", "-w", "7", "-x", "50", "-y", "10")
        self.lab.ipvsadm("-A", "-f", "5", "-s", "lc")
        gorbd = self.gorbd(settings=settings)
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "wrr", **(service or {})})
        for number in (1, 2):
            gorbd.made(f"/service/web/s{number}", {"address": self.lab.address(number), "port": 80, "pulse": {"type": "none"}})
        self.lab.ipvsadm("-a", *SERVICE, "-r", "10.1.1.2:81", "-m", "-w", "0", "-x", "9")
        self.wait_for_weights(WEB, {**UP, "10.1.1.2:81": 0})
        return gorbd

    def reconcile(self, gorbd):
        reply = gorbd.request("POST", "/reconcile")
        self.assertEqual(reply.status, 200, reply)
        return reply.json

    def sorted_table(self):
        """The kernel shows its newest destination first; what counts is what it has. -S leaves out the thresholds."""
        thresholds = [" ".join(words[1:4]) for line in self.lab.ipvsadm("-Ln", "--thresholds").splitlines()
                      if (words := line.split())[:1] == ["->"] and len(words) > 3]
        # The kernel finds its place between the parts of a listing by a number that counts the services of all network
        # namespaces: what others remove at that moment makes one come twice.
        return sorted(set(self.lab.ipvsadm("-Sn").splitlines())), sorted(thresholds)

    CHANGES = {
        "a destination is removed": ("-d", *SERVICE, *FIRST[:2]),
        "a weight is another one": ("-e", *SERVICE, *FIRST, "-w", "3"),
        "a forwarding method is another one": ("-e", *SERVICE, "-r", "10.1.1.2:80", "-g", "-w", "100"),
        "thresholds were set": ("-e", *SERVICE, *FIRST, "-w", "100", "-x", "5", "-y", "2"),
        "the scheduler is another one": ("-E", *SERVICE, "-s", "rr"),
        "persistence was switched on": ("-E", *SERVICE, "-s", "wrr", "-p", "33"),
    }

    def test_every_change_is_repaired_at_once_on_demand(self):
        gorbd = self.start(HOUR)
        before = self.sorted_table()
        for what, change in self.CHANGES.items():
            with self.subTest(what):
                self.lab.ipvsadm(*change)
                self.assertNotEqual(self.sorted_table(), before)
                found = self.reconcile(gorbd)
                self.assertEqual(found["drift"], 1, found)
                self.assertEqual(self.sorted_table(), before)
                self.assertEqual(self.reconcile(gorbd)["drift"], 0)

    def test_every_change_is_repaired_within_the_period(self):
        gorbd = self.start(SOON)
        before = self.sorted_table()
        for what, change in self.CHANGES.items():
            self.lab.ipvsadm(*change)
            wait_until(f"{what}, and is as it was", lambda: self.sorted_table() == before, 5)
        self.assertGreaterEqual(len(re.findall("drift repaired", gorbd.log())), len(self.CHANGES))

    def test_a_repair_is_told_with_before_and_after(self):
        gorbd = self.start(HOUR)
        last = gorbd.get("/events").json["events"]
        after = last[-1]["number"] if last else 0
        self.lab.ipvsadm("-e", *SERVICE, *FIRST, "-w", "3")
        self.assertEqual(self.reconcile(gorbd)["drift"], 1)
        events = [event for event in gorbd.get(f"/events?after={after}").json["events"] if event["kind"] == "drift"]
        self.assertEqual(len(events), 1, events)
        text = str(events[0])
        for words in ("10.1.1.2:80", "weight 3", "weight 100"):
            self.assertIn(words, text)
        line = re.search(r".*drift repaired.*", gorbd.log()).group()
        for words in ("10.1.1.2:80", "weight 3", "weight 100"):
            self.assertIn(words, line)

    def test_traffic_runs_through_edits_and_their_repair(self):
        """A destination that is removed and added again has its connections back: nothing is reset."""
        self.traffic_runs_through_repairs({})

    def test_traffic_of_a_persistent_service_runs_through_edits_and_their_repair(self):
        self.traffic_runs_through_repairs({"persistent": 300})

    def traffic_runs_through_repairs(self, service):
        self.start(SOON, service)
        before = self.sorted_table()
        with Traffic(self.lab, VIP) as traffic:
            for what, change in self.CHANGES.items():
                # Nobody could prevent this: until the repair new connections go astray, or find no scheduler while the
                # kernel exchanges it (ip_vs_edit_service() waits for an RCU grace period without one).
                if what in ("a forwarding method is another one", "the scheduler is another one"):
                    continue
                self.lab.ipvsadm(*change)
                wait_until(f"{what}, and is as it was", lambda: self.sorted_table() == before, 5)
                traffic.goes_on()

    def test_a_service_that_was_removed_comes_back_whole(self):
        gorbd = self.start(HOUR)
        self.assertEqual(sum(self.lab.count(4, VIP).values()), 4)
        wanted = [line for line in self.sorted_table()[0] if "10.1.1.2:81" not in line]  # Theirs: they removed it.
        self.lab.ipvsadm("-D", *SERVICE)
        found = self.reconcile(gorbd)
        self.assertEqual(found["drift"], 3, found)
        self.assertEqual(self.sorted_table()[0], wanted)
        self.assertEqual(self.lab.count(4, VIP), {"s1": 2, "s2": 2})
        self.lab.ipvsadm("-C")
        self.reconcile(gorbd)
        self.assertEqual(self.sorted_table()[0], [line for line in wanted if VIP in line])
        self.assertEqual(self.lab.count(4, VIP), {"s1": 2, "s2": 2})

    def test_what_gorb_has_no_words_for_is_not_adopted_and_set_back(self):
        """One-packet scheduling, a persistence engine, the type of a tunnel."""
        gorbd = self.gorbd(settings=HOUR)
        service, server = ("-u", f"{VIP}:5060"), ("-r", "10.1.1.2:5060")
        adopt = lambda: gorbd.request("POST", "/kernel/adopt", {  # noqa: E731
            "address": VIP, "port": 5060, "protocol": "udp", "pulse": {"type": "none"}})
        table = lambda: (self.lab.ipvsadm("-Sn"), self.lab.ipvsadm("-Ln", "--tun-info"))  # noqa: E731
        gue = (*service, *server, "-i", "-w", "9", "--tun-type", "gue", "--tun-port", "6080")
        wrr = (*service, "-s", "wrr", "-p", "300")
        self.lab.ipvsadm("-A", *wrr, "-o")
        self.lab.ipvsadm("-a", *gue)
        for word, change in (("one-packet", ("-E", *wrr, "--pe", "sip")), ("persistence engine sip", ("-E", *wrr)),
                             ("GUE", ("-e", *service, *server, "-i", "-w", "9"))):
            before = table()
            reply = adopt()
            self.assertEqual(reply.status, 409, reply)
            self.assertIn(word, reply.json["error"])
            self.assertEqual(table(), before)
            self.lab.ipvsadm(*change)
        self.assertEqual(adopt().status, 200)
        self.wait_for_weights(f"udp {VIP}:5060", {"10.1.1.2:5060": 9})
        before = table()
        for change in (("-E", *wrr, "-o"), ("-E", *wrr, "--pe", "sip"), ("-e", *gue)):
            self.lab.ipvsadm(*change)
            self.assertNotEqual(table(), before)
            self.assertEqual(self.reconcile(gorbd)["drift"], 1, change)
            self.assertEqual(table(), before, change)

    def test_report_leaves_the_change_and_shows_it(self):
        gorbd = self.start({"reconcile": {"period": "500ms", "drift": "report"}})
        self.assertEqual(gorbd.get("/kernel").json["differences"], [])
        self.lab.ipvsadm("-e", *SERVICE, *FIRST, "-w", "3")
        self.lab.ipvsadm("-d", *SERVICE, *SECOND[:2])
        before = self.lab.ipvsadm("-Sn")
        shown = gorbd.wait_for("/kernel", lambda kernel: len(kernel["differences"]) == 2
                               and all(one["since"] for one in kernel["differences"]), "shows both, and since when")
        self.assertTrue(shown)
        found = {one["entry"]: one for one in gorbd.get("/kernel").json["differences"]}
        self.assertEqual(sorted(entry.split()[0] for entry in found), ["10.1.1.2:80", "10.1.2.2:80"])
        for _ in range(2):
            self.reconcile(gorbd)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.assertEqual(len(re.findall("somebody has changed what is ours", gorbd.log())), 2)
        self.assertNotIn("drift repaired", gorbd.log())
        # Put right by hand, it is not reported any more.
        self.lab.ipvsadm("-e", *SERVICE, *FIRST, "-w", "100")
        self.lab.ipvsadm("-a", *SERVICE, *SECOND, "-w", "100")
        gorbd.wait_for("/kernel", lambda kernel: kernel["differences"] == [], "is in sync")
        self.assertEqual(self.reconcile(gorbd)["drift"], 0)

    def test_what_others_add_to_a_service_of_ours_stays(self):
        gorbd = self.start(SOON)
        for number in range(3):
            self.lab.ipvsadm("-a", *SERVICE, "-r", f"10.1.9.{number + 1}:80", "-i", "-w", str(number))
        before = self.lab.ipvsadm("-Sn")
        for _ in range(3):
            self.reconcile(gorbd)
        gorbd.kill()
        gorbd.start()
        self.reconcile(gorbd)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
