"""``%fact tools``, ``show`` and ``history``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fact_magics.core.handle import Tool
from fact_magics.display import cells
from fact_magics.display.record import tool_record
from fact_magics.display.table import Table
from fact_magics.errors import CellError, UnknownName, did_you_mean
from fact_magics.notebook.commands.desk import Answer, Desk, write_file
from fact_magics.notebook.commands.pages import page
from fact_magics.text import duration, plural
from fact_magics.tool import HAND, IMPORTED, Status

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.display.grid import Cell
    from fact_magics.display.record import Record
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.store import ExecutionRow, GenerationRow
    from fact_magics.tool import ToolVersion

_TOOLS_LISTED = 100
_ROWS_LISTED = 20
_RUNS_COUNTED = 50
_REASON_LIMIT = 80
# Every file of rows begins so, if it has rows.
_FILE_START = b'[\n  {\n    "kind": "'


def status(text: str) -> Status:
    """Read the value of ``--status``."""
    try:
        return Status(text)
    except ValueError:
        hint = did_you_mean(text, map(str, Status)) or f"It must be one of {', '.join(Status)}."
        raise ValueError(f"is not a status. {hint}") from None


def list_tools(arguments: Arguments, desk: Desk) -> Answer:
    """List the current versions, all or those with these words."""
    search = arguments.get("search", "")
    found = desk.ask(lambda core: core.list_tools(search, _TOOLS_LISTED + 1))
    listed = found[:_TOOLS_LISTED]
    if len(found) > _TOOLS_LISTED:
        title = f"The {'best' if search else 'latest'} {_TOOLS_LISTED} tools; use --search to find the others"
    elif listed:
        title = plural(len(listed), "tool")
    else:
        title = f"No tool matches {search!r}." if search else "No tools yet. Write one: %%fact_generate NAME"
    head = ("Tool", "Version", "Proof", "Allowed", "Written by", "Made", "Description")
    rows = [_tool_cells(tool) for tool in listed]
    data = [{**asdict(tool.metadata), "source": tool.source} for tool in listed]
    return Answer(Table(title, head, rows, optional=("Allowed",)).record(), data)


def _tool_cells(tool: ToolVersion) -> tuple[str | Cell, ...]:
    about = tool.metadata
    return (
        about.name,
        about.version,
        "✓ proven" if about.proven else "unproven",
        ", ".join(about.permissions),
        f"imported: {about.model}" if about.provider == IMPORTED else about.model,
        cells.when(about.created_at),
        about.description,
    )


def show(arguments: Arguments, desk: Desk) -> Answer:
    """Show a tool, a run, or the attempts of a generation."""
    wanted = arguments.words["NAME|ID"]
    found = desk.ask(lambda core: _find(core, wanted))
    if isinstance(found, list):
        return Answer(_generation_page(found), [asdict(row) for row in found])
    if not isinstance(found, Tool):
        return Answer(_run_page(found), asdict(found))
    runs = desk.ask(lambda core: core.list_runs(tool_id=found.id, limit=_RUNS_COUNTED + 1))
    data = {
        **asdict(found.metadata),
        "signature": found.text,
        "source": found.source,
        "schema": found.json_schema(),
    }
    return Answer(tool_record(found.stored, found.text, uses=_uses(runs)), data)


def _uses(runs: list[ExecutionRow]) -> str:
    if not runs:
        return "none yet"
    many = f"more than {_RUNS_COUNTED} runs" if len(runs) > _RUNS_COUNTED else plural(len(runs), "run")
    return f"{many}, the last {cells.when(runs[0].executed_at).plain}"


async def _find(core: FactCore, wanted: str) -> Tool | ExecutionRow | list[GenerationRow]:
    try:
        return await core.look_up(wanted)
    except (CellError, UnknownName):
        if "@" in wanted:  # no id has one
            raise
    if (found := await core.find_row(wanted)) is not None:
        return found
    hint = did_you_mean(wanted, await core.tool_names())
    raise UnknownName(
        f"No tool, run or generation is named {wanted!r}.",
        hint=hint or "List them with %fact tools and %fact history.",
    )


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


def _generation_page(attempts: list[GenerationRow]) -> Record:
    first = attempts[0]
    facts = [
        ("Request", first.description),
        ("Examples", first.contract),
        ("Allowed", ", ".join(first.permissions)),
    ]
    for row in attempts:
        heading = f"{row.status} · {row.model} · {duration(row.duration_ms)}"
        if row.output_tokens is not None:
            heading += f" · {row.input_tokens} tokens in, {row.output_tokens} out"
        facts += [(f"Attempt {row.attempt}", heading), ("Why", row.reason), ("Text", row.text)]
    return page(f"Generation {first.generation_id} of {first.tool_name}", facts)


def list_history(arguments: Arguments, desk: Desk) -> Answer:
    """List runs and generations, or write them to a file."""
    to, search = arguments.get("to"), arguments.get("search")
    limit = arguments.get("n", None if to else _ROWS_LISTED)

    async def find(core: FactCore) -> tuple[list[ExecutionRow], list[GenerationRow]]:
        chosen = {
            "session_id": await _session_id(core, arguments.get("session")),
            "tool_name": arguments.get("tool"),
            "status": arguments.get("status"),
            "since": arguments.get("since"),
            "limit": None if limit is None else limit + 1,
        }
        runs = await core.list_runs(**chosen, search=search)
        return runs, [] if search else await core.list_generations(**chosen)

    runs, generations = desk.ask(find)
    found: list[tuple[str, tuple[str | Cell, ...], dict[str, Any]]] = [
        *((row.executed_at, _run_cells(row), {"kind": "run", **asdict(row)}) for row in runs),
        *(
            (row.started_at, _generation_cells(row), {"kind": "generation", **asdict(row)})
            for row in generations
        ),
    ]
    found.sort(key=lambda item: item[0], reverse=True)
    listed = found[:limit]
    data = [row for _, _, row in listed]
    if to:
        path = desk.path(to)
        write_file(
            path,
            json.dumps(data, indent=2, ensure_ascii=False),
            is_kept=lambda there: not (arguments.get("replace") or _holds_rows(there)),
            kept="does not hold rows of a history",
        )
        return Answer(page("History", [("Written", f"{plural(len(data), 'row')} to {path}")]), data)
    if len(listed) < len(found):
        title = f"The latest {plural(len(listed), 'row')}; use -n N to list N rows"
    elif listed:
        title = plural(len(listed), "row")
    else:
        title = "No row matches." if arguments.options else "Nothing has run yet in this session."
    head = ("Id", "When", "Status", "Tool", "Input → output", "Took")
    rows = [row for _, row, _ in listed]
    return Answer(Table(title, head, rows, numbers=("Took",)).record(), data)


async def _session_id(core: FactCore, wanted: str | None) -> str | None:
    """Find a session by the beginning of its id; None means all of them."""
    if wanted in (None, "all"):
        return None if wanted else core.session_id
    known = await core.find_session(wanted)
    if known is None:
        raise UnknownName(f"There is no session {wanted!r}.", hint="Write --session all for all sessions.")
    return known.id


def _run_cells(row: ExecutionRow) -> tuple[str | Cell, ...]:
    is_ok = row.status is Status.OK
    return (
        row.id[:8],
        cells.when(row.executed_at),
        cells.status(row.status, cached=row.cached),
        f"{row.tool_name} {row.tool_version or ''}".strip(),
        cells.in_and_out(row.input_data, row.output_data if is_ok else row.error, is_data=is_ok),
        duration(row.duration_ms),
    )


def _generation_cells(row: GenerationRow) -> tuple[str | Cell, ...]:
    is_ok = row.status is Status.OK
    if row.provider == HAND:
        what = "written by hand"
    elif row.provider == IMPORTED:
        what = f"imported: {row.model}"
    else:
        what = f"{'written by' if is_ok else 'asked'} {row.model}, attempt {row.attempt}"
    if not is_ok and row.reason:
        what = f"{what}: {cells.middle(row.reason, _REASON_LIMIT)}"
    return (
        row.generation_id[:8],
        cells.when(row.started_at),
        cells.status(row.status),
        row.tool_name,
        what,
        duration(row.duration_ms),
    )


def _holds_rows(content: bytes) -> bool:
    return content in (b"[]", b"") or content.startswith(_FILE_START)
