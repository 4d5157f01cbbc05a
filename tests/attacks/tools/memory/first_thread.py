"""Take a little of it in each of many processes, whose first threads have ended."""

import ctypes
import os
import threading
import time

EXIT = {"x86_64": 60, "aarch64": 93}


def tool(world):
    first_ends = EXIT[os.uname().machine]

    def take():
        threading.main_thread().join(0.1)
        kept = bytearray(b"x") * (50 << 20)
        time.sleep(world["patience"])
        os._exit(bool(len(kept) != 50 << 20))

    for _ in range(6):
        if os.fork() == 0:
            threading.Thread(target=take).start()
            ctypes.CDLL(None).syscall(first_ends, 0)
    return [os.wait()[1] for _ in range(6)]
