"""`Sessions`: which kernels used the database, and the versions that each of them is pinned to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.store.binding import execute, fetch, full_id
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
        """Record a session. Starting it again, as a reloaded extension does, removes its end."""
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
        """Find a session by its id or the beginning of it (`UnknownName` if several sessions begin so)."""

        def work(connection: sqlite3.Connection) -> SessionRow | None:
            ids = "SELECT id FROM sessions WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
            session_id = full_id(connection, ids, session, "session") or session
            found = fetch(connection, SessionRow, "SELECT * FROM sessions WHERE id = ?", session_id)
            return found[0] if found else None

        return await self._database.read(work)

    async def pin(self, session_id: str, name: str, tool_id: str) -> None:
        """Pin a session to a version of a tool: it keeps it when another version becomes current."""
        await self._database.write(lambda connection: pin(connection, session_id, name, tool_id))

    async def pinned(self, session_id: str, name: str) -> str | None:
        """Give the id of the version that a session is pinned to, or None."""
        query = "SELECT tool_id FROM session_pins WHERE session_id = ? AND name = ?"
        row = await self._database.read(
            lambda connection: execute(connection, query, session_id, name).fetchone()
        )
        return row[0] if row else None


def pin(connection: sqlite3.Connection, session_id: str, name: str, tool_id: str) -> None:
    """Pin a session as a part of a transaction."""
    query = """
        INSERT INTO session_pins (session_id, name, tool_id) VALUES (?, ?, ?)
        ON CONFLICT (session_id, name) DO UPDATE SET tool_id = excluded.tool_id
    """
    execute(connection, query, session_id, name, tool_id)
