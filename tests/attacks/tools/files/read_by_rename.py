"""Move the file into the scratch directory."""

import os


def tool(world):
    os.rename(f"{world['folder']}/secret.txt", "mine.txt")
    return open("mine.txt").read()
