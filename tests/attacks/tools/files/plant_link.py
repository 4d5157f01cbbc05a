"""Put a link where the notebook will write."""

import os


def tool(world):
    os.symlink("/dev/null", f"{world['folder']}/results.csv")
