"""Send several datagrams at once."""

import socket


def tool(world):
    socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"hello"], [], 0, ("127.0.0.1", world["udp"]))
