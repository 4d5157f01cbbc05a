"""List the processes of the machine."""

import os


def tool(world):
    return [name for name in os.listdir("/proc") if name.isdigit()]
