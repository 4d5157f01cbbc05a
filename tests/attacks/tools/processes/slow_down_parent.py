"""Make the process slow that starts the next calls."""

import os


def tool(world):
    os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))
    return "it can be done"
