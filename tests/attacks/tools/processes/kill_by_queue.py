"""End a process by a signal that carries a value."""

import ctypes


def tool(world):
    ctypes.CDLL(None).sigqueue(world["sentinel"], 10, None)
