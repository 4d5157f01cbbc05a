"""Let another process read and write only when nobody else does."""

import ctypes
import os


def tool(world):
    number = 251 if os.uname().machine == "x86_64" else 30
    ctypes.CDLL(None).syscall(number, 1, world["sentinel"], 3 << 13)
