"""``%fact``: the state, the tools, the history. One function a subcommand; each gives a record or text."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fact_magics import __version__
from fact_magics.arguments import Arguments, Command, Option, count, read_line
from fact_magics.display.html import element
from fact_magics.display.record import Record, tool_record
from fact_magics.display.table import Table
from fact_magics.errors import CellError, FactError, UnknownName, did_you_mean
from fact_magics.text import ago, duration, inert, plural
from fact_magics.tool import SHELF, Status
from fact_magics.trust import trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.core import FactCore
    from fact_magics.handle import Tool
    from fact_magics.store import ExecutionRow, GenerationRow
    from fact_magics.workshop import Workshop

_JSON = Option("--json", "Print JSON instead of a table.")

FACT = Command(
    usage="%fact [SUBCOMMAND]",
    summary="Show the state; or, with a subcommand, list and show what is kept.",
    options=(_JSON,),
    examples=("%fact", "%fact tools", "%fact show slugify", "%fact history --tool slugify -n 5"),
)
TOOLS = Command(
    usage="%fact tools [--search TEXT]",
    summary="List the tools of this FACT_HOME, newest first.",
    options=(Option("--search", "Words in names, descriptions and tags.", "TEXT"), _JSON),
    examples=("%fact tools", "%fact tools --search slug"),
)
SHOW = Command(
    usage="%fact show NAME[@V]|ID",
    summary="Show a tool, or a row of the history, whole.",
    positional=("NAME|ID",),
    options=(_JSON,),
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
        Option("-n", "How many rows (20).", "N", count),
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
        _JSON,
    ),
    examples=(
        "%fact history",
        "%fact history --status error --since 2h",
        "%fact history --session all --to runs.json",
    ),
)
TRUST = Command(
    usage="%fact trust PATH",
    summary="Let a found .env file say where requests, history and caches go, as long as it stays as it is.",
    positional=("PATH",),
    examples=("%fact trust .env",),
)


def manage(line: str, workshop: Workshop) -> Record | str:
    """Do what a ``%fact`` line asks for.

    Returns
    -------
    Record or str
        What the cell shows, or JSON or help to print.

    Raises
    ------
    FactError
        The line can't be read, or names what is not there.
    """
    word, _, rest = line.strip().partition(" ")
    if not word or word.startswith("-"):
        return _do(FACT, line, workshop, _state)
    if word not in _SUBCOMMANDS:
        hint = did_you_mean(word, _SUBCOMMANDS) or f"It has {', '.join(sorted(_SUBCOMMANDS))}."
        raise CellError(f"%fact has no subcommand {word!r}.", hint=hint)
    command, work = _SUBCOMMANDS[word]
    return _do(command, rest, workshop, work)


def _do(
    command: Command, line: str, workshop: Workshop, work: Callable[[Arguments, Workshop], tuple[Record, Any]]
) -> Record | str:
    arguments = read_line(line, command)
    if arguments.help:
        if command is not FACT:
            return command.help_text()
        subcommands = [f"  {known.usage.ljust(36)}  {known.summary}" for known, _ in _SUBCOMMANDS.values()]
        return "\n".join((FACT.help_text(), "", "Subcommands, each with --help", *subcommands))
    record, data = work(arguments, workshop)
    if arguments.get("json"):
        return json.dumps(data, indent=2, default=str)
    return record


def _ask(workshop: Workshop, work: Callable[[FactCore], Any]) -> Any:
    core = workshop.core

    async def ask() -> Any:
        await core.history.flush()
        return await work(core)

    return workshop.submit(ask()).wait(lambda: None)


_NO_ISOLATION = 'this system can\'t enforce it; see %config FactMagics.isolation = "process"'


def _state(arguments: Arguments, workshop: Workshop) -> tuple[Record, Any]:
    from fact_magics.providers.choose import choose

    del arguments
    core = workshop.core
    settings = core.settings

    async def model() -> tuple[str, str]:
        provider = await choose(settings, None)
        await provider.aclose()
        return provider.model, provider.notice

    try:
        chosen, notice = workshop.submit(model()).wait(lambda: None)
    except FactError as error:
        chosen, notice = settings.model or "none", error.line
    if notice and chosen != SHELF:
        why = notice
    elif settings.model:
        why = f"named by {settings.origin('model')}"
    elif settings.anthropic_api_key is not None:
        why = f"the default; the Anthropic key is from {settings.origin('anthropic_api_key')}"
    elif chosen == SHELF:
        why = "no key is set and no local Ollama answers; set ANTHROPIC_API_KEY to ask a model"
    else:
        why = notice
    layers = workshop.submit(core.layers()).wait(lambda: None)
    state = {
        "fact_magics": __version__,
        "model": chosen,
        "why": why,
        "isolation": list(layers) or ["none"],
        "database": str(core.store.path),
        "cache": asdict(core.memory.stats()),
        "session": core.session_id,
        "notes": list(settings.notes),
    }
    memory = core.memory.stats()
    rows = [
        ("Model", f"{chosen} ({why})"),
        ("Isolation", ", ".join(layers) or f"none: {_NO_ISOLATION}"),
        ("Database", str(core.store.path)),
        ("Cache", f"{plural(memory.entries, 'answer')} in memory, {memory.bytes:,} bytes, over the database"),
        ("Session", core.session_id),
        *(("Note", note) for note in settings.notes),
    ]
    table = Table(f"fact_magics {__version__}", ("", "Now"), tuple(rows), widest=400)
    return table.record(), state


def _tools(arguments: Arguments, workshop: Workshop) -> tuple[Record, Any]:
    search = arguments.get("search")
    found = _ask(
        workshop, lambda core: core.store.search_tools(search) if search else core.store.list_tools()
    )
    rows = [
        (
            tool.metadata.name,
            tool.metadata.version,
            "proven" if tool.metadata.proven else "unproven",
            tool.metadata.model,
            _when(tool.metadata.created_at),
            tool.metadata.description,
        )
        for tool in found
    ]
    if rows:
        title = plural(len(rows), "tool")
    else:
        title = f"No tool matches {search!r}." if search else "No tools yet. Write one: %%fact_generate NAME"
    table = Table(title, ("Tool", "Version", "Proof", "Written by", "Made", "What it does"), tuple(rows))
    return table.record(), [{**asdict(tool.metadata), "source": tool.source} for tool in found]


def _show(arguments: Arguments, workshop: Workshop) -> tuple[Record, Any]:
    wanted = arguments.words["NAME|ID"]

    async def find(core: FactCore) -> Tool | ExecutionRow | list[GenerationRow]:
        unknown: UnknownName | None = None
        try:
            return await core.look_up(wanted)
        except CellError:
            if "@" in wanted:
                raise
        except UnknownName as error:
            unknown = error
        if (row := await core.store.execution(wanted)) is not None:
            return row
        if attempts := await core.store.attempts(wanted):
            return attempts
        raise unknown or UnknownName(
            f"There is no tool and no row {wanted!r}.", hint="%fact history lists the rows."
        )

    found = _ask(workshop, find)
    if isinstance(found, list):
        return _generation_page(found), [asdict(row) for row in found]
    if hasattr(found, "stored"):
        data = {
            **asdict(found.metadata),
            "signature": found.text,
            "source": found.source,
            "schema": found.json_schema(),
        }
        return tool_record(found.stored, found.text), data
    return _page(f"Run {found.id}", _row_facts(found)), asdict(found)


def _row_facts(row: ExecutionRow) -> list[tuple[str, str]]:
    tool = f"{row.tool_name} {row.tool_version or ''}".strip()
    facts = [
        ("Tool", tool),
        ("Status", f"{row.status}{', cached' if row.cached else ''}"),
        ("When", f"{row.executed_at} ({_when(row.executed_at)})"),
        ("Took", duration(row.duration_ms)),
        ("Input", row.input_data or ""),
        ("Output", row.output_data or ""),
        ("Printed", row.printed),
        ("Error", row.error or ""),
        ("Details", row.details or ""),
        ("Isolation", row.isolation),
        ("Session", row.session_id or ""),
    ]
    return [(name, text) for name, text in facts if text]


def _generation_page(attempts: list[GenerationRow]) -> Record:
    facts: list[tuple[str, str]] = []
    for row in attempts:
        spent = (
            f"{row.input_tokens} tokens in, {row.output_tokens} out" if row.output_tokens is not None else ""
        )
        heading = f"{row.status} · {row.model} · {duration(row.duration_ms)} · {spent}".strip(" ·")
        facts += [(f"Attempt {row.attempt}", heading), ("Why", row.reason), ("Text", row.text)]
    first = attempts[0]
    facts = [("Request", first.description), ("Examples", first.contract), *facts]
    return _page(
        f"Generation {first.generation_id} of {first.tool_name}", [fact for fact in facts if fact[1]]
    )


def _page(title: str, facts: list[tuple[str, str]]) -> Record:
    from fact_magics.display.html import preformatted, table

    page = element(
        "div",
        element("p", element("strong", title)),
        table(("", ""), [(element("strong", name), preformatted(text)) for name, text in facts]),
    )
    width = max((len(name) for name, _ in facts), default=0)
    lines = [title]
    for name, text in facts:
        first, *rest = text.splitlines() or [""]
        lines += [f"{name.ljust(width)}  {first}", *(f"{'':{width}}  {line}" for line in rest)]
    return Record(page, inert("\n".join(lines)))


def _history(arguments: Arguments, workshop: Workshop) -> tuple[Record, Any]:
    limit = arguments.get("n", 20)
    session = arguments.get("session")

    async def find(core: FactCore) -> tuple[list[ExecutionRow], list[GenerationRow]]:
        chosen = {
            "session_id": None if session == "all" else await _session_id(core, session),
            "tool_name": arguments.get("tool"),
            "status": arguments.get("status"),
            "since": arguments.get("since"),
            "limit": limit,
        }
        runs = await core.store.history(**chosen, search=arguments.get("search"))
        generations = [] if arguments.get("search") else await core.store.generations(**chosen)
        return runs, generations

    runs, generations = _ask(workshop, find)
    listed: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
        (row.executed_at, _run_cells(row), {"kind": "run", **asdict(row)}) for row in runs
    ]
    listed += [
        (row.started_at, _generation_cells(row), {"kind": "generation", **asdict(row)}) for row in generations
    ]
    listed = sorted(listed, key=lambda item: item[0], reverse=True)[:limit]
    data = [row for _, _, row in listed]
    if path := arguments.get("to"):
        return _write_out(Path(path), data), data
    title = plural(len(listed), "row") if listed else "Nothing has run yet in this session."
    if not listed and len(arguments.options) > 0:
        title = "No row matches."
    head = ("Id", "When", "", "Tool", "Input → output", "Took")
    return Table(title, head, tuple(cells for _, cells, _ in listed)).record(), data


async def _session_id(core: FactCore, wanted: str | None) -> str:
    if wanted is None:
        return core.session_id
    known = await core.store.session(wanted)
    if known is None:
        raise UnknownName(f"There is no session {wanted!r}.", hint="Write --session all for every one.")
    return known.id


def _run_cells(row: ExecutionRow) -> tuple[str, ...]:
    outcome = row.output_data if row.status is Status.OK else row.error
    tool = f"{row.tool_name} {row.tool_version or ''}".strip()
    took = f"{duration(row.duration_ms)}{' cached' if row.cached else ''}"
    mark = "✓ ok" if row.status is Status.OK else f"✗ {row.status}"
    return (
        row.id[:8],
        _when(row.executed_at),
        mark,
        tool,
        f"{_short(row.input_data)} → {_short(outcome)}",
        took,
    )


def _generation_cells(row: GenerationRow) -> tuple[str, ...]:
    mark = "✓ ok" if row.status is Status.OK else f"✗ {row.status}"
    what = f"written by {row.model}, attempt {row.attempt}"
    if row.status is not Status.OK:
        what = f"asked {row.model}, attempt {row.attempt}: {_short(row.reason)}".rstrip(": ")
    return row.generation_id[:8], _when(row.started_at), mark, row.tool_name, what, duration(row.duration_ms)


def _short(text: str | None) -> str:
    folded = " ".join((text or "").split())
    return folded if len(folded) <= 48 else f"{folded[:47]}…"


def _write_out(path: Path, data: list[dict[str, Any]]) -> Record:
    try:
        path.expanduser().write_text(json.dumps(data, indent=2, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise CellError(f"{path} can't be written: {error.strerror}.", hint="Name another file.") from None
    return _page("History", [("Written", f"{plural(len(data), 'row')} to {path}")])


def _trust(arguments: Arguments, workshop: Workshop) -> tuple[Record, Any]:
    path = Path(arguments.words["PATH"]).expanduser()
    trust(path, workshop.trust_home())
    return _page("Trusted", [("File", str(path.resolve())), ("Until", "its content changes")]), {
        "trusted": str(path)
    }


def _when(text: str) -> str:
    return ago(max(0.0, time.time() - datetime.fromisoformat(text).timestamp()))


_SUBCOMMANDS: dict[str, tuple[Command, Callable[[Arguments, Workshop], tuple[Record, Any]]]] = {
    "tools": (TOOLS, _tools),
    "show": (SHOW, _show),
    "history": (HISTORY, _history),
    "trust": (TRUST, _trust),
}
