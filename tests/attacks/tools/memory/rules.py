"""Fill the kernel's memory with rules for a Landlock domain."""

import ctypes
import struct

CREATE, ADD, FOR_A_PORT = 444, 445, 2


def tool(world):
    libc = ctypes.CDLL(None)
    ruleset = libc.syscall(CREATE, struct.pack("QQQ", 0, 3, 0), 24, 0)
    added = [libc.syscall(ADD, ruleset, FOR_A_PORT, struct.pack("QQ", 1, port), 0) for port in range(1000)]
    return added.count(0)
