"""Money that reused tools and prompt caches saved.

A reused tool saves what its generation once cost. The provider's prompt cache saves, for each token read from
it, the difference to the price of a new token. Where no price is known, nothing is counted.

Sums are kept by hour, by day, by month and in total: for each session and tool, and for all of them (an empty
text). So the statistics of a large history stay fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

TABLE_OF_SAVINGS = """
    CREATE TABLE savings (
        session_id TEXT NOT NULL,
        tool_name  TEXT NOT NULL,
        period     TEXT NOT NULL,
        saved_usd  REAL NOT NULL,
        PRIMARY KEY (session_id, tool_name, period)
    ) WITHOUT ROWID
"""
"""The statement of the migration that creates the table."""

_COST = """
    SELECT sum(cost_usd) FROM generations WHERE generation_id =
        (SELECT generation_id FROM generations WHERE tool_id = ? LIMIT 1)
"""
_ADD = """
    INSERT INTO savings VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET saved_usd = saved_usd + excluded.saved_usd
"""
_READ = """
    SELECT sum(saved_usd) FROM savings WHERE session_id = ? AND tool_name = ? AND period >= ? AND period < ?
"""
_HOUR, _DAY, _MONTH = len("2026-11-22T09"), len("2026-11-22"), len("2026-11")


def cost_of(connection: sqlite3.Connection, tool_id: str) -> float | None:
    """Return the known cost of the attempts that led to a version."""
    found = connection.execute(_COST, (tool_id,)).fetchone()[0]
    return found if isinstance(found, float) else None


def add_saved(
    connection: sqlite3.Connection, session_id: str | None, tool_name: str, at: str, saved_usd: float | None
) -> None:
    """Add an amount that was saved at a time, if it is known."""
    if saved_usd is None:
        return
    periods = ("", f"H{at[:_HOUR]}", f"D{at[:_DAY]}", f"M{at[:_MONTH]}")
    scopes = [(session, tool) for session in {session_id or "", ""} for tool in (tool_name, "")]
    connection.executemany(_ADD, [(*scope, period, saved_usd) for scope in scopes for period in periods])


def read_saved(
    connection: sqlite3.Connection, session_id: str, tool_name: str, since: str | None
) -> float | None:
    """Return what a session and a tool saved since the hour of a time; None if nothing is known.

    An empty text means all sessions or all tools.
    """
    ranges = [("", " ")]
    if since is not None:
        hour, day, month = since[:_HOUR], since[:_DAY], since[:_MONTH]
        # The rest of the day, the rest of the month, and all later months.
        ranges = [(f"H{hour}", f"H{day}U"), (f"D{day} ", f"D{month}."), (f"M{month} ", "N")]
    found = [connection.execute(_READ, (session_id, tool_name, *limits)).fetchone()[0] for limits in ranges]
    known = [amount for amount in found if isinstance(amount, float)]
    return sum(known) if known else None
