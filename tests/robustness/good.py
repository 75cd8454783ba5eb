#!/usr/bin/env python3
"""A server of each kind that does as it should, on all addresses of both families.

    good.py CERT KEY      prints {"web": PORT, "web-tls", "thoughtful", "udp", "dns", "grpc", "grpc-tls"} and ends with its standard input

An answer comes from the address that was asked.
"""
import asyncio
import json
import os
import socket
import ssl
import struct
import sys

import h2

IPV6_FREEBIND = 78  # <linux/in6.h>: an address is ours that a route says is, too
TYPE_A_IN = b"\0\1\0\1"


async def web(reader, writer):
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def thoughtful(reader, writer):
    while await reader.readuntil(b"\r\n\r\n"):
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def grpc(reader, writer):
    async for stream in h2.calls(reader, writer):
        writer.write(h2.serving(stream))


async def dns_over_tcp(reader, writer):
    size = struct.unpack(">H", await reader.readexactly(2))[0]
    reply = answer(await reader.readexactly(size))
    writer.write(struct.pack(">H", len(reply)) + reply)


def answer(query):
    """One A record for whatever is asked: its name is that of the question, 12 bytes into the message."""
    return query[:2] + b"\x81\x80" + query[4:6] + b"\0\1" + query[8:] + b"\xc0\x0c" + TYPE_A_IN + b"\0\0\0\x3c\0\4\xc0\0\2\1"


def datagrams(sock, reply):
    message, control, _, peer = sock.recvmsg(4096, socket.CMSG_SPACE(20))
    where = [(level, kind, data[:16] + bytes(4)) for level, kind, data in control if kind == socket.IPV6_PKTINFO]
    sock.sendmsg([reply(message)], where, 0, peer)


async def main(cert, key):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # clients go away when they know enough
    ports = {}

    def handler(serve):
        async def handle(reader, writer):
            try:
                await serve(reader, writer)
                await writer.drain()
            except (OSError, EOFError):
                pass
            finally:
                writer.close()
        return handle

    async def listen(name, serve, port=0, alpn=None):
        context = None
        if alpn is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            context.set_alpn_protocols(alpn)
        sock = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        await asyncio.start_server(handler(serve), sock=sock, ssl=context)
        ports[name] = sock.getsockname()[1]

    def receive(name, reply):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        sock.bind(("::", 0))
        loop.add_reader(sock, datagrams, sock, reply)
        ports[name] = sock.getsockname()[1]

    await listen("web", web)
    await listen("web-tls", web, alpn=["http/1.1"])
    await listen("thoughtful", thoughtful)
    await listen("grpc", grpc)
    await listen("grpc-tls", grpc, alpn=["h2"])
    receive("udp", lambda message: b"echo " + message)
    receive("dns", answer)
    await listen("dns", dns_over_tcp, ports["dns"])
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
