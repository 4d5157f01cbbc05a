"""List the rows that match filters: runs, attempts of generations, and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from fact_magics.store.binding import Rows, fetch, spare
from fact_magics.store.since import read_since
from fact_magics.tool import Status

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime, timedelta

T = TypeVar("T")


def filters(
    clock: str,
    session_id: str | None,
    tool_name: str | None,
    status: Status | None,
    since: str | datetime | timedelta | None,
) -> dict[str, object]:
    """Return the conditions that all lists share, with their values; `clock` is the column of the time."""
    return {
        "session_id = ?": session_id,
        "tool_name = ?": tool_name,
        "status = ?": status,
        f"{clock} >= ?": None if since is None else read_since(since),
    }


def select(
    connection: sqlite3.Connection,
    kind: type[T],
    columns: str,
    source: str,
    asked: dict[str, object],
    order: str,
    limit: int | None,
) -> Rows[T]:
    """Fetch the rows that match all conditions in `asked` whose value is not None."""
    asked = {condition: value for condition, value in asked.items() if value is not None}
    conditions = list(asked)
    if asked.get("status = ?", Status.OK) != Status.OK:
        conditions.append("status <> 'ok'")  # must be exactly the condition of the indexes of failures
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = " ".join(("SELECT", columns, "FROM", source, where, "ORDER BY", order, "LIMIT ?"))
    return fetch(connection, kind, query, *asked.values(), spare(limit), limit=limit)
