"""Answers that outlive the kernel: bounded in bytes, the least recently used out first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fact_magics.clock import utc_text
from fact_magics.store.binding import fields_of, records
from fact_magics.store.rows import CacheEntry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

DEFAULT_MAX_BYTES = 1024 * 1024 * 1024

_FIELDS = (
    "key", "tool_id", "result", "result_hash", "printed", "duration_ms", "created_at", "expires_at",
    "confirmations", "size",
)  # fmt: skip
_SWEPT_AT_ONCE = 32


def get(connection: sqlite3.Connection, key: str, now: str) -> CacheEntry | None:
    """Find an answer that is still good at `now`."""
    query = """
        SELECT key, tool_id, result, printed, duration_ms, created_at, expires_at, confirmations
        FROM cache WHERE key = ?
    """
    found = records(connection.execute(query, (key,)))
    entry = _entry(found[0]) if found else None
    return None if entry is None or entry.expired(now) else entry


def put(connection: sqlite3.Connection, entry: CacheEntry, now: str, max_bytes: int) -> None:
    """Keep an answer in place of the one with its key, and make room for it.

    Its confirmations join those of an entry with the same result. An answer above `max_bytes` alone
    is not kept.
    """
    if entry.size > max_bytes:
        delete(connection, entry.key)
        return
    connection.execute(
        """
        INSERT INTO cache (
            key, tool_id, result, result_hash, printed, duration_ms, created_at, expires_at, confirmations,
            size, used_at
        ) VALUES (
            :key, :tool_id, :result, :result_hash, :printed, :duration_ms, :created_at, :expires_at,
            :confirmations, :size, :used_at
        )
        ON CONFLICT (key) DO UPDATE SET
            confirmations = CASE WHEN result_hash = excluded.result_hash
                THEN confirmations + excluded.confirmations ELSE excluded.confirmations END,
            tool_id = excluded.tool_id, result = excluded.result, result_hash = excluded.result_hash,
            printed = excluded.printed, duration_ms = excluded.duration_ms, created_at = excluded.created_at,
            expires_at = excluded.expires_at, size = excluded.size, used_at = excluded.used_at
        """,
        {**fields_of(entry, _FIELDS), "used_at": _next_use(connection)},
    )
    _sweep(connection, now, max_bytes)


def touch(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Note that answers were used, which keeps them from being the first to go."""
    for key in keys:
        connection.execute("UPDATE cache SET used_at = ? WHERE key = ?", (_next_use(connection), key))


def delete(connection: sqlite3.Connection, key: str) -> bool:
    """Forget an answer; tells whether it was there."""
    return connection.execute("DELETE FROM cache WHERE key = ?", (key,)).rowcount > 0


def clear(connection: sqlite3.Connection, tool_id: str | None) -> int:
    """Forget the answers of one version, or all of them; tells how many there were."""
    if tool_id is None:
        (count,) = connection.execute("SELECT entries FROM cache_total").fetchone()
        connection.execute("DELETE FROM cache")
        return int(count)
    return connection.execute("DELETE FROM cache WHERE tool_id = ?", (tool_id,)).rowcount


def total(connection: sqlite3.Connection) -> tuple[int, int]:
    """Tell the number of answers and their bytes."""
    entries, size = connection.execute("SELECT entries, bytes FROM cache_total").fetchone()
    return int(entries), int(size)


def _next_use(connection: sqlite3.Connection) -> str:
    """Tell the time of a use, later than all earlier ones even if the clock has not moved on."""
    moment = datetime.now(UTC)
    (latest,) = connection.execute("SELECT max(used_at) FROM cache").fetchone()
    if latest is not None:
        moment = max(moment, datetime.fromisoformat(latest) + timedelta(milliseconds=1))
    return utc_text(moment)


def _sweep(connection: sqlite3.Connection, now: str, max_bytes: int) -> None:
    # A few each time: what has expired is never served, so it only has to go faster than it comes.
    expired = (
        "SELECT key FROM cache WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?"
    )
    for row in connection.execute(expired, (now, _SWEPT_AT_ONCE)).fetchall():
        delete(connection, row[0])
    oldest = "SELECT key, size FROM cache ORDER BY used_at LIMIT ?"
    excess = total(connection)[1] - max_bytes
    while excess > 0:
        rows = connection.execute(oldest, (_SWEPT_AT_ONCE,)).fetchall()
        if not rows:  # the total is not what the rows add up to
            break
        for key, size in rows:
            delete(connection, key)
            excess -= size
            if excess <= 0:
                break


def _entry(record: dict[str, Any]) -> CacheEntry:
    return CacheEntry(**record)
