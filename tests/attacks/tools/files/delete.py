"""Delete a file."""

import os


def tool(world):
    os.unlink(f"{world['folder']}/secret.txt")
