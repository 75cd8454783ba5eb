"""The caps on checks in flight, counted by the server: it holds each of them open for a while, so that without a cap all would
be there at once."""
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gorbd import Gorbd, wait_until

HELD = 0.1


class Counting:
    """HTTP on all addresses of 127.0.0.0/8: how many checks it had at once, of all and of each address, and how often each path
    was asked for. A check is counted from its request until just before its answer, so never one too many."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now, self.most, self.asked = {}, {}, {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                address = self.connection.getsockname()[0]
                outer.count(("all", address), 1)
                time.sleep(HELD)
                outer.count(("all", address), -1)
                with outer.lock:
                    outer.asked[address + self.path] = outer.asked.get(address + self.path, 0) + 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 1024

            def handle_error(self, *_):
                pass  # who hangs up is gorbd, at its end

        self.server = Server(("0.0.0.0", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def count(self, whose, step):
        with self.lock:
            for one in whose:
                self.now[one] = self.now.get(one, 0) + step
                self.most[one] = max(self.most.get(one, 0), self.now[one])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Caps(unittest.TestCase):
    def check(self, server, hosts, paths, **settings):
        """Checks each path of each host until all had three turns: the most checks there were at once, of all and of each host."""
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write("[health]\n" + "".join(f"{name.replace('_', '-')} = {value}\n" for name, value in settings.items()))
            file.flush()
            with Gorbd("--driver", "memory", "--config", file.name) as gorbd:
                gorbd.made("/service/web", {"address": "10.0.0.1", "port": 80})
                addresses = [f"127.0.2.{n + 1}" for n in range(hosts)]
                # A path is a pulse of its own, and so a check of its own of that address. All of them are always due.
                for address in addresses:
                    pulses = [{"type": "http", "path": f"/{n}", "keep-alive": False, "interval": "50ms", "timeout": "10s"}
                              for n in range(paths)]
                    gorbd.made(f"/service/web/{address}", {"address": address, "port": server.port, "pulses": pulses})
                asked = [f"{address}/{n}" for address in addresses for n in range(paths)]
                wait_until(lambda: f"all had three turns: {server.asked}",
                           lambda: all(server.asked.get(one, 0) >= 3 for one in asked), 20)
                for backend in gorbd.get("/service/web?expand=backends").json["backends"]:
                    self.assertEqual((backend["state"], backend["counts"]["failures"]), ("up", 0), backend)
                self.assertEqual(gorbd.terminate(), 0, gorbd.log())
        return server.most["all"], {server.most[address] for address in addresses}

    def test_a_loop_has_no_more_checks_in_flight_than_its_cap_and_all_have_their_turn(self):
        with Counting() as server:
            self.assertEqual(self.check(server, hosts=20, paths=1, max_in_flight=5)[0], 5)
        with Counting() as server:
            most = self.check(server, hosts=20, paths=1, max_in_flight=4, loops=2)[0]
            self.assertTrue(4 < most <= 8, f"{most} at once with two loops")

    def test_a_host_has_no_more_checks_in_flight_than_its_cap_and_holds_up_no_other(self):
        with Counting() as server:
            self.assertEqual(self.check(server, hosts=3, paths=8, max_per_host=2), (6, {2}))
        with Counting() as server:
            most, of_hosts = self.check(server, hosts=3, paths=8, max_in_flight=4, max_per_host=3)
            self.assertEqual(most, 4, "the other cap holds as well")
            self.assertLessEqual(max(of_hosts), 3)
        with Counting() as server:
            most, of_hosts = self.check(server, hosts=3, paths=8, max_per_host=0)
            self.assertGreater(min(of_hosts), 4, "without a cap they come together")


if __name__ == "__main__":
    unittest.main()
