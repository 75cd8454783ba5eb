"""Schedulers and their flags: whatever the running kernel has, and nothing that it has not."""
import os
import re
from pathlib import Path

from lab import VIP, LabTest

NOT_SCHEDULERS = {"ftp", "pe_sip"}


def kernel_schedulers():
    """From the kernel's own files: the modules, and what is built in."""
    tree = Path("/lib/modules") / os.uname().release
    modules = [str(path) for path in (tree / "kernel" / "net" / "netfilter" / "ipvs").glob("ip_vs_*.ko*")]
    modules += (tree / "modules.builtin").read_text().splitlines()
    found = {match.group(1) for name in modules if (match := re.search(r"/ip_vs_(\w+)\.ko", name))}
    return found - NOT_SCHEDULERS


class Schedulers(LabTest):
    servers = 0

    def test_every_one_that_the_kernel_has_is_accepted(self):
        gorbd = self.gorbd()
        there = kernel_schedulers()
        self.assertLess({"rr", "wrr", "lc", "wlc", "sh", "mh"}, there)
        for port, name in enumerate(sorted(there), 1000):
            gorbd.made(f"/service/{name}", {"address": VIP, "port": port, "method": name})
            self.assertEqual(self.lab.table()[f"tcp {VIP}:{port}"]["scheduler"], name)
        self.assertEqual(set(gorbd.get("/").json["schedulers"]), there)
        self.assertEqual(len(self.lab.table()), len(there))  # Asking left nothing behind.

    def test_one_that_the_kernel_has_not_is_refused_and_leaves_nothing(self):
        gorbd = self.gorbd("--vip-interface", "vips")
        self.assertNotIn("twos", kernel_schedulers())
        reply = gorbd.put("/service/web", {"address": "10.9.0.77", "port": 80, "method": "twos"})
        self.assertEqual(reply.status, 500, reply)
        self.assertIn("twos", reply.json["error"])
        self.assertEqual(gorbd.get("/service/web").status, 404)
        self.assertEqual(gorbd.get("/service").json, [])
        self.assertEqual(self.lab.table(), {})
        self.assertNotIn("10.9.0.77", self.lab.director.sh("ip", "addr", "show", "vips"))
        gorbd.made("/service/web", {"address": "10.9.0.77", "port": 80, "method": "wrr"})

    def test_a_refused_change_of_scheduler_leaves_the_old_one(self):
        gorbd = self.gorbd()
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "wrr"})
        reply = gorbd.patch("/service/web", {"method": "twos"})
        self.assertEqual(reply.status, 500, reply)
        self.assertIn("twos", reply.json["error"])
        self.assertEqual(gorbd.get("/service/web").json["options"]["method"], "wrr")
        self.assertEqual(self.lab.table()[f"tcp {VIP}:80"]["scheduler"], "wrr")

    def test_flags_reach_the_kernel(self):
        gorbd = self.gorbd()
        # ipvsadm names the bits after sh and mh alike: fallback is flag-1, port is flag-2.
        cases = (("sh", "sh-fallback", "(sh-fallback)"), ("sh", "sh-port", "(sh-port)"),
                 ("sh", "sh-fallback|sh-port", "(sh-fallback,sh-port)"), ("mh", "mh-fallback", "(mh-fallback)"),
                 ("mh", "mh-port", "(mh-port)"), ("mh", "mh-fallback|mh-port", "(mh-fallback,mh-port)"))
        for port, (scheduler, flags, shown) in enumerate(cases, 1000):
            gorbd.made(f"/service/s{port}", {"address": VIP, "port": port, "method": scheduler, "flags": flags,
                                             "fallback": "off"})
            self.assertEqual(self.lab.table()[f"tcp {VIP}:{port}"]["flags"], shown, flags)
