"""Make another directory the root, so that every path leads elsewhere."""

import os


def tool(world):
    os.chroot(world["folder"])
    return open("/secret.txt").read()
