"""Talk to a server on this machine, such as the notebook's own."""

import socket


def tool(world):
    with socket.create_connection(("127.0.0.1", world["tcp"]), timeout=10) as connection:
        connection.sendall(b"hello")
