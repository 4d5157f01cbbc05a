"""Make a directory beside the notebook, by which a name is taken."""

import os


def tool(world):
    os.mkdir(f"{world['folder']}/numpy")
