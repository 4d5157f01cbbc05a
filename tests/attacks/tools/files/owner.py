"""Give a file away."""

import os


def tool(world):
    os.chown(f"{world['folder']}/secret.txt", 12345, 12345)
