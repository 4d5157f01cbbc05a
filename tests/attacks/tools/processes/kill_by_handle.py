"""End a process by a handle of it."""

import os
import signal


def tool(world):
    signal.pidfd_send_signal(os.pidfd_open(world["sentinel"]), signal.SIGKILL)
