"""Fill the kernel's memory with filters of system calls."""

import ctypes
import os
import struct

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
CALLS = {"x86_64": 317, "aarch64": 277}
ALLOW = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)


class Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def tool(world):
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    steps = ctypes.create_string_buffer(ALLOW * 4000, len(ALLOW) * 4000)
    filter_ = ctypes.byref(Filter(4000, ctypes.addressof(steps)))
    by_call = libc.syscall(CALLS[os.uname().machine], 1, 0, filter_) == 0
    return by_call or libc.prctl(PR_SET_SECCOMP, 2, filter_, 0, 0) == 0
