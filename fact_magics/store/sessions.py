"""Sessions, and the versions that each of them holds on to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fact_magics.store.binding import ambiguous, fields_of, prefix_range, records
from fact_magics.store.rows import SessionRow

if TYPE_CHECKING:
    import sqlite3

_FIELDS = ("id", "notebook", "kernel", "python", "started_at", "ended_at")


def start(connection: sqlite3.Connection, session: SessionRow) -> None:
    """Keep a session; one that was started before, which a reloaded extension does, goes on."""
    connection.execute(
        """
        INSERT INTO sessions (id, notebook, kernel, python, started_at, ended_at)
        VALUES (:id, :notebook, :kernel, :python, :started_at, NULL)
        ON CONFLICT (id) DO UPDATE SET ended_at = NULL, notebook = excluded.notebook
        """,
        fields_of(session, _FIELDS),
    )


def end(connection: sqlite3.Connection, session_id: str, ended_at: str) -> None:
    """Note a session's end."""
    connection.execute("UPDATE sessions SET ended_at = ? WHERE id = ?", (ended_at, session_id))


def find(connection: sqlite3.Connection, session: str) -> SessionRow | None:
    """Find a session by its id or, where it is hexadecimal, an unambiguous beginning of it.

    Raises
    ------
    UnknownName
        More than one session begins so.
    """
    found = records(connection.execute("SELECT * FROM sessions WHERE id = ?", (session,)))
    bounds = prefix_range(session)
    if not found and bounds:
        query = "SELECT * FROM sessions WHERE id >= ? AND id < ? LIMIT 2"
        found = records(connection.execute(query, bounds))
    if len(found) > 1:
        raise ambiguous(session, "session")
    return _session(found[0]) if found else None


def latest(connection: sqlite3.Connection, limit: int) -> list[SessionRow]:
    """List sessions, the one that started last first."""
    query = "SELECT * FROM sessions ORDER BY started_at DESC LIMIT ?"
    return [_session(record) for record in records(connection.execute(query, (limit,)))]


def pin(connection: sqlite3.Connection, session_id: str, name: str, tool_id: str) -> None:
    """Hold a session to a version of a tool, whatever becomes current."""
    connection.execute(
        """
        INSERT INTO session_pins (session_id, name, tool_id) VALUES (?, ?, ?)
        ON CONFLICT (session_id, name) DO UPDATE SET tool_id = excluded.tool_id
        """,
        (session_id, name, tool_id),
    )


def pinned(connection: sqlite3.Connection, session_id: str, name: str) -> str | None:
    """Tell the id of the version that a session is held to, or None."""
    query = "SELECT tool_id FROM session_pins WHERE session_id = ? AND name = ?"
    row = connection.execute(query, (session_id, name)).fetchone()
    return row[0] if row else None


def _session(record: dict[str, Any]) -> SessionRow:
    return SessionRow(**record)
