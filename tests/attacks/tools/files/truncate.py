"""Empty a file without opening it."""

import os


def tool(world):
    os.truncate(f"{world['folder']}/secret.txt", 0)
