"""Become root in a name space of one's own, from which much of the kernel can be reached."""

import ctypes


def tool(world):
    return ctypes.CDLL(None).unshare(0x10000000) == 0
