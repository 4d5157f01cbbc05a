"""Connect from a program that was started for it."""

import subprocess
import sys


def tool(world):
    program = f"import socket; socket.create_connection(('127.0.0.1', {world['tcp']})).send(b'hello')"
    subprocess.run([sys.executable, "-I", "-c", program], stderr=subprocess.DEVNULL)
