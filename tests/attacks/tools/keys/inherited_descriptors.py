"""Read what was left open."""

import os


def tool(world):
    found = []
    for descriptor in range(3, 256):
        try:
            found.append(os.pread(descriptor, 100, 0).decode("latin-1"))
        except OSError:
            continue
    return found
