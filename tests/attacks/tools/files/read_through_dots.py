"""Leave the scratch directory by its parents."""

import os


def tool(world):
    return open(os.path.relpath(f"{world['folder']}/secret.txt")).read()
