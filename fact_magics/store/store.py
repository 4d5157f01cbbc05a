"""`Store`: everything that outlives the kernel, in one database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from fact_magics.store.cache import DEFAULT_MAX_BYTES, Cache
from fact_magics.store.database import Database
from fact_magics.store.history import History, add_generations, add_runs
from fact_magics.store.sessions import Sessions
from fact_magics.store.tools import Tools

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from fact_magics.store.rows import CacheEntry, ExecutionRow, GenerationRow


class Store:
    """The database of one `FACT_HOME`, opened by `Store.open`; any number of kernels may have it open.

    Every method, also of the parts, may be awaited by many tasks at once, and raises `StoreError` if the file
    can't be read or written. A write has been committed when it returns. If its caller is cancelled, it is
    committed all the same.

    Attributes
    ----------
    path : Path
        The file.
    sessions : Sessions
        The kernels that used it.
    tools : Tools
        The toolbox, with every version of every tool.
    history : History
        What was generated and what was run.
    cache : Cache
        The answers that runs may be given again.
    """

    def __init__(self, database: Database, *, cache_max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._database = database
        self.path = database.path
        self.sessions = Sessions(database)
        self.tools = Tools(database)
        self.history = History(database)
        self.cache = Cache(database, cache_max_bytes)

    @classmethod
    async def open(cls, path: Path, *, cache_max_bytes: int = DEFAULT_MAX_BYTES) -> Self:
        """Open a database, made if it is not there, and bring its tables up to date.

        Parameters
        ----------
        path : Path
            The file.
        cache_max_bytes : int
            Bound of the stored answers together.

        Raises
        ------
        StoreError
            The file can't be opened, is not a database, belongs to another program, is damaged, or comes from
            a newer version. It is left as it was.
        """
        return cls(await Database.open(path), cache_max_bytes=cache_max_bytes)

    async def aclose(self) -> None:
        """Close the file after what was asked before; closing twice is not an error."""
        await self._database.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def commit(
        self,
        executions: Sequence[ExecutionRow] = (),
        generations: Sequence[GenerationRow] = (),
        cache_entries: Sequence[CacheEntry] = (),
    ) -> None:
        """Keep the rows of a cell in one transaction: all or none."""
        if executions or generations or cache_entries:
            await self._database.write(self._keeping(executions, generations, cache_entries))

    def commit_blocking(
        self, executions: Sequence[ExecutionRow] = (), cache_entries: Sequence[CacheEntry] = ()
    ) -> None:
        """Keep rows as `commit` does, from a thread that has no loop and waits for it."""
        if executions or cache_entries:
            self._database.write_blocking(self._keeping(executions, (), cache_entries))

    def _keeping(
        self,
        executions: Sequence[ExecutionRow],
        generations: Sequence[GenerationRow],
        cache_entries: Sequence[CacheEntry],
    ) -> Callable[[sqlite3.Connection], None]:
        keep_answers = self.cache.keeping(cache_entries, [row.cache_key for row in executions if row.cached])

        def work(connection: sqlite3.Connection) -> None:
            add_generations(connection, generations)
            add_runs(connection, executions)
            keep_answers(connection)

        return work
