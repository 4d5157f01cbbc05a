"""Take it as a file that is in no directory, and counts against no address space."""

import os


def tool(world):
    for _ in range(100):
        os.write(os.memfd_create("kept"), b"x" * (2 << 20))
    return "taken"
