"""`Store`: the database that keeps tools, history and answers after the kernel ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from fact_magics.store.cache import DEFAULT_MAX_BYTES, Cache
from fact_magics.store.database import Database
from fact_magics.store.history import History, add_generations, add_runs
from fact_magics.store.map_rows import MapRows
from fact_magics.store.maps import Maps, put_map
from fact_magics.store.probes import Probes
from fact_magics.store.sessions import Sessions
from fact_magics.store.tools import Tools

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from fact_magics.store.locks import LockWait
    from fact_magics.store.rows import CacheEntry, ExecutionRow, GenerationRow, MapRow


class Store:
    """The database of one `FACT_HOME`, made by `Store.open`. Several kernels may open it at once.

    Many tasks at once may await the methods of the store and of its parts (`sessions`, `tools`, `history`,
    `cache`, `maps`). The methods raise `StoreError` if the file can't be read or written. When a method that
    writes returns, its data is committed. If its caller is cancelled, the data is still committed.
    """

    def __init__(
        self,
        database: Database,
        *,
        cache_max_bytes: int = DEFAULT_MAX_BYTES,
        masked: Callable[[ExecutionRow], ExecutionRow] = lambda row: row,
    ) -> None:
        self._database = database
        self._masked = masked
        self.path = database.path
        self.sessions = Sessions(database)
        self.tools = Tools(database)
        self.history = History(database)
        self.probes = Probes(database)
        self.cache = Cache(database, cache_max_bytes)
        self.maps = Maps(database)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        cache_max_bytes: int = DEFAULT_MAX_BYTES,
        masked: Callable[[ExecutionRow], ExecutionRow] = lambda row: row,
    ) -> Self:
        """Open a database, create it if necessary, and bring its tables up to date.

        Stored answers take at most `cache_max_bytes` in total. `masked` removes keys from a row before it is
        stored; an answer that holds a key is not stored.

        Raises
        ------
        StoreError
            The file can't be opened, is not a database, belongs to another program, is damaged, or comes from
            a newer version of fact_magics. The file is not changed.
        """
        return cls(await Database.open(path), cache_max_bytes=cache_max_bytes, masked=masked)

    async def aclose(self) -> None:
        """Close the file when all earlier calls are done; closing twice is not an error."""
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
        of_map: Sequence[MapRows] = (),
        maps: Sequence[MapRow] = (),
        *,
        wait: LockWait | None = None,
    ) -> None:
        """Store rows in one transaction: either all of them are stored or none.

        `of_map` are further rows, whose answers are kept in the cache; `maps` replace what is stored about
        these maps. `wait` is the wait for another program's lock; when it ends, `StoreLocked` is raised.
        """
        if executions or generations or cache_entries or of_map or maps:
            work = self._keeping(executions, generations, cache_entries, of_map, maps)
            self.cache.note_evicted(await self._database.write(work, wait=wait))

    def commit_blocking(
        self,
        executions: Sequence[ExecutionRow] = (),
        generations: Sequence[GenerationRow] = (),
        cache_entries: Sequence[CacheEntry] = (),
        of_map: Sequence[MapRows] = (),
        maps: Sequence[MapRow] = (),
        *,
        wait: LockWait | None = None,
    ) -> None:
        """Store rows as `commit` does, but block the calling thread, which must not run an event loop."""
        if executions or generations or cache_entries or of_map or maps:
            work = self._keeping(executions, generations, cache_entries, of_map, maps)
            self.cache.note_evicted(self._database.write_blocking(work, wait=wait))

    def lock_wait(self, seconds: float | None = None) -> LockWait:
        """Make the wait for locks of a call, so that the caller can end it.

        It lasts at most this long: by default 25 seconds, or 0.3 if earlier work has waited in vain.
        """
        return self._database.lock_wait(seconds)

    @property
    def is_locked(self) -> bool:
        """Whether work has waited in vain for another program's lock, and nothing was written since then."""
        return self._database.is_locked

    def stop_waiting(self) -> None:
        """Let work that waits for another program's lock raise `StoreLocked` at once."""
        self._database.stop_waiting()

    def _keeping(
        self,
        executions: Sequence[ExecutionRow],
        generations: Sequence[GenerationRow],
        cache_entries: Sequence[CacheEntry],
        of_map: Sequence[MapRows],
        maps: Sequence[MapRow],
    ) -> Callable[[sqlite3.Connection], int]:
        apart = [many for many in of_map if not self._is_plain(many)]
        for many in apart:
            executions, cache_entries = [*executions, *many.rows()], [*cache_entries, *many.entries()]
        together = MapRows.joined(many for many in of_map if many not in apart)
        rows = [self._masked(row) for row in executions]
        unfit = {
            row.cache_key
            for row, masked in zip(executions, rows, strict=True)
            if (row.output_data, row.printed) != (masked.output_data, masked.printed)
        }
        cache_entries = [entry for entry in cache_entries if entry.key not in unfit]
        used = [row.cache_key for row in executions if row.cached]
        used += [key for many in together if many.same.cached for key in many.keys]
        computed = [many for many in together if not many.same.cached]
        keep_answers = self.cache.keeping(cache_entries, used, computed)

        def work(connection: sqlite3.Connection) -> int:
            add_generations(connection, generations)
            add_runs(connection, rows, together)
            for row in maps:
                put_map(connection, row)
            return keep_answers(connection)

        return work

    def _is_plain(self, many: MapRows) -> bool:
        """Whether rows can be stored as they are: none holds a key, or a text that needs escapes."""
        probe = many.probe
        return many.is_storable and self._masked(probe) is probe and self.cache.has_room_for(many)
