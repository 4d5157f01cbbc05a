"""`Database`: opens the file, refuses it or brings its tables up to date, and runs transactions."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import stat
import time
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from fact_magics.errors import StoreError
from fact_magics.store.schema import APPLICATION_ID, MIGRATIONS
from fact_magics.store.worker import Worker, WorkerClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
Migrations = tuple[tuple[str, ...], ...]

# SQLite's own wait for a lock is not fair, and in a few situations (the switch to WAL, a recovery) there is
# none.
_BUSY_TIMEOUT_MS = 5_000
_PATIENCE_SECONDS = 60.0
_SMALLEST_PAGE = 512
_WAL_KEPT_BYTES = 32 * 1024 * 1024

_ELSEWHERE = "Point FACT_HOME or DATABASE_URL at a place that you can write."
_ANOTHER = "Name another file in DATABASE_URL."
_FOREIGN = ("belongs to another program.", _ANOTHER)
_SALVAGE = (
    "Move it away (with its -wal and -shm) to start a new one; "
    "`sqlite3 FILE .recover` saves what can be read."
)

_SQLITE = {
    sqlite3.SQLITE_NOTADB: (
        "is not a SQLite database.",
        "Move it away, or name another file in DATABASE_URL.",
    ),
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


class Database:
    """An open database file: reads and transactions run one after the other on its thread.

    Made by `Database.open`.
    """

    def __init__(self, path: Path, worker: Worker) -> None:
        self.path = path
        self._worker = worker

    @classmethod
    async def open(cls, path: Path, *, migrations: Migrations = MIGRATIONS) -> Self:
        """Open a file as `Store.open` does; `migrations` lead from an empty file to the tables of now.

        Directories and files that are made are accessible to the user alone (0700, 0600).
        """
        path = _full(path)
        worker = Worker(partial(_connect, path, len(migrations)))
        try:
            await worker
            await worker.run(partial(_prepare, path=path, migrations=migrations))
        except (sqlite3.Error, OSError) as error:
            worker.stop()
            raise _explained(error, path) from error
        except BaseException:
            worker.stop()
            raise
        return cls(path, worker)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query. It does not wait for other programs that write."""
        with self._errors_explained():
            return await self._worker.run(partial(_patiently, work=work))

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a transaction that has the write lock from its first statement.

        It is done whole or not at all, also if the process is killed. If the caller is cancelled while it
        waits, it is done whole. `work` may run more than once, so it must change nothing but the database.
        """
        with self._errors_explained():
            return await self._worker.run(partial(_patiently, work=partial(_transact, work=work)))

    def write_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a transaction as `write` does, from a thread that runs no loop and waits for it."""
        with self._errors_explained():
            return self._worker.run_blocking(partial(_patiently, work=partial(_transact, work=work)))

    async def aclose(self) -> None:
        """Close the file after what was queued; closing twice is not an error."""
        await self._worker.close()

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except WorkerClosed:
            raise _refusal(self.path, "is closed.", "Open it again first.") from None
        except sqlite3.Error as error:
            raise _explained(error, self.path) from error


def _full(path: Path) -> Path:
    return path.expanduser().absolute()


def _refusal(path: Path, reason: str, hint: str) -> StoreError:
    return StoreError(f"The database {path} {reason}", hint=hint)


def _explained(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    if isinstance(error, sqlite3.Error):
        return _refusal(path, *_SQLITE.get(_code(error), (f"refused: {error}.", "")))
    reason = _SYSTEM.get(error.errno or 0) or error.strerror or type(error).__name__
    return _refusal(path, f"can't be opened: {reason}.", _ELSEWHERE)


def _code(error: sqlite3.Error) -> int:
    """Give SQLite's result code without its extension; 0 for an error of Python's module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _connect(path: Path, newest: int) -> sqlite3.Connection:
    _make_file(path)
    _inspect(path, newest)
    address = f"{path.as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_MS / 1000)


def _make_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            if not path.exists():  # a link to nowhere
                raise
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise _refusal(path, "is a directory.", "Name a file in it: sqlite:///…/facts.db.")
    if not stat.S_ISREG(mode):
        raise _refusal(path, "is not a regular file.", _ANOTHER)
    for wanted, right in ((os.R_OK, "read"), (os.W_OK, "written")):
        if not os.access(path, wanted):
            raise _refusal(
                path,
                f"can't be {right}: permission denied, or a read-only file system.",
                "Change its permissions, or point FACT_HOME at a place that you can write.",
            )


def _inspect(path: Path, newest: int) -> None:
    """Refuse a file that is not ours without leaving a lock, a -wal or a -shm.

    The file is read through SQLite alone: closing a descriptor of our own would drop the locks that SQLite
    holds on the same file elsewhere in this process.
    """
    size = path.stat().st_size
    if size == 0:
        return
    if size < _SMALLEST_PAGE:  # SQLite would take a file of one byte for an empty one and overwrite it
        raise _refusal(path, *_SQLITE[sqlite3.SQLITE_NOTADB])
    wal = path.with_name(f"{path.name}-wal")
    # A reader in `ro` mode sees the contents of a -wal, and can't merge it into the file.
    mode = "mode=ro" if wal.exists() and wal.stat().st_size else "mode=ro&immutable=1"
    address = f"{path.as_uri()}?{mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_MS / 1000)) as connection:
        _patiently(connection, partial(_judge_header, path=path, newest=newest))


def _judge_header(connection: sqlite3.Connection, path: Path, newest: int) -> tuple[int, int]:
    """Give the version and the application of a file, or refuse it."""
    version = _user_version(connection)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application not in {0, APPLICATION_ID}:
        raise _refusal(path, *_FOREIGN)
    if version > newest:
        raise _refusal(
            path,
            f"is from a newer fact_magics (version {version}, here up to {newest}).",
            "Upgrade with `pip install -U fact_magics`, or point FACT_HOME at another directory.",
        )
    return version, application


def _judge(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """Give the version of a file, or refuse it, also if it has tables without our mark."""
    version, application = _judge_header(connection, path, newest)
    if not application and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise _refusal(path, *_FOREIGN)
    return version


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Migrations) -> None:
    judge = partial(_judge, path=path, newest=len(migrations))
    # In one transaction, because another kernel may be making the tables between two queries.
    _patiently(connection, partial(_transact, work=judge, begin="BEGIN"))
    (journal,) = _patiently(connection, lambda it: it.execute("PRAGMA journal_mode = WAL").fetchone())
    # Some network drives can't share the memory that WAL needs; the older journal is slower, and as safe.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if journal == 'wal' else 'FULL'}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    if _user_version(connection) != len(migrations):
        _patiently(connection, partial(_transact, work=partial(_migrate, path=path, migrations=migrations)))


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Migrations) -> None:
    # Judged again inside the lock: two kernels that start at once both find an empty file.
    version = _judge(connection, path, len(migrations))
    for number, statements in enumerate(migrations[version:], start=version + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _user_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _transact(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], begin: str = "BEGIN IMMEDIATE"
) -> T:
    connection.execute(begin)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    finally:
        # Some failures (a full disk) have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return result


def _patiently(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return work(connection)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - spreads kernels that wait for the same lock
