"""Measure and remove the directories that calls write to."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LONG = 2_000  # bytes of a path
_LEAST = 4096  # bytes that count for an empty file or directory, because there may be millions


def size(root: Path, enough: int) -> int:
    """Add up the bytes that the files under `root` take on disk, stopping at `enough`."""
    total = 0
    waiting = [str(root)]
    while waiting and total < enough:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    total += max(_LEAST, entry.stat(follow_symlinks=False).st_blocks * 512)
    return total


def remove(root: Path) -> None:
    """Remove `root` and its contents, of any depth and with any modes, without following links.

    Systems only accept paths of a few thousand bytes, so deep directories are moved up first.
    """
    with suppress(OSError):
        root.rmdir()
        return
    numbers = count()
    waiting = [str(root)]
    found: list[str] = []
    while waiting:
        directory = waiting.pop()
        found.append(directory)
        for entry in _entries(directory):
            with suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    _open_up_for(os.unlink, entry.path, directory)
                    continue
                below = entry.path
                if len(below) > _LONG:
                    below = f"{root}.gone-{next(numbers)}"
                    # Moving a directory changes its entry "..", so it must be writable.
                    os.chmod(entry.path, stat.S_IRWXU)  # noqa: PTH101
                    _open_up_for(partial(os.rename, dst=below), entry.path, directory)
                waiting.append(below)
    for directory in reversed(found):
        with suppress(OSError):
            if directory.startswith(f"{root}{os.sep}"):
                _open_up_for(os.rmdir, directory, os.path.dirname(directory))  # noqa: PTH120
            else:
                os.rmdir(directory)  # noqa: PTH106 - it was moved up, next to the root


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except PermissionError:
        with suppress(OSError):
            os.chmod(directory, stat.S_IRWXU)  # noqa: PTH101
            with os.scandir(directory) as entries:
                return list(entries)
    except OSError:
        pass
    return []


def _open_up_for(act: Callable[[str], object], path: str, directory: str) -> None:
    """Act on an entry of a directory; if the directory's mode forbids it, change the mode first."""
    try:
        act(path)
    except PermissionError:
        os.chmod(directory, stat.S_IRWXU)  # noqa: PTH101
        act(path)
