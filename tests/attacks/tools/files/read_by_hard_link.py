"""Give the file a name in the scratch directory."""

import os


def tool(world):
    os.link(f"{world['folder']}/secret.txt", "mine.txt")
    return open("mine.txt").read()
