"""Read a file's extended attributes, where browsers note what was downloaded from where."""

import os


def tool(world):
    path = f"{world['folder']}/secret.txt"
    return [os.getxattr(path, name).decode() for name in os.listxattr(path)]
