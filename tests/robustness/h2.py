"""As much of HTTP/2 (RFC 9113) and gRPC as a server of tests needs: frames, and the answer SERVING of grpc.health.v1."""
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, CONTINUATION = 0, 1, 4, 6, 9
ACK = END_STREAM = 0x1
END_HEADERS = 0x4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field without indexing, with a name of its own (RFC 7541, 6.2.2)."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


GREETING = frame(SETTINGS, 0, 0)
REPLY = b"\x88" + literal(b"content-type", b"application/grpc")  # 0x88: ":status: 200"
SERVING = b"\0\0\0\0\2\x08\1"
TRAILERS = literal(b"grpc-status", b"0")


def serving(stream):
    return (frame(HEADERS, END_HEADERS, stream, REPLY) + frame(DATA, 0, stream, SERVING)
            + frame(HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS))


async def calls(reader, writer):
    """Greets, and gives the number of each stream on which a whole request has come."""
    if await reader.readexactly(len(PREFACE)) != PREFACE:
        return
    writer.write(GREETING)
    while True:
        head = await reader.readexactly(9)
        kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        if kind == SETTINGS and not flags & ACK:
            writer.write(frame(SETTINGS, ACK, 0))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            yield stream
