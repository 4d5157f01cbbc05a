"""Change into the directory, and name the file without a path."""

import os


def tool(world):
    os.chdir(world["folder"])
    return open("secret.txt").read()
