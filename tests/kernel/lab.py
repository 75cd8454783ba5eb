"""A small network for tests with real packets: a client, a director with IPVS, and real servers, each in a network
namespace of its own.

    client 10.0.0.2 .. 10.0.0.9, fd00::2 ── 10.0.0.1 director 10.1.N.1 ── 10.1.N.2, fd00:1:N::2 server N
                                            VIPs 10.9.0.1, fd09::1

Every table, address and process goes when the lab is closed. The test process itself steps into a namespace to make a
socket there (IPVS and addresses are per namespace, and a socket keeps the one it was made in).
"""
import collections
import contextlib
import ctypes
import ipaddress
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))

from gorbd import BUILD, SLOW, Gorbd, run_gorbd, wait_until  # noqa: E402

# What these tests check with. Others would only make each start of a daemon longer: every plugin is tried in a child first.
PULSES = ("none", "tcp", "http")
VIP, VIP6 = "10.9.0.1", "fd09::1"
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def sh(*command, check=True, text=None):
    """Runs a command and gives its output."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          input=text, text=True, timeout=60 * SLOW)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit status {done.returncode}: {done.stdout}")
    return done.stdout


class Namespace:
    """A network namespace. `with namespace:` moves the calling thread into it and back."""

    def __init__(self, name, there=False):
        self.name = name
        self.back = collections.defaultdict(list)  # where each thread came from
        if not there:
            sh("ip", "netns", "add", name)
        self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self):
        self.back[threading.get_ident()].append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        set_namespace(self.fd)
        return self

    def __exit__(self, *_):
        back = self.back[threading.get_ident()].pop()
        set_namespace(back)
        os.close(back)

    def sh(self, *command, **more):
        """Runs a command in it. Not by `ip netns exec`, which takes several times as long, and only changes /sys as well."""
        with self:
            return sh(*command, **more)

    def ip(self, *lines):
        """Runs lines of `ip -batch` in it."""
        self.sh("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def sysctl(self, **settings):
        with self:
            for name, value in settings.items():
                (Path("/proc/sys/net") / name.replace("__", "/")).write_text(str(value))

    def close(self):
        close_namespaces([self])


def make_namespaces(*names):
    """Several with one command."""
    sh("ip", "-batch", "-", text="".join(f"netns add {name}\n" for name in names))
    return [Namespace(name, there=True) for name in names]


def close_namespaces(namespaces):
    for namespace in namespaces:
        os.close(namespace.fd)
    names = "".join(f"netns delete {namespace.name}\n" for namespace in namespaces)
    sh("ip", "-force", "-batch", "-", text=names, check=False)


def set_namespace(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Process:
    """A function running in a process of its own, in a namespace: a server that can really be killed."""

    def __init__(self, namespace, function):
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(ready)
                set_namespace(namespace.fd)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                function(lambda: os.close(tell))
                status = 0
            finally:
                os._exit(status)
        os.close(tell)
        with open(ready, "rb") as pipe:
            pipe.read()  # Until it said that it is ready, or ended.
        if os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = None
            raise AssertionError("a server process ended at its start")

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None


class Lab:
    def __init__(self, servers=2):
        self.closing = contextlib.ExitStack()
        self.processes = {}
        try:
            self._build(servers)
        except BaseException:
            self.close()
            raise

    def _build(self, count):
        prefix = f"g{os.getpid()}"
        all_of_them = make_namespaces(f"{prefix}c", f"{prefix}d", *(f"{prefix}s{n}" for n in range(1, count + 1)))
        self.closing.callback(close_namespaces, all_of_them)
        self.client, self.director, *self.servers = all_of_them
        self.director.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        self.director.ip("link set lo up", f"link add client type veth peer name eth0 netns {self.client.name}",
                         "addr add 10.0.0.1/24 dev client", "addr add fd00::1/64 dev client nodad", "link set client up",
                         f"addr add {VIP}/32 dev lo", f"addr add {VIP6}/128 dev lo nodad",
                         "link add vips type dummy", "link set vips up",
                         *(f"link add server{n} type veth peer name eth0 netns {server.name}\n"
                           f"addr add 10.1.{n}.1/24 dev server{n}\naddr add fd00:1:{n}::1/64 dev server{n} nodad\n"
                           f"link set server{n} up" for n, server in self._numbered()))
        self.client.ip("link set lo up", *(f"addr add 10.0.0.{n}/24 dev eth0" for n in range(2, 10)),
                       "addr add fd00::2/64 dev eth0 nodad", "link set eth0 up", "route add default via 10.0.0.1",
                       "route add ::/0 via fd00::1")
        for n, server in self._numbered():
            server.ip("link set lo up", f"addr add 10.1.{n}.2/24 dev eth0", f"addr add fd00:1:{n}::2/64 dev eth0 nodad",
                      "link set eth0 up", f"route add default via 10.1.{n}.1", f"route add ::/0 via fd00:1:{n}::1")

    def _numbered(self):
        return list(enumerate(self.servers, 1))

    def close(self):
        for process in self.processes.values():
            process.kill()
        self.closing.close()

    # ---- real servers, called "s1", "s2", ... by their number

    @staticmethod
    def address(number, family=4):
        return f"10.1.{number}.2" if family == 4 else f"fd00:1:{number}::2"

    def serve(self, number, server, *args):
        """Starts `server(name, ready, *args)` of servers.py on a real server; one of its kind at a time."""
        key = (number, server.__name__, args)
        if key in self.processes:
            self.processes[key].kill()
        self.processes[key] = Process(self.servers[number - 1], lambda ready: server(f"s{number}", ready, *args))
        return self.processes[key]

    # ---- the director

    def ipvsadm(self, *options):
        return self.director.sh("ipvsadm", *options)

    def table(self):
        """The kernel's table as ipvsadm, which is not ours, shows it."""
        return parse_table(self.ipvsadm("-Ln"))

    def weights(self, service):
        """{address: weight} of the destinations of "tcp 10.9.0.1:80"; {} without such a service. Read from the kernel's own
        file: those who wait for something ask often, and a process each time would take what they wait for its processor."""
        with self.director:
            text = Path("/proc/thread-self/net/ip_vs").read_text()
        return parse_proc(text).get(service, {})

    def gorbd(self, *options, settings=None, start=True, pulses=PULSES, **more):
        """A daemon in the director. `settings` is {section: {key: value}} of its .ini."""
        daemon = Gorbd(*options, namespace=self.director, start=False, **more)
        plugins = Path(daemon.folder.name) / "plugins"
        plugins.mkdir()
        for name in pulses:
            (plugins / f"pulse-{name}.so").symlink_to(BUILD / "plugins" / f"pulse-{name}.so")
        daemon.command += ["--plugin-dir", str(plugins)]
        if settings:
            ini = Path(daemon.folder.name) / "gorb.ini"
            ini.write_text("".join(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
                                   for section, keys in settings.items()))
            daemon.command += ["--config", str(ini)]
        return daemon.start() if start else daemon

    def run_gorbd(self, *options, **more):
        """Runs gorbd in the director to its end, with a store of its own unless `options` name one."""
        with tempfile.TemporaryDirectory(prefix="gorbd.") as folder:
            state = [] if "--state-directory" in options else ["--state-directory", folder]
            return run_gorbd(*options, *state, namespace=self.director, **more)

    # ---- the client

    def connect(self, address, port, source=None, seconds=5.0):
        with self.client:
            return socket.create_connection((address, port), seconds * SLOW, (source, 0) if source else None)

    def fetch(self, address, port=80, path="/", source=None, seconds=5.0):
        """Body of an HTTP answer on a connection of its own; OSError or AssertionError when there is none."""
        with self.connect(address, port, source, seconds) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: vip\r\n\r\n".encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] + b" ":
            raise AssertionError(f"not a 200: {head!r}")
        return body.decode().strip()

    def count(self, requests, address, port=80, **more):
        """{server name: answers} of so many requests; all of them have to succeed."""
        names = [self.fetch(address, port, **more) for _ in range(requests)]
        return {name: names.count(name) for name in sorted(set(names))}

    def ask_udp(self, address, port, text="?", source=None, seconds=3.0):
        with self.client:
            asking = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        with asking:
            asking.settimeout(seconds * SLOW)
            if source:
                asking.bind((source, 0))
            asking.sendto(text.encode(), (address, port))
            return asking.recv(2000).decode()


