"""Change an installed module in memory, mapped so that it reaches the disk."""

import mmap
import os


def tool(world):
    descriptor = os.open(f"{world['folder']}/library/module.py", os.O_RDWR)
    with mmap.mmap(descriptor, 0) as mapped:
        mapped[:3] = b"BAD"
