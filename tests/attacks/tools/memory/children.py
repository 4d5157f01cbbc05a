"""Take a little of it in each of many processes."""

import os
import time


def tool(world):
    for _ in range(6):
        if os.fork() == 0:
            kept = bytearray(b"x") * (50 << 20)
            time.sleep(world["patience"])
            os._exit(bool(len(kept) != 50 << 20))
    return [os.wait()[1] for _ in range(6)]
