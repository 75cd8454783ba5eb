"""What the daemon answered for is there after every end of it; declarative files; one store, one daemon."""
import http.client
import json
import os
import shutil
import signal
import stat
import tempfile
import threading
import unittest
from concurrent import futures
from datetime import datetime
from pathlib import Path

from gorbd import BUILD, Gorbd, run_gorbd, wait_until
from servers import TcpBackend, free_port

# Nothing is asked of the network: these backends are up as soon as they are there.
PULSE = {"type": "none"}


def web(*backends, **more):
    """A service on 10.0.0.1:80 with backends of these numbers."""
    made = {f"b{n}": {"address": f"10.1.0.{n}", "port": 80, "pulse": PULSE} for n in backends}
    return {"address": "10.0.0.1", "port": 80, **more, "backends": made}


class StoreTest(unittest.TestCase):
    """A store in a folder of the test's."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.state = self.folder / "state"

    def daemon(self, *options, **more):
        return self.enterContext(Gorbd("--driver", "memory", "--state-directory", self.state, *options, **more))


class Durable(StoreTest):
    def shown(self, gorbd):
        """All that must outlive a restart: the document, each object's options and each ETag."""
        config = gorbd.get("/config")
        out = {"/config": (config.headers["etag"], config.json)}
        for service, content in config.json["services"].items():
            for path in (f"/service/{service}", *(f"/service/{service}/{name}" for name in content["backends"])):
                reply = gorbd.get(path)
                out[path] = (reply.headers["etag"], reply.json["options"])
        return out

    def test_a_backend_whose_plugin_is_gone_says_so(self):
        with self.daemon() as gorbd, TcpBackend() as server:
            gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
            for name, port in (("b1", server.port), ("b3", free_port())):
                gorbd.made(f"/service/web/{name}", {"address": "127.0.0.1", "port": port, "pulse": {"type": "tcp"}})
            gorbd.made("/service/web/b2", {"address": "10.1.0.2", "port": 80, "pulse": PULSE})
            gorbd.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 100, "up")
            self.assertEqual(gorbd.terminate(), 0)
        own = self.folder / "plugins"
        own.mkdir()
        shutil.copy(BUILD / "plugins" / "pulse-none.so", own)
        with self.daemon("--plugin-dir", own) as gorbd:
            b1 = gorbd.get("/service/web/b1").json
            self.assertEqual((b1["state"], b1["since"]), ("unknown", None))
            why = 'it can not be checked: /pulse/type there is no pulse plugin "tcp"; loaded are: none'
            self.assertEqual(b1["because"], why)
            self.assertIn(why, b1["weight"]["why"])
            # The table is new, as after a boot; who was up serves all the same.
            self.assertEqual(b1["weight"]["effective"], 100)
            self.assertEqual(gorbd.get("/service/web/b3").json["weight"]["effective"], 0)
            self.assertIn("has its own there if it was up", gorbd.log())
            self.assertIn("\ngorb_backends_unchecked 2\n", gorbd.get("/metrics").text)
            gorbd.wait_for("/service/web/b2", lambda b: b["state"] == "up", "up")
            self.assertEqual(gorbd.patch("/service/web/b1", {"pulse": PULSE}).status, 200)
            gorbd.wait_for("/service/web/b1", lambda b: b["state"] == "up", "up")
            self.assertIn("\ngorb_backends_unchecked 1\n", gorbd.get("/metrics").text)

    def fill(self, gorbd):
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80, "method": "wlc", "persistent": 60, "quorum": 2})
        for n in (1, 2, 3):
            gorbd.made(f"/service/web/b{n}", {"address": f"10.1.0.{n}", "port": 80, "weight": 10 * n, "pulse": PULSE})
        self.assertEqual(gorbd.patch("/service/web/b2", {"admin": "maint"}).status, 200)
        self.assertEqual(gorbd.patch("/service/web/b3", {"admin": "drain"}).status, 200)
        gorbd.made("/service/dns", {"address": "2001:db8::1", "port": 53, "protocol": "udp"})
        gorbd.made("/service/gone", {"address": "10.0.0.2", "port": 80})
        self.assertEqual(gorbd.delete("/service/gone").status, 200)

    def test_a_restart_keeps_everything(self):
        gorbd = self.daemon()
        self.fill(gorbd)
        before = self.shown(gorbd)
        self.assertEqual(gorbd.terminate(), 0)
        gorbd.start()
        self.assertEqual(self.shown(gorbd), before)
        self.assertEqual(gorbd.get("/service").json, ["dns", "web"])
        gorbd.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 10, "its weight is back")
        self.assertEqual(gorbd.get("/service/web/b2").json["weight"]["effective"], 0)
        self.assertEqual(gorbd.get("/service/web/b3").json["weight"]["effective"], 0)
        # An ETag of before still names what it named.
        tag, _ = before["/service/web/b1"]
        self.assertEqual(gorbd.patch("/service/web/b1", {"weight": 11}, headers={"If-Match": tag}).status, 200)
        self.assertEqual(gorbd.patch("/service/web/b1", {"weight": 12}, headers={"If-Match": tag}).status, 412)

    def test_who_asks_for_events_after_the_last_one_misses_none_of_the_next_run(self):
        gorbd = self.daemon()
        last = gorbd.get("/events").json["events"][-1]["number"]
        self.assertEqual(gorbd.get(f"/events?after={last}").json["events"], [])
        self.assertEqual(gorbd.terminate(), 0)
        gorbd.start()
        (event,) = gorbd.get(f"/events?after={last}").json["events"]
        self.assertEqual(event["kind"], "start")
        self.assertGreater(event["number"], last)
        # As after a start with the clock set back.
        self.assertEqual(gorbd.get(f"/events?after={event['number'] + 1}").json["events"], [event])

    def test_a_restart_takes_no_weight_from_a_backend_that_had_all_of_it(self):
        gorbd = self.daemon()
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        gorbd.made("/service/web/b1", {"address": "10.1.0.1", "port": 80, "pulse": PULSE})
        gorbd.wait_for("/service/web/b1", lambda b: b["weight"]["effective"] == 100, "it serves")
        # What is up by then has nothing to recover from.
        self.assertEqual(gorbd.patch("/service/web", {"slow-start": "1h"}).status, 200)
        self.assertEqual(gorbd.get("/service/web/b1").json["weight"]["effective"], 100)
        gorbd.terminate()
        gorbd.start()
        self.assertEqual(gorbd.get("/service/web/b1").json["weight"]["effective"], 100)

    def test_health_that_is_as_it_was_is_not_written_again_after_a_restart(self):
        gorbd = self.daemon()
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        gorbd.made("/service/web/b1", {"address": "10.1.0.1", "port": 80, "pulse": {**PULSE, "interval": "100ms"}})
        gorbd.wait_for("/service/web/b1", lambda b: b["state"] == "up", "it is up")
        since = gorbd.get("/service/web/b1").json["since"]
        gorbd.terminate()
        gorbd.start()
        # What is known is written a second after it is.
        gorbd.wait_for("/service/web/b1", lambda b: b["counts"]["passes"] > 20, "checks of more than two seconds")
        self.assertEqual(gorbd.get("/service/web/b1").json["since"], since)
        self.assertIn("\ngorb_store_writes_total 0\n", gorbd.get("/metrics").text)

    def test_a_share_that_was_asked_for_is_kept_over_a_restart(self):
        gorbd = self.daemon()
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        shares = {"b1": 0, "b2": 20}
        for name, share in shares.items():
            gorbd.made(f"/service/web/{name}", {"address": f"10.1.0.{name[1]}", "port": 80, "pulse": {"type": "ttl", "ttl": "1h", "interval": "100ms"}})
            self.assertEqual(gorbd.put(f"/service/web/{name}/pulse", {"status": "pass", "share": share}).status, 200)
            gorbd.wait_for(f"/service/web/{name}", lambda b, s=share: (b["state"], b["weight"]["effective"]) == ("up", s), f"{share}")
        gorbd.terminate()
        gorbd.start()
        for name, share in shares.items():
            weight = gorbd.get(f"/service/web/{name}").json["weight"]
            self.assertEqual((weight["effective"], weight["why"]), (share, f"its pulse asks for {share} % of the weight"))
            # Checks without a report yet change nothing.
            gorbd.wait_for(f"/service/web/{name}", lambda b: b["counts"]["unknowns"] > 2, "checks")
            self.assertEqual(gorbd.get(f"/service/web/{name}").json["weight"]["effective"], share)
            self.assertEqual(gorbd.put(f"/service/web/{name}/pulse", {"status": "pass"}).status, 200)
            gorbd.wait_for(f"/service/web/{name}", lambda b: b["weight"]["effective"] == 100, "all of it")

    def test_what_several_checks_came_to_is_not_said_of_each_of_them_after_a_restart(self):
        ttl, other, silent = ({"type": "ttl", "ttl": ttl, "interval": "100ms"} for ttl in ("1h", "2h", "3h"))
        refused = {"type": "tcp", "interval": "100ms", "fall": 1}
        closed = {"address": "127.0.0.1", "port": 9}
        gorbd = self.daemon()
        for number, pulses in enumerate(([ttl, silent, refused], [other, ttl], [ttl], [silent])):
            gorbd.made(f"/service/s{number}", {"address": f"10.0.0.{number + 1}", "port": 80})
            gorbd.made(f"/service/s{number}/b", {**closed, "pulses": pulses})
        # They share the check of s2, which is up and takes all that it gets.
        self.assertEqual(gorbd.put("/service/s1/b/pulse", {"status": "pass", "share": 20}).status, 200)
        self.assertEqual(gorbd.put("/service/s2/b/pulse", {"status": "pass"}).status, 200)
        wanted = [("down", 0), ("up", 20), ("up", 100), ("unknown", 0)]
        shown = lambda b: (b["state"], b["weight"]["effective"])
        for number, one in enumerate(wanted):
            gorbd.wait_for(f"/service/s{number}/b", lambda b, one=one: shown(b) == one, str(one))
        since = lambda: [datetime.fromisoformat(gorbd.get(f"/service/s{number}/b").json["since"]) for number in range(3)]
        before = since()
        gorbd.terminate()
        gorbd.start()
        for then, now in zip(before, since()):
            self.assertLess(abs((now - then).total_seconds()), 0.05, "by two clocks")
        self.assertEqual([shown(gorbd.get(f"/service/s{number}/b").json) for number in range(4)], wanted)
        gorbd.wait_for("/service/s2/b", lambda b: b["counts"]["unknowns"] > 2, "checks")
        self.assertEqual([shown(gorbd.get(f"/service/s{number}/b").json) for number in range(4)], wanted)

    def test_since_when_a_backend_drains_is_kept_over_kill_9(self):
        gorbd = self.daemon()
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        gorbd.made("/service/web/b1", {"address": "10.1.0.1", "port": 80, "pulse": PULSE})
        # Without a drain-timeout, since nothing is there to be waited for.
        self.assertEqual(gorbd.patch("/service/web/b1", {"admin": "drain"}).status, 200)
        drain = gorbd.get("/service/web/b1").json["drain"]
        gorbd.kill()
        gorbd.start()
        self.assertEqual(gorbd.get("/service/web/b1").json["drain"]["since"], drain["since"])

    def test_what_was_answered_survives_kill_9(self):
        gorbd = self.daemon()
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        for n in range(1, 6):
            tag = gorbd.put(f"/service/web/b{n}", {"address": f"10.1.0.{n}", "port": 80, "pulse": PULSE}).headers["etag"]
            gorbd.kill()
            gorbd.start()
            reply = gorbd.get(f"/service/web/b{n}")
            self.assertEqual((reply.status, reply.headers.get("etag")), (200, tag))
        self.assertEqual(len(gorbd.get("/service/web").json["backends"]), 5)

    def test_kill_9_in_the_middle_of_many_changes_loses_none_that_was_answered(self):
        gorbd = self.daemon()
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        answered, enough = [], threading.Event()

        def put(client):
            for n in range(1, 200):
                try:
                    reply = gorbd.put(f"/service/web/c{client}-{n}", {
                        "address": f"10.1.{client}.{n}", "port": 80, "pulse": PULSE})
                except (OSError, http.client.HTTPException):
                    return
                if reply.status == 200:
                    answered.append((f"/service/web/c{client}-{n}", reply.headers["etag"]))
                    if len(answered) > 40:
                        enough.set()

        clients = [threading.Thread(target=put, args=(client,)) for client in range(4)]
        for client in clients:
            client.start()
        self.assertTrue(enough.wait(60))
        gorbd.kill()
        for client in clients:
            client.join()
        gorbd.start()
        for path, tag in answered:
            self.assertEqual(gorbd.get(path).headers.get("etag"), tag, path)

    def test_a_store_in_memory_says_so_and_forgets(self):
        gorbd = self.enterContext(Gorbd("--driver", "memory"))
        self.assertFalse(gorbd.get("/").json["store"]["durable"])
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        gorbd.terminate()
        self.assertEqual(gorbd.start().get("/service").json, [])
        self.assertIn("in memory only", gorbd.log())

    def test_a_second_daemon_on_the_same_store_says_who_holds_it(self):
        gorbd = self.daemon()
        status, said = run_gorbd("--driver", "memory", "--listen", "127.0.0.1:0", "--state-directory", self.state)
        self.assertEqual(status, 1, said)
        self.assertIn(str(self.state), said)
        self.assertIn(str(gorbd.process.pid), said)
        self.assertEqual(gorbd.get("/readyz").status, 200)
        gorbd.kill()
        gorbd.start()  # What a dead one held is free.

    def test_a_folder_that_can_not_be_written_to_is_said_at_the_start(self):
        self.state.mkdir()
        self.state.chmod(stat.S_IRUSR | stat.S_IXUSR)
        self.addCleanup(self.state.chmod, stat.S_IRWXU)
        # Root may write everywhere, but for this.
        before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        status, said = run_gorbd("--driver", "memory", "--listen", "127.0.0.1:0", "--state-directory", self.state,
                                 before=before)
        self.assertEqual(status, 1, said)
        self.assertIn(str(self.state), said)
        self.assertIn("Permission denied", said)

    def test_of_those_who_change_the_same_revision_at_once_one_succeeds(self):
        gorbd = self.daemon()
        gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
        gorbd.made("/service/web/b1", {"address": "10.1.0.1", "port": 80, "pulse": {"type": "none"}})
        with futures.ThreadPoolExecutor(8) as writers:
            for number in range(20):
                tag = {"If-Match": gorbd.get("/service/web/b1").headers["etag"]}
                weights = range(1 + 8 * number, 9 + 8 * number)
                replies = list(writers.map(lambda weight, tag=tag: gorbd.patch("/service/web/b1", {"weight": weight}, headers=tag), weights))
                self.assertEqual(sorted(reply.status for reply in replies), [200] + 7 * [412])
                won = next(weight for weight, reply in zip(weights, replies, strict=True) if reply.status == 200)
                self.assertEqual(gorbd.get("/service/web/b1").json["weight"]["configured"], won)

    def test_the_share_and_the_least_of_the_guard_are_settings(self):
        some = {f"s{i}": {"address": f"10.0.1.{i}", "port": 80} for i in range(1, 11)}
        less = {name: some[name] for name in list(some)[:7]}
        for settings, status in (("", 200), ("guard-share = 10\nguard-least = 2", 409), ("guard-share = 10\nguard-least = 3", 200),
                                 ("guard-share = 40\nguard-least = 2", 200)):
            with self.subTest(settings):
                config = self.folder / "guard.ini"
                config.write_text(f"[reconcile]\n{settings}\n")
                with Gorbd("--driver", "memory", "--config", config) as gorbd:
                    self.assertEqual(gorbd.put("/config", {"services": some}).status, 200)
                    self.assertEqual(gorbd.put("/config", {"services": less}).status, status)

    def test_what_is_imported_is_there_at_the_start(self):
        document = self.folder / "import.json"
        gorbd = self.daemon()
        self.fill(gorbd)
        document.write_text(gorbd.get("/config").text)
        wanted = gorbd.get("/config").json["services"]
        gorbd.kill()
        status, said = run_gorbd("--state-directory", self.folder / "other", "--import", document)
        self.assertEqual(status, 0, said)
        other = self.enterContext(Gorbd("--driver", "memory", "--state-directory", self.folder / "other"))
        self.assertEqual(other.get("/config").json["services"], wanted)
        kernel = other.get("/kernel").json
        self.assertEqual({s["name"] for s in kernel["services"]}, {"web", "dns"})
        self.assertEqual({d["owner"] for s in kernel["services"] for d in s["destinations"]}, {"gorb"})

    def test_a_backup_of_a_running_daemon_is_restored(self):
        gorbd = self.daemon()
        self.fill(gorbd)
        before = self.shown(gorbd)
        services = before.pop("/config")[1]["services"]
        copy = self.folder / "copy.db"
        status, said = run_gorbd("--state-directory", self.state, "--backup", copy)
        self.assertEqual(status, 0, said)
        self.assertEqual(gorbd.delete("/service/web").status, 200)
        status, said = run_gorbd("--state-directory", self.state, "--restore", copy)
        self.assertEqual(status, 1, said)  # Not under a running daemon.
        gorbd.terminate()
        status, said = run_gorbd("--state-directory", self.state, "--restore", copy)
        self.assertEqual(status, 0, said)
        after = self.shown(gorbd.start())
        # The state as a whole is another revision, the objects are what they were.
        self.assertEqual(after.pop("/config")[1]["services"], services)
        self.assertEqual(after, before)

    def test_the_state_of_one_daemon_is_put_into_another(self):
        gorbd = self.daemon()
        self.fill(gorbd)
        config = gorbd.get("/config").json
        other = self.enterContext(Gorbd("--driver", "memory"))
        plan = other.request("POST", "/plan", config)
        self.assertEqual(plan.status, 200, plan)
        self.assertEqual(other.get("/service").json, [])
        done = other.put("/config", config)
        self.assertEqual(done.status, 200, done)
        self.assertEqual(done.json["added"], plan.json["added"])
        self.assertEqual(other.get("/config").json["services"], config["services"])

    def test_a_configuration_of_many_megabytes_is_taken(self):
        gorbd = self.daemon()
        backends = {f"b{n}": {"address": f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "port": 80, "pulse": PULSE}
                    for n in range(1, 20001)}
        config = {"services": {"web": {"address": "10.200.0.1", "port": 80, "backends": backends}}}
        size = len(str(config))
        self.assertGreater(size, 1 << 20)
        done = gorbd.put("/config", config)
        self.assertEqual(done.status, 200, done.text[:500])
        self.assertEqual(done.json["added"], 20001)
        # Everything else keeps its limit.
        self.assertEqual(gorbd.put("/service/web", config).status, 413)


