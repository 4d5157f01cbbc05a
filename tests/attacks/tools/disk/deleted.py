"""Fill the disk with files that are deleted and kept open."""

import os
import time

kept = []


def tool(world):
    for number in range(12):
        kept.append(open("file", "wb"))
        os.unlink("file")
        kept[-1].write(b"x" * (1 << 20))
        kept[-1].flush()
    time.sleep(world["patience"])
    return "filled"
