"""``%fact tools``, ``show`` and ``history``: what is kept, listed and shown whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fact_magics.core.handle import Tool
from fact_magics.display import cells
from fact_magics.display.record import tool_record
from fact_magics.display.table import Table
from fact_magics.errors import CellError, UnknownName, did_you_mean
from fact_magics.notebook.arguments import Arguments, Command, Option, count
from fact_magics.notebook.commands.desk import JSON, Answer, Desk
from fact_magics.notebook.commands.pages import page
from fact_magics.text import duration, plural
from fact_magics.tool import HAND, IMPORTED, Status

if TYPE_CHECKING:
    from pathlib import Path

    from fact_magics.core import FactCore
    from fact_magics.display.cells import Cell
    from fact_magics.display.record import Record
    from fact_magics.store import ExecutionRow, GenerationRow
    from fact_magics.tool import ToolMetadata, ToolVersion

# So many tools and rows are listed, so many of a tool's runs counted; a reason is cut at so many characters.
_TOOLS = 100
_ROWS = 20
_COUNTED = 50
_REASON = 80

TOOLS = Command(
    usage="%fact tools [--search TEXT]",
    summary="List the tools of this FACT_HOME, newest first.",
    options=(Option("--search", "Words in names, descriptions and tags.", "TEXT"), JSON),
    examples=("%fact tools", "%fact tools --search slug"),
)
SHOW = Command(
    usage="%fact show NAME[@V]|ID",
    summary="Show a tool, or a row of the history, whole.",
    positional=("NAME|ID",),
    options=(JSON,),
    examples=("%fact show slugify", "%fact show slugify@1.0", "%fact show 5f2c"),
)


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        hint = did_you_mean(text, [status.value for status in Status]) or f"It is one of {', '.join(Status)}."
        raise ValueError(f"is no status. {hint}") from None


HISTORY = Command(
    usage="%fact history [options]",
    summary="List the runs and generations of this session, newest first.",
    options=(
        Option("-n", f"How many rows ({_ROWS}; with --to, all).", "N", count),
        Option("--tool", "Only this tool's.", "NAME"),
        Option(
            "--status",
            "Only those that ended so: ok, error, invalid, timeout, limit, interrupted.",
            "S",
            _status,
        ),
        Option("--search", "Words in input, output, printed text or error.", "TEXT"),
        Option("--since", "A time, or how long ago: 2h, 3 days, 2026-01-31.", "T"),
        Option("--session", "all, or a session's id, instead of this session.", "all|ID"),
        Option("--to", "Write the rows to this file as JSON.", "FILE"),
        Option("--replace", "Write over a file that is something else."),
        JSON,
    ),
    examples=(
        "%fact history",
        "%fact history --status error --since 2h",
        "%fact history --session all --to runs.json",
    ),
)


def list_tools(arguments: Arguments, desk: Desk) -> Answer:
    """List the current versions, all or those that words find."""
    search = arguments.get("search")

    async def find(core: FactCore) -> list[ToolVersion]:
        return await core.list_tools(search or "", _TOOLS + 1)

    found = desk.ask(find)
    listed = found[:_TOOLS]
    rows = [
        (
            tool.metadata.name,
            tool.metadata.version,
            "✓ proven" if tool.metadata.proven else "unproven",
            ", ".join(tool.metadata.permissions),
            _author(tool.metadata),
            cells.when(tool.metadata.created_at),
            tool.metadata.description,
        )
        for tool in listed
    ]
    if len(found) > _TOOLS:
        title = f"The {'best' if search else 'latest'} {_TOOLS} tools; there are more, for --search to find"
    elif rows:
        title = plural(len(rows), "tool")
    else:
        title = f"No tool matches {search!r}." if search else "No tools yet. Write one: %%fact_generate NAME"
    head = ("Tool", "Version", "Proof", "Allowed", "Written by", "Made", "What it does")
    data = [{**asdict(tool.metadata), "source": tool.source} for tool in listed]
    return Answer(Table(title, head, rows, optional=("Allowed",)).record(), data)


def _author(metadata: ToolMetadata) -> str:
    return f"imported: {metadata.model}" if metadata.provider == IMPORTED else metadata.model


def show(arguments: Arguments, desk: Desk) -> Answer:
    """Show a tool, a run, or the attempts of a generation."""
    wanted = arguments.words["NAME|ID"]
    found = desk.ask(lambda core: _find(core, wanted))
    if isinstance(found, Tool):
        data = {
            **asdict(found.metadata),
            "signature": found.text,
            "source": found.source,
            "schema": found.json_schema(),
        }
        runs = desk.ask(lambda core: core.list_runs(tool_id=found.id, limit=_COUNTED + 1))
        return Answer(tool_record(found.stored, found.text, uses=_uses(runs)), data)
    if isinstance(found, list):
        return Answer(_generation_page(found), [asdict(row) for row in found])
    return Answer(_run_page(found), asdict(found))


def _uses(runs: list[ExecutionRow]) -> str:
    if not runs:
        return "none yet"
    many = f"more than {_COUNTED} runs" if len(runs) > _COUNTED else plural(len(runs), "run")
    return f"{many}, the last {cells.when(runs[0].executed_at).plain}"


async def _find(core: FactCore, wanted: str) -> Tool | ExecutionRow | list[GenerationRow]:
    try:
        return await core.look_up(wanted)
    except (CellError, UnknownName):
        if "@" in wanted:  # which no row's id holds
            raise
    if (found := await core.find_row(wanted)) is not None:
        return found
    close = did_you_mean(wanted, await core.tool_names())
    raise UnknownName(
        f"There is no tool and no row {wanted!r}.",
        hint=close or "%fact tools and %fact history list what there is.",
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
        spent = (
            f"{row.input_tokens} tokens in, {row.output_tokens} out" if row.output_tokens is not None else ""
        )
        heading = f"{row.status} · {row.model} · {duration(row.duration_ms)} · {spent}".strip(" ·")
        facts += [(f"Attempt {row.attempt}", heading), ("Why", row.reason), ("Text", row.text)]
    return page(f"Generation {first.generation_id} of {first.tool_name}", facts)


def list_history(arguments: Arguments, desk: Desk) -> Answer:
    """List runs and generations, or write them to a file."""
    to = arguments.get("to")
    limit = arguments.get("n", None if to else _ROWS)
    session = arguments.get("session")

    async def find(core: FactCore) -> tuple[list[ExecutionRow], list[GenerationRow]]:
        chosen = {
            "session_id": None if session == "all" else await _session_id(core, session),
            "tool_name": arguments.get("tool"),
            "status": arguments.get("status"),
            "since": arguments.get("since"),
            "limit": None if limit is None else limit + 1,
        }
        runs = await core.list_runs(**chosen, search=arguments.get("search"))
        generations = [] if arguments.get("search") else await core.list_generations(**chosen)
        return runs, generations

    runs, generations = desk.ask(find)
    found: list[tuple[str, tuple[str | Cell, ...], dict[str, Any]]] = [
        (row.executed_at, _run_cells(row), {"kind": "run", **asdict(row)}) for row in runs
    ]
    found += [
        (row.started_at, _generation_cells(row), {"kind": "generation", **asdict(row)}) for row in generations
    ]
    found.sort(key=lambda item: item[0], reverse=True)
    listed = found[:limit]
    data = [row for _, _, row in listed]
    if to:
        path = desk.path(to)
        if not arguments.get("replace"):
            _refuse_loss(path)
        return Answer(_write_out(path, data), data)
    if len(listed) < len(found):
        title = f"The latest {plural(len(listed), 'row')}; there are more: -n N lists N of them"
    elif listed:
        title = plural(len(listed), "row")
    else:
        title = "No row matches." if arguments.options else "Nothing has run yet in this session."
    head = ("Id", "When", "Status", "Tool", "Input → output", "Took")
    rows = [row for _, row, _ in listed]
    return Answer(Table(title, head, rows, numbers=("Took",)).record(), data)


async def _session_id(core: FactCore, wanted: str | None) -> str:
    if wanted is None:
        return core.session_id
    known = await core.find_session(wanted)
    if known is None:
        raise UnknownName(f"There is no session {wanted!r}.", hint="Write --session all for every one.")
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
    if row.provider == HAND:
        what = "written by hand"
    elif row.provider == IMPORTED:
        what = f"imported: {row.model}"
    else:
        done = "written by" if row.status is Status.OK else "asked"
        what = f"{done} {row.model}, attempt {row.attempt}"
    if row.status is not Status.OK:
        what = f"{what}: {cells.middle(row.reason, _REASON)}".rstrip(": ")
    return (
        row.generation_id[:8],
        cells.when(row.started_at),
        cells.status(row.status),
        row.tool_name,
        what,
        duration(row.duration_ms),
    )


# What every file begins with that rows were written to.
_BEGINNING = b'[\n  {\n    "kind": "'


def _refuse_loss(path: Path) -> None:
    try:
        with path.open("rb") as file:
            there = file.read(len(_BEGINNING))
    except OSError:  # it is not there, or else can't be written either
        return
    if there not in (_BEGINNING, b"[]", b""):
        raise CellError(
            f"{path} exists, and holds no rows of a history.",
            hint="Name another file, or add --replace to write over it.",
        )


def _write_out(path: Path, data: list[dict[str, Any]]) -> Record:
    try:
        path.write_text(json.dumps(data, indent=2, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise CellError(f"{path} can't be written: {error.strerror}.", hint="Name another file.") from None
    return page("History", [("Written", f"{plural(len(data), 'row')} to {path}")])
