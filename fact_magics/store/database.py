"""Opening the file: who may, which version it is, how it is brought up to date; and transactions on it."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from fact_magics.errors import StoreError
from fact_magics.store.faults import not_a_database, primary_code, store_error
from fact_magics.store.schema import APPLICATION_ID, MIGRATIONS
from fact_magics.store.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")
Migrations = tuple[tuple[str, ...], ...]

# SQLite's own wait for a lock is not fair, and a few situations (the switch to WAL, a recovery) skip it.
_BUSY_TIMEOUT_MS = 5_000
_PATIENCE_SECONDS = 60.0
_SMALLEST_PAGE = 512
_WAL_KEPT_BYTES = 32 * 1024 * 1024


class Database:
    """An open database file: reads and transactions, one after the other, on its thread.

    Made by `Database.open`.
    """

    def __init__(self, path: Path, worker: Worker) -> None:
        self.path = path
        self._worker = worker

    @classmethod
    async def open(cls, path: Path, *, migrations: Migrations = MIGRATIONS) -> Self:
        """Open the file, made if it is not there, and bring its tables up to date.

        Parameters
        ----------
        path : Path
            The database file. A directory or file that has to be made is the user's alone (0700, 0600).
        migrations : tuple of tuple of str
            The steps from an empty file to this version's tables.

        Raises
        ------
        StoreError
            It can't be opened, is no database, another program's, damaged, or from a newer version. A file
            that is refused is left as it was.
        """
        path = _full(path)
        worker = Worker(partial(_connect, path, len(migrations)))
        database = cls(path, worker)
        try:
            await worker
            await worker.run(partial(_prepare, path=path, migrations=migrations))
        except (sqlite3.Error, OSError) as error:
            worker.stop()
            raise store_error(error, path) from error
        except BaseException:
            worker.stop()
            raise
        return database

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query; it waits for no writer."""
        return await self._run(partial(_patiently, work=work))

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a transaction that has the write lock from its first statement.

        It is done whole or not at all, also where the caller is cancelled while it waits (then it is done),
        or the process is killed. `work` may run more than once, so it changes nothing but the database.
        """
        return await self._run(partial(_patiently, work=partial(_transact, work=work)))

    def write_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a transaction as `write` does, from a thread that has no loop and waits for it."""
        with self._faults_told():
            return self._worker.run_blocking(partial(_patiently, work=partial(_transact, work=work)))

    async def aclose(self) -> None:
        """Close the file after what was queued; closing twice is no error."""
        await self._worker.close()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._faults_told():
            return await self._worker.run(work)

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        try:
            yield
        except ValueError:
            if self._worker.is_open:
                raise
            raise StoreError(f"The database {self.path} is closed.", hint="Open it again first.") from None
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]]) -> None:
    """Apply, in one transaction, the steps that the database does not have yet.

    Raises
    ------
    StoreError
        Another program brought it to a newer version meanwhile.
    """

    def steps(connection: sqlite3.Connection) -> None:
        # Asked again inside the lock: two kernels that start at once both find an empty file.
        version = _judge(connection, path, len(migrations))
        for number, statements in enumerate(migrations[version:], start=version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    if _user_version(connection) != len(migrations):
        _patiently(connection, partial(_transact, work=steps))


def _full(path: Path) -> Path:
    return path.expanduser().absolute()


def _connect(path: Path, newest: int) -> sqlite3.Connection:
    _make_file(path)
    _inspect(path, newest)
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_MS / 1000
    )


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
        raise StoreError(
            f"The database {path} is a directory.", hint="Name a file in it: sqlite:///…/facts.db."
        )
    if not stat.S_ISREG(mode):
        raise StoreError(f"The database {path} is no regular file.", hint="Name another one in DATABASE_URL.")
    for wanted, right in ((os.R_OK, "read"), (os.W_OK, "written")):
        if not os.access(path, wanted):
            raise StoreError(
                f"The database {path} can't be {right}: permission denied, or a read-only file system.",
                hint="Change its permissions, or point FACT_HOME at a place that you can write.",
            )


def _inspect(path: Path, newest: int) -> None:
    """Refuse what is not ours to open, without a trace: no lock, no -wal, no -shm.

    Never by reading the file ourselves: closing a descriptor would drop the locks that SQLite holds on
    the same file elsewhere in this process.
    """
    size = path.stat().st_size
    if size == 0:
        return
    if size < _SMALLEST_PAGE:  # SQLite takes a file of one byte for an empty one, and writes over it
        raise not_a_database(path)
    wal = path.with_name(f"{path.name}-wal")
    # What is still in the -wal only a proper reader sees; one that is read-only can't fold it in.
    mode = "mode=ro" if wal.exists() and wal.stat().st_size else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=_BUSY_TIMEOUT_MS / 1000)
    try:
        _patiently(connection, partial(_judge_version, path=path, newest=newest))
    finally:
        connection.close()


def _judge_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    version = _user_version(connection)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application not in {0, APPLICATION_ID}:
        raise _foreign(path)
    if version > newest:
        raise StoreError(
            f"The database {path} is from a newer fact_magics (version {version}, here up to {newest}).",
            hint="Upgrade with `pip install -U fact_magics`, or point FACT_HOME at another directory.",
        )
    return version


def _judge(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    version = _judge_version(connection, path, newest)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if not application and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise _foreign(path)
    return version


def _foreign(path: Path) -> StoreError:
    return StoreError(
        f"The database {path} belongs to another program.", hint="Name another file in DATABASE_URL."
    )


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Migrations) -> None:
    _patiently(connection, partial(_judged_at_once, path=path, newest=len(migrations)))
    (journal,) = _patiently(connection, lambda it: it.execute("PRAGMA journal_mode = WAL").fetchone())
    # Some network drives can't share the memory that WAL needs; the old journal is slower and as safe.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if journal == 'wal' else 'FULL'}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    migrate(connection, path, migrations)


def _judged_at_once(connection: sqlite3.Connection, path: Path, newest: int) -> None:
    # One read transaction: another kernel may be making the tables between two of the questions.
    connection.execute("BEGIN")
    try:
        _judge(connection, path, newest)
    finally:
        connection.execute("ROLLBACK")


def _user_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
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
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - spreads kernels that wait for the same lock
