"""Go on in a process that was forked for it."""

import os
import time


def tool(world):
    if os.fork() == 0:
        time.sleep(0.2)
        open(f"{world['folder']}/outbox/after", "w").close()
        os._exit(0)
    return "done"
