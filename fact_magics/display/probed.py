"""The record of a probe: how far the examples of a tool go, questions, and surprises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fact_magics.display.cells import Cell
from fact_magics.display.html import Html, Record, element, folded, join, preformatted
from fact_magics.display.table import Table
from fact_magics.errors import CellError
from fact_magics.text import inert, one_line, plural
from fact_magics.writing.examples import read_body

if TYPE_CHECKING:
    from fact_magics.probing.questions import Choice, Probe, Question

_PARAGRAPH = "margin:0.3em 0"
# JupyterLab and Notebook 7 run the commands of a button in a trusted output. Elsewhere, also in exported
# pages, which lack the class `lm-Widget`, nothing would happen on a click, so the button stays hidden.
_BUTTONS = Html("<style>.lm-Widget button.fact-answer[hidden]{display:inline-block}</style>")
_COMMANDS = ["notebook:insert-cell-below", "notebook:replace-selection", "notebook:run-cell"]
_CHANGES_SHOWN = 12


def probe_record(probe: Probe, *, whole: bool = False) -> Record:
    """Show a probe: its result in a line and the first question; if `whole`, all questions and surprises."""
    title = probe.summary
    if whole:
        took = f"{plural(probe.inputs, 'input')} in {probe.seconds:.1f} s"
        title = f"{probe.tool} {probe.version} · {title} · {took}"
    parts = [Record(element("p", element("strong", title), style=_PARAGRAPH), title)]
    asked = probe.questions if whole else probe.questions[:1]
    if asked:
        parts.append(Record(_BUTTONS, ""))
    for number, question in enumerate(asked, start=1):
        parts.append(_question(probe.tool, question, number, whole=whole))
    if len(probe.questions) > len(asked):
        more = f"{plural(len(probe.questions) - 1, 'more question')}: %fact probe {probe.tool}"
        parts.append(Record(element("p", more, style=_PARAGRAPH), more))
    if whole and probe.surprises:
        parts.append(_surprises(probe))
    plain = "\n".join(part.plain for part in parts if part.plain)
    return Record(f"<div>{''.join(part.html for part in parts)}</div>", inert(plain))


def _question(tool: str, question: Question, number: int, *, whole: bool) -> Record:
    """Show the call of a question, and for each answer the command that chooses it."""
    name = f"Question {number}" if whole else "One question"
    head = f"{name}: what should this give?"
    markup = [element("p", head, style=_PARAGRAPH)]
    lines = [head, f"  >>> {question.call}"]
    option = f" --question {number}" if number > 1 else ""
    for place, choice in enumerate(question.answers, start=1):
        about = f"{place} · {_about(choice, first=place == 1)}"
        command = f"%fact answer {tool} {place}{option}"
        if _can_be_chosen(choice):
            about = f"{about} · {command}"
            settling = join(preformatted(question.lines(place), code=True), _button(command))
        else:
            settling = preformatted(one_line(choice.text, 200))
        markup.append(join(element("p", about, style=_PARAGRAPH), settling))
        lines += [f"  {about}", *(f"      {line}" for line in choice.text.splitlines() or [""])]
    other = f"Another answer: %fact answer {tool} = VALUE{option}"
    markup.append(element("p", other, style=_PARAGRAPH))
    lines.append(f"  {other}")
    rows = [(str(one.line), one.before, one.after) for one in question.rivals[:_CHANGES_SHOWN]]
    if rows:
        table = Table("", ("Line", "Source", "Change that passes too"), rows)
        markup.append(
            folded(f"{plural(len(question.rivals), 'change')} that this example would catch", table.html())
        )
    if whole:
        lines += [f"  line {line}: {before} → {after}" for line, before, after in rows]
    return Record(join(*markup), "\n".join(lines))


def _about(choice: Choice, *, first: bool) -> str:
    if first and choice.own:
        others = _voters(choice.voters - 1, choice.candidates)
        return f"the tool's own answer{f', also given by {others}' if others else ''}"
    return f"given by {_voters(choice.voters, choice.candidates)}"


def _voters(count: int, candidates: int) -> str:
    """Say who gives an answer; empty if nobody does."""
    kinds = ((candidates, "other candidate"), (count - candidates, "change"))
    return " and ".join(plural(number, kind) for number, kind in kinds if number)


def _button(command: str) -> Html:
    """Build a button that runs a line in a new cell below."""
    run = {"commands": _COMMANDS, "args": {"text": command}}
    return element(
        "button",
        "Take this answer",
        type="button",
        hidden="hidden",
        title=command,
        **{
            "class": "fact-answer",
            "data-commandlinker-command": "apputils:run-all-enabled",
            "data-commandlinker-args": json.dumps(run),
        },
    )


def _can_be_chosen(choice: Choice) -> bool:
    try:
        return bool(read_body(f">>> f()\n{choice.text}", "f").examples)
    except CellError:
        return False


def _surprises(probe: Probe) -> Record:
    head = plural(len(probe.surprises), "surprise")
    rows = [
        (one.call, one.what, Cell(one.advice, preformatted(one.advice, code=True))) for one in probe.surprises
    ]
    markup = Table(head, ("Call", "What happens", "Add this to the cell if it should not"), rows).html()
    lines = [head]
    for one in probe.surprises:
        lines += [f"  {one.call} {one.what}", "    if it should not, add this to the cell:"]
        lines += [f"      {line}" for line in one.advice.splitlines()]
    return Record(markup, "\n".join(lines))
