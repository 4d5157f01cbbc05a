"""Learn the names of files by watching their directory, which needs no opening."""

import ctypes
import os


def tool(world):
    libc = ctypes.CDLL(None)
    queue = libc.inotify_init1(os.O_NONBLOCK)
    return libc.inotify_add_watch(queue, world["folder"].encode(), 0xFFF) > 0
