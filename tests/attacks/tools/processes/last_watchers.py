"""Take all that a user, or the machine, has of something that other programs need."""

import ctypes
import os

CALLS = {"x86_64": (294, 206), "aarch64": (26, 0)}


def tool(world):
    libc = ctypes.CDLL(None)
    watch, setup = CALLS[os.uname().machine]
    watchers = libc.syscall(watch, 0) >= 0
    context = ctypes.c_ulong(0)
    return watchers or libc.syscall(setup, 1, ctypes.byref(context)) == 0
