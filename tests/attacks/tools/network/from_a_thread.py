"""Connect from another thread."""

import socket
import threading


def tool(world):
    def connect():
        socket.create_connection(("127.0.0.1", world["tcp"])).send(b"hello")

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
