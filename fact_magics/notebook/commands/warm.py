"""``%fact warm``: run a tool on many inputs, so that their answers are cached."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fact_magics.bridge import STOPPED
from fact_magics.core.portable import read_file
from fact_magics.errors import CellError, Interrupted
from fact_magics.mapping.table import is_table, read_table
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.text import duration, one_line, plural
from fact_magics.tool import ToolInput
from fact_magics.values import ValueTypeError, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.notebook.arguments import Arguments

    _Input = tuple[str, dict[str, Any]]  # where it comes from, for errors
    Inputs = list[_Input]

_LARGEST_FILE = 256 * 1024 * 1024
_FAILURES_SHOWN = 5
_SHOWN_EVERY_SECONDS = 0.5
_PART = 1_000  # rows of a table that are read together
_FORM = 'Write one JSON object of inputs in each line, such as {"text": "Some Title"}.'


def warm(arguments: Arguments, desk: Desk) -> Answer:
    """Run a tool on the inputs of a file or a variable; what is cached already is not run again."""
    name, source = arguments.words["NAME"], arguments.get("from")
    if source is None:
        raise CellError("%fact warm needs --from.", hint="Write --from FILE, or --from VARIABLE.")
    tool = desk.ask(lambda core: core.tool(name))
    if not (tool.loaded.cacheable or _has_ttl(tool, arguments)):
        why = "has permissions" if tool.metadata.permissions else "may give equal inputs different answers"
        raise CellError(
            f"Answers of {tool.name} are not cached, because {tool.name} {why}.",
            hint=f"Add --ttl SECONDS, and use the same --ttl in the cells that run {tool.name}.",
        )
    inputs, left_out = _inputs(desk, source, tool)
    warming = _Warming(tool, inputs, arguments.run_request, is_shown=not arguments.get("json"))
    job = desk.session.submit(warming.run(desk.session.core))
    try:
        job.wait(warming.show)
    except STOPPED:
        raise Interrupted(
            f"%fact warm was stopped after {warming.done:,} of {plural(len(inputs), 'input')}. Run the "
            "line again to continue."
        ) from None
    finally:
        warming.hide()
    counts = {"inputs": len(inputs), **{kind: warming.counts[kind] for kind in ("ok", "cached", "failed")}}
    unproven = "answers of an unproven tool are used after two equal runs: run this line again"
    facts = [
        ("Run", plural(counts["ok"], "input")),
        ("Cached before", plural(counts["cached"], "input")),
        ("Left out", f"{', '.join(left_out)}, which {tool.name} does not take" if left_out else ""),
        ("Failed", plural(counts["failed"], "input") if counts["failed"] else ""),
        *(failure for _, failure in sorted(warming.failures)),
        ("Unproven", unproven if _needs_confirmation(tool, arguments) and counts["ok"] else ""),
    ]
    return Answer(page(f"{tool.name}: {plural(len(inputs), 'input')}", facts), counts)


def _has_ttl(tool: Tool, arguments: Arguments) -> bool:
    return "ttl" in arguments.options or tool.metadata.ttl_seconds is not None


def _needs_confirmation(tool: Tool, arguments: Arguments) -> bool:
    return not (tool.metadata.proven or _has_ttl(tool, arguments))


@dataclass
class _Warming:
    """The runs of one line, and what is known of them so far."""

    tool: Tool
    inputs: Inputs
    options: Mapping[str, Any]
    is_shown: bool
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, tuple[str, str]]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    shown_at: float = 0.0
    width: int = 0

    @property
    def done(self) -> int:
        return self.counts.total()

    async def run(self, core: FactCore) -> None:
        """Run all inputs, a few at a time."""
        waiting = enumerate(self.inputs)
        workers = [asyncio.create_task(self._work(core, waiting)) for _ in range(2 * (os.cpu_count() or 1))]
        try:
            await asyncio.gather(*workers)
        finally:  # the first error, or an interrupt, ends the others
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)

    async def _work(self, core: FactCore, waiting: Iterator[tuple[int, _Input]]) -> None:
        for number, (place, parameters) in waiting:
            request = ToolInput.known(self.tool.stored.reference, parameters, **self.options)
            output = await core.execute_tool(request)
            kind = ("cached" if output.metadata["cached"] else "ok") if output.success else "failed"
            self.counts[kind] += 1
            if kind == "failed" and len(self.failures) < _FAILURES_SHOWN:
                self.failures.append((number, (place, one_line(output.metadata["error"], 200))))

    def show(self) -> None:
        """Show the progress on one line, which the next one replaces."""
        now = time.monotonic()
        if not self.is_shown or now - self.shown_at < _SHOWN_EVERY_SECONDS:
            return
        self.shown_at = now
        rate = self.done / max(now - self.began, 1e-3)  # some clocks move in steps
        parts = [f"{self.done:,} of {len(self.inputs):,}", f"{rate:,.1f}/s"]
        if rate:
            parts.append(f"{duration((len(self.inputs) - self.done) / rate * 1000)} left")
        parts += [f"{self.counts[kind]:,} {kind}" for kind in ("cached", "failed") if self.counts[kind]]
        line = " · ".join(parts)
        sys.stdout.write(f"\r{line.ljust(self.width)}")
        sys.stdout.flush()
        self.width = max(self.width, len(line))

    def hide(self) -> None:
        """Remove the line with the progress."""
        if self.width:
            sys.stdout.write(f"\r{' ' * self.width}\r")


def _inputs(desk: Desk, source: str, tool: Tool) -> tuple[Inputs, tuple[str, ...]]:
    """Read the inputs; also return the columns that the tool does not take."""
    names = desk.notebook.own_names()
    left_out: tuple[str, ...] = ()
    if source in names:
        value = names[source]
        if hasattr(value, "columns") and is_table(value):
            table = read_table(tool.loaded.signature, value, {})
            value, left_out = [row for part in table.parts(_PART) for row in part], table.left_out
        found = _of_variable(source, value, tool)
    else:
        found = _of_file(desk, source)
    if not found:
        raise CellError(
            f"{source} has no inputs.", hint="Give it at least one." if source in names else _FORM
        )
    return found, left_out


def _of_variable(name: str, value: Any, tool: Tool) -> Inputs:
    """Read dicts of inputs, or values for the tool's first parameter as in `Tool.map`."""
    parameters = tool.loaded.signature.parameters
    first = f"a list of values for {parameters[0].name}, " if parameters else ""
    wanted = f"It must be a list of dicts, {first}or a DataFrame with a column for each parameter."
    try:
        rows = value if isinstance(value, list | tuple) else normalise(value)
    except ValueTypeError as error:
        raise CellError(f"{name} can't be read as inputs: {error}", hint=wanted) from None
    if not isinstance(rows, list | tuple):
        raise CellError(f"{name} is of type {type(value).__name__}, not a list of inputs.", hint=wanted)
    if parameters and not any(isinstance(row, Mapping) for row in rows):
        rows = [{parameters[0].name: row} for row in rows]
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or not all(isinstance(key, str) for key in row):
            raise CellError(f"{name}[{number}] is not a dict of inputs.", hint=wanted)
    return [(f"{name}[{number}]", dict(row)) for number, row in enumerate(rows)]


def _of_file(desk: Desk, source: str) -> Inputs:
    path = desk.path(source)
    content = read_file(path, _LARGEST_FILE + 1)
    if content is None:
        raise CellError(f"There is no variable or file {source!r}.", hint="Check the name after --from.")
    if len(content) > _LARGEST_FILE:
        raise CellError(
            f"{path} is larger than {_LARGEST_FILE:,} bytes.", hint="Split it into several files."
        )
    inputs: Inputs = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            read = json.loads(line)
        except (ValueError, RecursionError) as error:
            problem = getattr(error, "msg", "it is not JSON in UTF-8")
            raise CellError(f"Line {number} of {path} can't be read: {problem}.", hint=_FORM) from None
        if not isinstance(read, dict):
            raise CellError(f"Line {number} of {path} is not a JSON object.", hint=_FORM)
        inputs.append((f"Line {number}", read))
    return inputs
