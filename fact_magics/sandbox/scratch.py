"""Measure and remove the directories that calls write to.

Systems accept paths of at most a few thousand bytes, and a tool can nest directories deeper than that.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LEAST = 4096  # bytes that count for an empty file or directory, because there may be millions
_LONG = 2_000  # bytes of a path
_MOST_BASES = 64
# Without O_NOATIME, a tool could notice when a directory is read, and move files out of the way.
_FLAGS = ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NOATIME")
_DIRECTORY = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in _FLAGS)
_BY_DESCRIPTOR = os.scandir in os.supports_fd  # not on Windows


class Scratch:
    """A new scratch directory, which further calls can use as long as no call wrote to it.

    Parameters
    ----------
    path : Path
        Where to make it.

    Raises
    ------
    OSError
        It can't be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = str(path)
        path.mkdir(mode=0o700)
        self._made = path.stat()
        self._reset()

    def _reset(self) -> None:
        os.utime(self._name, ns=(0, 0))  # of access and of modification

    def renew(self) -> bool:
        """Make the directory as it was before the last call; False if that call wrote to it.

        The system notes in a directory's time of modification that an entry was made or removed, and a call
        can't set that time. So a directory that still has the time that was set has never had an entry.
        """
        if not self.is_unused():
            return False
        try:
            self._reset()
        except OSError:
            return False
        return True

    def is_unused(self) -> bool:
        """Tell whether the directory has never had an entry."""
        try:
            now = os.stat(self._name)  # noqa: PTH116 - pathlib takes twice as long
        except OSError:
            return False
        return (now.st_ino, now.st_mode, now.st_mtime_ns) == (self._made.st_ino, self._made.st_mode, 0)


def measure(root: Path, enough: int) -> tuple[int, bool]:
    """Add up the bytes that the files under `root` take on disk, stopping at `enough`.

    What can't be measured counts as `enough`, for example a directory that its owner may not list. The second
    value is false if something was moved or removed meanwhile, and may be missing from the sum.
    """
    if not _BY_DESCRIPTOR:
        return 0, True
    try:
        bases = _Bases(root)
    except FileNotFoundError:
        return 0, True
    except OSError:
        return enough, True
    with bases:
        total = 0
        while bases.waiting and total < enough:
            try:
                total += bases.measure_next()
            except (FileNotFoundError, NotADirectoryError):
                bases.complete = False
            except OSError:
                return enough, True
        return total, bases.complete


class _Bases:
    """The directories that wait to be measured, each as an open base directory and a path below it.

    A base is closed once no path below it waits.
    """

    def __init__(self, root: Path) -> None:
        base = os.open(root, _DIRECTORY)
        self.waiting = [(base, ".")]
        self._uses = Counter({base: 1})
        self.complete = True

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for base in self._uses:
            os.close(base)

    def measure_next(self) -> int:
        """Add up the entries of one directory, and let the directories among them wait."""
        base, path = self.waiting.pop()
        try:
            directory = os.open(path, _DIRECTORY, dir_fd=base)
            try:
                return self._measure(directory, base, path)
            finally:
                if directory not in self._uses:
                    os.close(directory)
        finally:
            self._uses[base] -= 1
            if not self._uses[base]:
                del self._uses[base]
                os.close(base)

    def _measure(self, directory: int, base: int, path: str) -> int:
        total, below = 0, []
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.name)
                    total += max(_LEAST, entry.stat(follow_symlinks=False).st_blocks * 512)
                except FileNotFoundError:
                    self.complete = False
        if below and len(path) > _LONG:
            if len(self._uses) >= _MOST_BASES:
                raise OSError("too many directories are nested too deeply")
            base, path = directory, "."
        self.waiting += [(base, f"{path}/{name}") for name in below]
        self._uses[base] += len(below)
        return total


def remove(root: Path) -> None:
    """Remove `root` and its contents, of any depth and with any modes, without following links.

    Directories with a long path are moved up first.
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
