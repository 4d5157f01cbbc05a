"""Make a device of one's own, beside the notebook."""

import os
import stat


def tool(world):
    os.mknod(f"{world['folder']}/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
