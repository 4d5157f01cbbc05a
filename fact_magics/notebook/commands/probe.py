"""``%fact probe`` and ``%fact answer``: find out how far a tool's examples go, and answer the questions."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from fact_magics.display.probed import probe_record
from fact_magics.display.record import stacked
from fact_magics.errors import CellError, FactError, Interrupted
from fact_magics.events import GenerationEnded
from fact_magics.names import tool_name
from fact_magics.notebook.arguments import CELLS, read_line
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.notebook.generate_cell import cell_request, take_over
from fact_magics.text import one_line, plural, quoted
from fact_magics.writing.examples import read_body

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.display.html import Record
    from fact_magics.events import Event
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.probing.questions import Probe, Question
    from fact_magics.tool import Example, ToolSpec, ToolVersion

_SECONDS = 10.0
_EXCEPTION = re.compile(r"[A-Z]\w*(?:\.\w+)*(?::.*)?")
_OPTIONS = r"(?:\s+--(?:json|question(?:\s+|=)\S+))*"
_VALUE = re.compile(rf"\s*([^\s=]+)({_OPTIONS})\s*=\s*(.*?)({_OPTIONS})\s*", re.DOTALL)
_FRESH = re.compile(r"\s--fresh\b")


def probe(arguments: Arguments, desk: Desk) -> Answer:
    """Probe a tool for some seconds, and list its open questions and surprises."""
    name, seconds = arguments.words["NAME"], arguments.get("seconds", _SECONDS)
    found = desk.ask(lambda core: core.probe(name, seconds), stopped=f"The probe of {name} was stopped.")
    return Answer(probe_record(found, whole=True), found.as_json())


def joined(line: str) -> str:
    """Join ``= VALUE`` into one word, so that the value keeps its quotes and blanks."""
    if not (found := _VALUE.fullmatch(line)):
        return line
    name, before, value, behind = found.groups()
    return f"{name} {before} {shlex.quote(f'= {value}')} {behind}"


def answer(arguments: Arguments, desk: Desk) -> Answer:
    """Take an answer to a question as an example, and show the version that holds on it."""
    name = tool_name(arguments.words["NAME"])
    given = arguments.words["N"]
    newest = desk.ask(lambda core: core.newest_probe(name))
    if newest is None:
        raise CellError(f"{name} has not been probed yet.", hint=f"Run %fact probe {name}.")
    example_text = _example_text(newest, _question(newest, arguments.get("question", 1)), given)
    (example,) = read_body(example_text, name).examples
    cell = desk.ask(lambda core: core.cell_of(name))
    head, _, body = cell.partition("\n")
    grown = f"{_FRESH.sub('', head)}\n{body.rstrip()}\n\n{example_text}\n"
    refines = head.startswith("%%fact_refine")
    request = _request(desk, name, grown)
    try:
        tool = _grown(desk, example, request, grown, refines=refines)
    except (FactError, Interrupted):
        desk.notebook.put_cell(grown)
        # JupyterLab adds no cell below one that fails, so its text is shown as well.
        code = [("The cell with the new example", grown)]
        desk.notebook.show(page(f"{name} has not changed", [], code=code))
        raise
    desk.notebook.put_cell(grown)
    bound = desk.notebook.rebind(tool)
    facts = [
        ("Example", example_text),
        ("Version", f"{tool.version}, {tool.metadata.proof}"),
        ("Bound", f"{name} is now {tool.version} in this notebook" if bound else ""),
        ("Below", "the cell with its new example, which returns this version"),
    ]
    data = {"name": name, "version": tool.version, "example": example_text, "bound": bound, "probe": None}
    probes: list[Record] = []
    if not tool.metadata.permissions and desk.session.settings().probe != "off":
        try:
            again = desk.ask(lambda core: core.probe(tool.stored.reference))
            probes.append(probe_record(again))
            data["probe"] = again.as_json()
        except Interrupted:  # the answer has been taken
            facts.append(("Probe", f"stopped; %fact probe {name} starts it again"))
        except FactError as error:
            facts.append(("Probe", error.line))
    records = [page(f"{name} {tool.version}", facts), *probes]
    return Answer(stacked(records), data)


def _grown(desk: Desk, example: Example, request: ToolSpec, cell: str, *, refines: bool) -> Tool:
    """Return the version with one more example; an interrupt that comes when it is stored has no effect."""
    versions: list[ToolVersion] = []

    def hear(event: Event) -> None:
        if isinstance(event, GenerationEnded) and event.version is not None:
            versions.append(event.version)

    async def grow(core: FactCore) -> Tool:
        tool = await core.grow(example, request, hear, refines=refines)
        await core.keep_cell(tool, cell)
        return tool

    stopped = f"The change of {request.name} was stopped. The output shows the cell with the new example."
    try:
        return desk.ask(grow, stopped=stopped)
    except Interrupted:
        if not versions:
            raise
        return take_over(desk.session, versions[-1], cell)


def _question(probe: Probe, number: int) -> Question:
    if not 0 < number <= len(probe.questions):
        asked = plural(len(probe.questions), "open question") if probe.questions else "no open question"
        raise CellError(
            f"{probe.tool} {probe.version} has {asked}.",
            hint=f"%fact probe {probe.tool} looks for more.",
        )
    return probe.questions[number - 1]


def _example_text(probe: Probe, question: Question, given: str) -> str:
    """Return the lines of the example for an answer, which is a number, or ``=`` and a value."""
    name = probe.tool
    if given.startswith("="):
        value = given.removeprefix("=").strip()
        if not value:
            raise CellError("%fact answer needs a value after =.", hint=f"Write: %fact answer {name} = VALUE")
        if _EXCEPTION.fullmatch(value) and value not in ("True", "False", "None"):
            value = f"Traceback (most recent call last):\n{value}"
        return f">>> {question.call}\n{value}"
    places = len(question.answers)
    if not (given.isdecimal() and 0 < int(given) <= places):
        raise CellError(
            f"{quoted(given)} is not the number of an answer. The question has the answers 1 to {places}.",
            hint=f"Write %fact answer {name} N, or %fact answer {name} = VALUE",
        )
    text = question.lines(int(given))
    try:
        read_body(text, name)
    except CellError:
        shown = one_line(question.answers[int(given) - 1].text, 80)
        raise CellError(
            f"Answer {given} can't be chosen: {shown}.",
            hint=f"Choose another one, or write %fact answer {name} = VALUE",
        ) from None
    return text


def _request(desk: Desk, name: str, grown: str) -> ToolSpec:
    """Build the request that the cell with the new example makes when it is run."""
    head, _, body = grown.partition("\n")
    magic, _, line = head.removeprefix("%%").partition(" ")
    command = CELLS.get(magic, CELLS["fact_generate"])
    arguments = replace(read_line(line, command), words={"NAME": name})
    return cell_request(desk.notebook, name, arguments, body)
