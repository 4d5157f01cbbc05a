"""Stop another process as a debugger does."""

import ctypes
import time


def tool(world):
    done = ctypes.CDLL(None).ptrace(16, world["sentinel"], 0, 0)
    time.sleep(0.05)
    state = open(f"/proc/{world['sentinel']}/stat").read().rpartition(")")[2].split()[0]
    return done == 0 and state == "t"
