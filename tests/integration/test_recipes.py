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
import socketserver
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from gorbd import SLOW, Gorbd, wait_until
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

    def serve(self, *command, **more):
        """A process that runs this; what it says is in the file `log` of it."""
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".log", delete=False) as log:
            process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **more)
        process.log = Path(log.name)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()

    def wait_until(self, what, process, condition, seconds=30):
        """Waits, but not for a server that has ended."""
        def met():
            assert process.poll() is None, f"the server ended:\n{process.log.read_text(errors='replace')}"
            return condition()

        wait_until(lambda: f"{what}:\n{process.log.read_text(errors='replace')}", met, seconds)

    def listens(self, process, port):
        def connects():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        self.wait_until("the server listens", process, connects)

    def says(self, process, words):
        """For a server that would count listens() for a client that misbehaves."""
        self.wait_until(f"the server says {words}", process, lambda: words in process.log.read_text(errors="replace"))

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

    def test_agent(self):
        said = "up\n"
        class Agent(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(said.encode())

        agent = self.enterContext(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Agent))
        threading.Thread(target=agent.serve_forever, kwargs={"poll_interval": 0.05}).start()
        self.addCleanup(agent.shutdown)
        pulse = recipe("pulse-tcp", "agent")
        self.assertEqual(pulse.pop("port"), 9777)
        path = self.check(pulse, agent.server_address[1])
        # As HAProxy reads them. Each differs from the one before in what it comes to.
        for said, weight in (("up\n", 100), ("25%\n", 25), ("ready 50%\r\n", 50), ("0%\n", 0), ("ready\n", 100), ("up ready 75%\n", 75),
                             ("UP\r\n", 100), ("74%,up\n", 74), ("73% up\n", 73), ("ready\t72%\n", 72), ("maxconn:30 71%\n", 71),
                             (" 70% , ready \n", 70), ("maxconn:30\n", 100)):
            self.gorbd.wait_for(path, lambda b: b["state"] == "up" and b["weight"]["effective"] == weight, f"{said!r} is {weight}", 20)
        for wrong in ("drain", "", "up maint", "75", "upready"):
            said = wrong + "\n"
            self.down(path, f'got "{wrong}')
            said = "up\n"
            self.up(path)

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

    def test_mariadb(self):
        data, users, port = self.folder / "data", self.folder / "users.sql", free_port()
        data.mkdir()
        start = [program("mariadbd", "mariadb-server"), "--no-defaults", f"--datadir={data}", "--innodb=OFF",
                 "--default-storage-engine=Aria", "--performance-schema=OFF"]
        if os.geteuid() == 0:  # It does not run as root.
            nobody = pwd.getpwnam("nobody")
            for folder in (self.folder, data):
                os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            start += ["--user=nobody"]
        # What mariadb-install-db does, but for help, time zones, examples and InnoDB, which take it most of its time.
        tables = [file for folder in ("mariadb", "mysql") for file in Path("/usr/share", folder).glob("*_system_tables.sql")]
        assert tables, "mysql_system_tables.sql is missing; Debian's package is mariadb-server"
        made = subprocess.run([*start, "--bootstrap"], input="CREATE DATABASE mysql;\nUSE mysql;\n" + tables[0].read_text(),
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", timeout=30 * SLOW)
        self.assertEqual(made.returncode, 0, made.stdout)
        users.write_text(recipe("pulse-tcp", "mariadb-user", "sql"))
        users.chmod(0o644)
        start += [f"--socket={self.folder}/s", f"--pid-file={self.folder}/pid", "--bind-address=127.0.0.1", f"--port={port}",
                  f"--init-file={users}", "--max-connect-errors=3"]
        process = self.serve(*start)
        self.says(process, "ready for connections")
        path = self.check(recipe("pulse-tcp", "mariadb"), port)
        self.up(path)
        # Many checks, each of which logs in and says good-bye: the server counts no aborted connections.
        self.gorbd.wait_for(path, lambda b: b["counts"]["passes"] >= 10, "ten checks passed", 20)
        self.assertEqual(self.gorbd.get(path).json["counts"]["failures"], 0)
        self.assertNotIn("Aborted connection", process.log.read_text(errors="replace"))
        process.send_signal(signal.SIGSTOP)
        self.down(path, "step 1: nothing came within the timeout")
        self.end(process)
        self.down(path, "connection refused")

        users.write_text("DROP USER IF EXISTS gorb@'%';\n")
        process = self.serve(*start)
        self.says(process, "ready for connections")
        self.down(path, "step 2: expected", "Access denied for user 'gorb'")

    def exim(self):
        """Exim's daemon with a configuration of its own: (process, SMTP's port, the port with TLS, certificate, log)."""
        command = [program("exim4", "exim4-daemon-light"), "-C", self.folder / "exim.conf", "-bdf"]
        user, who = pwd.getpwnam("Debian-exim"), {}
        if os.geteuid() == 0:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        else:  # It opens a port only for its own user.
            command = ["unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", *command]
        port, tls_port = free_port(), free_port()
        # Without a certificate it would make one, with an RSA key, before it accepts anything.
        certificate, pem, log = self.folder / "cert", self.folder / "pem", self.folder / "mainlog"
        made = subprocess.run([program("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                               "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=mail.example",
                               "-addext", "subjectAltName=DNS:mail.example", "-keyout", "-"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30 * SLOW)
        self.assertEqual(made.returncode, 0, made.stderr)
        pem.write_text(made.stdout)
        pem.chmod(0o644)
        certificate.write_text(made.stdout[made.stdout.index("-----BEGIN CERTIFICATE"):])
        (self.folder / "exim.conf").write_text("\n".join([
            "primary_hostname = mail.example", "keep_environment =", "notifier_socket =", f"spool_directory = {self.folder}/spool",
            f"log_file_path = {self.folder}/%slog", "log_selector = +smtp_connection +smtp_no_mail",
            f"pid_file_path = {self.folder}/pid", f"local_interfaces = <; 127.0.0.1.{port}; 127.0.0.1.{tls_port}",
            f"tls_on_connect_ports = {tls_port}", f"tls_certificate = {pem}", ""]))
        process = self.serve(*command, **who)
        self.wait_until("Exim's daemon runs", process, lambda: log.exists() and "daemon started" in log.read_text())
        return process, port, tls_port, certificate, log

    def test_smtp(self):
        process, port, tls_port, certificate, log = self.exim()
        pulse = recipe("pulse-tcp", "smtp")
        path = self.check(pulse, port)
        self.up(path, "221")
        tls = {**pulse, "tls": True, "tls-name": "mail.example", "ca": str(certificate)}
        self.up(self.check(tls, tls_port, "tls"), "221")
        # The server takes each check for a whole session.
        wait_until(lambda: f"twenty sessions:\n{log.read_text()}", lambda: log.read_text().count("closed by QUIT") >= 20, 30)
        said = log.read_text()
        self.assertEqual(set(re.findall(r"no MAIL in .* (C=\S+)", said)), {"C=EHLO,QUIT"})
        self.assertNotRegex(said, "connection lost|unexpected|rejected|error|timeout")
        process.send_signal(signal.SIGSTOP)
        self.down(path, "step 1: nothing came within the timeout")
        self.end(process)
        self.down(path, "connection refused")

    def test_dns_by_udp(self):
        port = free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)  # dnsmasq listens on both
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
