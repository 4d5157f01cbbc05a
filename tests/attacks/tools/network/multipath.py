"""Connect by a protocol that carries TCP and is called otherwise."""

import socket


def tool(world):
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    connection.connect(("127.0.0.1", world["tcp"]))
    connection.send(b"hello")
