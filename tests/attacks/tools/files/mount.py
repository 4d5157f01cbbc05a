"""Mount a file system over what is there, in a name space of its own."""

import ctypes


def tool(world):
    libc = ctypes.CDLL(None)
    if libc.unshare(0x20000) or libc.mount(None, b"/", None, 0x44000, None):  # private to the leaves
        return None
    if libc.mount(b"none", f"{world['folder']}/outbox".encode(), b"tmpfs", 0, None):
        return None
    open(f"{world['folder']}/outbox/here", "w").close()
    return "mounted"
