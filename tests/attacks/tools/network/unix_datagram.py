"""Write to a service's log by its socket's path."""

import socket


def tool(world):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"hello", world["datagram"])
