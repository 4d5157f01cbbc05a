"""`History`: the attempts of generations and the runs of tools."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from fact_magics.errors import CellError, StoreError, UnknownName
from fact_magics.store.binding import Rows, fetch_by_id, insert, insert_many, values_of
from fact_magics.store.blocks import BLOCK, catch_up, keep_up, keep_up_with_map, missing
from fact_magics.store.listing import filters, select
from fact_magics.store.map_rows import MapRows, insert_runs
from fact_magics.store.pruning import Pruned, claim_pruning, remove_runs
from fact_magics.store.rows import ExecutionRow, GenerationRow
from fact_magics.store.savings import add_saved, cost_of
from fact_magics.store.search import (
    indexable,
    indexable_json,
    match_expression,
    name_token,
    run_expression,
)
from fact_magics.store.since import read_since
from fact_magics.store.stats import Stats, read_stats
from fact_magics.store.totals import GENERATIONS, RUNS
from fact_magics.text import utc_now

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime, timedelta

    from fact_magics.store.database import Database
    from fact_magics.tool import Status, ToolMetadata

# A run that computed its answer is indexed up to the limit in `search`. A run answered by the cache is
# indexed only up to this limit: indexing a long answer again took longer than the rest of the cell.
_CACHED_CHARACTERS = 1_024
# A reuse matters only for the statistics, so a cell does not wait longer for a database lock.
_REUSE_SECONDS = 0.3


class History:
    """The history of a database. `Store.commit` and `Tools.accept` add its rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def runs(
        self,
        *,
        session_id: str | None = None,
        tool_name: str | None = None,
        tool_id: str | None = None,
        status: Status | None = None,
        search: str | None = None,
        since: str | datetime | timedelta | None = None,
        parent_id: str | None = None,
        limit: int | None = 20,
    ) -> Rows[ExecutionRow]:
        """List the runs that match all filters, the latest first.

        The latest run is the one that was recorded last, even if the clock was set back since.

        Parameters
        ----------
        search : str, optional
            Beginnings of words; all of them must appear in a run's input, output, printed text or error, in
            the name, description or tags of its tool, or in the file name of its notebook.
        since : str, datetime or timedelta, optional
            See `read_since`: ``2h``, ``3 days``, ``yesterday``, ISO 8601.
        parent_id : str, optional
            Only the rows of this map, in their order; an empty text for only the runs that belong to none.
        limit : int or None
            None for all.

        Raises
        ------
        CellError
            `search` contains no letter or digit, `since` can't be read, or `limit` is not a number of rows.
        """
        asked = filters("executed_at", session_id, tool_name, status, since) | {"tool_id = ?": tool_id}
        asked |= {"parent_id = ?": parent_id} if parent_id else {}
        asked |= {"parent_id IS NULL AND ?": 1} if parent_id == "" else {}
        if search is None:
            source, order = "tool_executions", "position, seq" if parent_id else "seq DESC"
            number = "seq"
        else:
            # The index yields its matches in this order, so a search for a common word can stop at the limit.
            source = "execution_search CROSS JOIN tool_executions ON seq = execution_search.rowid"
            number = "execution_search.rowid"
            order = "execution_search.rowid DESC"
            expression = await self._database.read(lambda connection: run_expression(connection, search))
            asked |= _matching("execution_search", "tool_executions", expression, search, session_id)
        asked |= _after("tool_executions", "executed_at", number, asked)
        return await self._database.read(
            lambda connection: select(
                connection, ExecutionRow, "tool_executions.*", source, asked, order, limit
            )
        )

    async def find_run(self, run_id: str) -> ExecutionRow | None:
        """Find a run by its id or the beginning of its id; raises `UnknownName` if several match."""
        ids = "SELECT id FROM tool_executions WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
        rows = "SELECT * FROM tool_executions WHERE id = ?"
        found = await self._database.read(
            lambda connection: fetch_by_id(connection, ExecutionRow, ids, rows, run_id, "run")
        )
        return found[0] if found else None

    async def generations(
        self,
        *,
        session_id: str | None = None,
        tool_name: str | None = None,
        status: Status | None = None,
        search: str | None = None,
        since: str | datetime | timedelta | None = None,
        limit: int | None = 20,
    ) -> Rows[GenerationRow]:
        """List attempts of generations, the latest first, with the filters of `runs`.

        The words of `search` must appear in the tool's name, the request's description, the reason of a
        rejection, or the file name of the notebook.
        """
        asked = filters("started_at", session_id, tool_name, status, since)
        source, number = "generations", "seq"
        if search is not None:
            source = "generation_search CROSS JOIN generations ON seq = generation_search.rowid"
            number = "generation_search.rowid"
            expression = match_expression(search)
            asked |= _matching("generation_search", "generations", expression, search, session_id)
        asked |= _after("generations", "started_at", number, asked)
        order = f"{number} DESC"
        return await self._database.read(
            lambda connection: select(connection, GenerationRow, "generations.*", source, asked, order, limit)
        )

    async def attempts(self, generation_id: str) -> list[GenerationRow]:
        """List the attempts of one generation in order; `generation_id` may be shortened as in `find_run`."""
        ids = """
            SELECT generation_id FROM generations WHERE generation_id >= ? AND generation_id < ?
            GROUP BY generation_id ORDER BY generation_id LIMIT 2
        """
        rows = "SELECT * FROM generations WHERE generation_id = ? ORDER BY attempt"
        return await self._database.read(
            lambda connection: fetch_by_id(connection, GenerationRow, ids, rows, generation_id, "generation")
        )

    async def find(self, row_id: str) -> ExecutionRow | list[GenerationRow] | None:
        """Find a run, or the attempts of a generation; raises `UnknownName` if several ids match."""
        run = await self.find_run(row_id)
        if run is not None and run.id == row_id:
            return run
        attempts = await self.attempts(row_id)
        if run is not None and attempts:
            raise UnknownName(f"A run and a generation begin with {row_id!r}.", hint="Write more of the id.")
        return run or attempts or None

    async def add_reuse(self, session_id: str, reused: ToolMetadata) -> None:
        """Count what was saved because a stored version answered a request without a model."""
        cost, at = await self.cost_of(reused.id), utc_now()
        if cost is not None:
            await self._database.write(
                lambda connection: add_saved(connection, session_id, reused.name, at, cost),
                wait=self._database.lock_wait(_REUSE_SECONDS),
            )

    async def cost_of(self, tool_id: str) -> float | None:
        """Return the known cost of the attempts that led to a version."""
        return await self._database.read(lambda connection: cost_of(connection, tool_id))

    async def stats(
        self,
        *,
        session_id: str | None = None,
        tool_name: str | None = None,
        since: str | datetime | timedelta | None = None,
    ) -> Stats:
        """Read the numbers of runs and generations; see `read_since` and `read_stats`."""
        with suppress(StoreError):  # the rows that are missing in the totals are then read themselves
            await self.catch_up()
        moment = None if since is None else read_since(since)
        return await self._database.read(
            lambda connection: read_stats(
                connection, session_id=session_id or "", tool_name=tool_name or "", since=moment
            )
        )

    async def prune(self, before: str) -> AsyncIterator[Pruned]:
        """Remove the runs that were executed before a time, in the form of the rows; yields what went so far.

        Each transaction is short, so that other kernels can write in between. If the caller stops
        iterating, the removal stops; removed runs stay removed. The totals stay.
        """
        await self.catch_up()
        at: int | None = 0
        gone = Pruned(0, 0)
        while at is not None:
            work = partial(remove_runs, after=at, before=before)
            at, removed = await self._database.write(work)
            gone = Pruned(gone.runs + removed.runs, gone.bytes + removed.bytes)
            yield gone

    async def catch_up(self) -> None:
        """Count rows that commits did not count, as after a migration; others can write at the same time."""
        for of in (RUNS, GENERATIONS):
            while await self._database.read(partial(missing, of=of)) > BLOCK and await self._database.write(
                partial(catch_up, of=of)
            ):
                pass

    async def claim_pruning(self) -> bool:
        """Tell whether a day has passed since the last claim of any kernel, and claim this day if so."""
        return await self._database.write(claim_pruning)


