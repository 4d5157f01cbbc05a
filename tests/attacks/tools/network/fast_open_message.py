"""Open a connection by sending a message with an address."""

import socket
import time


def tool(world):
    connection = socket.socket()
    connection.setblocking(False)
    try:
        connection.sendmsg([b"hello"], [], socket.MSG_FASTOPEN, ("127.0.0.1", world["tcp"]))
    except BlockingIOError:
        time.sleep(0.05)
