"""Changes of what is there: in place, whole, and without cutting connections."""
import servers
from lab import VIP, LabTest

WEB = f"tcp {VIP}:7"
SERVICE = {"address": VIP, "port": 7, "protocol": "tcp", "method": "rr"}


class Changes(LabTest):
    def put(self, gorbd):
        gorbd.made("/service/echo", SERVICE)
        for number in (1, 2):
            gorbd.made(f"/service/echo/s{number}", self.backend(number))
        self.wait_for_weights(WEB, {"10.1.1.2:7": 100, "10.1.2.2:7": 100})

    def backend(self, number, **more):
        return {"address": self.lab.address(number), "port": 7, "pulse": {"type": "tcp", "interval": "200ms"}, **more}

    def echo(self):
        for number in (1, 2):
            self.lab.serve(number, servers.tcp_echo, 7)
        gorbd = self.gorbd()
        self.put(gorbd)
        return gorbd

    def ask(self, connection, text):
        connection.sendall(text.encode())
        return connection.recv(1000).decode()

    def connection(self):
        connection = self.lab.connect(VIP, 7)
        self.addCleanup(connection.close)
        return connection, self.ask(connection, "hello").split()[0]

    def test_deleting_a_service_removes_its_backends(self):
        gorbd = self.echo()
        gone = gorbd.delete("/service/echo")
        self.assertEqual(gone.status, 200, gone)
        self.assertEqual(self.lab.table(), {})
        self.assertEqual(gorbd.get("/service/echo").status, 404)
        self.assertEqual(gorbd.get("/service/echo/s1").status, 404)

    def test_deleting_a_backend_leaves_the_other(self):
        gorbd = self.echo()
        self.assertEqual(gorbd.delete("/service/echo/s1").status, 200)
        self.assertEqual(list(self.lab.table()[WEB]["servers"]), ["10.1.2.2:7"])
        self.assertEqual(self.connection()[1], "s2")

    def test_the_same_content_again_changes_nothing(self):
        gorbd = self.echo()
        connection, name = self.connection()
        before, etag = self.lab.ipvsadm("-Sn"), gorbd.get("/service/echo").headers["etag"]
        for path, body in (("/service/echo", SERVICE), ("/service/echo/s1", self.backend(1))):
            again = gorbd.put(path, body)
            self.assertEqual(again.status, 200, again)
        self.assertEqual(gorbd.get("/service/echo").headers["etag"], etag)
        self.assertEqual(self.lab.ipvsadm("-Sn"), before)
        self.assertEqual(self.ask(connection, "still here"), f"{name} still here")

    def test_scheduler_and_weight_change_in_place(self):
        gorbd = self.echo()
        connection, name = self.connection()
        for path, change in (("/service/echo", {"method": "wlc"}), ("/service/echo/s1", {"weight": 7}),
                             ("/service/echo/s2", {"weight": 9}), ("/service/echo", {"persistent": 60})):
            reply = gorbd.patch(path, change)
            self.assertEqual(reply.status, 200, reply)
        self.wait_for_weights(WEB, {"10.1.1.2:7": 7, "10.1.2.2:7": 9})
        self.assertEqual(self.lab.table()[WEB]["scheduler"], "wlc")
        self.assertEqual(self.ask(connection, "on"), f"{name} on")
        self.assertEqual(self.lab.table()[WEB]["servers"][f"10.1.{name[1]}.2:7"]["active"], 1)

    def test_different_content_needs_the_etag(self):
        gorbd = self.echo()
        other = {**SERVICE, "method": "lc"}
        self.assertEqual(gorbd.put("/service/echo", other).status, 409)
        self.assertEqual(self.lab.table()[WEB]["scheduler"], "rr")
        etag = gorbd.get("/service/echo").headers["etag"]
        self.assertEqual(gorbd.put("/service/echo", other, headers={"If-Match": '"other"'}).status, 412)
        self.assertEqual(gorbd.put("/service/echo", other, headers={"If-Match": etag}).status, 200)
        self.assertEqual(self.lab.table()[WEB]["scheduler"], "lc")

    def test_a_weight_change_keeps_what_else_the_destination_has(self):
        gorbd = self.gorbd()
        gorbd.made("/service/echo", SERVICE)
        gorbd.made("/service/echo/s1", self.backend(1, pulse={"type": "none"}, method="tunnel"))
        gorbd.made("/service/echo/s2", self.backend(2, pulse={"type": "none"}, method="dr"))
        gorbd.patch("/service/echo/s1", {"weight": 5})
        gorbd.patch("/service/echo/s2", {"weight": 6})
        self.wait_for_weights(WEB, {"10.1.1.2:7": 5, "10.1.2.2:7": 6})
        self.assertEqual([server["method"] for server in self.lab.table()[WEB]["servers"].values()], ["Tunnel", "Route"])

    def test_a_connection_survives_a_restart(self):
        gorbd = self.echo()
        connection, name = self.connection()
        self.assertEqual(gorbd.terminate(), 0)
        self.assertEqual(self.ask(connection, "nobody in charge"), f"{name} nobody in charge")
        gorbd.start()
        self.assertEqual(self.ask(connection, "again"), f"{name} again")
        self.put(gorbd)
        self.assertEqual(self.ask(connection, "taken over"), f"{name} taken over")

    def test_a_download_survives_kill_9_and_restart(self):
        for number in (1, 2):
            self.lab.serve(number, servers.http_server, 7)
        gorbd = self.gorbd()
        self.put(gorbd)
        download = self.lab.connect(VIP, 7)
        self.addCleanup(download.close)
        download.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        total = len(download.recv(1000))
        gorbd.kill()
        self.assertIn(self.lab.fetch(VIP, 7), ("s1", "s2"))  # New connections go on as well.
        gorbd.start()
        self.put(gorbd)
        while part := download.recv(65536):
            total += len(part)
        self.assertGreaterEqual(total, 64 * 16384)

    def test_two_services_of_one_address_are_refused_with_the_other_name(self):
        gorbd = self.echo()
        reply = gorbd.put("/service/twin", SERVICE)
        self.assertEqual(reply.status, 409, reply)
        self.assertIn("echo", reply.json["error"])
        reply = gorbd.put("/service/echo/twin", self.backend(1))
        self.assertEqual(reply.status, 409, reply)
        self.assertIn("s1", reply.json["error"])
        self.assertEqual(len(self.lab.table()[WEB]["servers"]), 2)

    def test_an_entry_that_vanished_from_the_kernel_is_said_and_can_be_deleted(self):
        gorbd = self.echo()
        self.lab.ipvsadm("-C")
        self.assertEqual(gorbd.delete("/service/echo").status, 200)
        self.assertEqual(gorbd.get("/service").json, [])