def add_generations(connection: sqlite3.Connection, rows: Iterable[GenerationRow]) -> None:
    """Add attempts within a transaction of the caller, except attempts that are already stored.

    A caller that was cancelled during a commit may pass the same rows again.
    """
    stored = []
    for row in rows:
        conflict = "ON CONFLICT (generation_id, attempt) DO NOTHING"
        kept = insert(connection, "generations", values_of(row), conflict)
        if not kept.rowcount:
            continue
        number = kept.lastrowid or 0
        _add_marks(connection, "generations", "started_at", number, number)
        add_saved(connection, row.session_id, row.tool_name, row.started_at, row.saved_usd)
        texts = (row.tool_name, _notebook(connection, row.session_id), row.description, row.reason)
        connection.execute(
            "INSERT OR REPLACE INTO generation_search (rowid, words) VALUES (?, ?)",
            (number, indexable("\n".join(texts))),
        )
        stored.append(number)
    keep_up(connection, GENERATIONS, stored)


def add_runs(
    connection: sqlite3.Connection, rows: Sequence[ExecutionRow], of_map: Sequence[MapRows] = ()
) -> None:
    """Add runs as `add_generations` adds attempts, and index the words of their texts."""
    stored: list[int] = []
    for many in of_map:
        first, new = insert_runs(connection, many)
        last = first + new - 1
        _add_marks(connection, "tool_executions", "executed_at", first, last)
        if new < len(many) or not keep_up_with_map(connection, many, first):
            stored += range(first, last + 1)
    before = connection.total_changes
    first, last = insert_many(connection, "tool_executions", rows, "ON CONFLICT (id) DO NOTHING")
    numbered = [*zip(range(first, last + 1), rows, strict=True)] if rows else []
    if connection.total_changes - before < len(rows):
        known = "SELECT seq, id FROM tool_executions WHERE seq BETWEEN ? AND ?"
        ids = dict(connection.execute(known, (first, last)))
        numbered = [(number, row) for number, row in numbered if ids.get(number) == row.id]
    if rows:
        _add_marks(connection, "tool_executions", "executed_at", first, last)
    sessions = {row.session_id for _, row in numbered}
    notebooks = {session: _notebook(connection, session) for session in sessions}
    connection.executemany(
        # If another program deleted a run with this number, the index may still hold its words.
        "INSERT OR REPLACE INTO execution_search (rowid, input, output, notes) VALUES (?, ?, ?, ?)",
        # A map is found as a whole; indexing the words of its rows would take longer than storing them.
        [
            (number, *_words(row, notebooks[row.session_id]))
            for number, row in numbered
            if row.parent_id is None
        ],
    )
    keep_up(connection, RUNS, [*stored, *(number for number, _ in numbered)])


