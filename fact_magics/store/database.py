"""`Database` opens the file, checks that it is ours, brings its tables up to date and runs transactions."""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import sqlite3
import stat
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from fact_magics.errors import StoreError, StoreLocked, StoreUnwritable
from fact_magics.owners import exposure
from fact_magics.store.binding import Connection, read_only
from fact_magics.store.inspection import Migrations, fault
from fact_magics.store.locks import BUSY_SECONDS, OWN_PROCESS, Locks, LockWait, holder, is_locked
from fact_magics.store.mounts import journal
from fact_magics.store.schema import APPLICATION_ID, MIGRATIONS
from fact_magics.store.search import add_indexable
from fact_magics.store.worker import Worker, WorkerClosed
from fact_magics.text import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

# The queries of a cell take milliseconds, but a damaged or crafted file can make a query endless.
_STATEMENT_SECONDS = 30.0
# A migration may read every row of a large file.
_MIGRATION_SECONDS = 600.0
_SMALLEST_PAGE = 512
_WAL_KEPT_BYTES = 32 * 1024 * 1024
# In a large database, each row changes pages of several indexes. Pages that are kept longer are written once
# for many rows.
_PAGES_PER_CHECKPOINT = 4_000
_PAGE_CACHE_KIB = 8_000
_SIDE_FILES = ("-wal", "-shm", "-journal")
# The end of a journal that belongs to a transaction over several files, and names the file that lists them.
_SEVERAL_FILES = bytes.fromhex("d9d505f920a163d7")
# On POSIX systems, SQLite opens no longer path: the names of its side files must fit into 512 bytes.
_LONGEST_PATH = 504
_LONGEST_SHOWN = 200

_ELSEWHERE = "Point FACT_HOME or DATABASE_URL at a place that you can write."
_REMOVE = "Remove that file, unless another program needs it."
_ANOTHER = "Name another file in DATABASE_URL."
_FOREIGN = ("belongs to another program.", _ANOTHER)
_UNKNOWN = f"If you don't know why, don't use this file. {_ANOTHER}"
_RENEWED = (
    "was brought up to date by a newer fact_magics in another kernel.",
    "Restart this kernel. If that does not help, upgrade with `pip install -U fact_magics`.",
)
_DENIED = "permission denied"
_FILE_IN_PATH = "a part of its path is a file"
_DISK_FULL = "the disk is full"
_FREE_SPACE = "Free some space, then run the cell again."
_FULL = (f"can't grow: {_DISK_FULL}.", _FREE_SPACE)
_TOO_LONG = "its path is too long"
_SHORTER = "Choose a shorter path in FACT_HOME or DATABASE_URL."
_SALVAGE = (
    "Move it away, with its -wal and -shm files, to start a new one. "
    "`sqlite3 FILE .recover` prints the rows that can still be read."
)

_SQLITE = {
    sqlite3.SQLITE_NOTADB: (
        "is not a SQLite database.",
        "Move it away, or name another file in DATABASE_URL.",
    ),
    sqlite3.SQLITE_CORRUPT: ("is damaged.", _SALVAGE),
    sqlite3.SQLITE_READONLY: ("can't be written.", _ELSEWHERE),
    sqlite3.SQLITE_CANTOPEN: ("can't be opened.", _ELSEWHERE),
    sqlite3.SQLITE_PERM: (f"can't be opened: {_DENIED}.", _ELSEWHERE),
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_TOOBIG: ("can't hold a value this large.", "Return less, or write it to a file."),
    sqlite3.SQLITE_INTERRUPT: (
        "took too long to answer, so the query was stopped.",
        "Ask for less, or check the drive. In sqlite3, `PRAGMA integrity_check` shows if data is damaged.",
    ),
    sqlite3.SQLITE_IOERR: (
        "can't be read or written: the disk reports an error.",
        "Check the disk. If it is a network drive, point FACT_HOME at a local directory.",
    ),
}

