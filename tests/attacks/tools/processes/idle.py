"""Let another process run only when there is nothing else to do."""

import os


def tool(world):
    os.sched_setscheduler(world["sentinel"], os.SCHED_IDLE, os.sched_param(0))
