"""`Leases`: one kernel on a database executes a run, while identical runs in the other kernels wait for it.

A lease is a lock on one byte of a file beside the database. The system frees the locks of a process that
ends, so a killed kernel loses its leases at once. Without such locks, as on other systems than Linux, every
kernel executes its own runs.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Self

if sys.platform == "linux":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path

_HELD_ELSEWHERE = (errno.EAGAIN, errno.EACCES)
_KEY_DIGITS = 15  # so that the byte's offset fits into 63 bits
_FIRST_PAUSE_SECONDS = 0.001
_LONGEST_PAUSE_SECONDS = 0.05
_PAUSE_GROWTH = 1.5


class Leases:
    """The leases of one core. Its own runs share a lease; `RunsInProgress` decides between them.

    Leases are taken and given back on any thread.

    Parameters
    ----------
    path : Path
        The lock file, which is opened at the first use, and created if necessary.
    """

    def __init__(self, path: Path) -> None:
        self._path: Path | None = path
        self._file: int | None = None
        self._users: Counter[int] = Counter()
        self._changing = Lock()

    def ask(self, key: str) -> Lease:
        """Try to take the lease of a run, without waiting; it is given back at the end of its context."""
        return Lease(self, int(key[:_KEY_DIGITS], 16) if key else None)

    def take(self, place: int) -> bool:
        """Lock a byte, unless another kernel has locked it; True also if there are no locks."""
        with self._changing:
            if self._path is not None:
                self._file, self._path = _opened(self._path), None
            if self._file is not None and not self._users[place] and not _lock(self._file, place):
                return False
            self._users[place] += 1
            return True

    def give_back(self, place: int) -> None:
        """End one use of a byte's lock, and unlock the byte after the last one."""
        with self._changing:
            self._users[place] -= 1
            if not self._users[place]:
                del self._users[place]
                if self._file is not None:
                    _unlock(self._file, place)

    def close(self) -> None:
        """Close the file, which frees all leases; closing twice is not an error."""
        file, self._file, self._path = self._file, None, None
        if file is not None:
            os.close(file)


class Lease:
    """The lease of one run; made by `Leases.ask`.

    Attributes
    ----------
    is_held : bool
        Whether no other kernel executes the run. A run without a key needs no lease, and always holds it.
    """

    def __init__(self, leases: Leases, place: int | None) -> None:
        self._leases = leases
        self._place = place
        self.is_held = place is None or leases.take(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    async def wait(self, seconds: float) -> None:
        """Wait until this core holds the lease, or until the time is up."""
        end = time.monotonic() + seconds
        pause = _FIRST_PAUSE_SECONDS
        while not self.is_held and time.monotonic() < end:
            await asyncio.sleep(pause)
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
            self.is_held = self._place is None or self._leases.take(self._place)

    def give_back(self) -> None:
        """Let the other kernels go on; without effect if the lease is not held."""
        if self.is_held and self._place is not None:
            self._leases.give_back(self._place)
        self.is_held = False


if sys.platform == "linux":

    def _opened(path: Path) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with suppress(OSError):
            file = os.open(path, flags, 0o600)
            if stat.S_ISREG(os.fstat(file).st_mode):
                return file
            os.close(file)
        return None

    def _lock(file: int, place: int) -> bool:
        try:
            _set(file, fcntl.F_WRLCK, place)
        except OSError as error:
            return error.errno not in _HELD_ELSEWHERE  # this file system may have no locks
        return True

    def _unlock(file: int, place: int) -> None:
        with suppress(OSError):
            _set(file, fcntl.F_UNLCK, place)

    def _set(file: int, kind: int, place: int) -> None:
        # These locks belong to the open file, so that two cores in one process keep each other out as well.
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", kind, os.SEEK_SET, place, 1, 0))

else:

    def _opened(path: Path) -> int | None:
        del path
        return None

    def _lock(file: int, place: int) -> bool:
        del file, place
        return True

    def _unlock(file: int, place: int) -> None:
        del file, place
