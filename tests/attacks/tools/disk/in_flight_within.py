"""Fill the disk with deleted files on their way through a socket that is itself on its way through one."""

import os
import socket
import time


def tool(world):
    one, other = socket.socketpair()
    outer, kept = socket.socketpair()
    for number in range(12):
        descriptor = os.open("file", os.O_RDWR | os.O_CREAT)
        os.unlink("file")
        os.write(descriptor, b"x" * (1 << 20))
        socket.send_fds(one, [b"x"], [descriptor])
        os.close(descriptor)
        if number == 0:
            socket.send_fds(outer, [b"x"], [other.fileno()])
            other.close()
    time.sleep(world["patience"])
    return "filled"
