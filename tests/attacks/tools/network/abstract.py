"""Talk to a service by a socket that has no path, as desktops have."""

import socket


def tool(world):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(world["abstract"])
    connection.send(b"hello")
