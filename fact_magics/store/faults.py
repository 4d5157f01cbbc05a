"""What the file system and SQLite report, as one line that says what to do."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING

from fact_magics.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

_ELSEWHERE = "Point FACT_HOME or DATABASE_URL at a place that you can write."
_SALVAGE = (
    "Move it away (with its -wal and -shm) to start a new one; "
    "`sqlite3 FILE .recover` saves what can be read."
)

_SQLITE = {
    sqlite3.SQLITE_NOTADB: ("is no SQLite database.", "Move it away, or name another file in DATABASE_URL."),
    sqlite3.SQLITE_CORRUPT: ("is damaged.", _SALVAGE),
    sqlite3.SQLITE_READONLY: ("can't be written.", _ELSEWHERE),
    sqlite3.SQLITE_CANTOPEN: ("can't be opened.", _ELSEWHERE),
    sqlite3.SQLITE_PERM: ("can't be opened: permission denied.", _ELSEWHERE),
    sqlite3.SQLITE_FULL: ("can't grow: the disk is full.", "Free some space, then run the cell again."),
    sqlite3.SQLITE_TOOBIG: ("can't hold a value this large.", "Return less, or write it to a file."),
    sqlite3.SQLITE_BUSY: (
        "is locked by another program.",
        "Close what holds it open in a long transaction, then run the cell again.",
    ),
    sqlite3.SQLITE_IOERR: (
        "can't be read or written: the disk reports an error.",
        "Check the disk; a network drive can't hold the database: point FACT_HOME at a local one.",
    ),
}

_SYSTEM = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EEXIST: "a part of its path is a file",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "its path is a loop of links",
}


def store_error(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """Say what went wrong with the database at `path`."""
    if isinstance(error, sqlite3.Error):
        what, hint = _SQLITE.get(primary_code(error), (f"refused: {error}.", ""))
        return StoreError(f"The database {path} {what}", hint=hint)
    reason = _SYSTEM.get(error.errno or 0) or error.strerror or type(error).__name__
    return StoreError(f"The database {path} can't be opened: {reason}.", hint=_ELSEWHERE)


def not_a_database(path: Path) -> StoreError:
    """Say that a file is something else."""
    what, hint = _SQLITE[sqlite3.SQLITE_NOTADB]
    return StoreError(f"The database {path} {what}", hint=hint)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 for what Python's module raises by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
