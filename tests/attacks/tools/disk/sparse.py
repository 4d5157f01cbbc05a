"""Claim a file that is larger than the disk."""

import os


def tool(world):
    with open("big", "wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    return os.stat("big").st_size
