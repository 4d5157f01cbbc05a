"""Carry a file of one's own out of the scratch directory."""

import os


def tool(world):
    open("evil", "w").close()
    os.link("evil", f"{world['folder']}/evil")
