"""`Maps`: the maps of a database, and the answers that unfinished maps keep."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fact_magics.store.binding import Rows, execute, fetch, fetch_by_id, insert, values_of
from fact_magics.store.listing import filters, select
from fact_magics.store.rows import MapRow
from fact_magics.store.search import match_expression

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime, timedelta

    from fact_magics.store.database import Database
    from fact_magics.tool import Status

_CLEARED_AT_ONCE = 2_000
# Only the tools that have maps are looked up in the index, however many tools there are.
_OF_TOOLS = """tool_name IN (
    SELECT toolbox.name FROM (SELECT DISTINCT tool_name FROM maps) AS mapped
    CROSS JOIN toolbox ON toolbox.name = mapped.tool_name
    CROSS JOIN tool_search ON tool_search.rowid = toolbox.seq
    WHERE tool_search MATCH ?
)"""


def put_map(connection: sqlite3.Connection, row: MapRow) -> None:
    """Add a map, or replace what is stored about it, in a transaction of the caller."""
    values = values_of(row)
    changes = ", ".join(f"{name} = excluded.{name}" for name in values if name != "id")
    insert(connection, "maps", values, f"ON CONFLICT (id) DO UPDATE SET {changes}")


class Maps:
    """The maps of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, row: MapRow) -> None:
        """Add a map, or replace what is stored about it."""
        await self._database.write(partial(put_map, row=row))

    async def unfinished(self, content_key: str) -> MapRow | None:
        """Find the latest map of the same content, unless all of its rows went well."""
        query = "SELECT * FROM maps WHERE content_key = ? ORDER BY seq DESC LIMIT 1"
        found = await self._database.read(lambda connection: fetch(connection, MapRow, query, content_key))
        latest = found[0] if found else None
        is_open = latest is not None and (latest.ended_at is None or latest.skipped + latest.failed > 0)
        return latest if is_open else None

    async def listed(
        self,
        *,
        session_id: str | None = None,
        tool_name: str | None = None,
        status: Status | None = None,
        since: str | datetime | timedelta | None = None,
        search: str | None = None,
        limit: int | None = 20,
    ) -> Rows[MapRow]:
        """List maps, the latest first, with the filters of `History.runs`.

        `search` finds the maps of tools that `Tools.search` finds; the rows of maps are not searched.
        """
        asked = filters("started_at", session_id, tool_name, status, since)
        if search is not None:
            asked[_OF_TOOLS] = match_expression(search) or '""'
        return await self._database.read(
            lambda connection: select(connection, MapRow, "*", "maps", asked, "seq DESC", limit)
        )

    async def find(self, map_id: str) -> MapRow | None:
        """Find a map by its id or the beginning of its id; raises `UnknownName` if several match."""
        ids = "SELECT id FROM maps WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
        found = await self._database.read(
            lambda connection: fetch_by_id(
                connection, MapRow, ids, "SELECT * FROM maps WHERE id = ?", map_id, "map"
            )
        )
        return found[0] if found else None

    async def forget_answers(self, row: MapRow) -> None:
        """Remove the answers that a map kept for itself, in small transactions."""
        bounds = (row.answers, f"{row.answers}g")
        chosen = f"SELECT rowid FROM cache WHERE key >= ? AND key < ? LIMIT {_CLEARED_AT_ONCE}"  # noqa: S608 - no input

        def work(connection: sqlite3.Connection) -> int:
            found = execute(connection, chosen, *bounds).fetchall()
            connection.executemany("DELETE FROM cache WHERE rowid = ?", found)
            return len(found)

        while await self._database.write(work):
            pass
