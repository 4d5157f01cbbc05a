"""Write to the descriptor of what is printed, past everything that counts."""

import os


def tool(world):
    while True:
        os.write(1, b"x" * 65536)
