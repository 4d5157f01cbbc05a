"""Keep large pages by a byte of each in a pipe, and unmap them."""

import ctypes
import mmap
import os

CALLS = {"x86_64": 278, "aarch64": 75}


class Part(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))


def tool(world):
    libc = ctypes.CDLL(None)
    size = 8 << 20
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    memory[::4096] = b"x" * (size // 4096)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    _, pipe = os.pipe()
    part = Part(start + size // 2, 1)
    return libc.syscall(CALLS[os.uname().machine], pipe, ctypes.byref(part), 1, 0) == 1
