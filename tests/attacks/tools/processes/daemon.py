"""Leave a process behind, in a session of its own, deaf to what asks it to end."""

import os
import signal
import time


def tool(world):
    if os.fork():
        return "left"
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for descriptor in range(3):
            os.close(descriptor)
        time.sleep(30)
    os._exit(0)
