"""Do the same by the other protocol."""

import socket


def tool(world):
    with socket.create_connection(("::1", world["tcp6"]), timeout=10) as connection:
        connection.sendall(b"hello")
