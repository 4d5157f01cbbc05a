"""Fill the disk with files that are deleted, closed, and mapped by their first page."""

import ctypes
import os
import time


def tool(world):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    for number in range(12):
        descriptor = os.open("file", os.O_RDWR | os.O_CREAT)
        os.unlink("file")
        os.write(descriptor, b"x" * (1 << 20))
        libc.mmap(None, ctypes.c_size_t(4096), 1, 1, descriptor, ctypes.c_long(0))
        os.close(descriptor)
    time.sleep(world["patience"])
    return "filled"
