"""Take another process its descriptors: what sets limits asks for nothing but the same user."""

import resource


def tool(world):
    resource.prlimit(world["sentinel"], resource.RLIMIT_NOFILE, (0, 0))
