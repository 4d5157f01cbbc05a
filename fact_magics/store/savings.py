"""What the history knows about money that was not spent.

A reused tool saves what its generation once cost; the provider's prompt cache saves, for each token read from
it, the difference to the price of a new token. Where no price is known, nothing is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_COST = """
    SELECT sum(cost_usd) FROM generations WHERE generation_id =
        (SELECT generation_id FROM generations WHERE tool_id = ? ORDER BY seq LIMIT 1)
"""


def cost_of(connection: sqlite3.Connection, tool_id: str) -> float | None:
    """Return what the attempts cost that led to a version, as far as it is known."""
    found = connection.execute(_COST, (tool_id,)).fetchone()[0]
    return found if isinstance(found, float) else None


def add_reuse(
    connection: sqlite3.Connection, session_id: str, tool_id: str, tool_name: str, reused_at: str
) -> None:
    """Record that a stored version answered a request."""
    connection.execute(
        "INSERT INTO reuses (session_id, tool_id, tool_name, saved_usd, reused_at) VALUES (?, ?, ?, ?, ?)",
        (session_id, tool_id, tool_name, cost_of(connection, tool_id), reused_at),
    )


def read_saved(
    connection: sqlite3.Connection, session_id: str, tool_name: str, since: str | None
) -> float | None:
    """Add up what was saved by a session and a tool (empty texts mean all), since a time; None if unknown."""
    given = {"session_id = ?": session_id, "tool_name = ?": tool_name}
    conditions = [condition for condition, value in given.items() if value]
    values = [value for value in (*given.values(), since) if value]
    total: float | None = None
    for rows, clock in (("generations", "started_at"), ("reuses", "reused_at")):
        where = " AND ".join(("saved_usd IS NOT NULL", *conditions, *([f"{clock} >= ?"] if since else [])))
        query = " ".join(("SELECT sum(saved_usd) FROM", rows, "WHERE", where))
        found = connection.execute(query, values).fetchone()[0]
        if isinstance(found, float):
            total = (total or 0.0) + found
    return total
