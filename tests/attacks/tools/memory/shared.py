"""Keep one page of memory that may be shared, which keeps all of it."""

import ctypes


def tool(world):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    size = 30 << 20
    for _ in range(5):
        start = libc.mmap(None, ctypes.c_size_t(size), 3, 0x21, -1, ctypes.c_long(0))
        if start in (None, ctypes.c_void_p(-1).value):
            return None
        ctypes.memset(start, 1, size)
        libc.munmap(ctypes.c_void_p(start + 4096), ctypes.c_size_t(size - 4096))
    return "kept 150 MB"
