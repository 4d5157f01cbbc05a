"""Take space beyond the end of a file, where the limit of its size does not hold."""

import ctypes
import os

KEEP_SIZE = 1


def tool(world):
    libc = ctypes.CDLL(None)
    descriptor = os.open("file", os.O_RDWR | os.O_CREAT)
    libc.fallocate(descriptor, KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(64 << 20))
    return os.fstat(descriptor).st_blocks * 512 >= 64 << 20
