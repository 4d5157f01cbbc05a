"""Write to the other one."""

import os


def tool(world):
    while True:
        os.write(2, b"x" * 65536)
