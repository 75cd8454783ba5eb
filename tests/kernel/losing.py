"""Takes a capability from one thread of a running process, as nothing but a debugger can: by making it call capset()."""
import ctypes
import os
import struct

PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH = 9, 12, 13, 16, 17
WALL = 0x40000000
NR_CAPSET = 126
VERSION = 0x20080522
NET_ADMIN = 12
# Of user_regs_struct on x86_64, in words.
RAX, RSI, RDI, ORIG_RAX, RIP, RSP, WORDS = 10, 13, 14, 15, 16, 19, 27

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(what, thread, data=None):
    if libc.ptrace(what, thread, None, data) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {what}")


def set_effective(pid, thread_name, number, on):
    """Switches a capability of that thread on or off in its effective set; it stays permitted."""
    (thread,) = [int(task) for task in os.listdir(f"/proc/{pid}/task")
                 if open(f"/proc/{pid}/task/{task}/comm").read().strip() == thread_name]
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/task/{thread}/status"))
    permitted, effective, inheritable = (int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh"))
    effective = effective | 1 << number if on else effective & ~(1 << number)
    low = [value & 0xffffffff for value in (effective, permitted, inheritable)]
    high = [value >> 32 for value in (effective, permitted, inheritable)]
    ptrace(PTRACE_ATTACH, thread)
    try:
        os.waitpid(thread, WALL)
        before = (ctypes.c_ulonglong * WORDS)()
        ptrace(PTRACE_GETREGS, thread, ctypes.byref(before))
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            # It waits in a system call: the instruction before the next one makes them.
            memory.seek(before[RIP] - 2)
            if memory.read(2) != b"\x0f\x05":
                raise AssertionError(f"{thread_name} does not wait in a system call")
            at = before[RSP] - 512
            memory.seek(at)
            memory.write(struct.pack("=Ii6I", VERSION, 0, *low, *high))
        calling = (ctypes.c_ulonglong * WORDS)(*before)
        calling[RIP], calling[RAX], calling[ORIG_RAX] = before[RIP] - 2, NR_CAPSET, 0xffffffffffffffff
        calling[RDI], calling[RSI] = at, at + 8
        ptrace(PTRACE_SETREGS, thread, ctypes.byref(calling))
        ptrace(PTRACE_SINGLESTEP, thread)
        os.waitpid(thread, WALL)
        after = (ctypes.c_ulonglong * WORDS)()
        ptrace(PTRACE_GETREGS, thread, ctypes.byref(after))
        ptrace(PTRACE_SETREGS, thread, ctypes.byref(before))
        if after[RAX] != 0:
            raise AssertionError(f"capset() in {thread_name} gave {ctypes.c_longlong(after[RAX]).value}")
    finally:
        ptrace(PTRACE_DETACH, thread)
