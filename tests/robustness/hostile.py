#!/usr/bin/env python3
"""A server that behaves badly, for as many clients as come.

    hostile.py MODE [CERT KEY]      listens on all addresses of both families, prints its port, and ends with its standard input

MODE is what it does with a connection:

    silent      says nothing
    drip        the beginning of an HTTP reply, a byte a second
    headers     an HTTP reply whose headers never end
    body        an HTTP reply whose body never ends
    swollen     an HTTP reply that stops after 60 KiB of its body
    babble      bytes without an end that mean nothing
    garbage     a few such bytes, then nothing
    cut         half a reply, then the end of the stream
    reset       half a reply, then a reset
    hangup      the end of the stream at once
    handshake   the beginning of a TLS handshake, a byte a second
    h2-silent   greets in HTTP/2 and says no more
    h2-drip     greets, and answers a byte a second
    h2-headers  greets, and an answer whose headers never end
    h2-body     greets, and an answer whose body never ends, whatever room it was given
    h2-pings    greets, and pings without an end
    h2-settings likewise settings, each of which wants a word of acknowledgement
    h2-cut      greets, half an answer, then the end of the stream
    well        HTTP 200, over TLS when there is a certificate; GET /gaps: {local address: longest time between two requests}
    full        never accepts, and its queue is full: nobody connects

With CERT and KEY the handshake is made first, and the misbehaviour comes inside TLS. Or with a datagram:

    udp-silent    says nothing
    udp-empty     an empty one
    udp-garbage   bytes that mean nothing
    udp-flood     such bytes without an end
    udp-stranger  the same from another port
    dns-cut       an answer to the question that ends in its middle
    dns-others    answers to other questions without an end
    dns-truncated an answer that is told in full over TCP, where nobody listens
"""
import asyncio
import contextlib
import json
import logging
import os
import resource
import socket
import ssl
import struct
import sys
import time

import h2

HEAD = b"HTTP/1.1 200 OK\r\nServer: hostile\r\n"
GARBAGE = bytes(range(128, 256)) + b"\r\n\r\n" + bytes(range(32))
PIECE = 4096


class Well:
    """Answers, and knows how long each of its addresses went without a question."""

    def __init__(self):
        self.last, self.gaps = {}, {}

    async def serve(self, reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"GET /gaps "):
                body, self.gaps = json.dumps(self.gaps).encode(), {}
            else:
                body, now = b"", time.monotonic()
                address = writer.get_extra_info("sockname")[0]
                self.gaps[address] = max(self.gaps.get(address, 0), now - self.last.get(address, now))
                self.last[address] = now
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()


class Datagrams:
    """Answers from the address that was asked."""

    IPV6_FREEBIND = 78  # <linux/in6.h>: an address is ours that a route says is, too

    def __init__(self, mode):
        self.mode, self.flooded, self.floods = mode, set(), set()
        self.sock, self.stranger = self.socket(), self.socket()
        asyncio.get_running_loop().add_reader(self.sock, self.asked)

    def socket(self):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        for option in (socket.IPV6_RECVPKTINFO, self.IPV6_FREEBIND):
            sock.setsockopt(socket.IPPROTO_IPV6, option, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.setblocking(False)
        sock.bind(("::", 0))
        return sock

    def asked(self):
        query, control, _, peer = self.sock.recvmsg(4096, socket.CMSG_SPACE(20))
        way = [(level, kind, data[:16] + bytes(4)) for level, kind, data in control if kind == socket.IPV6_PKTINFO], 0, peer
        if self.mode == "udp-empty":
            self.sock.sendmsg([b""], *way)
        elif self.mode == "udp-garbage":
            self.sock.sendmsg([GARBAGE], *way)
        elif self.mode == "udp-stranger":
            self.stranger.sendmsg([GARBAGE], *way)
        elif self.mode == "dns-cut":
            self.sock.sendmsg([query[:2] + b"\x81\x80" + query[4:6] + b"\0\1" + query[8:] + b"\xc0\x0c\0\1"], *way)
        elif self.mode == "dns-truncated":
            self.sock.sendmsg([query[:2] + b"\x83\x80" + query[4:]], *way)
        elif self.mode in ("udp-flood", "dns-others") and peer not in self.flooded:
            other = bytes([query[0] ^ 255, query[1]]) + b"\x81\x80" + query[4:] if self.mode == "dns-others" else b"blah " * 200
            self.flooded.add(peer)
            self.floods.add(asyncio.ensure_future(self.flood(other, way)))

    async def flood(self, datagram, way):
        """For longer than anybody waits."""
        for n in range(300):
            with contextlib.suppress(BlockingIOError):
                self.sock.sendmsg([datagram], *way)
            if n > 64:
                await asyncio.sleep(0.05)


async def endless(writer, begin, piece):
    """A quarter of a MiB as fast as it goes, then slower: the machine is to be left to the one under test."""
    writer.write(begin)
    sent = 0
    while True:
        writer.write(piece)
        await writer.drain()
        sent += len(piece)
        if sent > 1 << 18:
            await asyncio.sleep(0.05)


async def slowly(writer, text):
    for byte in text:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)
    await asyncio.sleep(3600)


