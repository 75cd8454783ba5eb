"""Servers that die, fail and return, while clients ask."""
import shutil
import subprocess
import tempfile
from pathlib import Path

import servers
from lab import VIP, LabTest, wait_until

SERVICE = f"tcp {VIP}:80"
UP = {"10.1.1.2:80": 100, "10.1.2.2:80": 100}
FIRST_DOWN = {"10.1.1.2:80": 0, "10.1.2.2:80": 100}


class Health(LabTest):
    def put(self, pulse):
        gorbd = self.gorbd()
        gorbd.made("/service/web", {"address": VIP, "port": 80, "protocol": "tcp", "method": "rr"})
        for number in (1, 2):
            gorbd.made(f"/service/web/s{number}", {"address": self.lab.address(number), "port": 80, "method": "nat",
                                                   "pulse": {"interval": "200ms", "timeout": "1s", **pulse}})
        return gorbd

    def test_a_killed_server_gets_weight_zero_and_traffic_again_when_it_returns(self):
        for number in (1, 2):
            self.lab.serve(number, servers.http_server)
        gorbd = self.put({"type": "tcp"})
        self.wait_for_weights(SERVICE, UP)
        self.assertEqual(self.lab.count(10, VIP), {"s1": 5, "s2": 5})

        self.lab.processes[(1, "http_server", ())].kill()
        self.wait_for_weights(SERVICE, FIRST_DOWN)
        self.assertEqual(self.lab.count(30, VIP), {"s2": 30})  # And none of them failed.
        shown = gorbd.get("/service/web/s1").json
        self.assertEqual((shown["metrics"]["status"], shown["weight"]["configured"], shown["weight"]["effective"]),
                         (1, 100, 0))
        self.assertIn("refused", shown["last"]["reason"])
        self.assertNotEqual(shown["weight"]["why"], "")

        self.lab.serve(1, servers.http_server)
        self.wait_for_weights(SERVICE, UP)
        self.assertEqual(self.lab.count(10, VIP), {"s1": 5, "s2": 5})
        shown = gorbd.get("/service/web/s1").json
        self.assertEqual((shown["metrics"]["status"], shown["weight"]["effective"]), (0, 100))

    def test_http_pulse_takes_out_a_server_that_answers_with_an_error(self):
        self.lab.serve(1, servers.http_server, 80, 500)  # Its /health is 500, everything else well.
        self.lab.serve(2, servers.http_server)
        gorbd = self.put({"type": "http", "path": "/health"})
        self.wait_for_weights(SERVICE, FIRST_DOWN)
        self.assertEqual(self.lab.count(6, VIP), {"s2": 6})
        self.assertEqual(gorbd.get("/service/web/s1").json["last"]["code"], 500)

    def test_http_pulse_of_a_server_that_is_not_ours(self):
        """busybox httpd, over IPv4: an HTTP server that knows nothing of these tests."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        (Path(folder.name) / "index.html").write_text("busybox\n")
        with self.lab.servers[0]:
            httpd = subprocess.Popen([shutil.which("busybox"), "httpd", "-f", "-p", "80", "-h", folder.name])
        self.addCleanup(httpd.wait)
        self.addCleanup(httpd.kill)
        self.lab.serve(2, servers.http_server)
        self.put({"type": "http", "path": "/index.html", "expect": 200})
        self.wait_for_weights(SERVICE, UP)
        self.assertEqual(self.lab.count(10, VIP), {"busybox": 5, "s2": 5})
        (Path(folder.name) / "index.html").unlink()
        self.wait_for_weights(SERVICE, FIRST_DOWN)
        self.assertEqual(self.lab.count(6, VIP), {"s2": 6})

    def test_a_server_that_was_never_up_gets_no_traffic(self):
        self.lab.serve(2, servers.http_server)
        self.put({"type": "tcp"})
        self.wait_for_weights(SERVICE, FIRST_DOWN)
        self.assertEqual(self.lab.count(6, VIP), {"s2": 6})

    def test_a_server_that_swallows_packets_times_out(self):
        for number in (1, 2):
            self.lab.serve(number, servers.http_server)
        gorbd = self.put({"type": "tcp", "timeout": "300ms"})
        self.wait_for_weights(SERVICE, UP)
        self.lab.servers[0].ip("link set eth0 down")
        self.wait_for_weights(SERVICE, FIRST_DOWN, 30)
        self.assertEqual(self.lab.count(6, VIP), {"s2": 6})
        self.lab.servers[0].ip("link set eth0 up", "route add default via 10.1.1.1")
        self.wait_for_weights(SERVICE, UP, 30)
        self.assertEqual(gorbd.get("/service/web").json["backends"], ["s1", "s2"])

    def test_a_download_from_the_other_server_goes_on_while_one_dies(self):
        for number in (1, 2):
            self.lab.serve(number, servers.http_server)
        self.put({"type": "tcp"})
        self.wait_for_weights(SERVICE, UP)
        self.lab.fetch(VIP)  # Round robin: the next one is the other server's.
        before = {address: server["active"] for address, server in self.lab.table()[SERVICE]["servers"].items()}
        download = self.lab.connect(VIP, 80)
        self.addCleanup(download.close)
        download.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        taken = wait_until("the kernel counts the download", lambda: [
            address for address, server in self.lab.table()[SERVICE]["servers"].items()
            if server["active"] > before[address]])[0]
        other = 1 if taken == "10.1.2.2:80" else 2
        self.lab.processes[(other, "http_server", ())].kill()
        self.wait_for_weights(SERVICE, {address: 100 if address == taken else 0 for address in UP})
        total = 0
        while part := download.recv(65536):
            total += len(part)
        self.assertGreaterEqual(total, 64 * 16384)
