"""Put a file out of the way."""

import os


def tool(world):
    os.rename(f"{world['folder']}/secret.txt", f"{world['folder']}/secret.old")
