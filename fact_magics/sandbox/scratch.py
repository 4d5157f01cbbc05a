"""Directories that calls write in: measured while they run, removed when they end, whatever is in them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from itertools import count
from pathlib import Path

_LEAST = 4096  # an empty file is not free: there may be millions


def size(root: Path, enough: int) -> int:
    """Add up what the files under `root` take on disk, in bytes, stopping at `enough`."""
    total = 0
    waiting = [str(root)]
    while waiting and total < enough:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += max(_LEAST, entry.stat(follow_symlinks=False).st_blocks * 512)
    return total


def remove(root: Path) -> None:
    """Remove `root` and all in it: no link is followed, no depth is too deep, no mode keeps it.

    Directories are moved up before they are emptied, so that no path grows beyond what the system takes.
    """
    with suppress(OSError):
        root.rmdir()
        return
    numbers = count()
    waiting = [root]
    emptied: list[Path] = []
    while waiting:
        directory = waiting.pop()
        emptied.append(directory)
        with suppress(OSError):
            directory.chmod(stat.S_IRWXU)
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in list(entries):
                with suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        Path(entry.path).unlink()
                        continue
                    # A directory is moved only by who may write in it: its parent entry changes.
                    Path(entry.path).chmod(stat.S_IRWXU)
                    moved = root.with_name(f"{root.name}.gone-{next(numbers)}")
                    Path(entry.path).rename(moved)
                    waiting.append(moved)
    for directory in emptied:
        with suppress(OSError):
            directory.rmdir()
