"""Let another process run on one core only."""

import os


def tool(world):
    os.sched_setaffinity(world["sentinel"], {0})
