"""Change the mode of what may be read, by its descriptor."""

import os


def tool(world):
    with open(f"{world['folder']}/library/module.py") as file:
        os.fchmod(file.fileno(), 0o777)
