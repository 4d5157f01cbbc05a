"""Give each thread descriptors of its own, which are in no list of the process, and fill their buffers."""

import ctypes
import os
import threading

UNSHARE = 2
CLOSE_RANGE = 436


def tool(world):
    hidden = []

    def fill():
        if ctypes.CDLL(None).syscall(CLOSE_RANGE, 1000, 1001, UNSHARE) != 0:
            return
        _, pipe = os.pipe()
        os.write(pipe, b"x" * (1 << 16))
        hidden.append(not os.path.exists(f"/proc/{os.getpid()}/fd/{pipe}"))

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return hidden
