"""Reach the process that started this one."""

import os


def tool(world):
    os.kill(os.getppid(), 0)
    return "it would listen"
