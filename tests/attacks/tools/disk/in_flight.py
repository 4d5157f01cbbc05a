"""Fill the disk with files that are deleted, closed, and on their way through a socket."""

import os
import socket
import time


def tool(world):
    one, other = socket.socketpair()
    for number in range(12):
        descriptor = os.open("file", os.O_RDWR | os.O_CREAT)
        os.unlink("file")
        os.write(descriptor, b"x" * (1 << 20))
        socket.send_fds(one, [b"x"], [descriptor])
        os.close(descriptor)
    time.sleep(world["patience"])
    return "filled"
