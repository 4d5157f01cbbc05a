"""`Sessions`: the kernels that used the database, and the tool versions that each kernel is pinned to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.store.binding import execute, fetch_by_id
from fact_magics.store.rows import SessionRow
from fact_magics.text import utc_now

if TYPE_CHECKING:
    import sqlite3

    from fact_magics.store.database import Database


class Sessions:
    """The sessions of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, session_id: str, *, notebook: str = "", kernel: str = "", python: str = "") -> None:
        """Record the start of a session. If it starts again, as after a reload, its end time is cleared."""
        query = """
            INSERT INTO sessions (id, notebook, kernel, python, started_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET ended_at = NULL, notebook = excluded.notebook
        """
        about = (session_id, notebook, kernel, python, utc_now())
        await self._database.write(lambda connection: execute(connection, query, *about))

    async def end(self, session_id: str) -> None:
        """Record the end of a session."""
        query = "UPDATE sessions SET ended_at = ? WHERE id = ?"
        await self._database.write(lambda connection: execute(connection, query, utc_now(), session_id))

    async def find(self, session: str) -> SessionRow | None:
        """Find a session by its id or the beginning of its id; raises `UnknownName` if several match."""
        ids = "SELECT id FROM sessions WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
        rows = "SELECT * FROM sessions WHERE id = ?"
        found = await self._database.read(
            lambda connection: fetch_by_id(connection, SessionRow, ids, rows, session, "session")
        )
        return found[0] if found else None

    async def pin(self, session_id: str, name: str, tool_id: str) -> None:
        """Record that a session keeps using a version of a tool, even if another version becomes current."""
        await self._database.write(lambda connection: pin(connection, session_id, name, tool_id))


def pin(connection: sqlite3.Connection, session_id: str, name: str, tool_id: str) -> None:
    """Pin a session as `Sessions.pin` does, within a transaction of the caller."""
    query = """
        INSERT INTO session_pins (session_id, name, tool_id) VALUES (?, ?, ?)
        ON CONFLICT (session_id, name) DO UPDATE SET tool_id = excluded.tool_id
    """
    execute(connection, query, session_id, name, tool_id)
