"""Do the same by datagrams."""

import socket


def tool(world):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"hello", world["abstract"] + "d")
