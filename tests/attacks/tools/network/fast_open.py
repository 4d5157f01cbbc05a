"""Open a connection by sending, without connecting."""

import socket
import time


def tool(world):
    connection = socket.socket()
    connection.setblocking(False)
    try:
        connection.sendto(b"hello", socket.MSG_FASTOPEN, ("127.0.0.1", world["tcp"]))
    except BlockingIOError:
        time.sleep(0.05)
