"""Talk to a service of this machine by its socket's path, as containers are started."""

import socket


def tool(world):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(world["stream"])
    connection.send(b"hello")