# For these errors, the primary code does not name the real cause.
_SQLITE_EXTENDED = {sqlite3.SQLITE_IOERR_SHMSIZE: _FULL}  # the -shm file can't grow

_SYSTEM = {
    errno.EACCES: (_DENIED, _ELSEWHERE),
    errno.EPERM: (_DENIED, _ELSEWHERE),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.ENOTDIR: (_FILE_IN_PATH, _ELSEWHERE),
    errno.EEXIST: ("a part of its path is a file, or a link that leads nowhere", _ELSEWHERE),
    errno.ENOSPC: (_DISK_FULL, _FREE_SPACE),
    errno.EDQUOT: ("this user's disk quota is used up", _FREE_SPACE),
    errno.ENAMETOOLONG: (_TOO_LONG, _SHORTER),
}


class Database:
    """An open database file, made by `open`; all queries and transactions run on one thread, in order."""

    def __init__(self, path: Path, worker: Worker, locks: Locks, seconds: float, version: int) -> None:
        self.path = path
        self._worker = worker
        self._locks = locks
        self._seconds = seconds
        self._version = version

    @classmethod
    async def open(
        cls, path: Path, *, migrations: Migrations = MIGRATIONS, seconds: float = _STATEMENT_SECONDS
    ) -> Self:
        """Open a file as `Store.open` does; `migrations` create the current tables from an empty file.

        A query or transaction that takes longer than `seconds` is stopped. If this creates directories or
        files, only the user can access them (0700, 0600).
        """
        path = _full(path)
        locks = Locks(path)
        worker = Worker(partial(_connect, path, migrations, locks))
        try:
            await worker
            await worker.run(partial(_prepare, path=path, migrations=migrations, locks=locks))
        except (sqlite3.Error, OSError) as error:
            worker.stop()
            raise _explained(error, path) from error
        except BaseException:
            locks.stop()
            worker.stop()
            raise
        return cls(path, worker, locks, seconds, len(migrations))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query; it does not wait for other programs that write."""
        wait = self.lock_wait()
        with self._errors_explained(wait):
            return await self._worker.run(self._patient(work, wait))

    def read_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query as `read` does, but block the calling thread; an interrupt ends the wait for a lock."""
        wait, interrupts = self.lock_wait(), list[None]()

        def stop() -> None:
            interrupts.append(None)
            wait.stop()

        patient = self._patient(work, wait)
        try:
            with self._errors_explained(wait):
                return self._worker.run_blocking(patient, stop)
        except StoreError:
            if interrupts:
                raise KeyboardInterrupt from None
            raise

    async def write(self, work: Callable[[sqlite3.Connection], T], *, wait: LockWait | None = None) -> T:
        """Run a transaction that takes the write lock before its first statement.

        The transaction is committed as a whole or not at all, even if the process is killed. If the waiting
        caller is cancelled, the transaction still completes, unless another program has locked the database.
        `work` may run more than once, so it must change nothing but the database.

        Parameters
        ----------
        wait : LockWait, optional
            The wait for the lock of another program, made by `lock_wait`. When it ends, this raises
            `StoreLocked`.
        """
        wait = wait or self.lock_wait()
        with self._errors_explained(wait):
            return await self._worker.run(self._transaction(work, wait))

    def write_blocking(self, work: Callable[[sqlite3.Connection], T], *, wait: LockWait | None = None) -> T:
        """Run a transaction as `write` does, but block the calling thread, which must not run a loop.

        An interrupt ends a wait for another program's lock, so that this raises `StoreLocked` at once.
        """
        wait = wait or self.lock_wait()
        with self._errors_explained(wait):
            return self._worker.run_blocking(self._transaction(work, wait), self.stop_waiting)

    def lock_wait(self, seconds: float | None = None) -> LockWait:
        """Make the wait for locks of work that is asked for now; see `Locks.wait`."""
        return self._locks.wait(seconds)

    @property
    def is_locked(self) -> bool:
        """Whether work has waited in vain for another program's lock, and nothing was written since then."""
        return self._locks.is_locked

    def stop_waiting(self) -> None:
        """Let work that waits for another program's lock raise `StoreLocked` at once."""
        self._locks.stop()

    def _transaction(self, work: Callable[[sqlite3.Connection], T], wait: LockWait) -> Callable[..., T]:
        patient = self._patient(partial(_transact, work=work), wait)

        def transaction(connection: Connection) -> T:
            result = patient(connection)
            self._locks.is_locked = False
            return result

        return transaction

    def _patient(self, work: Callable[[sqlite3.Connection], T], wait: LockWait) -> Callable[..., T]:
        def patient(connection: Connection) -> T:
            try:
                return _patiently(connection, work, wait, self._seconds)
            except sqlite3.OperationalError as error:
                if _code(error) == sqlite3.SQLITE_ERROR and _user_version(connection) > self._version:
                    raise _refusal(self.path, *_RENEWED) from error  # the tables are others than this code's
                raise

        return patient

    async def aclose(self) -> None:
        """Close the file after all earlier work; closing twice is not an error."""
        await self._worker.close()

    @contextmanager
    def _errors_explained(self, wait: LockWait) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            wait.stop()
            raise
        except WorkerClosed:
            raise _refusal(self.path, "is closed.", "Open it again first.") from None
        except sqlite3.Error as error:
            raise _explained(error, self.path) from error


