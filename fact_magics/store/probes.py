"""`Probes`: how far the examples of versions go, and the cells that the versions came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fact_magics.store.binding import execute, fetch, insert, values_of
from fact_magics.text import utc_now

if TYPE_CHECKING:
    import sqlite3

    from fact_magics.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow:
    """One probe of a version.

    Attributes
    ----------
    changes, caught, inputs, untried : int
        The numbers of changes and other candidates that give another answer, of those that fail an example,
        of inputs that the tool answered, and of changes for which there was no time.
    candidates : int
        How many of `changes` are other candidates.
    questions, surprises : str
        JSON.
    """

    tool_id: str
    tool_name: str
    tool_version: str
    changes: int
    caught: int
    inputs: int
    questions: str
    surprises: str
    untried: int
    seconds: float
    candidates: int = 0
    probed_at: str = field(default_factory=utc_now)


class Probes:
    """The probes of a database; the newest one of a version counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: ProbeRow, strength: str) -> None:
        """Store a probe, and write its short result into the row of the version."""

        def work(connection: sqlite3.Connection) -> None:
            insert(connection, "probes", values_of(row))
            execute(connection, "UPDATE tools SET strength = ? WHERE id = ?", strength, row.tool_id)

        await self._database.write(work)

    async def newest(self, tool_id: str) -> ProbeRow | None:
        """Find the newest probe of a version."""
        query = "SELECT * FROM probes WHERE tool_id = ? ORDER BY seq DESC LIMIT 1"
        found = await self._database.read(lambda connection: fetch(connection, ProbeRow, query, tool_id))
        return found[0] if found else None

    async def keep_cell(self, tool_id: str, tool_name: str, cell: str) -> None:
        """Keep the text of the cell that asked for a version."""

        def work(connection: sqlite3.Connection) -> None:
            execute(connection, "DELETE FROM tool_cells WHERE tool_id = ?", tool_id)
            insert(connection, "tool_cells", {"tool_id": tool_id, "tool_name": tool_name, "cell": cell})

        await self._database.write(work)

    async def cell(self, tool_id: str, tool_name: str) -> str:
        """Return the cell that asked for a version, or the newest cell for its name, or an empty text."""
        query = """
            SELECT cell FROM tool_cells WHERE tool_id = ? OR tool_name = ?
            ORDER BY tool_id = ? DESC, seq DESC LIMIT 1
        """
        found = await self._database.read(
            lambda connection: execute(connection, query, tool_id, tool_name, tool_id).fetchone()
        )
        return found[0] if found and isinstance(found[0], str) else ""
