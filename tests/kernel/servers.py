"""Real servers: each is a function (name, ready, ...) that serves on every address of its namespace until it is killed.

Each answers with the name of its server, so that a client sees who served it.
"""
import http.server
import itertools
import socket
import socketserver
import sys
import time


class _Quiet:
    """A server mixin: that a client, or a check, resets its connection is nothing to write about."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _bound(kind, port):
    listener = socket.socket(socket.AF_INET6, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", port))
    return listener


def http_server(name, ready, port=80, health=200):
    """GET / answers the name, /health with the status `health`, /slow 1 MB over some seconds, /endless counted blocks for
    as long as the client stays."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path == "/slow":
                return self.slow()
            if self.path == "/endless":
                return self.endless()
            body = f"{name}\n".encode()
            self.send_response(health if self.path == "/health" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def unmeasured(self):
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()

        def endless(self):
            self.unmeasured()
            for number in itertools.count():
                self.wfile.write(number.to_bytes(8, "big") * 512)
                time.sleep(0.02)

        def slow(self):
            self.unmeasured()
            for part in range(64):
                self.wfile.write(bytes([part]) * 16384)
                time.sleep(0.05)

        def log_message(self, *_):
            pass

    class Server(_Quiet, socketserver.ThreadingMixIn, http.server.HTTPServer):
        address_family = socket.AF_INET6
        request_queue_size = 128
        daemon_threads = True

        def server_bind(self):  # Without the look-up of this host's name.
            self.server_name, self.server_port = name, port

    server = Server(("::", port), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = _bound(socket.SOCK_STREAM, port)
    server.server_activate()
    ready()
    server.serve_forever()


def tcp_echo(name, ready, port):
    """Answers every message with "NAME MESSAGE" for as long as the client stays."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            while message := self.request.recv(1000):
                self.request.sendall(name.encode() + b" " + message)

    class Server(_Quiet, socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6
        daemon_threads = True

    server = Server(("::", port), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = _bound(socket.SOCK_STREAM, port)
    server.server_activate()
    ready()
    server.serve_forever()


def udp_echo(name, ready, port):
    """Answers every datagram with "NAME MESSAGE"."""
    answering = _bound(socket.SOCK_DGRAM, port)
    ready()
    while True:
        message, sender = answering.recvfrom(2000)
        answering.sendto(name.encode() + b" " + message, sender)
