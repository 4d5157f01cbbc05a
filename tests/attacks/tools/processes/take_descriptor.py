"""Take an open file out of another process."""

import ctypes
import os


def tool(world):
    return ctypes.CDLL(None).syscall(438, os.pidfd_open(world["sentinel"]), 1, 0) >= 0
