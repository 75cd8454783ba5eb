"""Sees what is written to the IPVS table of a namespace, whoever does it: from outside, on a netlink monitor device."""
import socket
import struct
import time

ETH_P_ALL = 3
NETLINK_GENERIC = 16
REQUEST = 1  # NLM_F_REQUEST: towards the kernel
GENL_ID_CTRL = 16
# Commands of <linux/ip_vs.h>.
WRITES = {1: "add service", 2: "edit service", 3: "remove service", 5: "add destination", 6: "edit destination",
          7: "remove destination", 9: "start daemon", 10: "stop daemon", 12: "set timeouts", 16: "zero", 17: "flush"}


class TableWrites:
    """Use as a context manager: what was written meanwhile. Only generic netlink of IPVS is looked at."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.writes = []

    def __enter__(self):
        self.namespace.ip("link add witness type nlmon", "link set witness up")
        with self.namespace:
            self.family = family_of("IPVS")
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            self.socket.bind(("witness", ETH_P_ALL))
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.namespace.ip("link delete witness")

    def seen(self):
        """The names of the write operations so far, in order."""
        time.sleep(0.05)  # What was written is handed over at once; this is for a processor that is late.
        while True:
            try:
                data, address = self.socket.recvfrom(1 << 20)
            except BlockingIOError:
                return self.writes
            if address[1] != NETLINK_GENERIC:
                continue
            while len(data) >= 20:
                length, kind, flags = struct.unpack_from("=IHH", data)
                command = data[16]
                if kind == self.family and flags & REQUEST and command in WRITES:
                    self.writes.append(WRITES[command])
                if length < 16:
                    break
                data = data[(length + 3) & ~3:]


def family_of(name):
    """The number that generic netlink gave this family."""
    text = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(text), 2) + text + bytes(-len(text) % 4)
    body = struct.pack("=BBH", 3, 1, 0) + attribute
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as asking:
        asking.bind((0, 0))
        asking.settimeout(10)
        asking.send(struct.pack("=IHHII", 16 + len(body), GENL_ID_CTRL, REQUEST, 1, 0) + body)
        answer = asking.recv(65536)
    at = 20
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == 1:
            return struct.unpack_from("=H", answer, at + 4)[0]
        at += (max(length, 4) + 3) & ~3
    raise AssertionError(f"generic netlink has no family {name}")
