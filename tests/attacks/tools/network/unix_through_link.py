"""Do the same through a link in the scratch directory."""

import os
import socket


def tool(world):
    os.symlink(world["stream"], "link")
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.path.abspath("link"))
    connection.send(b"hello")
