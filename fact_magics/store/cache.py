"""`Cache`: answers that outlive the kernel, bounded in bytes; the least recently used are removed first."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fact_magics.store.binding import execute, fetch, insert, values_of
from fact_magics.store.rows import CacheEntry
from fact_magics.text import utc_now, utc_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from fact_magics.store.database import Database

DEFAULT_MAX_BYTES = 1024 * 1024 * 1024

_SWEPT_AT_ONCE = 32
# A hit writes its time of use at most so often; the order of eviction may be as old.
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

    async def get(self, key: str) -> CacheEntry | None:
        """Find an answer that has not expired. The caller judges whether its confirmations suffice."""
        query = "SELECT * FROM cache WHERE key = ?"
        found = await self._database.read(lambda connection: fetch(connection, CacheEntry, query, key))
        return found[0] if found and not found[0].expired(utc_now()) else None

    async def forget(self, key: str) -> None:
        """Remove the answer of a key, if there is one."""
        await self._database.write(lambda connection: _delete(connection, key))

    def keeping(
        self, entries: Sequence[CacheEntry], used: Iterable[str | None] = ()
    ) -> Callable[[sqlite3.Connection], None]:
        """Make the part of a transaction that stores answers and marks those under the keys `used` as used.

        An answer replaces the one with its key, and adds the confirmations of one with the same result to
        its own.
        """
        now = datetime.now(UTC)
        # Two uses within a millisecond have an order too.
        used_at = utc_text(now, "microseconds")
        stale = self._stale(used)

        def work(connection: sqlite3.Connection) -> None:
            for key in stale:
                execute(connection, "UPDATE cache SET used_at = ? WHERE key = ?", used_at, key)
            for entry in entries:
                if entry.size > self._max_bytes:
                    _delete(connection, entry.key)
                else:
                    _put(connection, entry, used_at)
                    _sweep(connection, utc_text(now), self._max_bytes)

        return work

    def _stale(self, keys: Iterable[str | None]) -> list[str]:
        """Select the keys whose last use was not written for a while, and remember them as written."""
        clock = time.monotonic()
        due = {
            key for key in keys if key and clock - self._touched.get(key, -_TOUCH_SECONDS) >= _TOUCH_SECONDS
        }
        if len(self._touched) + len(due) > _TOUCHES_REMEMBERED:
            self._touched.clear()
        self._touched.update(dict.fromkeys(due, clock))
        return sorted(due)


def _put(connection: sqlite3.Connection, entry: CacheEntry, used_at: str) -> None:
    values = values_of(entry) | {"result_hash": entry.result_hash, "size": entry.size, "used_at": used_at}
    changed = [name for name in values if name not in ("key", "confirmations")]
    changes = ", ".join(f"{name} = excluded.{name}" for name in changed)
    insert(
        connection,
        "cache",
        values,
        f"""
        ON CONFLICT (key) DO UPDATE SET {changes},
        confirmations = excluded.confirmations + iif(result_hash = excluded.result_hash, confirmations, 0)
        """,
    )


def _sweep(connection: sqlite3.Connection, now: str, max_bytes: int) -> None:
    # An expired answer is never served, so a few at a time are enough, as long as they go faster than they
    # come.
    expired = (
        "SELECT key FROM cache WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?"
    )
    for (key,) in connection.execute(expired, (now, _SWEPT_AT_ONCE)).fetchall():
        _delete(connection, key)
    (total,) = connection.execute("SELECT bytes FROM cache_total").fetchone()
    excess = total - max_bytes
    oldest = "SELECT key, size FROM cache ORDER BY used_at, rowid LIMIT ?"
    while excess > 0:
        rows = connection.execute(oldest, (_SWEPT_AT_ONCE,)).fetchall()
        if not rows:  # the total is not the sum of the rows
            break
        for key, size in rows:
            _delete(connection, key)
            excess -= size
            if excess <= 0:
                break


def _delete(connection: sqlite3.Connection, key: str) -> None:
    execute(connection, "DELETE FROM cache WHERE key = ?", key)
