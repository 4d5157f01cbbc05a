"""Read a key from the environment that a program passes on."""

import os


def tool(world):
    return dict(os.environ)
