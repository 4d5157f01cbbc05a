"""Stop a process of the user's."""

import os
import signal


def tool(world):
    os.kill(world["sentinel"], signal.SIGSTOP)
