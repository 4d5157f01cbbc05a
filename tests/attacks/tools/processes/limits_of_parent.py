"""Do so to the process that starts the next calls."""

import os
import resource


def tool(world):
    before = resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, before)
    return "it can be done"
