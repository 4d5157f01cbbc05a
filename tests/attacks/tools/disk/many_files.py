"""Fill the disk with many files."""

import time


def tool(world):
    for number in range(12):
        with open(f"file-{number}", "wb") as file:
            file.write(b"x" * (1 << 20))
    time.sleep(world["patience"])
    return "filled"
