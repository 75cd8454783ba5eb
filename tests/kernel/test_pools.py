"""What pool policy does to real packets: drain, ramp, quorum and backups, panic, removal."""
import socket
import struct

import servers
from lab import VIP, LabTest, wait_until

SERVICE = f"tcp {VIP}:80"
PULSE = {"type": "tcp", "interval": "200ms", "timeout": "5s", "rise": 1, "fall": 1, "jitter": 0}


def at(number, port=80):
    return f"10.1.{number}.2:{port}"


class Pools(LabTest):
    servers = 3

    def put(self, backends=3, service=None, **more):
        """A service with a backend on each real server; `more` is by number: b2={"backup": True}."""
        gorbd = self.gorbd()
        gorbd.made("/service/web", {"address": VIP, "port": 80, "method": "rr", **(service or {})})
        for number in range(1, backends + 1):
            self.lab.serve(number, servers.http_server)
            gorbd.made(f"/service/web/b{number}", {"address": self.lab.address(number), "port": 80, "pulse": PULSE,
                                                   **more.get(f"b{number}", {})})
        return gorbd

    def stop(self, number):
        self.lab.processes[(number, "http_server", ())].kill()

    def changed(self, gorbd, path, body):
        reply = gorbd.patch(path, body)
        self.assertEqual(reply.status, 200, reply)
        return reply.json

    def wait_for(self, **weights):
        """b1=100, b2=0, ...; those that are not named are not in the kernel."""
        self.wait_for_weights(SERVICE, {at(int(name[1:])): weight for name, weight in weights.items()})

    def test_a_drained_backend_keeps_its_connection_and_gets_no_new_one(self):
        gorbd = self.put(2)
        for number in (1, 2):
            self.lab.serve(number, servers.tcp_echo, 7)
        gorbd.made("/service/echo", {"address": VIP, "port": 7, "method": "rr"})
        for number in (1, 2):
            gorbd.made(f"/service/echo/b{number}", {"address": self.lab.address(number), "port": 7, "pulse": PULSE})
        self.wait_for_weights(f"tcp {VIP}:7", {at(1, 7): 100, at(2, 7): 100})
        with self.lab.connect(VIP, 7) as live:
            live.sendall(b"one")
            name = live.recv(100).split()[0].decode()
            number = int(name[1:])
            path = f"/service/echo/b{number}"
            shown = self.changed(gorbd, path, {"admin": "drain"})
            self.assertEqual(shown["weight"]["effective"], 0)
            self.assertEqual(self.lab.table()[f"tcp {VIP}:7"]["servers"][at(number, 7)]["weight"], 0)
            gorbd.wait_for(path, lambda j: j["drain"].get("active"), "a counted connection")
            drain = gorbd.get(path).json
            self.assertEqual((drain["drain"]["active"], drain["drain"]["finished"]), (1, False))
            self.assertEqual(drain["state"], "up")  # Still checked.
            for _ in range(6):
                with self.lab.connect(VIP, 7) as fresh:
                    fresh.sendall(b"x")
                    self.assertNotEqual(fresh.recv(100).split()[0].decode(), name)
            live.sendall(b"two")
            self.assertEqual(live.recv(100).decode(), f"{name} two")
            # Reset, so that the kernel keeps it for 10 s (CLOSE) and not for 2 min (TIME_WAIT): the drain waits for that.
            live.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gorbd.wait_for(path, lambda j: j["drain"]["finished"], "a finished drain", 30)
        self.assertIn("drain finished", gorbd.log())

    def test_a_persistent_client_keeps_its_drained_backend_and_the_template_is_shown(self):
        gorbd = self.put(2, service={"persistent": "10m"})
        self.wait_for(b1=100, b2=100)
        name = self.lab.fetch(VIP)
        path = f"/service/web/b{name[1:]}"
        self.changed(gorbd, path, {"admin": "drain"})
        self.assertEqual(self.lab.fetch(VIP), name)
        gorbd.wait_for(path, lambda j: j["drain"].get("templates") == 1, "a template")
        self.assertNotEqual(self.lab.fetch(VIP, source="10.0.0.3"), name)

    def test_a_drain_with_a_timeout_ends_in_maintenance_or_deletion(self):
        gorbd = self.put(2)
        self.wait_for(b1=100, b2=100)
        self.changed(gorbd, "/service/web/b1", {"admin": "drain", "drain-timeout": "1s"})
        gorbd.wait_for("/service/web/b1", lambda j: j["options"]["admin"] == "maint", "maintenance")
        self.wait_for(b1=0, b2=100)
        self.changed(gorbd, "/service/web/b1", {"admin": "drain", "drain-then": "delete"})
        wait_until("the backend is deleted", lambda: gorbd.get("/service/web/b1").status == 404, 20)
        self.wait_for(b2=100)
        self.assertEqual(self.lab.count(4, VIP), {"s2": 4})

    def test_a_returning_backend_ramps_and_gets_its_share_of_new_connections(self):
        gorbd = self.put(2, service={"method": "wrr"}, b1={"weight": 10}, b2={"weight": 10})
        self.wait_for(b1=10, b2=10)
        # As good as frozen at the tenth that it begins with: one of eleven.
        self.comes_back(gorbd, "10m")
        self.assertLessEqual(self.lab.weights(SERVICE)[at(1)], 3)
        answers = self.lab.count(22, VIP)
        self.assertIn(answers.get("s1", 0), range(1, 7), answers)
        self.assertEqual(sum(answers.values()), 22)
        why = gorbd.get("/service/web/b1").json["weight"]
        self.assertIn("came back a short time ago", why["reasons"]["ramp"])

        seen = [self.comes_back(gorbd, "20s")]

        def risen():
            weight = self.lab.weights(SERVICE)[at(1)]
            if weight != seen[-1]:
                seen.append(weight)
            return weight == 10

        wait_until(lambda: f"the whole weight; it had {seen}", risen, 60, every=0.2)
        self.assertEqual(seen, sorted(seen))
        self.assertGreater(len(seen), 3, seen)

    def comes_back(self, gorbd, slow_start):
        """Stops b1 and starts it again; the first weight that it then has."""
        self.changed(gorbd, "/service/web", {"recovery": "ramp", "slow-start": slow_start})
        self.stop(1)
        self.wait_for(b1=0, b2=10)
        self.lab.serve(1, servers.http_server)
        return wait_until("a first part of the weight", lambda: self.lab.weights(SERVICE)[at(1)], 20)

    def test_backups_serve_under_the_quorum_and_step_back(self):
        gorbd = self.put(3, service={"quorum": 2}, b3={"backup": True})
        self.wait_for(b1=100, b2=100, b3=0)
        self.assertEqual(self.lab.count(6, VIP), {"s1": 3, "s2": 3})
        gorbd.wait_for("/service/web/b3", lambda j: j["state"] == "up", "a backup is checked like the others")
        self.stop(1)
        self.wait_for(b1=0, b2=100, b3=100)
        self.assertEqual(self.lab.count(6, VIP), {"s2": 3, "s3": 3})
        self.assertEqual(gorbd.get("/service/web").json["state"], "degraded")
        self.lab.serve(1, servers.http_server)
        self.wait_for(b1=100, b2=100, b3=0)
        self.assertEqual(gorbd.get("/service/web").json["state"], "up")

    def test_a_quorum_has_hysteresis(self):
        gorbd = self.put(3, service={"quorum": 2, "hysteresis": 1})
        self.wait_for(b1=100, b2=100, b3=100)
        self.stop(1)
        self.stop(2)
        self.wait_for(b1=0, b2=0, b3=100)
        self.assertEqual(gorbd.get("/service/web").json["state"], "up")  # 1 is not under 2 - 1.
        self.stop(3)
        self.wait_for(b1=0, b2=0, b3=0)
        self.assertEqual(gorbd.get("/service/web").json["state"], "down")
        for number in (1, 2):
            self.lab.serve(number, servers.http_server)
        self.wait_for(b1=100, b2=100, b3=0)
        self.assertEqual(gorbd.get("/service/web").json["state"], "degraded")  # 2 is not yet 2 + 1.
        self.lab.serve(3, servers.http_server)
        self.wait_for(b1=100, b2=100, b3=100)
        self.assertEqual(gorbd.get("/service/web").json["state"], "up")

    def test_in_panic_all_serve(self):
        """A check that is wrong about two servers of three does not send all traffic to the third."""
        gorbd = self.put(3, service={"panic-threshold": "50%"})
        self.wait_for(b1=100, b2=100, b3=100)
        wrong = {"type": "tcp", "port": 9, **{k: v for k, v in PULSE.items() if k != "type"}}
        self.changed(gorbd, "/service/web/b1", {"pulse": wrong})
        self.wait_for(b1=0, b2=100, b3=100)
        self.changed(gorbd, "/service/web/b2", {"pulse": wrong})
        self.wait_for(b1=100, b2=100, b3=100)
        self.assertEqual(self.lab.count(6, VIP), {"s1": 2, "s2": 2, "s3": 2})
        self.assertTrue(gorbd.get("/service/web").json["pool"]["panic"])
        self.assertIn("panic-threshold", gorbd.get("/service/web/b1").json["weight"]["why"])

    def test_max_down_keeps_those_that_fell_last(self):
        gorbd = self.put(3, service={"max-down": "40%"})
        self.wait_for(b1=100, b2=100, b3=100)
        self.stop(1)
        self.wait_for(b1=0, b2=100, b3=100)
        self.stop(2)
        gorbd.wait_for("/service/web/b2", lambda j: j["state"] == "down", "b2 is down")
        self.wait_for(b1=0, b2=100, b3=100)
        self.assertIn("max-down", gorbd.get("/service/web/b2").json["weight"]["why"])

    def test_max_down_sends_traffic_to_those_that_it_keeps(self):
        """A check that is wrong about one server after the other takes out one of three, and no more."""
        gorbd = self.put(3, service={"max-down": "40%"})
        self.wait_for(b1=100, b2=100, b3=100)
        wrong = {**PULSE, "port": 9}
        for number in (1, 2, 3):
            self.changed(gorbd, f"/service/web/b{number}", {"pulse": wrong})
            gorbd.wait_for(f"/service/web/b{number}", lambda j: j["state"] == "down", "is down")
            self.wait_for(b1=0, b2=100, b3=100)
            self.assertEqual(self.lab.count(6, VIP), {"s2": 3, "s3": 3})
        self.assertEqual(gorbd.get("/service/web").json["state"], "degraded")
        self.changed(gorbd, "/service/web/b1", {"pulse": {**PULSE, "port": 80}})
        self.wait_for(b1=100, b2=0, b3=100)
        self.assertEqual(self.lab.count(6, VIP), {"s1": 3, "s3": 3})

    def test_on_down_remove_takes_the_destination_out_of_the_kernel_and_back(self):
        gorbd = self.put(2, service={"on-down": "remove"})
        self.wait_for(b1=100, b2=100)
        self.stop(1)
        self.wait_for(b2=100)
        self.assertTrue(gorbd.get("/service/web/b1").json["weight"]["removed"])
        self.assertEqual(self.lab.count(4, VIP), {"s2": 4})
        self.lab.serve(1, servers.http_server)
        self.wait_for(b1=100, b2=100)
        self.assertEqual(self.lab.count(4, VIP), {"s1": 2, "s2": 2})

    def test_a_backend_in_maintenance_is_not_checked_and_comes_back_by_its_first_pass(self):
        gorbd = self.put(2)
        self.wait_for(b1=100, b2=100)
        self.changed(gorbd, "/service/web/b1", {"admin": "maint"})
        self.wait_for(b1=0, b2=100)
        self.stop(1)
        self.changed(gorbd, "/service/web/b1", {"admin": "ready"})
        gorbd.wait_for("/service/web/b1", lambda j: j["state"] == "down", "a first result")
        self.wait_for(b1=0, b2=100)
        self.lab.serve(1, servers.http_server)
        self.wait_for(b1=100, b2=100)
