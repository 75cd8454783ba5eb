"""The pulse http against a real nginx, over http and https.

Each nginx is the test's own: in the foreground, its configuration and logs in a temporary folder, on free ports of loopback,
ended by its id. Its access log is the witness of what was asked, and on which connection.
"""
import datetime
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from gorbd import Gorbd, wait_until
from servers import free_port, program

MAIN = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    log_format asked escape=json '{{"worker": $pid, "connection": $connection, "nth": $connection_requests, '
        '"port": $server_port, "asked": "$request", "host": "$http_host", "status": $status}}';
    access_log {folder}/access.log asked;
    keepalive_timeout 1h;
    keepalive_requests 100000;
    {servers}
}}
"""

PLAIN = """
    server {{
        listen 127.0.0.1:{port} default_server;
        location / {{ return 404; }}
        location = /busy {{ return 503 "too busy"; }}
        location = /old {{ return 302 /login; }}
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name shop.example.org;
        location = /health {{ add_header X-Service shop; return 200 "shop: all is well\\n"; }}
    }}
"""

SECURE = """
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate}.pem;
        ssl_certificate_key {certificate}.key;
        {more}
        location / {{ return 200 "secure\\n"; }}
    }}
"""

AUTHORITY = """
[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


class Nginx:
    """One nginx with these server blocks. Use as a context manager; .asked() reads its access log."""

    def __init__(self, folder, port, servers):
        self.folder, self.port, self.process = folder, port, None
        user = pwd.getpwuid(os.geteuid()).pw_name
        self.config = folder / "nginx.conf"
        self.config.write_text(MAIN.format(folder=folder, user=user, servers=servers))

    def start(self):
        with (self.folder / "error.log").open("ab") as log:
            self.process = subprocess.Popen([program("nginx", "nginx-light"), "-p", self.folder, "-c", self.config,
                                             "-e", self.folder / "error.log"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

        def connects():
            assert self.process.poll() is None, f"nginx ended:\n{self.errors()}"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until("nginx listens", connects, 20)
        return self

    def errors(self):
        return (self.folder / "error.log").read_text(errors="replace")

    def asked(self, port=None):
        """The requests in their order: worker, connection, nth (of its connection), port, asked, host, status."""
        log = self.folder / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [entry for entry in map(json.loads, lines) if port in (None, entry["port"])]

    def kill(self):
        """All of it at once, without a good-bye: first the master, that it starts no other worker."""
        worker = self.asked()[-1]["worker"]
        self.process.kill()
        os.kill(worker, signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind:
            print(f"---- log of nginx\n{self.errors()}----")
        self.process.terminate()  # The master ends its worker.
        self.process.wait(20)


class Authority:
    """A CA of the test's own, made with the command line of OpenSSL; what it makes is FOLDER/NAME.pem and NAME.key."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "index").touch()
        (folder / "ca.conf").write_text(AUTHORITY.format(folder=folder))
        self.self_signed("ca", "CA of a test")

    def run(self, *words):
        done = subprocess.run([program("openssl", "openssl"), *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, cwd=self.folder)
        assert done.returncode == 0, f"openssl {words}: {done.stdout.decode(errors='replace')}"

    def request(self, name, subject, *more):
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
                 "-subj", f"/CN={subject}", *more)

    def self_signed(self, name, subject, *more):
        self.request(name, subject, "-x509", "-days", "300", "-out", f"{name}.pem", *more)
        return self.folder / name

    def sign(self, name, alternative="", days=300):
        """A certificate that ends in so many days (and an hour), or ended so long ago."""
        def text(when):
            return when.strftime("%Y%m%d%H%M%SZ")

        now = datetime.datetime.now(datetime.timezone.utc)
        end = now + datetime.timedelta(days=days, hours=1)
        self.request(name, name, "-out", f"{name}.csr", *(["-addext", f"subjectAltName={alternative}"] if alternative else []))
        self.run("ca", "-batch", "-notext", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr",
                 "-out", f"{name}.pem", "-startdate", text(now - datetime.timedelta(days=1000)), "-enddate", text(end))
        self.end = end
        return self.folder / name


class HttpReal(unittest.TestCase):
    def setUp(self):
        self.gorbd = self.enterContext(Gorbd("--driver", "memory"))
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="gorb-nginx.")))
        self.services = 0

    def plain(self):
        port = free_port()
        return self.enterContext(Nginx(self.folder, port, PLAIN.format(port=port)))

    def secure(self, certificate, more=""):
        """The port of an https server; self.nginx is what serves there."""
        port = free_port()
        self.nginx = self.enterContext(Nginx(self.folder, port, SECURE.format(port=port, certificate=certificate, more=more)))
        return port

    def check(self, port, **pulse):
        """The path of a backend with this pulse, in a service of its own: nginx may be checked in several ways."""
        self.services += 1
        self.gorbd.made(f"/service/web{self.services}", {"address": "10.0.0.1", "port": self.services})
        path = f"/service/web{self.services}/b1"
        self.gorbd.made(path, {"address": "127.0.0.1", "port": port, "pulse": {
            "type": "http", "interval": "100ms", "timeout": "2s", "fall": 1, "rise": 1, **pulse}})
        return path

    def check_tls(self, port, **pulse):
        return self.check(port, tls=True, **{name.replace("_", "-"): str(value) if isinstance(value, Path) else value
                                             for name, value in pulse.items()})

    def up(self, path, reason="status 200"):
        self.gorbd.wait_for(path, lambda b: b["state"] == "up" and b["last"]["reason"] == reason, "up", 20)
        return self.gorbd.get(path).json

    def down(self, path, *words):
        self.gorbd.wait_for(path, lambda b: b["state"] == "down" and all(
            word in (b["last"] or {}).get("reason", "") for word in words), f"down because of {words}", 20)
        return self.gorbd.get(path).json

    def warning(self, path):
        """The value of gorb_service_backend_warning."""
        service = path.split("/")[2]
        (value,) = re.findall(rf'^gorb_service_backend_warning{{[^}}]*service_name="{service}"[^}}]*}} (\S+)$',
                              self.gorbd.get("/metrics").text, re.MULTILINE)
        return float(value)

    # ---- http

    def test_path_host_status_headers_and_body(self):
        nginx = self.plain()
        shop = {"host": "shop.example.org", "path": "/health"}
        self.up(self.check(nginx.port, **shop, **{"expect-header": {"X-Service": "shop", "Server": {"regex": "^nginx"}, "X-Busy": False},
                                                  "expect-body": "^shop: .* well\\n$"}))
        seen = nginx.asked()[0]
        self.assertEqual((seen["asked"], seen["host"], seen["status"]), ("GET /health HTTP/1.1", "shop.example.org", 200))
        # Each of them turns the verdict by itself.
        backend = self.down(self.check(nginx.port, path="/health"), "status 404 (expected 200)")  # Not that virtual host.
        self.assertEqual(backend["last"]["code"], 404)
        self.down(self.check(nginx.port, host="shop.example.org", path="/"), "status 404 (expected 200)")
        self.down(self.check(nginx.port, **shop, expect="201-299"), "status 200 (expected 201-299)")
        self.down(self.check(nginx.port, **shop, **{"expect-header": {"X-Service": "bank"}}),
                  'header X-Service is "shop" (expected "bank")')
        self.down(self.check(nginx.port, **shop, **{"expect-header": {"ETag": True}}), "header ETag is missing")
        self.down(self.check(nginx.port, **shop, **{"expect-body": "^bank"}), "body does not match /^bank/", "shop: all is well")

    def test_a_pulse_goes_to_the_address_it_names(self):
        nginx = self.plain()
        path = self.check(nginx.port, path="/health", host="shop.example.org")
        self.up(path)
        service = path.rsplit("/", 1)[0]
        elsewhere = {"type": "http", "interval": "100ms", "rise": 1, "fall": 1, "path": "/busy", "expect": 503, "address": "127.0.0.1"}
        for n in 2, 3:
            self.gorbd.made(f"{service}/b{n}", {"address": f"127.0.0.{n}", "port": nginx.port, "pulse": elsewhere})
            backend = self.up(f"{service}/b{n}", "status 503")
        self.assertEqual((backend["options"]["pulse"]["address"], backend["check"]["shared"]), ("127.0.0.1", 2))
        self.assertIn(f"127.0.0.1:{nginx.port}", {r["host"] for r in nginx.asked() if r["asked"].startswith("GET /busy")})
        self.assertEqual(self.gorbd.patch(f"{service}/b2", {"pulse": {"address": None}}).status, 200)
        self.down(f"{service}/b2", "refused")
        self.up(f"{service}/b3", "status 503")

    def test_a_status_is_the_reason(self):
        nginx = self.plain()
        busy = self.down(self.check(nginx.port, path="/busy"), "status 503 (expected 200)")
        self.assertEqual((busy["last"]["code"], busy["last"]["verdict"]), (503, "fail"))
        self.up(self.check(nginx.port, path="/busy", expect=503), "status 503")
        self.down(self.check(nginx.port, path="/old"), "redirect to", "/login (302) not followed")

    def test_checks_share_a_connection(self):
        nginx = self.plain()
        path = self.check(nginx.port, host="shop.example.org", path="/health")
        self.gorbd.wait_for(path, lambda b: b["counts"]["passes"] >= 25, "25 checks passed", 20)
        self.assertEqual(self.gorbd.get(path).json["counts"]["failures"], 0)
        asked = nginx.asked()[:20]
        self.assertEqual([entry["nth"] for entry in asked], [*range(1, 11)] * 2)  # fresh-every is 10.
        self.assertEqual(len({entry["connection"] for entry in asked}), 2)
        # And none is shared that shall not be.
        alone = self.check(nginx.port, host="shop.example.org", path="/health", method="HEAD", **{"keep-alive": False})
        self.gorbd.wait_for(alone, lambda b: b["counts"]["passes"] >= 5, "5 checks passed", 20)
        asked = [entry for entry in nginx.asked() if entry["asked"].startswith("HEAD")]
        self.assertGreaterEqual(len(asked), 4)
        self.assertEqual({entry["nth"] for entry in asked}, {1})

    def test_its_death_is_seen_long_before_the_next_check(self):
        nginx = self.plain()
        shop = {"host": "shop.example.org", "path": "/health", "interval": "1h"}
        watching = self.check(nginx.port, **shop, **{"down-interval": "100ms"})
        blind = self.check(nginx.port, **shop, **{"keep-alive": False})
        self.up(watching)
        self.up(blind)
        nginx.kill()
        self.down(watching, "connection refused")  # Within seconds, and the next check was an hour away.
        backend = self.gorbd.get(blind).json  # What the kept connection does is seen by comparison.
        self.assertEqual((backend["state"], backend["counts"]["passes"]), ("up", 1))
        nginx.start()
        self.up(watching)

    def test_a_reload_is_no_failure(self):
        nginx = self.plain()
        path = self.check(nginx.port, host="shop.example.org", path="/health", interval="1h")
        self.up(path)
        nginx.process.send_signal(signal.SIGHUP)  # The old worker closes the kept connection, a new one takes over.
        self.gorbd.wait_for(path, lambda b: b["counts"]["passes"] >= 2, "checked again", 20)
        backend = self.gorbd.get(path).json
        self.assertEqual((backend["state"], backend["counts"]["failures"], backend["counts"]["unknowns"]), ("up", 0, 0))
        self.assertEqual(len({entry["worker"] for entry in nginx.asked()}), 2)

    # ---- https

    def test_https_with_a_private_ca(self):
        authority = Authority(self.folder)
        port = self.secure(authority.sign("good", "DNS:shop.example.org"))
        ca = self.folder / "ca.pem"
        path = self.check_tls(port, host="shop.example.org", ca=ca, expect_body="^secure")
        self.gorbd.wait_for(path, lambda b: b["counts"]["passes"] >= 3, "checks passed", 20)
        backend = self.gorbd.get(path).json
        self.assertNotIn("warning", backend)
        self.assertEqual(self.warning(path), 0)
        self.assertEqual([entry["nth"] for entry in self.nginx.asked()[:3]], [1, 2, 3])  # Kept, as without TLS.
        self.up(self.check_tls(port, tls_name="shop.example.org", ca=ca))
        self.down(self.check_tls(port, host="shop.example.org"), "not signed by a trusted CA")
        self.down(self.check_tls(port, host="bank.example.org", ca=ca),
                  'certificate is for other names than "bank.example.org": its names are shop.example.org')
        self.down(self.check_tls(port, ca=ca), 'certificate is for other names than "127.0.0.1"')
        self.up(self.check_tls(port, host="bank.example.org", verify=False))
        self.down(self.check(port), "status 400")  # nginx says so when it is spoken to without TLS.

    def test_an_expired_certificate(self):
        authority = Authority(self.folder)
        port = self.secure(authority.sign("old", "DNS:shop.example.org", days=-3))
        self.down(self.check_tls(port, host="shop.example.org", ca=self.folder / "ca.pem"), "certificate has expired")
        self.down(self.check_tls(port, host="shop.example.org", verify=False),
                  f"certificate has expired ({authority.end:%Y-%m-%d})")

    def test_a_self_signed_certificate(self):
        port = self.secure(Authority(self.folder).self_signed("own", "shop.example.org", "-addext", "subjectAltName=DNS:shop.example.org"))
        self.down(self.check_tls(port, host="shop.example.org"), "self-signed certificate")
        self.down(self.check_tls(port, host="shop.example.org", ca=self.folder / "ca.pem"), "self-signed certificate")
        self.up(self.check_tls(port, host="shop.example.org", verify=False))
        self.up(self.check_tls(port, host="shop.example.org", ca=self.folder / "own.pem"))

    def test_a_client_certificate(self):
        authority = Authority(self.folder)
        ca = self.folder / "ca.pem"
        port = self.secure(authority.sign("good", "DNS:shop.example.org"), f"ssl_client_certificate {ca}; ssl_verify_client on;")
        client = authority.sign("client")
        stranger = authority.self_signed("stranger", "stranger")
        shop = {"host": "shop.example.org", "ca": ca}
        self.up(self.check_tls(port, **shop, cert=client.with_suffix(".pem"), key=client.with_suffix(".key")))
        self.down(self.check_tls(port, **shop), "status 400 (expected 200)")
        self.down(self.check_tls(port, **shop, cert=stranger.with_suffix(".pem"), key=stranger.with_suffix(".key")), "status 400")
        path = self.check_tls(port, **shop, cert=client.with_suffix(".pem"), key=stranger.with_suffix(".key"))
        self.gorbd.wait_for(path, lambda b: b["counts"]["unknowns"] >= 1, "a key of another certificate is our own trouble", 20)
        self.assertIn("key values mismatch", self.gorbd.get(path).json["last"]["reason"])

    def test_a_certificate_that_ends_soon_is_a_warning(self):
        authority = Authority(self.folder)
        port = self.secure(authority.sign("soon", "DNS:shop.example.org", days=5))
        shop = {"host": "shop.example.org", "ca": self.folder / "ca.pem"}
        path = self.check_tls(port, **shop)
        self.assertEqual(self.up(path)["warning"], f"certificate ends in 5 days ({authority.end:%Y-%m-%d})")
        self.assertEqual(self.warning(path), 1)
        calm = self.check_tls(port, **shop, expire_warning=5)
        self.assertNotIn("warning", self.up(calm))
        self.assertEqual(self.warning(calm), 0)
        self.down(self.check_tls(port, **shop, expire_failure=6), "certificate ends in 5 days", "at least 6 days expected")
