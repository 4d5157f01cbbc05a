"""`Store`: everything that outlives the kernel, behind one async door."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, TypeVar

from fact_magics.clock import utc_now
from fact_magics.store import cache, history, sessions, tools
from fact_magics.store.binding import encodable
from fact_magics.store.database import Database
from fact_magics.store.rows import CacheEntry, CacheStats, Candidate, ExecutionRow, GenerationRow, SessionRow
from fact_magics.store.since import read_since

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path
    from types import TracebackType

    from fact_magics.tool import Status, ToolVersion

T = TypeVar("T")

# How stale the order of eviction may be, so that a hit does not have to write.
_TOUCH_SECONDS = 3600.0
_TOUCHES_REMEMBERED = 10_000


class Store:
    """The database of one `FACT_HOME`: sessions, tools, generations, runs, answers.

    Any number of kernels may have it open. What returns has been committed. Every method raises
    `StoreError` where the file can't be read or written, and may be awaited from any number of tasks; a
    cancelled write is done all the same.

    Parameters
    ----------
    database : Database
        An open one.
    cache_max_bytes : int
        Bound of the stored answers together.
    """

    def __init__(self, database: Database, *, cache_max_bytes: int = cache.DEFAULT_MAX_BYTES) -> None:
        self._database = database
        self._cache_max_bytes = cache_max_bytes
        self._touched: dict[str, float] = {}
        self._hits = 0
        self._misses = 0

    @classmethod
    async def open(cls, path: Path, *, cache_max_bytes: int = cache.DEFAULT_MAX_BYTES) -> Self:
        """Open a database, made if it is not there, and bring its tables up to date.

        Raises
        ------
        StoreError
            It can't be opened, is no database, another program's, damaged, or from a newer version; a file
            that is refused stays as it was.
        """
        return cls(await Database.open(path), cache_max_bytes=cache_max_bytes)

    async def aclose(self) -> None:
        """Close the file after what was asked before; closing twice is no error."""
        await self._database.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    # Sessions

    async def start_session(
        self,
        session_id: str,
        *,
        notebook: str = "",
        kernel: str = "",
        python: str = "",
        started_at: str | None = None,
    ) -> None:
        """Keep a session before its first row; one that was started before goes on."""
        session = SessionRow(
            id=session_id,
            notebook=notebook,
            kernel=kernel,
            python=python,
            started_at=started_at or utc_now(),
        )
        await self._write(sessions.start, session)

    async def end_session(self, session_id: str, *, ended_at: str | None = None) -> None:
        """Note a session's end."""
        await self._write(sessions.end, session_id, ended_at or utc_now())

    async def session(self, session_id: str) -> SessionRow | None:
        """Find a session by its id or an unambiguous beginning of it (`UnknownName` otherwise)."""
        return await self._read(sessions.find, session_id)

    async def sessions(self, limit: int = 20) -> list[SessionRow]:
        """List sessions, the one that started last first."""
        return await self._read(sessions.latest, limit)

    async def pin(self, session_id: str, name: str, tool_id: str) -> None:
        """Hold a session to a version, whatever becomes current."""
        await self._write(sessions.pin, session_id, name, tool_id)

    async def pinned(self, session_id: str, name: str) -> str | None:
        """Tell the id of the version that a session is held to, or None."""
        return await self._read(sessions.pinned, session_id, name)

    # Tools

    async def accept(
        self,
        candidate: Candidate,
        *,
        session_id: str | None = None,
        generations: Sequence[GenerationRow] = (),
    ) -> ToolVersion:
        """Make a candidate the next version of its name, current and the session's, in one transaction.

        The number is found inside the transaction, so that two kernels can't be given the same one. It
        follows the current version: another signature, a new major; another contract, a new minor;
        otherwise a new patch.

        Parameters
        ----------
        generations : sequence of GenerationRow
            The attempts that led to it, kept in the same transaction; the accepted one may
            carry ``tool_id=candidate.id``.
        """

        def work(connection: sqlite3.Connection) -> ToolVersion:
            version = tools.accept(connection, candidate, session_id)
            for row in generations:
                history.add_generation(connection, row)
            return version

        return await self._database.write(work)

    async def add_version(
        self,
        version: ToolVersion,
        *,
        signature_id: str = "",
        make_current: bool = True,
        session_id: str | None = None,
    ) -> None:
        """Keep a version under the number that it has, as an import does.

        Raises
        ------
        StoreError
            That number of that name is taken.
        """

        def work(connection: sqlite3.Connection) -> None:
            tools.add(connection, version, signature_id, session_id)
            if make_current:
                tools.set_current(connection, version.metadata.name, version.metadata.id, session_id)

        await self._database.write(work)

    async def get_tool(
        self, name: str, version: str | None = None, session_id: str | None = None
    ) -> ToolVersion | None:
        """Find what ``NAME`` or ``NAME@VERSION`` means to a session.

        Parameters
        ----------
        version : str or None
            None for the version that the session is held to, else the current one; ``1`` and ``1.2`` for the
            highest 1.x.x and 1.2.x; or exact.
        """
        return await self._read(tools.get, name, version, session_id)

    async def tool_by_id(self, tool_id: str) -> ToolVersion | None:
        """Find a version by its id, removed or not."""
        return await self._read(tools.by_id, tool_id)

    async def by_request(self, request_hash: str) -> ToolVersion | None:
        """Find the version that was accepted last for a request."""
        return await self._read(tools.by_request, request_hash)

    async def same_version(
        self, name: str, source: str, contract: str, permissions: tuple[str, ...]
    ) -> ToolVersion | None:
        """Find the version that was kept last with this very source, contract and permissions."""
        return await self._read(tools.same, name, source, contract, permissions)

    async def versions(self, name: str) -> list[ToolVersion]:
        """List the versions of a name, the highest first."""
        return await self._read(tools.versions, name)

    async def set_current(self, name: str, tool_id: str, *, session_id: str | None = None) -> None:
        """Make a version its name's current one, and the session's where one is given.

        Raises
        ------
        UnknownName
            The name has no such version, or it was removed.
        """
        await self._write(tools.set_current, name, tool_id, session_id)

    async def remove_tool(self, name: str) -> int:
        """Take a name out of the toolbox; its versions stay for the history. Tells how many they were."""
        return await self._write(tools.remove, name, utc_now())

    async def list_tools(self, limit: int = 100) -> list[ToolVersion]:
        """List current versions, the one that became current last first."""
        return await self._read(tools.latest, limit)

    async def tool_names(self, prefix: str = "", limit: int = 10_000) -> list[str]:
        """List the toolbox's names that begin so, sorted."""
        return await self._read(tools.names, prefix, limit)

    async def search_tools(self, text: str, limit: int = 20) -> list[ToolVersion]:
        """Find current versions by the beginnings of words in names, descriptions and tags, best first."""
        return await self._read(tools.search, text, limit)

    # History

    async def commit(
        self,
        executions: Sequence[ExecutionRow] = (),
        generations: Sequence[GenerationRow] = (),
        cache_entries: Sequence[CacheEntry] = (),
    ) -> None:
        """Keep the rows of a cell, all or none."""
        if executions or generations or cache_entries:
            await self._database.write(self._kept(executions, generations, cache_entries))

    def commit_blocking(
        self, executions: Sequence[ExecutionRow] = (), cache_entries: Sequence[CacheEntry] = ()
    ) -> None:
        """Keep the rows of a cell, all or none, from a thread that has no loop and waits for it."""
        if executions or cache_entries:
            self._database.write_blocking(self._kept(executions, (), cache_entries))

    def _kept(
        self,
        executions: Sequence[ExecutionRow],
        generations: Sequence[GenerationRow],
        cache_entries: Sequence[CacheEntry],
    ) -> Callable[[sqlite3.Connection], None]:
        now = utc_now()
        used = self._stale(row.cache_key for row in executions if row.cached)
        max_bytes = self._cache_max_bytes

        def work(connection: sqlite3.Connection) -> None:
            for generation in generations:
                history.add_generation(connection, generation)
            for execution in executions:
                history.add_execution(connection, execution)
            cache.touch(connection, used)
            for entry in cache_entries:
                cache.put(connection, entry, now, max_bytes)

        return work

    async def record_executions(self, rows: Sequence[ExecutionRow]) -> None:
        """Keep runs, all or none."""
        await self.commit(executions=rows)

    async def record_attempts(self, rows: Sequence[GenerationRow]) -> None:
        """Keep attempts of generations, all or none."""
        await self.commit(generations=rows)

    async def history(
        self,
        *,
        session_id: str | None = None,
        tool_name: str | None = None,
        tool_id: str | None = None,
        status: Status | None = None,
        search: str | None = None,
        since: str | datetime | timedelta | None = None,
        limit: int | None = 20,
    ) -> list[ExecutionRow]:
        """List runs, the latest first.

        Parameters
        ----------
        search : str, optional
            Words whose beginnings all appear in a run's input, output, printed text or error.
        since : str, datetime or timedelta, optional
            See `read_since`: ``2h``, ``3 days``, ``yesterday``, ISO 8601.
        limit : int or None
            None for all.

        Raises
        ------
        CellError
            `search` or `since` can't be read.
        """
        return await self._read(
            history.executions,
            session_id=session_id,
            tool_name=tool_name,
            tool_id=tool_id,
            status=status,
            search=search,
            since=None if since is None else read_since(since),
            limit=limit,
        )

    async def execution(self, execution_id: str) -> ExecutionRow | None:
        """Find a run by its id or an unambiguous beginning of it (`UnknownName` otherwise)."""
        return await self._read(history.execution, execution_id)

    async def generations(
        self,
        *,
        session_id: str | None = None,
        tool_name: str | None = None,
        status: Status | None = None,
        since: str | datetime | timedelta | None = None,
        limit: int | None = 20,
    ) -> list[GenerationRow]:
        """List attempts of generations, the latest first; the parameters are those of `history`."""
        return await self._read(
            history.generations,
            session_id=session_id,
            tool_name=tool_name,
            status=status,
            since=None if since is None else read_since(since),
            limit=limit,
        )

    async def attempts(self, generation_id: str) -> list[GenerationRow]:
        """List the attempts of one generation, by its id or an unambiguous beginning of it."""
        return await self._read(history.attempts, generation_id)

    # Cache

    async def cache_get(self, key: str) -> CacheEntry | None:
        """Find an answer that is still good. Whether its confirmations suffice is the caller's to judge."""
        entry = await self._read(cache.get, key, utc_now())
        if entry is None:
            self._misses += 1
        else:
            self._hits += 1
        return entry

    async def cache_put(self, entry: CacheEntry) -> None:
        """Keep an answer; its confirmations join those of an entry with the same key and result."""
        await self.commit(cache_entries=(entry,))

    async def cache_delete(self, key: str) -> bool:
        """Forget an answer; tells whether it was there."""
        return await self._write(cache.delete, key)

    async def cache_clear(self, tool_id: str | None = None) -> int:
        """Forget the answers of one version, or all; tells how many they were."""
        return await self._write(cache.clear, tool_id)

    async def cache_stats(self) -> CacheStats:
        """Count what is stored, and what this `Store` was asked."""
        entries, size = await self._read(cache.total)
        return CacheStats(
            entries=entries,
            bytes=size,
            max_bytes=self._cache_max_bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=0,
        )

    def _stale(self, keys: Iterable[str | None]) -> list[str]:
        """Of the keys that were used, those whose use has not been noted for a while."""
        clock = time.monotonic()
        due = {
            key for key in keys if key and clock - self._touched.get(key, -_TOUCH_SECONDS) >= _TOUCH_SECONDS
        }
        if len(self._touched) + len(due) > _TOUCHES_REMEMBERED:
            self._touched.clear()
        self._touched.update(dict.fromkeys(due, clock))
        return sorted(due)

    async def _read(self, work: Callable[..., T], *args: object, **options: object) -> T:
        given = [encodable(value) for value in args]
        asked = {name: encodable(value) for name, value in options.items()}
        return await self._database.read(lambda connection: work(connection, *given, **asked))

    async def _write(self, work: Callable[..., T], *args: object) -> T:
        given = [encodable(value) for value in args]
        return await self._database.write(lambda connection: work(connection, *given))