class Declared(StoreTest):
    def setUp(self):
        super().setUp()
        (self.folder / "declared").mkdir()
        self.config = self.folder / "gorb.ini"
        self.config.write_text(f"[store]\ndeclared = {self.folder}/declared\n")

    def declare(self, name, services):
        text = services if isinstance(services, str) else json.dumps({"services": services})
        (self.folder / "declared" / f"{name}.json").write_text(text)

    def reload(self, gorbd, line):
        """SIGHUP, and `line` comes to stand in the log once more."""
        before = gorbd.log().count(line)
        gorbd.process.send_signal(signal.SIGHUP)
        wait_until(lambda: f"{line!r} in the log:\n{gorbd.log()}", lambda: gorbd.log().count(line) > before)

    def test_files_are_applied_at_the_start_and_on_sighup(self):
        self.declare("a", {"web": web(1, 2)})
        gorbd = self.daemon("--config", self.config)
        gorbd.made("/service/mine", {"address": "10.0.0.9", "port": 80})
        self.assertEqual(gorbd.get("/service/web").json["origin"], "file")
        self.assertEqual(gorbd.get("/service/mine").json["origin"], "api")
        tag = gorbd.get("/service/web/b2").headers["etag"]
        self.declare("a", {"web": web(2, 3, method="wlc")})
        self.declare("b", {"dns": {"address": "10.0.0.2", "port": 53, "protocol": "udp"}})
        self.reload(gorbd, "declarative files applied")
        self.assertEqual(gorbd.get("/service").json, ["dns", "mine", "web"])
        self.assertEqual(gorbd.get("/service/web").json["backends"], ["b2", "b3"])
        self.assertEqual(gorbd.get("/service/web").json["options"]["method"], "wlc")
        self.assertEqual(gorbd.get("/service/web/b2").headers["etag"], tag)
        (self.folder / "declared" / "a.json").unlink()
        self.reload(gorbd, "declarative files applied")
        self.assertEqual(gorbd.get("/service").json, ["dns", "mine"])
        gorbd.terminate()
        self.assertEqual(gorbd.start().get("/service").json, ["dns", "mine"])

    def test_a_folder_without_files_removes_nothing(self):
        """As one that is not mounted yet; a file says that all is to go."""
        self.declare("a", {"web": web(1, 2)})
        gorbd = self.daemon("--config", self.config)
        (self.folder / "declared" / "a.json").unlink()
        self.reload(gorbd, "there is no *.json in")
        gorbd.terminate()
        gorbd.start()
        self.assertEqual(gorbd.log().count(f"there is no *.json in {self.folder}/declared; to remove all"), 2)
        shown = gorbd.get("/service/web").json
        self.assertEqual((shown["origin"], shown["backends"]), ("file", ["b1", "b2"]))
        self.assertIn("there is no *.json", run_gorbd("--config", self.config, "--check-config")[1])
        self.declare("none", {})
        self.reload(gorbd, "declarative files applied")
        self.assertEqual(gorbd.get("/service").json, [])
        # Nothing of it came of files any more.
        (self.folder / "declared" / "none.json").unlink()
        self.reload(gorbd, "declarative files: nothing to change")

    def test_without_files_what_came_of_them_is_as_from_rest(self):
        self.declare("a", {"web": web(1), "old": web(2, address="10.0.0.2")})
        gorbd = self.daemon("--config", self.config)
        gorbd.terminate()
        files = self.config.read_text()
        self.config.write_text("")
        gorbd.start()
        self.assertEqual(gorbd.get("/service/web").json["origin"], "api")
        self.assertNotIn("note", gorbd.delete("/service/web/b1").json or {})
        gorbd.kill()
        # Files that are named again have what is in them, and nothing goes because it is not.
        self.config.write_text(files)
        self.declare("a", {"web": web(3)})
        gorbd.start()
        self.assertEqual({name: gorbd.get(f"/service/{name}").json["origin"] for name in ("web", "old")},
                         {"web": "file", "old": "api"})
        self.assertEqual(gorbd.get("/service/web").json["backends"], ["b3"])

    def test_a_start_removes_no_more_than_the_guard_lets_it(self):
        many = {f"s{i}": {"address": f"10.0.1.{i}", "port": 80} for i in range(1, 31)}
        self.declare("a", many)
        gorbd = self.daemon("--config", self.config)
        gorbd.terminate()
        self.declare("a", {"s1": many["s1"]})
        gorbd.start()
        self.assertEqual(len(gorbd.get("/service").json), 30)
        self.assertIn("the declarative files are not applied", gorbd.log())
        self.assertIn("--force", gorbd.log())

    def test_force_is_for_the_start_not_for_what_sighup_reads(self):
        many = {f"s{i}": {"address": f"10.0.1.{i}", "port": 80} for i in range(1, 31)}
        self.declare("a", many)
        gorbd = self.daemon("--config", self.config, "--force")
        self.declare("a", {"s1": many["s1"]})
        self.reload(gorbd, "the declarative files are not applied")
        self.assertIn("unless that is forced: by a start with --force", gorbd.log())
        self.assertEqual(len(gorbd.get("/service").json), 30)
        gorbd.terminate()
        self.assertEqual(gorbd.start().get("/service").json, ["s1"])

    def test_what_the_state_has_against_a_file_is_said_with_file_and_service(self):
        self.declare("a", {"web": web(1)})
        gorbd = self.daemon("--config", self.config)
        gorbd.made("/service/mine", {"address": "10.0.0.9", "port": 80})
        before = gorbd.get("/config")
        self.declare("b", {"other": {"address": "10.0.0.9", "port": 80}})
        words = f'{self.folder}/declared/b.json: /services/other service "mine" has the address'
        self.reload(gorbd, words.replace('"', '\\"'))
        self.assertEqual(gorbd.get("/config").text, before.text)
        self.assertIn("\ngorb_declared_refused 1\n", gorbd.get("/metrics").text)

        def told():
            return [e["text"] for e in gorbd.get("/events").json["events"] if e["kind"] == "declared"]

        self.assertEqual(len(told()), 1)
        self.assertIn(words, told()[0])
        gorbd.delete("/service/mine")
        self.reload(gorbd, "declarative files applied")
        wait_until(lambda: told(), lambda: told()[1:] == ["the declarative files are applied again"])
        self.assertIn("\ngorb_declared_refused 0\n", gorbd.get("/metrics").text)

    def test_a_broken_file_changes_nothing_and_the_log_says_why(self):
        self.declare("a", {"web": web(1)})
        gorbd = self.daemon("--config", self.config)
        before = gorbd.get("/config")
        self.declare("a", {"web": web(1, 2)})
        self.declare("b", {"dns": {"address": "10.0.0.2", "port": 99999}})
        self.reload(gorbd, "b.json: /services/dns/port")
        self.assertEqual(gorbd.get("/config").text, before.text)
        self.declare("b", "{")
        self.reload(gorbd, "b.json: this is not JSON")
        self.assertEqual(gorbd.get("/config").text, before.text)
        self.declare("b", {"other": {"address": "10.0.0.1", "port": 80}})  # web's key
        self.reload(gorbd, "b.json")
        self.assertEqual(gorbd.get("/config").text, before.text)
        # It goes on with what it had, also through a restart.
        gorbd.terminate()
        self.assertEqual(gorbd.start().get("/config").json["services"], before.json["services"])
        (self.folder / "declared" / "b.json").unlink()
        self.reload(gorbd, "declarative files applied")
        self.assertEqual(gorbd.get("/service/web").json["backends"], ["b1", "b2"])
