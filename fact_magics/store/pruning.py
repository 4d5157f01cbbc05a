"""Removal of old runs. Their tools, generations and answers stay, and so do their totals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fact_magics.store.blocks import count_removed
from fact_magics.store.since import read_since
from fact_magics.store.totals import text_of
from fact_magics.text import utc_now

if TYPE_CHECKING:
    import sqlite3

# How many rows one transaction looks at. It takes a few milliseconds, or tens if all are removed.
_ROWS = 500
_TEXTS = ("input_data", "output_data", "error", "details", "printed")


class Pruned(NamedTuple):
    """The number of runs that were removed, and the bytes of their inputs, outputs and other texts."""

    runs: int
    bytes: int


def remove_runs(connection: sqlite3.Connection, *, after: int, before: str) -> tuple[int | None, Pruned]:
    """Remove the old runs among the next rows, in a transaction of the caller.

    Parameters
    ----------
    after : int
        The number of the last row that was looked at.
    before : str
        Runs that were executed before this time are old.

    Returns
    -------
    int or None
        The number of the last row that was looked at now; None if there are no more rows.
    Pruned
        What was removed.
    """
    size = " + ".join(f"coalesce(length(CAST({name} AS BLOB)), 0)" for name in _TEXTS)
    seen = connection.execute(
        f"""
        SELECT seq, executed_at < ?, {size}, executed_at, {text_of("session_id")}, {text_of("tool_name")}
        FROM tool_executions
        WHERE seq > ? ORDER BY seq LIMIT ?
        """,  # noqa: S608 - no input
        (before, after, _ROWS),
    ).fetchall()
    gone = [row for row in seen if row[1]]
    if gone:
        latest = max(str(at) for _, _, _, at, _, _ in gone)
        places = [(session, tool) for *_, session, tool in gone]
        count_removed(connection, places, gone[0][0] - 1, gone[-1][0], latest)
    old = [(row[0],) for row in gone]
    connection.executemany("DELETE FROM execution_search WHERE rowid = ?", old)
    connection.executemany("DELETE FROM tool_executions WHERE seq = ?", old)
    removed = Pruned(len(old), sum(row[2] for row in gone))
    return (seen[-1][0] if len(seen) == _ROWS else None), removed


def claim_pruning(connection: sqlite3.Connection) -> bool:
    """Take the right to remove old runs today, in a transaction of the caller."""
    # Read here, because another kernel may have claimed while this one waited for the transaction.
    asked = {"now": utc_now(), "day_ago": read_since("1d")}
    claim = "UPDATE history_state SET pruned_at = :now WHERE pruned_at < :day_ago OR pruned_at > :now"
    return connection.execute(claim, asked).rowcount > 0  # a clock may have been ahead
