"""The recipes of the READMEs of pulse-tcp and pulse-udp, as they stand there, against the real servers from Debian's packages.

Each server is the test's own: its own port on loopback, its own folder, ended with the test.
"""
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from gorbd import Gorbd, wait_until
from servers import free_port, program

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def recipe(plugin, name, language="json"):
    """The code block that follows the line <!-- recipe: NAME --> in the README of a plugin."""
    text = (PLUGINS / plugin / "README.md").read_text()
    found = re.findall(rf"<!-- recipe: {name} -->\n+```{language}\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1, f"the README of {plugin} has {len(found)} recipes {name}"
    return json.loads(found[0])["pulse"] if language == "json" else found[0]


class Recipes(unittest.TestCase):
    def setUp(self):
        self.gorbd = self.enterContext(Gorbd("--driver", "memory"))
        self.services = 0
        # Servers that give up root want to read and write here.
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="gorb-recipe.")))
        self.folder.chmod(0o755)
        self.log = self.folder / "log"

    def serve(self, *command):
        with self.log.open("ab") as log:
            process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()

    def listens(self, process, port, seconds=60):
        def connects():
            assert process.poll() is None, f"the server ended:\n{self.log.read_text(errors='replace')}"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until("the server listens", connects, seconds)

    def check(self, pulse, port, service="web"):
        """The path of a backend with this pulse."""
        self.services += 1
        self.gorbd.made(f"/service/{service}", {"address": "10.0.0.1", "port": self.services})
        self.gorbd.made(f"/service/{service}/b1", {"address": "127.0.0.1", "port": port, "pulse": {
            **pulse, "interval": "100ms", "timeout": "2s", "fall": 1, "rise": 1}})
        return f"/service/{service}/b1"

    def up(self, path, *words):
        backend = self.gorbd.wait_for(path, lambda b: b["state"] == "up" and self.gorbd.get(path).json, "up", 20)
        for word in words:
            self.assertIn(word, backend["last"]["reason"])

    def down(self, path, *words):
        self.gorbd.wait_for(path, lambda b: b["state"] == "down" and all(
            word in (b["last"] or {}).get("reason", "") for word in words), f"down because of {words}", 20)

    def redis(self, *options):
        port = free_port()
        process = self.serve(program("redis-server", "redis-server"), "--bind", "127.0.0.1", "--port", port, "--dir", self.folder,
                             "--save", "", "--daemonize", "no", *options)
        self.listens(process, port)
        return process, port

    def test_redis(self):
        process, port = self.redis()
        path = self.check(recipe("pulse-tcp", "redis"), port)
        self.up(path, "+PONG")
        process.send_signal(signal.SIGSTOP)  # It listens still, and a check that only connects would pass.
        self.down(path, "nothing came within the timeout")
        process.send_signal(signal.SIGCONT)
        self.up(path, "+PONG")
        self.end(process)
        self.down(path, "connection refused")

    def test_redis_with_a_password(self):
        pulse = recipe("pulse-tcp", "redis-password")
        (password,) = re.findall(r"^AUTH (\S+)\r\n$", pulse["steps"][0]["send"])
        _, port = self.redis("--requirepass", password)
        self.up(self.check(pulse, port), "+PONG")
        self.down(self.check(recipe("pulse-tcp", "redis"), port, "without"), "-NOAUTH Authentication required")
        pulse["steps"][0]["send"] = "AUTH wrong\r\n"
        self.down(self.check(pulse, port, "wrong"), "step 1: expected", "-WRONGPASS")

    def test_mysql(self):
        server = program("mariadbd", "mariadb-server")
        install = program("mariadb-install-db", "mariadb-server")
        as_user = []
        if os.geteuid() == 0:  # It does not run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            as_user = ["--user=nobody"]
        data, users = self.folder / "data", self.folder / "users.sql"
        users.write_text(recipe("pulse-tcp", "mysql-user", "sql"))
        users.chmod(0o644)
        small = ["--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--performance-schema=OFF"]
        done = subprocess.run([install, "--no-defaults", f"--datadir={data}", "--skip-test-db", "--skip-name-resolve",
                               "--auth-root-authentication-method=normal", *small, *as_user], cwd="/",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace"))
        port = free_port()
        start = [server, "--no-defaults", f"--datadir={data}", f"--socket={self.folder}/s", f"--pid-file={self.folder}/pid",
                 "--bind-address=127.0.0.1", f"--port={port}", f"--init-file={users}", "--max-connect-errors=3", *small, *as_user]
        process = self.serve(*start)
        self.listens(process, port)
        path = self.check(recipe("pulse-tcp", "mysql"), port)
        self.up(path)
        # Many checks, each of which logs in and says good-bye: the server counts no aborted connections.
        self.gorbd.wait_for(path, lambda b: b["counts"]["passes"] >= 10, "ten checks passed", 20)
        self.assertEqual(self.gorbd.get(path).json["counts"]["failures"], 0)
        self.assertNotIn("Aborted connection", self.log.read_text(errors="replace"))
        process.send_signal(signal.SIGSTOP)
        self.down(path, "step 1: nothing came within the timeout")
        self.end(process)
        self.down(path, "connection refused")

        users.write_text("DROP USER IF EXISTS gorb@'%';\n")
        process = self.serve(*start)
        self.listens(process, port)
        self.down(path, "step 2: expected", "Access denied for user 'gorb'")

    def test_smtp(self):
        # As inetd would run it: a process for each connection, without privileges.
        exim = program("exim4", "exim4-daemon-light")
        config = self.folder / "exim.conf"
        config.write_text(f"primary_hostname = mail.example\nkeep_environment =\nspool_directory = {self.folder}/spool\n"
                          f"log_file_path = {self.folder}/%slog\n")
        who = {}
        if os.geteuid() == 0:
            who = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self.folder, "nobody", "nogroup")
        listener = socket.create_server(("127.0.0.1", 0))
        processes = []

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # Shut down.
                    return
                with connection, self.log.open("ab") as log:
                    processes.append(subprocess.Popen([exim, "-C", config, "-bs"], stdin=connection, stdout=connection, stderr=log,
                                                      cwd="/", **who))

        def stop():
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            listener.close()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        path = self.check(recipe("pulse-tcp", "smtp"), listener.getsockname()[1])
        try:
            self.up(path, "221")
            self.gorbd.wait_for(path, lambda b: b["counts"]["passes"] >= 5, "five checks passed", 20)
        finally:
            stop()
        self.down(path, "connection refused")
        for process in processes:
            self.assertEqual(process.wait(20), 0, "the server takes each check for a whole session")
        self.assertNotIn("unexpected disconnection", "".join(
            file.read_text(errors="replace") for file in self.folder.glob("*log")))

    def test_dns_by_udp(self):
        port = free_port(socket.SOCK_DGRAM)
        command = [program("dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                   "--listen-address=127.0.0.1", "--bind-interfaces", f"--port={port}", "--pid-file", "--log-facility=-",
                   f"--user={pwd.getpwuid(os.geteuid()).pw_name}"]
        process = self.serve(*command)
        path = self.check(recipe("pulse-udp", "dns"), port)
        self.up(path, "answered")
        process.send_signal(signal.SIGSTOP)
        self.down(path, "no answer within 2s (3 tries)")
        self.end(process)
        self.down(path, "nobody listens on that port (ICMP port unreachable)")
        self.serve(*command)
        self.up(path, "answered")