def _words(row: ExecutionRow, notebook: str) -> tuple[str, str, str]:
    given, answered = row.input_data or "", row.output_data or ""
    notes = "\n".join(filter(None, (row.error, row.printed)))
    if row.cached:
        given, answered, notes = (text[:_CACHED_CHARACTERS] for text in (given, answered, notes))
    notes = " ".join((row.tool_name, name_token(row.tool_name), notebook, notes))
    return indexable_json(given), indexable_json(answered), indexable(notes)


def _notebook(connection: sqlite3.Connection, session_id: str | None) -> str:
    """Return the file name of a session's notebook, or an empty text."""
    found = connection.execute("SELECT notebook FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return str(found[0]).replace("\\", "/").rpartition("/")[2] if found else ""


def _matching(
    index: str, rows: str, expression: str | None, search: str, session_id: str | None
) -> dict[str, object]:
    """Return the conditions of a full-text search."""
    if expression is None:
        raise CellError(
            f"{search[:80]!r} has no letter or digit to search for.", hint="Write a word or a number."
        )
    # Otherwise, a search in a new session would look at all matches in earlier sessions.
    first = " ".join(("SELECT coalesce(min(seq), 9223372036854775807) FROM", rows, "WHERE session_id = ?"))
    return {f"{index} MATCH ?": expression, f"{index}.rowid >= ({first})": session_id}


_MARK = """
    INSERT OR REPLACE INTO ROWS_reached
    SELECT :number, max(
        (SELECT max(CLOCK) FROM ROWS WHERE seq > coalesce(earlier.seq, 0) AND seq <= :number),
        coalesce(reached_at, '')
    )
    FROM (SELECT 1) LEFT JOIN (
        SELECT seq, reached_at FROM ROWS_reached WHERE seq < :number ORDER BY seq DESC LIMIT 1
    ) AS earlier
"""


def _add_marks(connection: sqlite3.Connection, rows: str, clock: str, first: int, last: int) -> None:
    """After every 64th of the new rows, add a mark; see `_MARKS` in `schema`.

    A trigger would do the same, but it would slow down the insertion of every row.
    """
    for number in range(first - first % -64, last + 1, 64):
        connection.execute(_MARK.replace("ROWS", rows).replace("CLOCK", clock), {"number": number})


def _after(rows: str, clock: str, number: str, asked: dict[str, object]) -> dict[str, object]:
    """Return a condition that ends the walk back through a table where all earlier rows are too old."""
    ended = " ".join(
        (
            "SELECT seq FROM",
            f"{rows}_reached",
            "WHERE reached_at < ? ORDER BY reached_at DESC, seq DESC LIMIT 1",
        )
    )
    return {f"{number} > coalesce(({ended}), 0)": asked[f"{clock} >= ?"]}
