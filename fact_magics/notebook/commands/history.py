"""``%fact show``, ``history`` and ``rerun``: show one entry, list the history, repeat a run."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from fact_magics.core.handle import Tool
from fact_magics.display import cells
from fact_magics.display.probed import probe_record
from fact_magics.display.record import run_record, stacked, tool_record
from fact_magics.display.table import Table
from fact_magics.errors import CellError, InvalidInput, UnknownName, did_you_mean
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.notebook.commands.row_files import write_rows
from fact_magics.store import MapRow, Rows
from fact_magics.text import duration, plural
from fact_magics.tool import HAND, IMPORTED, Status, ToolInput
from fact_magics.values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fact_magics.core import FactCore
    from fact_magics.display.cells import Cell
    from fact_magics.display.html import Record
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.store import ExecutionRow, GenerationRow
    from fact_magics.tool import ToolOutput

_ROWS_LISTED = 20
_MAP_ROWS = 200
_JSON_ROWS = 10_000
_HEAD = ("Id", "When", "Status", "Tool", "Input → output", "Took", "Cost")
_RUNS_COUNTED = 50
_PRUNED = "Its runs were removed by %fact prune"
_RUNS_COMPARED = 200
_REASON_LIMIT = 80
# A shorter id could be a typing slip, and might mean another row once more rows are recorded.
_SHORTEST_ID = 4
_ENOUGH = f"The first {_SHORTEST_ID} characters of an id are enough."


def status(text: str) -> Status:
    """Read the value of ``--status``."""
    try:
        return Status(text)
    except ValueError:
        hint = did_you_mean(text, map(str, Status)) or f"It must be one of {', '.join(Status)}."
        raise ValueError(f"is not a status. {hint}") from None


def show(arguments: Arguments, desk: Desk) -> Answer:
    """Show a tool, a run, a map with its rows, or the attempts of a generation."""
    wanted = arguments.words["NAME|ID"]
    found = desk.ask(lambda core: _find(core, wanted))
    if isinstance(found, MapRow):
        limit = _JSON_ROWS if arguments.get("json") else _MAP_ROWS
        rows, failed = desk.ask(lambda core: _map_rows_of(core, found, limit))
        data = {
            "rows": [asdict(row) for row in rows],
            "rows_left_out": max(0, found.ok + found.cached + found.failed - len(rows)),
            "failed_rows": [asdict(row) for row in failed],
        }
        return Answer(_map_page(found, rows, failed), {**asdict(found), **data})
    if isinstance(found, list):
        return Answer(_generation_page(found), [asdict(row) for row in found])
    if not isinstance(found, Tool):
        return Answer(_run_page(found), asdict(found))
    runs = desk.ask(lambda core: core.list_runs(tool_id=found.id, limit=_RUNS_COUNTED + 1))
    uses = "none yet"
    if runs:
        many = f"more than {_RUNS_COUNTED} runs" if len(runs) > _RUNS_COUNTED else plural(len(runs), "run")
        uses = f"{many}, the last {cells.when(runs[0].executed_at).plain}"
    cost = desk.ask(lambda core: core.cost_of(found.id))
    probe = desk.ask(lambda core: core.newest_probe(found.stored.reference))
    about = {
        "signature": found.text,
        "source": found.source,
        "schema": found.json_schema(),
        "cost_usd": cost,
        "probe": None if probe is None else probe.as_json(),
    }
    record = tool_record(found.stored, found.text, uses=uses, cost=cost)
    if probe is not None:
        record = stacked([record, probe_record(probe)])
    return Answer(record, {**found.metadata.model_dump(mode="json"), **about})


async def _find(core: FactCore, wanted: str) -> Tool | MapRow | ExecutionRow | list[GenerationRow]:
    try:
        return await core.look_up(wanted)
    except (CellError, UnknownName) as error:
        if "@" in wanted:  # an id has no @
            raise
        problem = error
    is_short = len(wanted) < _SHORTEST_ID
    found = None if is_short else await core.find_map(wanted) or await core.find_row(wanted)
    if found is not None:
        return found
    names = await core.tool_names()
    if wanted in names:  # its current version can't be read
        raise problem
    hint = did_you_mean(wanted, names) or "List them with %fact tools and %fact history."
    if is_short:
        hint += f" {_ENOUGH}"
    raise UnknownName(f"No tool, run or generation is named {wanted!r}.", hint=hint)


def _run_page(row: ExecutionRow) -> Record:
    facts = [
        ("Tool", f"{row.tool_name} {row.tool_version or ''}".strip()),
        ("Status", f"{row.status}{', cached' if row.cached else ''}"),
        ("When", f"{row.executed_at} ({cells.when(row.executed_at).plain})"),
        ("Took", duration(row.duration_ms)),
        ("Input", row.input_data or ""),
        ("Output", row.output_data or ""),
        ("Printed", row.printed),
        ("Error", row.error or ""),
        ("Details", row.details or ""),
        ("Isolation", row.isolation),
        ("Allowed", ", ".join(row.permissions)),
        ("Session", row.session_id or ""),
    ]
    return page(f"Run {row.id}", facts)


async def _map_rows_of(
    core: FactCore, row: MapRow, limit: int
) -> tuple[Sequence[ExecutionRow], list[ExecutionRow]]:
    """Return the first runs of a map, and the first of its runs that failed."""
    runs = await core.list_runs(parent_id=row.id, limit=limit)
    if len(runs) < limit:
        return runs, [run for run in runs if run.status is not Status.OK]
    found: list[ExecutionRow] = []
    for status in Status:
        if status is not Status.OK:
            found += await core.list_runs(parent_id=row.id, status=status, limit=limit)
    return runs, sorted(found, key=lambda run: run.position or 0)[:limit]


def _map_page(row: MapRow, rows: Sequence[ExecutionRow], failed: Sequence[ExecutionRow]) -> Record:
    facts = [
        ("Tool", f"{row.tool_name} {row.tool_version}"),
        ("Status", str(row.status)),
        ("When", f"{row.started_at} ({cells.when(row.started_at).plain})"),
        ("Took", duration(row.duration_ms) if row.ended_at else ""),
        ("Rows", _map_counts(row)),
        ("Error", row.error or ""),
        ("Session", row.session_id or ""),
    ]
    title = plural(len(rows), "run") if len(rows) < _MAP_ROWS else f"The first {_MAP_ROWS} runs"
    if row.ended_at and len(rows) < min(row.ok + row.cached + row.failed, _MAP_ROWS):
        title = f"{title}; the others were removed by %fact prune" if rows else _PRUNED
    shown = [page(f"Map {row.id}", facts)]
    if failed and len(rows) == _MAP_ROWS:
        many = plural(len(failed), "failed run")
        shown.append(_map_rows(f"The first {many}" if len(failed) == _MAP_ROWS else many, failed))
    return stacked([*shown, _map_rows(title, rows)])


def _map_rows(title: str, rows: Sequence[ExecutionRow]) -> Record:
    return Table(
        title,
        ("Row", *_HEAD[:-1]),
        [["" if one.position is None else f"{one.position:,}", *_run_cells(one)[:-1]] for one in rows],
        numbers=("Row", "Took"),
    ).record()


def _map_counts(row: MapRow) -> str:
    kinds = {"failed": row.failed, "ok": row.ok, "cached": row.cached, "not run": row.skipped}
    known = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
    if row.ended_at is None:
        known.append("it still runs, or its kernel was killed")
    return " · ".join((*([plural(row.total, "row")] if row.total is not None else []), *known))


def _generation_page(attempts: list[GenerationRow]) -> Record:
    first = attempts[0]
    allowed = ", ".join(first.permissions)
    facts = [("Request", first.description), ("Examples", first.contract), ("Allowed", allowed)]
    for row in attempts:
        heading = f"{row.status} · {row.model} · {duration(row.duration_ms)}"
        if row.output_tokens is not None:
            heading += f" · {row.input_tokens} tokens in, {row.output_tokens} out"
        for tokens, what in (
            (row.cache_read_tokens, "read from the prompt cache"),
            (row.cache_creation_tokens, "written to it"),
        ):
            heading += f", {tokens} {what}" if tokens else ""
        heading = " · ".join(filter(None, (heading, cells.price([row]), cells.saving([row]), _beside(row))))
        facts += [(f"Attempt {row.attempt}", heading), ("Why", row.reason), ("Text", row.text)]
    facts.append(("Cost", cells.price(attempts)))
    return page(f"Generation {first.generation_id} of {first.tool_name}", facts)


def _beside(row: GenerationRow) -> str:
    """Say what became of a candidate that was accepted, while another one became the version."""
    if row.status is not Status.OK or row.tool_id is not None:
        return ""
    if row.group_number is None:
        return "accepted, but not stored"
    if row.group_number == 1:
        return "gives the same answers as the version"
    return f"gives another answer to {row.parting_call}" if row.parting_call else "gives other answers"


def as_options(words: Sequence[str], has_options: bool, line: str) -> str:
    """Say how to write the words of a ``%fact history`` line, which takes only options."""
    del line
    if has_options:  # the words are probably a value that has spaces
        return ""
    option = "-n" if words[0].isdigit() else "--tool"
    return f"Write %fact history {option} {shlex.quote(words[0])}"


def list_history(arguments: Arguments, desk: Desk) -> Answer:
    """List runs and generations, or write them to a file."""
    to = arguments.get("to")
    limit = arguments.get("n", None if to else _ROWS_LISTED)

    async def find(core: FactCore) -> tuple[Rows[ExecutionRow], Rows[GenerationRow], Rows[MapRow], str]:
        chosen = {
            "session_id": await session_id(core, arguments.get("session")),
            "tool_name": arguments.get("tool"),
            "status": arguments.get("status"),
            "since": arguments.get("since"),
            "search": arguments.get("search"),
            "limit": None if limit is None else limit + 1,
        }
        # A map may have gone well although some of its rows failed.
        parent = "" if chosen["status"] in (None, Status.OK) else None
        runs = await core.list_runs(**chosen, parent_id=parent)
        generations, maps = await core.list_generations(**chosen), await core.list_maps(**chosen)
        is_empty = not (runs or generations or maps)
        return runs, generations, maps, await unknown_tool(core, arguments.get("tool")) if is_empty else ""

    runs, generations, maps, unknown = desk.ask(find)
    run_times = _in_order(row.executed_at for row in runs)
    generation_times = _in_order(row.started_at for row in generations)
    map_times = _in_order(row.started_at for row in maps)
    found: list[tuple[str, tuple[str | Cell, ...], dict[str, Any]]] = [
        *(
            (time, _listed_cells(row), {"kind": "run", **asdict(row)})
            for time, row in zip(run_times, runs, strict=True)
        ),
        *(
            (time, _generation_cells(row), {"kind": "generation", **asdict(row)})
            for time, row in zip(generation_times, generations, strict=True)
        ),
        *(
            (time, _map_cells(row), {"kind": "map", **asdict(row)})
            for time, row in zip(map_times, maps, strict=True)
        ),
    ]
    found.sort(key=lambda item: item[0], reverse=True)
    listed = found[:limit]
    data = [row for _, _, row in listed]
    notes = [Rows((), runs.unreadable + generations.unreadable).note]
    if arguments.get("search") and arguments.get("status", Status.OK) is not Status.OK:
        notes.append("The rows of maps are not searched; find them without --search")
    left_out = ". ".join(filter(None, notes))
    if to:
        path = desk.path(to)
        write_rows(path, data, replace=arguments.get("replace", False))
        facts = [("Written", f"{plural(len(data), 'row')} to {path}"), ("Note", left_out)]
        return Answer(page("History", facts), data)
    if len(listed) < len(found):
        title = f"The latest {plural(len(listed), 'row')}; use -n N to list N rows"
    elif listed:
        title = plural(len(listed), "row")
    else:
        title = "No row matches." if arguments.options else "Nothing has run yet in this session."
        title = " ".join(filter(None, (title, unknown)))
    listed_rows = {row["generation_id"] for row in data if row["kind"] == "generation"}
    if total := cells.price(row for row in generations if row.generation_id in listed_rows):
        title = f"{title}, {total} in all" if "$" in total else f"{title}, {total}"
    title = ". ".join(filter(None, (title.rstrip(".") if left_out else title, left_out)))
    rows = [row for _, row, _ in listed]
    table = Table(title, _HEAD, rows, optional=("Cost",), numbers=("Took", "Cost"))
    return Answer(table.record(), data)


async def unknown_tool(core: FactCore, name: str | None) -> str:
    """Return a line that says that no tool has this name, with a hint; empty if a tool has it."""
    if name is None or name in (names := await core.tool_names()):
        return ""
    bare = name.partition("@")[0]
    if bare in names:
        hint = f"Write --tool {bare}, without a version."
    else:
        hint = did_you_mean(name, names) or "%fact tools lists the tools."
    return f"There is no tool named {name!r}. {hint}"


def _in_order(times: Iterable[str]) -> list[str]:
    """Move times forward (given latest row first), so that no row is earlier than a row recorded before it.

    So the rows stay in the order in which they were recorded, even if the clock was set back.
    """
    return [*accumulate(reversed([*times]), max)][::-1]


async def session_id(core: FactCore, wanted: str | None) -> str | None:
    """Return the id of the session whose id starts with `wanted`.

    If `wanted` is None, return the id of this session; if it is ``all``, return None for all sessions.
    """
    if wanted in (None, "all"):
        return None if wanted else core.session_id
    known = None if len(wanted) < _SHORTEST_ID else await core.find_session(wanted)
    if known is None:
        raise UnknownName(
            f"There is no session {wanted!r}.", hint=f"Write --session all for all sessions. {_ENOUGH}"
        )
    return known.id


def _listed_cells(row: ExecutionRow) -> tuple[str | Cell, ...]:
    place = "" if row.position is None else f"row {row.position:,} of "
    return _run_cells(row, "" if row.parent_id is None else f", {place}map {row.parent_id[:8]}")


def _run_cells(row: ExecutionRow, of_map: str = "") -> tuple[str | Cell, ...]:
    is_ok = row.status is Status.OK
    return (
        row.id[:8],
        cells.when(row.executed_at),
        cells.status(row.status, cached=row.cached),
        f"{row.tool_name} {row.tool_version or ''}".strip() + of_map,
        cells.in_and_out(row.input_data, row.output_data if is_ok else row.error, is_data=is_ok),
        duration(row.duration_ms),
        "",
    )


def _map_cells(row: MapRow) -> tuple[str | Cell, ...]:
    return (
        row.id[:8],
        cells.when(row.started_at),
        cells.status(row.status),
        f"{row.tool_name} {row.tool_version}",
        f"map: {_map_counts(row) or row.error or 'no rows'}",
        duration(row.duration_ms) if row.ended_at else "",
        "",
    )


def _generation_cells(row: GenerationRow) -> tuple[str | Cell, ...]:
    is_ok = row.status is Status.OK
    what = cells.writer(row.provider, row.model)
    if row.provider == HAND:
        what = f"written by {what}"
    elif row.provider != IMPORTED:
        what = f"{'written by' if row.tool_id else 'asked'} {what}, attempt {row.attempt}"
    if why := _beside(row) if is_ok else row.reason:
        what = f"{what}: {cells.middle(why, _REASON_LIMIT)}"
    return (
        row.generation_id[:8],
        cells.when(row.started_at),
        cells.status(row.status),
        row.tool_name,
        what,
        duration(row.duration_ms),
        cells.price([row]),
    )


def rerun(arguments: Arguments, desk: Desk) -> Answer:
    """Repeat a run with the same version of the tool and the same input."""
    wanted = arguments.words["ID"]
    output = desk.ask(
        lambda core: _run_again(core, wanted, arguments),
        stopped=f"The run of {wanted} was stopped; the history says how it ended.",
    )
    data = {
        "success": output.success,
        "result": plain(output.result),
        "execution_time_ms": output.execution_time_ms,
        "metadata": output.metadata,
    }
    return Answer(run_record(output), data, output)


async def _run_again(core: FactCore, wanted: str, arguments: Arguments) -> ToolOutput:
    row = await _find_run(core, wanted)
    tool = await core.version_by_id(row.tool_id) if row.tool_id else None
    if tool is None or row.input_data is None:
        raise CellError(f"The run {row.id[:8]} ended before it found its tool, so it can't be run again.")
    if row.status is Status.INVALID:
        raise CellError(
            f"The input of the run {row.id[:8]} was invalid, so it can't be run again.",
            hint=f"Write a %%fact_run {row.tool_name} cell with valid input.",
        )
    extra = sorted(set(row.permissions) - set(tool.metadata.permissions))
    if extra and not arguments.get("allow"):
        line = " ".join(f"--allow {permission}" for permission in extra)
        raise CellError(
            f"The run {row.id[:8]} was granted {', '.join(extra)}, which its tool does not have.",
            hint=f"To grant the same again, add: {line}",
        )
    unreadable = CellError(
        f"The input of {row.id[:8]} can't be restored exactly from the history.",
        hint=f"See it with %fact show {row.id[:8]}, and write a %%fact_run {row.tool_name} cell with it.",
    )
    try:
        parameters = tool.loaded.signature.read_recorded(row.input_data)
    except (ValueError, RecursionError) as error:
        raise unreadable from error
    request = ToolInput(tool.stored.reference, parameters, fresh=True, **arguments.run_request)
    try:
        planned = await core.plan(tool, request)
    except InvalidInput as refused:
        if tool.loaded.takes_paths:  # the files have changed
            raise
        raise unreadable from refused
    # Never run an input that may differ from the recorded input.
    if not tool.loaded.signature.recorded_exactly and (row.cache_key is None or planned.key != row.cache_key):
        raise unreadable
    return await core.execute(planned)


async def _find_run(core: FactCore, wanted: str) -> ExecutionRow:
    if len(wanted) < _SHORTEST_ID:
        raise UnknownName(
            f"{wanted!r} is too short to name a run.", hint=f"{_ENOUGH} %fact history lists the runs."
        )
    found = await core.find_row(wanted)
    if found is None and (of_map := await core.find_map(wanted)) is not None:
        raise CellError(
            f"{wanted} is a map of {of_map.tool_name}, not a run.",
            hint=f"%fact show {wanted} lists its runs; run its cell again to run those that failed.",
        )
    if isinstance(found, list):
        raise CellError(
            f"{wanted} is a generation of {found[0].tool_name}, not a run.",
            hint=f"%fact show {wanted} shows the request; run its cell again with --fresh.",
        )
    if found is None:
        known = [row.id[: len(wanted)] for row in await core.list_runs(limit=_RUNS_COMPARED)]
        hint = did_you_mean(wanted, known) or "%fact history lists the runs."
        raise UnknownName(f"There is no run {wanted!r}.", hint=hint)
    return found
