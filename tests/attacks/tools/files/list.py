"""List what the user has."""

import os


def tool(world):
    return os.listdir(world["folder"])
