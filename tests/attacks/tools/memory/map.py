"""Take it from the kernel."""

import mmap


def tool(world):
    mapped = mmap.mmap(-1, 200 << 20)
    for at in range(0, len(mapped), 4096):
        mapped[at] = 1
    return len(mapped)
