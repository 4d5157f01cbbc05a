"""How long work waits for another program's lock on the database, and the notice that says who holds it."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.text import inert, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK_SECONDS = 25.0
"""How long work waits for a lock, so that a cell ends within half a minute."""

BRIEF_LOCK_SECONDS = 0.3
"""How long work waits for a lock that earlier work has waited for in vain."""

# SQLite does not serve waiting connections in order, and sometimes (switching to WAL, recovering) it does not
# wait for a lock at all. So it waits only this long by itself, and is asked again until the time is up.
BUSY_SECONDS = 0.1
OWN_PROCESS = "this notebook's own process"
_NOTICED_SECONDS = 1.0
_SHOWN = 200
_LOCKS = Path("/proc/locks")
_LOCK_FIELDS = 8
# The first locked byte of a database file, and the byte of its -shm file that a writer locks.
_PENDING_BYTE, _WRITER_BYTE = 0x40000000, 120


def is_locked(error: sqlite3.Error) -> bool:
    """Tell whether another connection's lock is the cause of an error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def holder(path: Path) -> str:
    """Name the process that holds a lock for writing on a database, as far as the system tells.

    Returns
    -------
    str
        ``process 4242 (sqlitebrowser)``, ``this notebook's own process``, or a general description.
    """
    with suppress(OSError, ValueError, IndexError):
        lines = _LOCKS.read_text().splitlines()  # only Linux has the file
        places = {
            _place(path): _PENDING_BYTE,
            _place(path.with_name(f"{path.name}-shm")): _WRITER_BYTE,
        }
        for line in lines:
            fields = line.split()
            if len(fields) != _LOCK_FIELDS:  # a process that waits for a lock has one more
                continue
            _, kind, _, access, process, file, first, _ = fields
            byte = places.get(file)
            if kind == "POSIX" and access == "WRITE" and byte is not None and int(first) >= byte:
                return _process(int(process))
    return "another program, such as a database viewer or another notebook,"


def _place(path: Path) -> str:
    """Name a file as the list of locks does: device in hexadecimal digits, and inode."""
    found = path.stat()
    return f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"


def _process(number: int) -> str:
    status = Path(f"/proc/{number}/status").read_text()
    if number == int(Path("/proc/self").readlink().name):
        return OWN_PROCESS
    return f"process {number} ({inert(status.partition(chr(10))[0].partition(chr(9))[2])})"


def _to_stderr(text: str) -> None:
    with suppress(Exception):  # there may be no stderr
        sys.stderr.write(f"fact_magics: {text}\n")


class Locks:
    """The waits of one database for locks that other connections hold.

    Attributes
    ----------
    tell : callable
        Receives the notice about a wait, on the database's thread; by default it is written to stderr.
    is_locked : bool
        Whether work has waited in vain, and no transaction for writing has succeeded since then.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = _to_stderr) -> None:
        self.tell = tell
        self.is_locked = False
        self._path = path
        self._stopped_at = 0.0
        self._is_told = False

    def stop(self) -> None:
        """End the waits for locks of all work that was asked for until now; the work then fails."""
        self._stopped_at = time.monotonic()

    def wait(self, seconds: float | None = None) -> LockWait:
        """Begin work that waits for locks at most this long (by default: `seconds`)."""
        return LockWait(self, seconds)

    @property
    def seconds(self) -> float:
        """How long work waits that is not told how long."""
        return BRIEF_LOCK_SECONDS if self.is_locked else LOCK_SECONDS

    def tell_once(self, seconds: float) -> None:
        """Say that work waits, once for each lock."""
        if not self._is_told:
            self._is_told = True
            path = shorten(str(self._path), _SHOWN)
            self.tell(
                f"Waiting for the database {path}: {holder(self._path)} holds a lock on it. "
                f"The wait ends after {seconds:.0f} s; interrupt to end it now."
            )

    def ended(self) -> None:
        """Note that a wait has ended, so that the next lock is told again."""
        self._is_told = False

    def is_stopped(self, asked_at: float) -> bool:
        """Whether `stop` was called since work was asked for."""
        return asked_at <= self._stopped_at


class LockWait:
    """The wait for locks of one piece of work, which is made when the work is asked for."""

    def __init__(self, locks: Locks, seconds: float | None) -> None:
        self._locks = locks
        self._seconds = seconds
        self._asked_at = time.monotonic()
        self._began_at: float | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """End this wait: the work fails if it meets a lock."""
        self._is_stopped = True

    def ended(self) -> None:
        """Note that the work has met no further lock."""
        if self._began_at is not None:
            self._locks.ended()

    def goes_on(self) -> bool:
        """Pause after a lock was met; return False when the work should give up."""
        now = time.monotonic()
        if self._began_at is None:
            self._began_at = now - BUSY_SECONDS
        seconds = self._seconds = self._locks.seconds if self._seconds is None else self._seconds
        waited = now - self._began_at
        if waited > seconds or self._is_stopped or self._locks.is_stopped(self._asked_at):
            self._locks.is_locked = True
            self._locks.ended()
            return False
        if waited > _NOTICED_SECONDS:
            self._locks.tell_once(seconds)
        time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - so that waiting kernels don't retry in step
        return True
