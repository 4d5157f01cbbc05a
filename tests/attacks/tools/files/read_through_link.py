"""Make a link in the scratch directory, which may be read, to what may not."""

import os


def tool(world):
    os.symlink(f"{world['folder']}/secret.txt", "harmless.txt")
    return open("harmless.txt").read()