async def end(reader, writer):
    """Of what is sent, and reads what comes until the other side ends too: with something unread it would be a reset."""
    if writer.can_write_eof():  # not over TLS, which reads by itself
        writer.write_eof()
        await reader.read()


async def reset(writer):
    writer.write(HEAD)
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def misbehave(mode, reader, writer):
    if mode == "silent":
        await asyncio.sleep(3600)
    elif mode == "drip":
        await slowly(writer, HEAD * 1000)
    elif mode == "headers":
        await endless(writer, HEAD, b"X-More: and more\r\n" * (PIECE // 18))
    elif mode == "body":
        await endless(writer, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % PIECE + b"x" * PIECE + b"\r\n")
    elif mode == "swollen":
        writer.write(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * (60 << 10))
        await asyncio.sleep(3600)
    elif mode == "babble":
        await endless(writer, b"", b"blah " * (PIECE // 5))
    elif mode == "garbage":
        writer.write(GARBAGE)
        await writer.drain()
        await asyncio.sleep(3600)
    elif mode == "cut":
        writer.write(HEAD)
        await end(reader, writer)
    elif mode == "reset":
        await reset(writer)
    elif mode == "hangup":
        await end(reader, writer)
    elif mode.startswith("h2-"):
        await misbehave_in_http2(mode, reader, writer)
    elif mode == "handshake":
        # A record of handshake, 16 KiB of it announced, with a ServerHello that begins.
        await slowly(writer, b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" + bytes(16384))


async def misbehave_in_http2(mode, reader, writer):
    headers = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.REPLY)
    writer.write(h2.GREETING)
    if mode == "h2-silent":
        await asyncio.sleep(3600)
    elif mode == "h2-drip":
        await slowly(writer, headers)
    elif mode == "h2-headers":
        more = h2.literal(b"x-more", b"and more" * 12) * (PIECE // 106)
        await endless(writer, h2.frame(h2.HEADERS, 0, 1, h2.REPLY), h2.frame(h2.CONTINUATION, 0, 1, more))
    elif mode == "h2-body":
        await endless(writer, headers + h2.frame(h2.DATA, 0, 1, b"\0\xff\xff\xff\xff"), h2.frame(h2.DATA, 0, 1, b"x" * PIECE))
    elif mode == "h2-pings":
        await endless(writer, b"", h2.frame(h2.PING, 0, 0, b"and more") * (PIECE // 17))
    elif mode == "h2-settings":
        await endless(writer, b"", h2.GREETING * (PIECE // 9))
    elif mode == "h2-cut":
        writer.write(headers[:-8])
        await end(reader, writer)


async def main(mode, cert=None, key=None):
    loop = asyncio.get_running_loop()
    # Clients that go away are the rule here.
    loop.set_exception_handler(lambda *_: None)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    well = Well()

    async def serve(reader, writer):
        try:
            await (well.serve(reader, writer) if mode == "well" else misbehave(mode, reader, writer))
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    context = None
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.set_alpn_protocols(["h2", "http/1.1"])
    sock = socket.socket(socket.AF_INET6)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", 0))
    kept = []
    if mode.startswith(("udp-", "dns-")):
        sock = Datagrams(mode).sock
    elif mode == "full":
        sock.listen(0)
        for _ in range(3):  # a queue of 0 holds one, or two
            kept.append(socket.socket())
            kept[-1].setblocking(False)
            kept[-1].connect_ex(("127.0.0.1", sock.getsockname()[1]))
    else:
        sock.listen(65535)
        sock.setblocking(False)
        await asyncio.start_server(serve, sock=sock, ssl=context, backlog=65535,
                                   **({"ssl_handshake_timeout": 3600} if context else {}))
    print(sock.getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(*sys.argv[1:]))
