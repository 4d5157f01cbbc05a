"""Fill the disk with names of nothing."""

import os
import time


def tool(world):
    for number in range(2000):
        os.mkdir(str(number))
    time.sleep(world["patience"])
    return "filled"