def parse_table(text):
    """{"tcp 10.9.0.1:80": {"scheduler", "flags" (the rest of the line), "servers": {address: {...}}}}"""
    table, service = {}, None
    for line in text.splitlines():
        words = line.split()
        if re.match(r"(TCP|UDP|SCTP|FWM) ", line):
            service = {"scheduler": words[2], "flags": " ".join(words[3:]), "servers": {}}
            table[f"{words[0].lower()} {words[1]}"] = service
        elif words[:1] == ["->"] and service is not None:
            service["servers"][words[1]] = {"method": words[2], "weight": int(words[3]), "active": int(words[4]),
                                            "inactive": int(words[5])}
    return table


def parse_proc(text):
    """{"tcp 10.9.0.1:80": {"10.1.1.2:80": weight}} of /proc/net/ip_vs."""
    table, servers = {}, {}
    for line in text.splitlines():
        words = line.split()
        if words[0] in ("TCP", "UDP"):
            servers = table[f"{words[0].lower()} {endpoint(words[1])}"] = {}
        elif words[0] == "FWM":
            servers = {}
        elif words[0] == "->" and words[1] != "RemoteAddress:Port":
            servers[endpoint(words[1])] = int(words[3])
    return table


def endpoint(text):
    """"0A090001:0050" or "[fd09:0000:...:0001]:0050" as ipvsadm writes it."""
    address, _, port = text.rpartition(":")
    if address.startswith("["):
        return f"[{ipaddress.IPv6Address(address[1:-1])}]:{int(port, 16)}"
    return f"{ipaddress.IPv4Address(int(address, 16))}:{int(port, 16)}"


class LabTest(unittest.TestCase):
    """A test with a lab of its own. It ends with what the kernel's table and the daemon's log say."""

    servers = 2

    def setUp(self):
        self.lab = Lab(self.servers)
        self.daemons = []
        self.addCleanup(self._close)

    def _close(self):
        print(f"---- ipvsadm -Ln\n{self.lab.ipvsadm('-Ln')}")
        for daemon in self.daemons:
            print(f"---- log of gorbd\n{daemon.log()}")
            daemon.__exit__(None)
        self.lab.close()

    def gorbd(self, *options, **more):
        daemon = self.lab.gorbd(*options, **more)
        self.daemons.append(daemon)
        return daemon

    def wait_for_weights(self, service, weights, seconds=15.0):
        """Until the kernel has these weights: {"10.1.1.2:80": 100, ...}."""
        try:
            wait_until(f"weights {weights}", lambda: self.lab.weights(service) == weights, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the kernel has {self.lab.weights(service)}") from None
