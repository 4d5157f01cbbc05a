"""Read the command lines of all processes."""

import os


def tool(world):
    found = []
    for name in os.listdir("/proc"):
        try:
            found.append(open(f"/proc/{name}/cmdline").read())
        except OSError:
            continue
    return found