def _full(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise _refusal(
            path, "is in the home of a user who does not exist.", "Write an absolute path."
        ) from None


def _refusal(path: Path, reason: str, hint: str, kind: type[StoreError] = StoreError) -> StoreError:
    return kind(f"The database {shorten(str(path), _LONGEST_SHOWN)} {reason}", hint=hint)


def _explained(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    if isinstance(error, sqlite3.Error):
        if is_locked(error):
            by = holder(path)
            keeper = "connection" if by == OWN_PROCESS else "program"
            hint = f"Close the {keeper} that keeps a transaction open, then run the cell again."
            return _refusal(path, f"is locked by {by.rstrip(',')}.", hint, StoreLocked)
        extended = _SQLITE_EXTENDED.get(getattr(error, "sqlite_errorcode", 0))
        reason, hint = extended or _SQLITE.get(_code(error), (f"refused: {error}.", _SALVAGE))
        is_unwritable = extended or _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)
        return _refusal(path, reason, hint, StoreUnwritable if is_unwritable else StoreError)
    unknown = (error.strerror or type(error).__name__, _ELSEWHERE)
    reason, hint = _SYSTEM.get(error.errno or 0, unknown)
    return _refusal(path, f"can't be opened: {reason}.", hint)


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, or 0 for an error that did not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _refuse_exposed(path: Path) -> None:
    """Refuse a database that other users own or can change, also through its directory or its side files."""
    real = path.resolve()
    side_files = [real.with_name(f"{real.name}{end}") for end in _SIDE_FILES]
    for file in side_files:
        with suppress(OSError):
            if not stat.S_ISREG(file.lstat().st_mode):  # SQLite would wait for a pipe for ever
                raise _refusal(path, f"is not used, because {file.name} is not a regular file.", _REMOVE)
    found = exposure(path.parent, path, real.parent, *side_files)
    if found is None:
        return
    subjects = {path: "it", path.parent: "its directory", real.parent: "its directory"}
    subject = subjects.get(found.path, found.path.name)
    hint = found.hint("FACT_HOME or DATABASE_URL")
    raise _refusal(path, f"is not used, because {subject} {found.reason}.", hint)


def _connect(path: Path, migrations: Migrations, locks: Locks) -> Connection:
    if os.name == "posix" and len(os.fsencode(path)) > _LONGEST_PATH:
        raise _refusal(path, f"can't be opened: {_TOO_LONG}.", _SHORTER)
    _refuse_exposed(path)
    _make_file(path)
    _inspect(path, migrations, locks)
    address = f"{path.as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_SECONDS, factory=Connection)


def _make_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            if not path.exists():  # `path` is a dangling symbolic link
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


def _inspect(path: Path, migrations: Migrations, locks: Locks) -> None:
    """Refuse a file that is not ours, and leave no lock, -wal or -shm behind.

    Only SQLite may read the file. If we opened and closed the file ourselves, this process would lose
    the locks that SQLite holds on it through other connections.
    """
    size = path.stat().st_size
    if size == 0:
        return
    if size < _SMALLEST_PAGE:  # SQLite would overwrite a file of one byte, as if it were empty
        raise _refusal(path, *_SQLITE[sqlite3.SQLITE_NOTADB])
    real = path.resolve()
    with suppress(FileNotFoundError):
        journal = real.with_name(f"{real.name}-journal")
        if length := journal.stat().st_size:
            with journal.open("rb") as file:
                file.seek(max(0, length - len(_SEVERAL_FILES)))
                if file.read() == _SEVERAL_FILES:  # SQLite would delete the file that the journal names
                    raise _refusal(path, f"is not used, because {journal.name} names another file.", _REMOVE)
            return  # the file holds half a transaction; `_prepare` waits or undoes it, then checks the file
    with closing(read_only(path, BUSY_SECONDS)) as connection:
        judge = partial(_judge, path=path, migrations=migrations)
        _patiently(connection, partial(_transact, work=judge, begin="BEGIN"), locks.wait())


def _judge(connection: sqlite3.Connection, path: Path, migrations: Migrations) -> int:
    """Return the version of a file; refuse a file that is newer than this package or not ours.

    This needs a transaction, because another kernel could create the tables between two of the queries.
    """
    version, newest = _user_version(connection), len(migrations)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application not in {0, APPLICATION_ID}:
        raise _refusal(path, *_FOREIGN)
    if version > newest:
        raise _refusal(
            path,
            f"was written by a newer fact_magics (schema version {version}; at most {newest} can be read).",
            "Upgrade with `pip install -U fact_magics`, or point FACT_HOME at another directory.",
        )
    if not application or version < 0:
        if version or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise _refusal(path, *_FOREIGN)
    elif found := fault(connection, migrations, version):
        shell = f"sqlite3 {shlex.quote(str(path))} {shlex.quote(found.removal)}"
        hint = (
            f"If it is not yours, don't use this file; if it is, run: {shell}" if found.removal else _UNKNOWN
        )
        raise _refusal(path, f"{found.text}.", hint)
    return version


def _prepare(connection: Connection, path: Path, migrations: Migrations, locks: Locks) -> None:
    judge = partial(_judge, path=path, migrations=migrations)
    _patiently(connection, partial(_transact, work=judge, begin="BEGIN"), locks.wait())
    switch = f"PRAGMA journal_mode = {journal(path, locks.tell)}"
    (mode,) = _patiently(connection, lambda it: it.execute(switch).fetchone(), locks.wait())
    # Some network drives lack the shared memory that WAL needs. The older journal is slower but just as safe.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_PER_CHECKPOINT}")
    connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
    connection.execute("PRAGMA foreign_keys = ON")
    if _user_version(connection) != len(migrations):
        migrate = partial(_transact, work=partial(_migrate, path=path, migrations=migrations))
        _patiently(connection, migrate, locks.wait(), _MIGRATION_SECONDS)
    _refuse_exposed(path)  # in /tmp, another user can make a side file before SQLite does


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Migrations) -> None:
    # Read the version again under the lock: two kernels that start at once may both have found an empty file.
    version = _judge(connection, path, migrations)
    add_indexable(connection)
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
        # After some failures, such as a full disk, SQLite has already rolled back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return result


def _patiently(
    connection: Connection,
    work: Callable[[sqlite3.Connection], T],
    wait: LockWait,
    seconds: float = _STATEMENT_SECONDS,
) -> T:
    while True:
        connection.allow(seconds)
        try:
            result = work(connection)
        except sqlite3.OperationalError as error:
            if not is_locked(error) or not wait.goes_on():
                raise
        else:
            wait.ended()
            return result
