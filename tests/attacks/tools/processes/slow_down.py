"""Make another process slow, for good: who has no privilege can't go back."""

import os


def tool(world):
    os.setpriority(os.PRIO_PROCESS, world["sentinel"], 19)
