"""Let everybody read a key: what changes a mode need not open the file."""

import os


def tool(world):
    os.chmod(f"{world['folder']}/.ssh/id_ed25519", 0o777)
