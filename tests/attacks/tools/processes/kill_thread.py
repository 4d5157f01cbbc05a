"""End a process by one of its threads."""

import ctypes
import os


def tool(world):
    number = 234 if os.uname().machine == "x86_64" else 131
    ctypes.CDLL(None).syscall(number, world["sentinel"], world["sentinel"], 15)
