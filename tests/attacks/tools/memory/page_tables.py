"""Read a page here and there, which takes no memory but two pages of the kernel's for each."""

import ctypes
import os
import time

PAGES, APART = 10_000, 1 << 30


def tool(world):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    for _ in range(3):
        if os.fork() == 0:
            for number in range(PAGES):
                wanted = ctypes.c_void_p((1 << 40) + number * APART)
                start = libc.mmap(wanted, ctypes.c_size_t(4096), 1, 0x22, -1, ctypes.c_long(0))
                ctypes.string_at(start, 1)
            time.sleep(world["patience"])
            os._exit(0)
    return [os.wait()[1] for _ in range(3)]
