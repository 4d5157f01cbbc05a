"""Wait for somebody on a port that nobody chose: a socket that was never bound."""

import socket


def tool(world):
    listening = socket.socket()
    listening.listen()
    return listening.getsockname()[1]
