"""The REST API end to end, with the memory driver: what it takes, what it answers, and what each mistake is told."""
import json
import re
import unittest

from gorbd import Gorbd, wait_until
from servers import HttpBackend, TcpBackend

WEB = {"address": "10.0.0.1", "port": 80, "protocol": "tcp", "method": "wrr"}
B1 = {"address": "10.1.0.1", "port": 80, "method": "nat", "weight": 128, "pulse": {"type": "none"}}


class Api(unittest.TestCase):
    def setUp(self):
        self.gorbd = self.enterContext(Gorbd("--driver", "memory"))

    def refused(self, reply, status, *words):
        """An error in the one form that all of them have."""
        self.assertEqual(reply.status, status, reply)
        self.assertEqual(reply.headers["content-type"], "application/json")
        self.assertIsInstance(reply.json["error"], str)
        for word in words:
            self.assertIn(word, reply.text)
        return reply.json

    def test_the_log_says_what_a_change_has_changed(self):
        g = self.gorbd
        g.made("/service/web", WEB)
        g.made("/service/web/b1", B1)
        self.assertNotIn("changes=", g.log())
        self.assertEqual(g.request("PATCH", "/service/web/b1", {"weight": 7, "admin": "drain"}).status, 200)
        self.assertEqual(g.request("PATCH", "/service/web", {"quorum": 2}).status, 200)
        self.assertEqual(g.request("PUT", "/service/web/b1", {**B1, "address": "10.1.0.2"}, headers={"If-Match": "*"}).status, 200)
        self.assertEqual(g.request("PATCH", "/service/web/b1", {"pulse": {"interval": "3s"}}).status, 200)
        changes = [line for line in g.log().splitlines() if "changes=" in line]
        for line, message, words in zip(changes, ("backend changed", "virtual service changed", "backend replaced", "backend changed"),
                                        ("admin ready -> drain, weight 128 -> 7", "quorum default -> 2",
                                         "address 10.1.0.1:80 -> 10.1.0.2:80, admin drain -> ready, weight 7 -> 128", "changes=pulse"), strict=True):
            self.assertIn(message, line)
            self.assertIn(words, line)

    def test_life_of_a_service(self):
        g = self.gorbd
        self.assertEqual(g.get("/service").json, [])
        made = g.made("/service/web", WEB)
        self.assertEqual(made, g.get("/service/web").json)
        g.made("/service/web/b1", B1)
        self.assertEqual(g.get("/service").json, ["web"])
        service = g.get("/service/web").json
        self.assertEqual(service["backends"], ["b1"])
        self.assertEqual((service["options"]["port"], service["options"]["protocol"], service["options"]["method"]),
                         (80, "tcp", "wrr"))
        self.assertTrue(0 <= service["health"] <= 1)
        self.assertEqual(g.delete("/service/web/b1").status, 200)
        self.refused(g.get("/service/web/b1"), 404, "b1")
        g.made("/service/web/b1", B1)
        self.assertEqual(g.delete("/service/web").status, 200)
        self.refused(g.get("/service/web"), 404, "web")
        self.refused(g.get("/service/web/b1"), 404)
        self.refused(g.delete("/service/web"), 404)
        self.refused(g.put("/service/web/b1", B1), 404)

    def test_backend_as_get_shows_it(self):
        g = self.gorbd
        g.made("/service/web", WEB)
        g.made("/service/web/b1", B1)
        # The weight follows the state as soon as the kernel has taken it.
        g.wait_for("/service/web/b1", lambda b: b["state"] == "up" and b["weight"]["effective"] > 0, "up, with its weight")
        b = g.get("/service/web/b1").json
        self.assertEqual(b["options"]["weight"], 128)
        self.assertEqual(b["options"]["method"], "nat")
        self.assertEqual(b["options"]["pulse"]["type"], "none")
        self.assertEqual((b["metrics"]["status"], b["metrics"]["health"]), (0, 1))
        self.assertGreater(b["metrics"]["uptime"], 0)
        self.assertEqual((b["weight"]["configured"], b["weight"]["effective"]), (128, 128))
        self.assertGreaterEqual(b["counts"]["passes"], 1)
        for key in ("verdict", "reason", "code", "latency", "at"):
            self.assertIn(key, b["last"])
        self.assertIn("T", b["since"])

    def test_put_is_idempotent(self):
        g = self.gorbd
        for path, body, other in (("/service/web", WEB, {**WEB, "method": "rr"}), ("/service/web/b1", B1, {**B1, "weight": 1})):
            first = g.put(path, body)
            again = g.put(path, body)
            self.assertEqual((first.status, again.status), (200, 200), again)
            self.assertEqual(first.headers["etag"], again.headers["etag"])
            self.refused(g.put(path, other), 409)
            self.refused(g.put(path, other, headers={"If-Match": '"no"'}), 412)
            changed = g.put(path, other, headers={"If-Match": first.headers["etag"]})
            self.assertEqual(changed.status, 200, changed)
            self.assertNotEqual(changed.headers["etag"], first.headers["etag"])
            self.refused(g.put(path, body, headers={"If-Match": first.headers["etag"]}), 412)
            self.assertEqual(g.put(path, body, headers={"If-Match": "*"}).status, 200)
        self.refused(g.put("/service/new", {**WEB, "port": 9}, headers={"If-Match": "*"}), 412)

    def test_if_none_match_lets_a_put_create_and_nothing_else(self):
        g, only_new = self.gorbd, {"If-None-Match": "*"}
        for path, body, other in (("/service/web", WEB, {**WEB, "method": "rr"}), ("/service/web/b1", B1, {**B1, "weight": 1})):
            made = g.made(path, body, headers=only_new)
            for again in (body, other):
                self.refused(g.put(path, again, headers=only_new), 412, "If-None-Match", made["etag"])
            self.assertEqual(g.get(path).json["options"], made["options"])
            for wrong in ({"If-None-Match": '"x"'}, {"If-None-Match": ""}, {**only_new, "If-Match": "*"}):
                self.refused(g.put(path, other, headers=wrong), 400, "If-None-Match")
        # What is shown changes with the health, the ETag does not: no answer is left out for it.
        etag = g.get("/service/web").headers["etag"]
        self.assertEqual(g.get("/service/web", headers={"If-None-Match": etag}).status, 200)

    def test_patch_changes_what_can_change_and_refuses_key_fields_with_the_reason(self):
        g = self.gorbd
        g.made("/service/web", WEB)
        g.made("/service/web/b1", B1)
        self.assertEqual(g.patch("/service/web", {"method": "lc", "persistent": "5m"}).status, 200)
        self.assertEqual(g.get("/service/web").json["options"]["method"], "lc")
        self.assertEqual(g.patch("/service/web/b1", {"weight": 5, "method": "tunnel"}).status, 200)
        self.assertEqual(g.get("/service/web/b1").json["options"]["weight"], 5)
        for path, change in (("/service/web", {"port": 81}), ("/service/web", {"address": "10.0.0.2"}),
                             ("/service/web", {"protocol": "udp"}), ("/service/web/b1", {"port": 81}),
                             ("/service/web/b1", {"address": "10.1.0.9"})):
            field = next(iter(change))
            error = self.refused(g.patch(path, change), 400, field)
            self.assertEqual(error["fields"][0]["pointer"], f"/{field}")
        self.assertEqual(g.patch("/service/web", {"port": 80}).status, 200)  # As it is: no change, no fault.
        self.refused(g.patch("/service/nope", {"method": "rr"}), 404)

    def test_both_spellings(self):
        g = self.gorbd
        g.made("/service/web", {"host": "10.0.0.1", "port": 80})
        same = g.put("/service/web", {"address": "10.0.0.1", "port": 80})
        self.assertEqual(same.status, 200, same)
        beside = {"address": "10.1.0.1", "port": 80, "pulse": {"type": "http", "path": "/x", "interval": "5s"}}
        inside = {"host": "10.1.0.1", "port": 80, "pulse": {"type": "http", "args": {"path": "/x"}, "interval": "5s"}}
        g.made("/service/web/b1", beside)
        same = g.put("/service/web/b1", inside)
        self.assertEqual(same.status, 200, same)
        for number, (ours, ipvsadms) in enumerate((("nat", "masq"), ("tunnel", "ipip"), ("dr", "gate"))):
            backend = {"address": f"10.1.1.{number}", "port": 80, "pulse": {"type": "none"}}
            g.made(f"/service/web/{ours}", {**backend, "method": ours})
            self.assertEqual(g.put(f"/service/web/{ours}", {**backend, "method": ipvsadms}).status, 200)

    def test_what_upstreams_clients_send_for_what_they_do_not_set_is_as_left_out(self):
        """Go writes a text that is not set as "", and an object as null."""
        g = self.gorbd
        g.made("/service/web", {"host": "10.0.0.1", "port": 80, "protocol": "", "method": "", "flags": "", "persistent": False})
        g.made("/service/plain", {"address": "10.0.0.2", "port": 80})
        g.made("/service/web/plain", {"address": "10.1.0.1", "port": 80})
        for name, pulse in (("b2", None), ("b3", {"type": "", "interval": "", "args": None})):
            made = g.made(f"/service/web/{name}", {"host": f"10.1.0.{name[1]}", "port": 80, "weight": 100, "method": "", "pulse": pulse})
            self.same_but_for_the_address(made, g.get("/service/web/plain").json)
        self.same_but_for_the_address(g.get("/service/web").json, g.get("/service/plain").json)
        for path in ("/service/more", "/service/web/more"):
            self.assertEqual([field["pointer"] for field in self.refused(g.put(path, {"host": "", "port": 80}), 400)["fields"]],
                             ["/address"])

    def same_but_for_the_address(self, one, other):
        options = [{key: value for key, value in each["options"].items() if key not in ("host", "address")} for each in (one, other)]
        self.assertEqual(*options)

    def test_names_are_local_to_their_service(self):
        g = self.gorbd
        g.made("/service/a", WEB)
        g.made("/service/b", {**WEB, "port": 81})
        g.made("/service/a/b1", B1)
        g.made("/service/b/b1", {**B1, "port": 81})
        self.assertEqual(g.delete("/service/a/b1").status, 200)
        self.assertEqual(g.get("/service/b/b1").status, 200)

    def test_twins_are_refused_with_the_name_of_the_other(self):
        g = self.gorbd
        g.made("/service/first", WEB)
        g.made("/service/first/one", B1)
        self.refused(g.put("/service/second", WEB), 409, "first")
        self.refused(g.put("/service/first/two", B1), 409, "one")
        g.made("/service/second", {**WEB, "protocol": "udp"})

    def test_each_wrong_field_is_named_by_its_pointer(self):
        error = self.refused(self.gorbd.put("/service/web", {
            "address": "10.0.0.256", "port": 70000, "protocol": "sctp", "persistent": "soon", "colour": "red"}), 400)
        self.assertEqual({field["pointer"] for field in error["fields"]},
                         {"/address", "/port", "/protocol", "/persistent", "/colour"})
        g = self.gorbd
        g.made("/service/web", WEB)
        error = self.refused(g.put("/service/web/b1", {"address": "10.1.0.1", "port": "80", "weight": -1, "method": "magic",
                                                       "pulse": {"type": "tcp", "interval": "soon"}}), 400)
        self.assertLessEqual({"/port", "/weight", "/method", "/pulse/interval"}, {f["pointer"] for f in error["fields"]})
        error = self.refused(g.put("/service/web/b1", {**B1, "pulse": {"type": "http", "path": 7, "expect": 99999}}), 400)
        self.assertTrue(all(f["pointer"].startswith("/pulse/") for f in error["fields"]), error)
        self.refused(g.put("/service/web/b1", {**B1, "pulse": {"type": "tcp", "bogus": 1}}), 400, "bogus")
        self.refused(g.put("/service/web/b1", {**B1, "pulse": {"type": "telepathy"}}), 400, "telepathy", "tcp", "http")
        self.assertEqual(g.get("/service/web").json["backends"], [])

    def test_each_kind_of_mistake_has_its_status(self):
        g = self.gorbd
        self.refused(g.put("/service/web", raw=b"{", headers={"Content-Type": "application/json"}), 400)
        self.refused(g.put("/service/web", raw=b"[]", headers={"Content-Type": "application/json"}), 400)
        self.refused(g.put("/service/web", raw=b""), 400)
        self.refused(g.put("/service/web", raw=b"{}{}", headers={"Content-Type": "application/json"}), 400)
        self.refused(g.put("/service/web", raw=b'{"port": 1, "port": 2}', headers={"Content-Type": "application/json"}), 400)
        self.refused(g.put("/service/web", raw=b"a=b", headers={"Content-Type": "text/plain"}), 415)
        self.refused(g.put("/service/web", raw=b" " * (1 << 20) + b"{}", headers={"Content-Type": "application/json"}), 413)
        self.refused(g.request("POST", "/service/web", WEB), 405, "PUT")
        self.assertIn("PUT", g.request("POST", "/service/web", WEB).headers["allow"])
        self.refused(g.get("/nowhere"), 404, "/nowhere")
        self.refused(g.get("/service/a/b/c"), 404)
        self.refused(g.put("/service/" + "x" * 129, WEB), 400)
        self.refused(g.put("/service/sp%20ace", WEB), 400)
        self.refused(g.put("/service/web", {**WEB, "port": 80.5}), 400, "/port")
        self.refused(g.put("/service/web", {**WEB, "port": None}), 400, "/port")
        self.assertEqual(g.get("/service").json, [])
        g.made("/service/" + "A-z0.9_:" * 16, WEB)

    def test_checks_move_the_weight(self):
        g = self.gorbd
        g.made("/service/web", WEB)
        with TcpBackend() as server:
            g.made("/service/web/b1", {"address": "127.0.0.1", "port": server.port, "weight": 40,
                                       "pulse": {"type": "tcp", "interval": "50ms", "timeout": "1s"}})
            g.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 40, "up")
            server.close()
            g.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 0, "down")
            b = g.get("/service/web/b1").json
            self.assertEqual((b["state"], b["metrics"]["status"], b["metrics"]["uptime"]), ("down", 1, 0))
            self.assertNotEqual(b["weight"]["why"], "")
            self.assertEqual(b["last"]["verdict"], "fail")
            self.assertLess(g.get("/service/web").json["health"], 1)
            server.open()
            g.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 40, "up again")
            self.assertGreaterEqual(g.get("/service/web/b1").json["counts"]["changes"], 2)

    def test_the_results_of_checks_add_up(self):
        """One that times out is one result, not two."""
        g = self.gorbd
        g.made("/service/web", WEB)
        with TcpBackend() as silent:
            g.made("/service/web/b1", {"address": "127.0.0.1", "port": silent.port, "pulse": {
                "type": "tcp", "expect": "hello", "interval": "50ms", "timeout": "20ms"}})
            g.made("/service/web/b2", {"address": "127.0.0.1", "port": 9, "pulse": {"type": "none", "interval": "50ms"}})
            for name in ("b1", "b2"):
                g.wait_for(f"/service/web/{name}", lambda b: sum(b["counts"][n] for n in ("passes", "failures")) >= 4, "checked")

        def read():
            found = re.findall(r"^(gorb_check\w+)(?:{result=\"(\w+)\"})? (\d+)$", g.get("/metrics").text, re.MULTILINE)
            return {name + result: int(n) for name, result, n in found}

        def add_up():
            now = read()
            ended = sum(n for name, n in now.items() if name.startswith("gorb_checks_total"))
            return ended + now["gorb_checks_in_flight"] == now["gorb_check_lateness_seconds_count"]
        # A page is not of one moment.
        wait_until(lambda: f"what ended and what runs is what began: {read()}", add_up)
        self.assertGreaterEqual(read()["gorb_check_timeouts_total"], 4)

    def test_http_pulse_asks_what_it_was_told_to(self):
        g = self.gorbd
        g.made("/service/web", WEB)
        with HttpBackend(204) as server:
            g.made("/service/web/b1", {
                "address": "127.0.0.1", "port": 1, "pulse": {
                    "type": "http", "interval": "50ms", "timeout": "2s", "method": "HEAD", "path": "/ready?x=1",
                    "host": "shop.example", "port": server.port, "expect": "200-299"}})
            g.wait_for("/service/web/b1", lambda b: b["state"] == "up", "up")
            command, path, headers = server.seen[0]
            self.assertEqual((command, path, headers["Host"]), ("HEAD", "/ready?x=1", "shop.example"))
            self.assertEqual(g.get("/service/web/b1").json["last"]["code"], 204)
            server.status = 503
            g.wait_for("/service/web/b1", lambda b: b["state"] == "down", "down")
            b = g.get("/service/web/b1").json
            self.assertEqual(b["last"]["code"], 503)
            self.assertIn("503", b["last"]["reason"])
            for expect in (503, "503", [503, "200-204"], "100-199,503"):
                reply = g.patch("/service/web/b1", {"pulse": {"expect": expect}})
                self.assertEqual(reply.status, 200, reply)
            g.wait_for("/service/web/b1", lambda b: b["state"] == "up", "up, as 503 is expected now")

    def test_the_daemon_tells_about_itself(self):
        g = self.gorbd
        root = g.get("/").json
        self.assertFalse(root["driver"]["forwards"])
        self.assertIn("NO PACKETS FLOW", json.dumps(root))
        self.assertIn("wrr", root["schedulers"])
        self.assertEqual(g.get("/healthz").status, 200)
        self.assertEqual(g.get("/readyz").status, 200)
        self.assertIn("openapi", g.get("/openapi.json").json)
        g.made("/service/web", WEB)
        g.made("/service/web/b1", B1)
        g.wait_for("/service/web/b1", lambda b: b["state"] == "up", "up")
        page = g.get("/metrics")
        self.assertIn('gorb_service_backend_weight{', page.text)
        self.assertIn('gorb_service_backends{', page.text)

    def test_the_log_level_changes_over_rest(self):
        g = self.gorbd
        self.assertEqual(g.get("/log").json, {"level": "info"})
        self.assertEqual(g.put("/log", {"level": "debug"}).status, 200)
        g.get("/service")
        self.assertIn(" debug ", g.log())
        self.refused(g.put("/log", {"level": "loud"}), 400, "/level")
