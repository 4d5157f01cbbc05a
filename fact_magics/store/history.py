"""What was generated and what was run: kept, and found again."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError
from fact_magics.store.binding import ambiguous, fields_of, prefix_range, records, words
from fact_magics.store.rows import ExecutionRow, GenerationRow
from fact_magics.store.search import indexable, indexable_json, match_expression
from fact_magics.tool import Status

if TYPE_CHECKING:
    import sqlite3

_GENERATION_FIELDS = tuple(field.name for field in fields(GenerationRow))
_EXECUTION_FIELDS = tuple(field.name for field in fields(ExecutionRow))
_NO_LIMIT = -1
# An answer from the cache is indexed whole with the run that made it. Again with each cached run, the words
# of a long one took longer than the rest of its cell.
_CACHED_CHARACTERS = 1_024


def add_generation(connection: sqlite3.Connection, row: GenerationRow) -> None:
    """Keep an attempt; one that is there already, after a commit whose caller was cancelled, stays."""
    connection.execute(
        """
        INSERT INTO generations (
            generation_id, attempt, session_id, tool_name, request_hash, description, contract, permissions,
            provider, model, status, reason, text, source, input_tokens, output_tokens, cache_read_tokens,
            cache_creation_tokens, cost_usd, started_at, duration_ms, tool_id
        ) VALUES (
            :generation_id, :attempt, :session_id, :tool_name, :request_hash, :description, :contract,
            :permissions, :provider, :model, :status, :reason, :text, :source, :input_tokens, :output_tokens,
            :cache_read_tokens, :cache_creation_tokens, :cost_usd, :started_at, :duration_ms, :tool_id
        )
        ON CONFLICT (generation_id, attempt) DO NOTHING
        """,
        fields_of(row, _GENERATION_FIELDS),
    )


def add_execution(connection: sqlite3.Connection, row: ExecutionRow) -> None:
    """Keep a run, and the words of its input, output and printed text for the search.

    One that is there already, after a commit whose caller was cancelled, stays.
    """
    kept = connection.execute(
        """
        INSERT INTO tool_executions (
            id, session_id, tool_id, tool_name, tool_version, input_data, output_data, status, error, details,
            printed, cached, cache_key, isolation, permissions, duration_ms, executed_at
        ) VALUES (
            :id, :session_id, :tool_id, :tool_name, :tool_version, :input_data, :output_data, :status, :error,
            :details, :printed, :cached, :cache_key, :isolation, :permissions, :duration_ms, :executed_at
        )
        ON CONFLICT (id) DO NOTHING
        """,
        fields_of(row, _EXECUTION_FIELDS),
    )
    if not kept.rowcount:
        return
    given, answered = row.input_data or "", row.output_data or ""
    notes = "\n".join(filter(None, (row.error, row.printed)))
    if row.cached:
        given, answered, notes = (text[:_CACHED_CHARACTERS] for text in (given, answered, notes))
    connection.execute(
        "INSERT INTO execution_search (rowid, input, output, notes) VALUES (?, ?, ?, ?)",
        (kept.lastrowid, indexable_json(given), indexable_json(answered), indexable(notes)),
    )


def executions(
    connection: sqlite3.Connection,
    *,
    session_id: str | None,
    tool_name: str | None,
    tool_id: str | None,
    status: Status | None,
    search: str | None,
    since: str | None,
    limit: int | None,
) -> list[ExecutionRow]:
    """List runs, the latest first.

    Raises
    ------
    CellError
        `search` holds no letter and no digit.
    """
    conditions, parameters = _conditions("executed_at", session_id, tool_name, status, since)
    if tool_id is not None:
        conditions.append("tool_id = ?")
        parameters.append(tool_id)
    if search is None:
        source, order = "tool_executions", "executed_at DESC, seq DESC"
    else:
        # The index hands out its matches in this order, so that a common word costs no more than the limit.
        source = "execution_search CROSS JOIN tool_executions ON seq = execution_search.rowid"
        order = "execution_search.rowid DESC"
        conditions.insert(0, "execution_search MATCH ?")
        parameters.insert(0, _expression(search))
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = " ".join(("SELECT tool_executions.* FROM", source, where, "ORDER BY", order, "LIMIT ?"))
    return _executions(connection.execute(query, (*parameters, _NO_LIMIT if limit is None else limit)))


def execution(connection: sqlite3.Connection, execution_id: str) -> ExecutionRow | None:
    """Find a run by its id or an unambiguous beginning of it.

    Raises
    ------
    UnknownName
        More than one run begins so.
    """
    bounds = prefix_range(execution_id)
    if bounds is None:
        return None
    query = "SELECT * FROM tool_executions WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
    found = _executions(connection.execute(query, bounds))
    if len(found) > 1 and found[0].id != bounds[0]:
        raise ambiguous(execution_id, "run")
    return found[0] if found else None


def generations(
    connection: sqlite3.Connection,
    *,
    session_id: str | None,
    tool_name: str | None,
    status: Status | None,
    since: str | None,
    limit: int | None,
) -> list[GenerationRow]:
    """List attempts, the latest first."""
    conditions, parameters = _conditions("started_at", session_id, tool_name, status, since)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = " ".join(
        ("SELECT * FROM generations", where, "ORDER BY started_at DESC, seq DESC LIMIT ?"),
    )
    return _generations(connection.execute(query, (*parameters, _NO_LIMIT if limit is None else limit)))


def attempts(connection: sqlite3.Connection, generation_id: str) -> list[GenerationRow]:
    """List the attempts of one generation, by its id or an unambiguous beginning of it, the first first.

    Raises
    ------
    UnknownName
        More than one generation begins so.
    """
    bounds = prefix_range(generation_id)
    if bounds is None:
        return []
    ends = """
        SELECT generation_id FROM generations WHERE generation_id >= ? AND generation_id < ?
        GROUP BY generation_id ORDER BY generation_id LIMIT 2
    """
    found = [row[0] for row in connection.execute(ends, bounds)]
    if len(found) > 1 and found[0] != bounds[0]:
        raise ambiguous(generation_id, "generation")
    query = "SELECT * FROM generations WHERE generation_id = ? ORDER BY attempt"
    return _generations(connection.execute(query, found[:1])) if found else []


def _conditions(
    clock: str, session_id: str | None, tool_name: str | None, status: Status | None, since: str | None
) -> tuple[list[str], list[object]]:
    asked = (
        ("session_id = ?", session_id),
        ("tool_name = ?", tool_name),
        ("status = ?", None if status is None else str(status)),
        (f"{clock} >= ?", since),
    )
    conditions = [condition for condition, value in asked if value is not None]
    if status not in {None, Status.OK}:
        conditions.append("status <> 'ok'")  # word for word what the indexes of failures say
    return conditions, [value for _, value in asked if value is not None]


def _expression(search: str) -> str:
    expression = match_expression(search)
    if expression is None:
        raise CellError(
            f"{search[:80]!r} holds nothing that the history is searched for.",
            hint="Write a word or a number.",
        )
    return expression


def _executions(cursor: sqlite3.Cursor) -> list[ExecutionRow]:
    return [_execution(record) for record in records(cursor)]


def _execution(record: dict[str, Any]) -> ExecutionRow:
    del record["seq"]
    record.update(
        status=Status(record["status"]),
        cached=bool(record["cached"]),
        permissions=words(record["permissions"]),
    )
    return ExecutionRow(**record)


def _generations(cursor: sqlite3.Cursor) -> list[GenerationRow]:
    return [_generation(record) for record in records(cursor)]


def _generation(record: dict[str, Any]) -> GenerationRow:
    del record["seq"]
    record.update(status=Status(record["status"]), permissions=words(record["permissions"]))
    return GenerationRow(**record)
