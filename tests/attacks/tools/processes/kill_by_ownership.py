"""Let the kernel end a process for news that it never asked for."""

import fcntl
import os


def tool(world):
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, world["sentinel"])
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writer, b"news")
