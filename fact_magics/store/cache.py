"""`Cache`: answers that outlive the kernel, bounded in bytes; the least recently used are removed first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fact_magics.store.binding import execute, fetch, insert, values_of
from fact_magics.store.rows import CacheEntry, CacheStats
from fact_magics.text import utc_now

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from fact_magics.store.database import Database

DEFAULT_MAX_BYTES = 1024 * 1024 * 1024

_SWEPT_AT_ONCE = 32
# How stale the order of eviction may be, so that a hit does not have to write.
_TOUCH_SECONDS = 3600.0
_TOUCHES_REMEMBERED = 10_000


class Cache:
    """The stored answers of a database.

    Parameters
    ----------
    max_bytes : int
        Bound of all answers together; a larger answer is not kept.
    """

    def __init__(self, database: Database, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._touched: dict[str, float] = {}
        self._hits = 0
        self._misses = 0

    async def get(self, key: str) -> CacheEntry | None:
        """Find an answer that has not expired. The caller judges whether its confirmations suffice."""
        query = "SELECT * FROM cache WHERE key = ?"
        found = await self._database.read(lambda connection: fetch(connection, CacheEntry, query, key))
        if not found or found[0].expired(utc_now()):
            self._misses += 1
            return None
        self._hits += 1
        return found[0]

    async def put(self, entry: CacheEntry) -> None:
        """Keep an answer in place of the one with its key.

        The confirmations of an entry with the same key and result are added to its own.
        """
        await self._database.write(self.keeping((entry,)))

    async def forget(self, key: str) -> bool:
        """Remove an answer; tells whether it was there."""
        return await self._database.write(lambda connection: _delete(connection, key))

    async def clear(self, tool_id: str | None = None) -> int:
        """Remove the answers of one version, or all of them; tells how many there were."""

        def work(connection: sqlite3.Connection) -> int:
            if tool_id is not None:
                return execute(connection, "DELETE FROM cache WHERE tool_id = ?", tool_id).rowcount
            count, _ = _total(connection)
            connection.execute("DELETE FROM cache")
            return count

        return await self._database.write(work)

    async def stats(self) -> CacheStats:
        """Count what is stored, and what this object was asked for."""
        entries, size = await self._database.read(_total)
        return CacheStats(
            entries=entries,
            bytes=size,
            max_bytes=self._max_bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=0,
        )

    def keeping(
        self, entries: Sequence[CacheEntry], used: Iterable[str | None] = ()
    ) -> Callable[[sqlite3.Connection], None]:
        """Make the part of a transaction that keeps answers, and notes that the keys in `used` were used."""
        now = utc_now()
        stale = self._stale(used)

        def work(connection: sqlite3.Connection) -> None:
            for key in stale:
                execute(connection, "UPDATE cache SET used_at = ? WHERE key = ?", now, key)
            for entry in entries:
                _put(connection, entry, now, self._max_bytes)

        return work

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


def _put(connection: sqlite3.Connection, entry: CacheEntry, now: str, max_bytes: int) -> None:
    if entry.size > max_bytes:
        _delete(connection, entry.key)
        return
    values = values_of(entry) | {"result_hash": entry.result_hash, "size": entry.size, "used_at": now}
    changes = ", ".join(
        f"{name} = excluded.{name}" for name in values if name not in {"key", "confirmations"}
    )
    insert(
        connection,
        "cache",
        values,
        f"""
        ON CONFLICT (key) DO UPDATE SET
        confirmations = CASE WHEN result_hash = excluded.result_hash
            THEN confirmations + excluded.confirmations ELSE excluded.confirmations END,
        {changes}
        """,
    )
    _sweep(connection, now, max_bytes)


def _sweep(connection: sqlite3.Connection, now: str, max_bytes: int) -> None:
    # A few each time: what has expired is never served, so it only has to go faster than it comes.
    expired = (
        "SELECT key FROM cache WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?"
    )
    for row in connection.execute(expired, (now, _SWEPT_AT_ONCE)).fetchall():
        _delete(connection, row[0])
    oldest = "SELECT key, size FROM cache ORDER BY used_at LIMIT ?"
    excess = _total(connection)[1] - max_bytes
    while excess > 0:
        rows = connection.execute(oldest, (_SWEPT_AT_ONCE,)).fetchall()
        if not rows:  # the total is not what the rows add up to
            break
        for key, size in rows:
            _delete(connection, key)
            excess -= size
            if excess <= 0:
                break


def _delete(connection: sqlite3.Connection, key: str) -> bool:
    return execute(connection, "DELETE FROM cache WHERE key = ?", key).rowcount > 0


def _total(connection: sqlite3.Connection) -> tuple[int, int]:
    entries, size = connection.execute("SELECT entries, bytes FROM cache_total").fetchone()
    return int(entries), int(size)
