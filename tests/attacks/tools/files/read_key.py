"""Map a private key into memory."""

import mmap
import os


def tool(world):
    descriptor = os.open(f"{world['folder']}/.ssh/id_ed25519", os.O_RDONLY)
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped:
        return mapped[:].decode()
