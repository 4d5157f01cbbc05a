"""Stop, so as to be there for ever."""

import os
import signal


def tool(world):
    os.kill(os.getpid(), signal.SIGSTOP)
