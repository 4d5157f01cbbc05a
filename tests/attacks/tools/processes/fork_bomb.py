"""Start processes without end; without protection it stops by itself at sixty."""

import os
import time


def tool(world):
    for number in range(60):
        if os.fork() == 0:
            time.sleep(30)
    return number
