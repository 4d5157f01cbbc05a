"""Make a socket beside the notebook, for another process to talk to."""

import socket


def tool(world):
    socket.socket(socket.AF_UNIX).bind(f"{world['folder']}/agent")
