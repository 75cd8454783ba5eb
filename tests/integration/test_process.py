"""The daemon as a process: how it starts, what it tells the service manager, and how it ends."""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from gorbd import BUILD, SLOW, Gorbd, run_gorbd, wait_until
from servers import TcpBackend


class ServiceManager:
    """The other end of sd_notify(3)."""

    def __init__(self, case):
        self.path = Path(case.enterContext(tempfile.TemporaryDirectory())) / "notify"
        self.socket = case.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.bind(str(self.path))

    def forget(self):
        """What it was told so far."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(4096)

    def wait_for(self, word, seconds=10):
        self.socket.settimeout(seconds * SLOW)
        for _ in range(100):
            if word in (said := self.socket.recv(4096).decode()).splitlines():
                return said
        raise AssertionError(f"the service manager was not told {word}")


def listening_port(pid):
    """Of a process; None while there is none. See proc(5), /proc/net/tcp."""
    with contextlib.suppress(FileNotFoundError):
        sockets = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                return int(fields[1].split(":")[1], 16)
    return None


class Process(unittest.TestCase):
    def test_sigterm_and_sigint_end_it_well(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Gorbd("--driver", "memory") as gorbd:
                gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
                self.assertEqual(gorbd.terminate(number), 0, gorbd.log())

    def test_sigterm_with_checks_and_clients_under_way(self):
        with Gorbd("--driver", "memory") as gorbd:
            gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
            for number in range(50):
                gorbd.made(f"/service/web/b{number}", {"address": f"192.0.2.{number + 1}", "port": 80, "pulse": {
                    "type": "tcp", "interval": "10ms", "timeout": "30s"}})
            with socket.create_connection(gorbd.address) as client:
                client.sendall(b"GET /service HTTP/1.1\r\n")
                self.assertEqual(gorbd.terminate(), 0, gorbd.log())

    def ending(self, gorbd):
        """A client that has it wait for the rest of a request, for as long as it waits for any."""
        client = self.enterContext(socket.create_connection(gorbd.address))
        client.sendall(b"GET /service HTTP/1.1\r\n")
        gorbd.get("/service")  # what came before it has been read
        gorbd.process.send_signal(signal.SIGTERM)

        def refused():
            with socket.socket() as other:
                return other.connect_ex(gorbd.address) != 0

        wait_until("it takes no more clients", refused)
        return client

    def is_up_after_a_start(self, gorbd):
        """As it was left."""
        self.assertEqual(gorbd.ended(), 0, gorbd.log())
        self.assertNotRegex(gorbd.log(), "weight=0|virtual service is down")
        gorbd.start()
        shown = gorbd.get("/service/web/b1").json
        self.assertEqual((shown["state"], shown["weight"]["effective"]), ("up", 100), shown)

    def with_pulse(self, pulse, *options):
        """A daemon that checks b1 with it, at the first failure of which it is down."""
        state = self.enterContext(tempfile.TemporaryDirectory())
        gorbd = self.enterContext(Gorbd("--driver", "memory", "--state-directory", state, *options))
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        gorbd.made("/service/web/b1", {"address": "127.0.0.1", "port": 9, "pulse": {"interval": "50ms", "rise": 1, "fall": 1, **pulse}})
        return gorbd

    def test_a_program_that_is_ended_with_it_says_nothing_of_its_backend(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        pid, program, config = folder / "pid", folder / "check", folder / "gorb.ini"
        program.write_text(f'#!/bin/sh\n[ -e {folder}/long ] || exit 0\necho $$ > {pid}.new\nmv {pid}.new {pid}\nexec sleep 600\n')
        program.chmod(0o755)
        config.write_text(f"[plugin.exec]\ndirectory = {folder}\n")
        # ThreadSanitizer takes the clone() of exec for a fork, and knows nothing of the threads' end then.
        self.enterContext(mock.patch.dict(os.environ, TSAN_OPTIONS="report_bugs=0 die_after_fork=0"))
        gorbd = self.with_pulse({"type": "exec", "program": "check", "timeout": "60s"}, "--config", config)
        gorbd.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 100, "up")
        (folder / "long").touch()
        wait_until("one runs", pid.exists)
        client = self.ending(gorbd)
        number = int(pid.read_text())
        os.kill(number, signal.SIGTERM)
        wait_until("it has been seen to end", lambda: not Path(f"/proc/{number}").exists())
        client.close()
        self.is_up_after_a_start(gorbd)

    def test_reports_that_are_not_taken_any_more_are_not_missed(self):
        gorbd = self.with_pulse({"type": "ttl", "ttl": "1s"})
        reply = gorbd.put("/service/web/b1/pulse", {"status": "pass"})
        self.assertEqual(reply.status, 200, reply)
        gorbd.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 100, "up")
        self.ending(gorbd)  # for longer than the report is good
        self.is_up_after_a_start(gorbd)

    def test_large_requests_that_are_being_read_hold_up_no_end(self):
        """For longer than the first of them takes; the others are not begun."""
        backends = ",".join(f'"b{n}":{{"address":"10.{n >> 16}.{n >> 8 & 255}.{n & 255}","port":80,"pulse":{{"type":"none"}}}}'
                            for n in range(1, 20_000))
        body = f'{{"services":{{"web":{{"address":"10.0.0.1","port":80,"backends":{{{backends}}}}}}}}}'.encode()
        head = f"PUT /config HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with Gorbd("--driver", "memory", "-v") as gorbd:
            clients = [self.enterContext(socket.create_connection(gorbd.address)) for _ in range(3)]
            for client in clients:
                client.settimeout(20 * SLOW)
                client.sendall(head.encode() + body)
            wait_until("all have come", lambda: gorbd.log().count("path=/config") == len(clients), 30)
            self.assertEqual(gorbd.terminate(), 0, gorbd.log())
            for client in clients:
                self.assertRegex(client.recv(100).decode(), "^HTTP/1.1 (200|503) ")
            for word in ("exception", "leaving without", "plugin does not"):
                self.assertNotIn(word, gorbd.log())

    def test_a_log_that_nobody_reads_holds_up_nothing(self):
        out, log = os.pipe()
        fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
        self.log_that_nobody_reads(out, log)

    def test_a_terminal_that_nobody_reads_holds_up_nothing(self):
        out, log = os.openpty()
        self.log_that_nobody_reads(out, log)

    def log_that_nobody_reads(self, out, log):
        self.addCleanup(os.close, out)
        gorbd = self.enterContext(Gorbd("--driver", "memory", start=False))
        gorbd.process = subprocess.Popen(gorbd.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        os.close(log)
        said = ""
        while not (listening := re.search(r"listening\b.*\baddress=(\S+):(\d+)", said)):
            said += os.read(out, 4096).decode()
        gorbd.address = listening[1], int(listening[2])
        # From here on nobody reads. Checks and answers go on.
        gorbd.put("/log", {"level": "debug"})
        with TcpBackend() as backend:
            gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
            gorbd.made("/service/web/b1", {"address": "127.0.0.1", "port": backend.port, "pulse": {
                "type": "tcp", "interval": "50ms", "timeout": "1s", "fall": 1}})
            for _ in range(100):
                self.assertEqual(gorbd.get("/service/web").status, 200)
            gorbd.wait_for("/service/web/b1", lambda b: b["state"] == "up", "up")
        gorbd.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 0, "down")
        for _ in range(400):
            self.assertEqual(gorbd.get("/service/" + 4000 * "x").status, 400)
        lost = int(re.search(r"^gorb_log_lines_lost_total (\d+)$", gorbd.get("/metrics").text, re.MULTILINE)[1])
        self.assertGreater(lost, 0)
        # Whoever reads again misses nothing of how it began, and is told what is missing.
        while "lines of the log were lost" not in said:
            said += os.read(out, 65536).decode(errors="replace")
        self.assertIn("backend is down", said)
        self.assertGreaterEqual(int(re.search(r"were lost: .* lines=(\d+)", said)[1]), lost)
        for _ in range(100):
            gorbd.get("/service/web")
        self.assertEqual(gorbd.terminate(), 0)

    def test_without_standard_descriptors_nothing_else_becomes_them(self):
        gorbd = self.enterContext(Gorbd("--driver", "memory", start=False))
        gorbd.process = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *gorbd.command], cwd="/")
        # It can not say where it listens.
        gorbd.address = "127.0.0.1", wait_until("it listens", lambda: listening_port(gorbd.process.pid))
        self.assertEqual(gorbd.get("/healthz").status, 200)
        for fd in range(3):
            self.assertEqual(os.readlink(f"/proc/{gorbd.process.pid}/fd/{fd}"), "/dev/null")
        self.assertEqual(gorbd.terminate(), 0)

    def test_sighup_does_not_end_it(self):
        with Gorbd("--driver", "memory") as gorbd:
            gorbd.process.send_signal(signal.SIGHUP)
            wait_until("it is in the log", lambda: "SIGHUP: no declarative files are configured" in gorbd.log())
            self.assertEqual(gorbd.get("/healthz").status, 200)

    def test_the_service_manager_is_told(self):
        manager = ServiceManager(self)
        with Gorbd("--driver", "memory", env={"NOTIFY_SOCKET": str(manager.path)}) as gorbd:
            manager.wait_for("READY=1")
            self.assertEqual(gorbd.get("/readyz").status, 200)
            gorbd.terminate()
            manager.wait_for("STOPPING=1")

    def test_the_watchdog_is_fed(self):
        manager = ServiceManager(self)
        env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000"}
        with Gorbd("--driver", "memory", env=env):
            for _ in range(3):
                manager.wait_for("WATCHDOG=1")

    def test_what_is_long_gives_way_to_checks_where_processors_are_few(self):
        with Gorbd("--driver", "memory") as daemon:
            daemon.request("GET", "/metrics")  # a worker's work
            niceness = {}
            for task in Path(f"/proc/{daemon.process.pid}/task").iterdir():
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                niceness[(task / "comm").read_text().strip()] = int(fields[16])
            usual = niceness["control-0"]
            more = min(usual + 10, 19)
            self.assertEqual(niceness, {**dict.fromkeys(niceness, usual), "rest": more, "rest-relief": more,
                                        "rest-worker": more})
            self.assertLessEqual({"control-1", "loop-0"}, niceness.keys())

    def test_two_daemons_on_one_port(self):
        with Gorbd("--driver", "memory") as first:
            address = f"127.0.0.1:{first.address[1]}"
            status, said = run_gorbd("--driver", "memory", "--listen", address)
            self.assertNotEqual(status, 0)
            self.assertIn(address, said)
            self.assertIn("in use", said)
            self.assertEqual(first.get("/healthz").status, 200)

    def test_a_wider_address_warns_that_there_is_no_authentication(self):
        with Gorbd("--driver", "memory", listen="0.0.0.0:0") as gorbd:
            self.assertIn("NO AUTHENTICATION", gorbd.log())
        with Gorbd("--driver", "memory") as gorbd:
            self.assertNotIn("AUTHENTICATION", gorbd.log())

    def test_all_addresses_are_those_of_ipv4_where_the_kernel_has_no_ipv6(self):
        preload = {"LD_PRELOAD": str(BUILD / "tests" / "no_ipv6.so"),
                   "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        with Gorbd("--driver", "memory", listen=":0", env=preload) as gorbd:
            self.assertEqual(gorbd.address[0], "0.0.0.0")
            self.assertIn("NO AUTHENTICATION", gorbd.log())
            self.assertEqual(gorbd.get("/healthz").status, 200)
        status, said = run_gorbd("--driver", "memory", "--listen", "[::1]:0", env=preload)
        self.assertNotEqual(status, 0)
        self.assertIn("[::1]:0", said)

    def test_the_memory_driver_is_loud(self):
        with Gorbd("--driver", "memory") as gorbd:
            self.assertIn("NO PACKETS FLOW", gorbd.log())

    def test_without_privileges_it_says_what_is_missing(self):
        before = []
        if os.geteuid() == 0:
            before = [shutil.which("setpriv"), "--bounding-set", "-all", "--inh-caps", "-all", "--reuid", "65534", "--clear-groups"]
        status, said = run_gorbd("--listen", "127.0.0.1:0", before=before)
        self.assertNotEqual(status, 0)
        complaint = [line for line in said.splitlines() if line.startswith("gorbd: ")]
        self.assertEqual(len(complaint), 1, said)
        self.assertTrue("CAP_NET_ADMIN" in complaint[0] or "ip_vs" in complaint[0], said)
        self.assertIn("--driver memory", complaint[0])

    def test_the_end_needs_no_thread_that_it_has_not(self):
        with self.limited().start() as gorbd:
            gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
            subprocess.run([*self.limited_user(), "prlimit", f"--pid={gorbd.process.pid}", "--nproc=1:1"], check=True)
            self.assertEqual(gorbd.terminate(), 0, gorbd.log())
            self.assertIn("stopped", gorbd.log().splitlines()[-1])

    def test_a_start_that_can_make_no_thread_says_which_limit_it_is(self):
        for threads in range(1, 8):
            with self.limited("prlimit", f"--nproc={threads}").start(listening=False) as gorbd:
                self.assertEqual(gorbd.ended(), 1, gorbd.log())
                complaint = [line for line in gorbd.log().splitlines() if line.startswith("gorbd: ")]
                self.assertEqual(len(complaint), 1, gorbd.log())
                self.assertIn("LimitNPROC", complaint[0])

    @staticmethod
    def limited_user():
        """Limits do not hold root."""
        return ["setpriv", "--reuid", "61613", "--regid", "61613", "--clear-groups"] if os.geteuid() == 0 else []

    def limited(self, *before):
        # LeakSanitizer looks at the end from a process of its own.
        options = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        gorbd = Gorbd("--driver", "memory", env=options, start=False)
        gorbd.command = [*self.limited_user(), *before, *gorbd.command]
        return gorbd

    def test_every_line_of_the_log_is_structured(self):
        with Gorbd("--driver", "memory", "-v") as gorbd:
            gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
            gorbd.get("/service/%0Aevil%0A")
            gorbd.terminate()
            lines = gorbd.log().splitlines()
        self.assertGreater(len(lines), 5)
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug) \S")
        self.assertTrue(any(re.search(r"service=web\b", line) for line in lines))

    def test_under_the_journal_a_line_begins_with_its_priority(self):
        gorbd = self.enterContext(Gorbd("--driver", "memory", start=False))
        gorbd.log_file.touch()
        journal = gorbd.log_file.stat()  # Device and inode of its stderr, as systemd.exec(5) tells them.
        gorbd.env["JOURNAL_STREAM"] = f"{journal.st_dev}:{journal.st_ino}"
        gorbd.start()
        self.assertEqual([line for line in gorbd.log().splitlines() if not re.match(r"<[3-7]>\S", line)], [])
        # Why one does not start is an error.
        gorbd.terminate()
        gorbd.command += ["--config", "/nowhere/gorb.ini"]
        self.assertNotEqual(gorbd.start(listening=False).ended(), 0)
        self.assertRegex(gorbd.log().splitlines()[-1], "^<3>gorbd: .*/nowhere/gorb.ini")
