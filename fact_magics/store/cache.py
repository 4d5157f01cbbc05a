"""`Cache`: answers that outlive the kernel. Above a limit of bytes, the least recently used are removed."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fact_magics.store.binding import UNREADABLE, count, execute, fetch, insert_many
from fact_magics.store.map_rows import insert_answers
from fact_magics.store.memory import CacheStats, Removed
from fact_magics.store.rows import ENTRY_OVERHEAD, CacheEntry
from fact_magics.text import utc_now, utc_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from fact_magics.store.database import Database
    from fact_magics.store.map_rows import MapRows

DEFAULT_MAX_BYTES = 1024 * 1024 * 1024

_SWEPT_AT_ONCE = 32
_CLEARED_AT_ONCE = 2_000
# The stored time of an answer's last use is updated at most once in this many seconds. So the order of
# eviction may be out of date by this many seconds.
_TOUCH_SECONDS = 3600.0
_TOUCHES_REMEMBERED = 10_000


class Cache:
    """The stored answers of a database, at most `max_bytes` in total. A larger answer is not stored."""

    def __init__(self, database: Database, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._touched: dict[str, float] = {}
        self._hits = self._misses = self._evictions = 0

    async def get(self, key: str) -> CacheEntry | None:
        """Find an answer that has not expired. The caller decides whether enough runs have given it.

        A row that can't be read as an answer is removed.
        """
        query = "SELECT * FROM cache WHERE key = ?"
        found = await self._database.read(lambda connection: fetch(connection, CacheEntry, query, key))
        if found.unreadable:
            await self.forget(key)
        entry = found[0] if found and not found[0].expired(utc_now()) else None
        if entry is None:
            self._misses += 1
        else:
            self._hits += 1
        return entry

    def holds_blocking(self, key: str) -> bool:
        """Tell whether there is a row for a key, whatever is in it; blocks the calling thread."""
        query = "SELECT 1 FROM cache WHERE key = ?"
        found = self._database.read_blocking(lambda connection: connection.execute(query, (key,)).fetchone())
        return found is not None

    def count_miss(self) -> None:
        """Count a run for which `holds_blocking` found nothing, if `get` is not asked too."""
        self._misses += 1

    async def get_many(self, keys: Sequence[str]) -> dict[str, CacheEntry]:
        """Find the answers of several runs as `get` does, by their keys; what can't be read is left out."""
        query = "SELECT * FROM cache WHERE key IN (SELECT value FROM json_each(?))"
        found = await self._database.read(
            lambda connection: fetch(connection, CacheEntry, query, json.dumps([*keys]))
        )
        now = utc_now()
        entries = {entry.key: entry for entry in found if not entry.expired(now)}
        self._hits += len(entries)
        self._misses += len(keys) - len(entries)
        return entries

    async def forget(self, key: str) -> None:
        """Remove the answer with this key, if it exists."""
        await self._database.write(lambda connection: _delete(connection, key))

    async def stats(self) -> CacheStats:
        """Return the size of the cache, and the counts of this session."""
        entries, size = await self._database.read(_totals)
        return CacheStats(
            entries=entries,
            bytes=size,
            max_bytes=self._max_bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
        )

    async def clear(self, *, tool_ids: Sequence[str] | None = None, before: str | None = None) -> Removed:
        """Remove answers, in small transactions, so that other kernels don't wait.

        Parameters
        ----------
        tool_ids : sequence of str, optional
            Only answers of these versions.
        before : str, optional
            Only answers that were made before this time, in UTC.
        """
        conditions, values = ["rowid > ?"], []
        if tool_ids is not None:
            conditions.append("tool_id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps([*tool_ids]))
        if before is not None:
            conditions.append("created_at < ?")
            values.append(before)
        where = " AND ".join(conditions)
        chosen = f"SELECT rowid, size FROM cache WHERE {where} ORDER BY rowid LIMIT {_CLEARED_AT_ONCE}"  # noqa: S608

        def work(connection: sqlite3.Connection) -> list[tuple[int, object]]:
            found = execute(connection, chosen, last, *values).fetchall()
            connection.executemany("DELETE FROM cache WHERE rowid = ?", [(row,) for row, _ in found])
            return found

        last, removed, size = -(2**63), 0, 0
        while found := await self._database.write(work):
            last = found[-1][0]
            removed += len(found)
            size += sum(bytes_ for _, bytes_ in found if type(bytes_) is int)
        return Removed(entries=removed, bytes=size)

    def note_evicted(self, evicted: int) -> None:
        """Add to the number of evictions, after a commit."""
        self._evictions += evicted

    def has_room_for(self, rows: MapRows) -> bool:
        """Whether no answer of the rows is too large to be stored."""
        return ENTRY_OVERHEAD + 4 * max(map(len, rows.outputs), default=0) <= self._max_bytes

    def keeping(
        self,
        entries: Sequence[CacheEntry],
        used: Iterable[str | None] = (),
        of_map: Sequence[MapRows] = (),
    ) -> Callable[[sqlite3.Connection], int]:
        """Return a function that stores `entries`, and new times of use for the keys in `used`.

        An entry replaces the stored entry with the same key. If both have the same result, the confirmations
        of the stored entry are added to those of the new entry. Answers of maps are stored as `entries`
        are. Call the function in a transaction; it returns how many answers it removed to make room.
        """
        now = utc_now()
        stale = self._stale(used)
        fitting = [entry for entry in entries if entry.size <= self._max_bytes]

        def work(connection: sqlite3.Connection) -> int:
            evicted = 0
            used_at = _next_use(connection) if stale or entries or of_map else ""
            for key in stale:
                execute(connection, "UPDATE cache SET used_at = ? WHERE key = ?", used_at, key)
            for entry in entries:
                if entry.size > self._max_bytes:
                    _delete(connection, entry.key)
            for start in range(0, len(fitting), _SWEPT_AT_ONCE):
                _put(connection, fitting[start : start + _SWEPT_AT_ONCE], used_at)
                evicted += _sweep(connection, now, self._max_bytes)
            for rows in of_map:
                insert_answers(connection, rows, _REPLACE, used_at)
                evicted += _sweep(connection, now, self._max_bytes)
            return evicted

        return work

    def _stale(self, keys: Iterable[str | None]) -> list[str]:
        """Select the keys whose time of use must be written again, and note the current time for each key."""
        clock = time.monotonic()
        due = {
            key for key in keys if key and clock - self._touched.get(key, -_TOUCH_SECONDS) >= _TOUCH_SECONDS
        }
        if len(self._touched) + len(due) > _TOUCHES_REMEMBERED:
            self._touched.clear()
        self._touched.update(dict.fromkeys(due, clock))
        return sorted(due)


def _next_use(connection: sqlite3.Connection) -> str:
    """Return a time later than every stored time of use, even if the clock has not moved on."""
    now = datetime.now(UTC)
    while (latest := connection.execute("SELECT max(used_at) FROM cache").fetchone()[0]) is not None:
        try:
            return utc_text(max(now, datetime.fromisoformat(latest) + timedelta(milliseconds=1)))
        except UNREADABLE:
            # Not by its value: text that is not UTF-8 was read as bytes, and SQLite finds these unequal.
            connection.execute("DELETE FROM cache WHERE used_at = (SELECT max(used_at) FROM cache)")
    return utc_text(now)


_CHANGED = (
    *(each.name for each in fields(CacheEntry) if each.name not in ("key", "confirmations")),
    *("result_hash", "size", "used_at"),
)
_REPLACE = f"""
    ON CONFLICT (key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _CHANGED)},
    confirmations = excluded.confirmations + iif(result_hash = excluded.result_hash, confirmations, 0)
"""


def _put(connection: sqlite3.Connection, entries: Sequence[CacheEntry], used_at: str) -> None:
    insert_many(
        connection,
        "cache",
        entries,
        _REPLACE,
        result_hash=[entry.result_hash for entry in entries],
        size=[entry.size for entry in entries],
        used_at=[used_at] * len(entries),
    )


def _sweep(connection: sqlite3.Connection, now: str, max_bytes: int) -> int:
    """Remove some expired answers, and those that exceed the limit; return the number of the latter."""
    # Expired answers are never served. Removing a few of them with each new answer keeps their number small.
    expired = (
        "SELECT rowid FROM cache WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?"
    )
    gone = "DELETE FROM cache WHERE rowid = ?"
    connection.executemany(gone, connection.execute(expired, (now, _SWEPT_AT_ONCE)).fetchall())
    excess = _total(connection, max_bytes) - max_bytes
    oldest = "SELECT rowid, size FROM cache ORDER BY used_at LIMIT 1"
    evicted = 0
    while excess > 0 and (found := connection.execute(oldest).fetchone()):
        row, size = found
        connection.execute(gone, (row,))
        excess -= size if type(size) is int else 0
        evicted += 1
    return evicted


def _totals(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the number of all answers and their bytes; count them if no such numbers are stored."""
    return _stored_totals(connection) or _counted(connection, "WHERE typeof(size) = 'integer'")


def _stored_totals(connection: sqlite3.Connection) -> tuple[int, int] | None:
    found = connection.execute("SELECT entries, bytes FROM cache_total").fetchone()
    with suppress(*UNREADABLE):
        entries, size = found
        return count(entries), count(size)
    return None


def _counted(connection: sqlite3.Connection, where: str = "") -> tuple[int, int]:
    query = " ".join(("SELECT count(*), coalesce(sum(size), 0) FROM cache", where))
    entries, size = connection.execute(query).fetchone()
    return int(entries), int(size)


def _total(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Return the bytes of all answers; if no such number is stored, add the sizes up again."""
    stored = _stored_totals(connection)
    if stored is None:
        unfit = "DELETE FROM cache WHERE typeof(size) <> 'integer' OR size NOT BETWEEN 0 AND ?"
        connection.execute(unfit, (max_bytes,))
        stored = _counted(connection)
        connection.execute("REPLACE INTO cache_total VALUES (1, ?, ?)", stored)
    return stored[1]


def _delete(connection: sqlite3.Connection, key: str) -> None:
    execute(connection, "DELETE FROM cache WHERE key = ?", key)
