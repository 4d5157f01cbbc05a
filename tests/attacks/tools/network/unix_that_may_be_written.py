"""Talk to a service whose socket lies in a directory that may be written."""

import socket


def tool(world):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{world['folder']}/outbox/service")
    connection.send(b"hello")
