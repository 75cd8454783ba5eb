"""Without what it takes, gorbd says in one sentence what is missing and what would help."""
import shutil

import losing
from lab import LabTest


class Privileges(LabTest):
    servers = 0

    def without_cap_net_admin(self, *options):
        setpriv = [shutil.which("setpriv"), "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
        return self.lab.run_gorbd("--listen", "127.0.0.1:0", *options, before=setpriv)

    def test_without_cap_net_admin_it_says_so_and_ends(self):
        status, said = self.without_cap_net_admin()
        self.assertNotEqual(status, 0, said)
        complaint = [line for line in said.splitlines() if "CAP_NET_ADMIN" in line]
        self.assertEqual(len(complaint), 1, said)
        self.assertIn("run as root", complaint[0])

    def test_with_cap_net_admin_alone_it_works(self):
        """No other privilege is needed once the module is there."""
        lab = self.lab
        daemon = self.gorbd(start=False)
        shutil.chown(daemon.folder.name, 65534, 65534)
        daemon.command = [shutil.which("setpriv"), "--reuid", "65534", "--regid", "65534", "--clear-groups",
                          "--bounding-set", "-all,+net_admin", "--inh-caps", "-all,+net_admin", "--ambient-caps",
                          "-all,+net_admin", *daemon.command]
        daemon.start()
        daemon.made("/service/web", {"address": "10.9.0.1", "port": 80, "method": "rr"})
        self.assertIn("tcp 10.9.0.1:80", lab.table())

    # Whoever may have a turn of the control.
    CONTROL = ("control-0", "control-1", "rest")

    def test_losing_cap_net_admin_is_shown_and_made_good_when_it_is_back(self):
        daemon = self.gorbd(settings={"reconcile": {"period": "1h"}})
        daemon.made("/service/web", {"address": "10.9.0.1", "port": 80, "method": "rr"})
        daemon.made("/service/web/b1", {"address": "10.1.9.1", "port": 80, "pulse": {"type": "none"}, "weight": 5})
        before = self.lab.ipvsadm("-Sn")
        for thread in self.CONTROL:
            losing.set_effective(daemon.process.pid, thread, losing.NET_ADMIN, False)
        refused = daemon.put("/service/web/b2", {"address": "10.1.9.2", "port": 80, "pulse": {"type": "none"}})
        self.assertIn(refused.status, (403, 500, 503), refused)
        self.assertIn("CAP_NET_ADMIN", refused.json["error"])
        self.assertEqual(daemon.get("/service/web/b2").status, 404)
        self.lab.ipvsadm("-e", "-t", "10.9.0.1:80", "-r", "10.1.9.1:80", "-m", "-w", "9")
        looked = daemon.request("POST", "/reconcile")
        self.assertEqual(looked.status, 200, looked)
        self.assertGreater(looked.json["refused"], 0)
        shown = daemon.get("/service/web").json
        self.assertIs(shown["applied"], False, shown)
        self.assertIn("CAP_NET_ADMIN", shown["refusal"])
        for thread in self.CONTROL:
            losing.set_effective(daemon.process.pid, thread, losing.NET_ADMIN, True)
        daemon.wait_for("/service/web", lambda service: service["applied"], "is applied again", 30)
        self.assertEqual(daemon.request("POST", "/reconcile").status, 200)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
