"""Without what it takes, gorbd says in one sentence what is missing and what would help."""
import shutil

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
