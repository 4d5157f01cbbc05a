"""Lock the user out of everything."""

import os


def tool(world):
    os.chmod(world["folder"], 0)
