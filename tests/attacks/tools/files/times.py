"""Make an old file look new, so that it is not read again."""

import os


def tool(world):
    os.utime(f"{world['folder']}/secret.txt", (1, 1))
