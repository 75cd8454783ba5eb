#!/usr/bin/python3
"""A gRPC server with grpc.health.v1, without generated code: the two messages have a field each.

    health_server.py PORT_FILE [--cert FILE --key FILE [--client-ca FILE]] [--without-health]

"" and "web" are SERVING, "down" is NOT_SERVING, "odd" SERVICE_UNKNOWN, "secret" is denied, others are not found. The port
is written to PORT_FILE once it listens.
"""
import argparse
import os
from concurrent import futures

import grpc

STATUS = {"": 1, "web": 1, "down": 2, "odd": 3}


def check(request, context):
    name = request[2:].decode() if request else ""
    if name == "secret":
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for the likes of you — ever")
    if name not in STATUS:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([8, STATUS[name]])


class Health(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(check)
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port_file")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    parser.add_argument("--without-health", action="store_true")
    given = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=() if given.without_health else (Health(),))
    if given.cert:
        pair = (open(given.key, "rb").read(), open(given.cert, "rb").read())
        roots = open(given.client_ca, "rb").read() if given.client_ca else None
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair], roots, roots is not None))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with open(given.port_file + ".new", "w") as file:
        file.write(str(port))
    os.rename(given.port_file + ".new", given.port_file)
    server.wait_for_termination()


main()
