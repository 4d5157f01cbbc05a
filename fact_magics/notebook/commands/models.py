"""``%fact models``: which models a cell can name, what each still needs, and whether it answers."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fact_magics.display import cells
from fact_magics.display.cells import Cell
from fact_magics.display.html import Html, element
from fact_magics.display.record import Record
from fact_magics.display.table import Table
from fact_magics.errors import ProviderError
from fact_magics.notebook.arguments import Arguments, Command, Option
from fact_magics.notebook.commands.desk import JSON, Answer, Desk
from fact_magics.notebook.commands.state import model_in_use
from fact_magics.text import duration, inert, one_line, plural
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.config import Settings
    from fact_magics.core import FactCore
    from fact_magics.providers.catalogue import Listed
    from fact_magics.providers.checking import Checked
    from fact_magics.store.glance import ModelUse

MODELS = Command(
    usage="%fact models [--check]",
    summary="List the models that a cell can name here and now, and what each of them still needs.",
    options=(
        Option(
            "--check",
            "Ask each one that is ready and has a key, 10 s at most: costs a request of a few tokens each.",
        ),
        JSON,
    ),
    examples=("%fact models", "%fact models --check", "%fact models --json"),
)

_HEAD = ("Model", "Provider", "From", "Status", "Check", "Last used", "Accepted")
_LONGEST_NAME = 80
_LONGEST_SOURCE = 60
_LONGEST_REASON = 200
# A local Ollama may have any number of models, and say so in any way it likes.
_MOST_LOCAL = 100
_INSTALL = 'pip install "fact_magics[litellm]"'


@dataclass(frozen=True, slots=True)
class _Found:
    """All that the table is made of."""

    rows: tuple[Listed, ...]
    uses: Sequence[ModelUse]
    checks: dict[str, Checked]
    default: str
    why: str
    notes: tuple[str, ...]


def list_models(arguments: Arguments, desk: Desk) -> Answer:
    """List what ``--model`` takes; with ``--check``, ask those that can be asked whether they answer."""
    is_checked = bool(arguments.get("check"))
    settings = desk.settings
    found = desk.ask(
        lambda core: _find(core, settings, is_checked=is_checked), stopped="%fact models was stopped."
    )
    rows = [_row(listed, found, desk.session.directory) for listed in found.rows]
    table = Table(_title(found), _HEAD, rows, optional=_HEAD[4:]).record()
    notes = [*found.notes, *_advice(found)]
    markup = element("div", Html(table.html), *(element("p", note, style="margin:0.3em 0") for note in notes))
    data = {
        "default": found.default,
        "why": found.why,
        "models": [_data(listed, found) for listed in found.rows],
        "notes": notes,
    }
    return Answer(Record(markup, "\n".join((table.plain, *map(inert, notes)))), data)


async def _find(core: FactCore, settings: Settings, *, is_checked: bool) -> _Found:
    from fact_magics.providers.catalogue import Local, catalogue
    from fact_magics.providers.checking import check
    from fact_magics.providers.choose import local_models, ollama_url

    notes = list(settings.notes)
    local: Local | None = None
    try:
        url = ollama_url(settings)
        local_names = await local_models(url)
        if len(local_names) > _MOST_LOCAL:
            notes.append(f"The local Ollama has {plural(len(local_names) - _MOST_LOCAL, 'more model')}.")
        if local_names:
            local = Local(url, local_names[:_MOST_LOCAL])
    except ProviderError as error:
        notes.append(error.line)
    uses = await asyncio.to_thread(_uses, core.database_path)
    rows = catalogue(settings, local, [_named(use) for use in uses if use.provider != SHELF])
    checks = await check(settings, rows) if is_checked else {}
    chosen, why = await model_in_use(settings)
    # By the name that a cell would be given, not by what that stands for.
    default = (settings.model or chosen).strip().removeprefix("anthropic/")
    return _Found(rows, uses, checks, default, why, tuple(notes))


def _uses(database: Path) -> list[ModelUse]:
    from fact_magics.store import glance

    try:
        return glance.model_uses(database)
    except (sqlite3.Error, OSError):  # busy or gone: the list is of use without it
        return []


def _named(use: ModelUse) -> str:
    """Give the name of a model with its provider, as far as the history has it."""
    return f"anthropic/{use.model}" if use.provider == "anthropic" else use.model


def _use_of(listed: Listed, uses: Sequence[ModelUse]) -> tuple[str, int, int]:
    """Tell when a model was asked last, how often of late, and how often what it wrote was accepted."""
    from fact_magics.providers.catalogue import is_same_model

    own = [use for use in uses if is_same_model(listed.model, _named(use))]
    last_used = max((use.last_used for use in own), default="")
    return last_used, sum(use.attempts for use in own), sum(use.accepted for use in own)


def _title(found: _Found) -> str:
    why = one_line(found.why, 400)
    if not any(listed.name == found.default for listed in found.rows):
        return f"What --model takes. A cell that names no model can't be asked: {why}"
    return f"What --model takes. ● is meant where a cell names none: {why}"


def _row(listed: Listed, found: _Found, directory: Path) -> tuple[str | Cell, ...]:
    last_used, attempts, accepted = _use_of(listed, found.uses)
    return (
        _name_cell(listed, is_default=listed.name == found.default),
        "no model" if listed.name == SHELF else listed.provider,
        _source(listed, directory),
        _status(listed),
        _check_cell(found.checks.get(listed.name)),
        cells.when(last_used) if last_used else "",
        f"{accepted} of {attempts}" if attempts else "",
    )


def _name_cell(listed: Listed, *, is_default: bool) -> Cell:
    name = cells.code(cells.middle(listed.name, _LONGEST_NAME))
    parts, plain = [name.html], name.plain
    if listed.model and listed.model != listed.name:
        stands_for = cells.code(cells.middle(listed.model, _LONGEST_NAME))
        parts += [Html(" → "), stands_for.html]
        plain = f"{plain} → {stands_for.plain}"
    if is_default:
        mark = element("span", "● ", title="meant where a cell names none")
        return Cell(f"● {plain}", element("strong", mark, *parts))
    return Cell(plain, Html("".join(parts)))


def _source(listed: Listed, directory: Path) -> str:
    origin = listed.origin
    if (path := Path(origin)).is_absolute() and path.is_relative_to(directory):
        origin = str(path.relative_to(directory))
    said = f"{listed.setting} in {origin}" if listed.setting and origin else listed.setting or origin
    at = f", at {listed.host}" if listed.host else ""
    return f"{cells.middle(said, _LONGEST_SOURCE)}{at}"


def _status(listed: Listed) -> str:
    if listed.name == SHELF:
        return f"ready, {plural(_shelf_size(), 'tool')}"
    if listed.lacks:
        return f"needs {listed.lacks}"
    return "not known until asked" if listed.state == "not known" else listed.state


def _shelf_size() -> int:
    from fact_magics.shelf.entry import SHELF as DIRECTORY

    return sum(1 for _ in DIRECTORY.glob("*.py"))


def _check_cell(checked: Checked | None) -> str | Cell:
    if checked is None:
        return ""
    if checked.works is None:
        return "not proven: name one of its models"
    mark = "✓" if checked.works else "✗"
    said = f"{duration(checked.took_ms)}{f', {checked.said}' if checked.said else ''}"
    line = one_line(f"{mark} {said if checked.works else checked.said}", _LONGEST_REASON)
    return Cell(line, element("span", line, **({"title": checked.hint} if checked.hint else {})))


def _advice(found: _Found) -> list[str]:
    """Say what to do next, where something is missing."""
    states = {listed.state for listed in found.rows}
    said = []
    if "needs LiteLLM" in states:
        said.append(f"What needs LiteLLM can be asked after: {_INSTALL}")
    if any(listed.is_any and listed.state == "ready" for listed in found.rows):
        said.append("… stands for the name of any model of the provider's.")
    if not any(listed.state == "ready" for listed in found.rows if listed.name != SHELF):
        from fact_magics.providers.litellm import has_litellm

        others = "another provider's key, or start a local Ollama"
        more = f", or {others}" if has_litellm() else f"; for {others}: {_INSTALL}"
        said.append(f"To connect a model: put ANTHROPIC_API_KEY=… into the environment or into .env{more}.")
    return said


def _data(listed: Listed, found: _Found) -> dict[str, Any]:
    """Give a row for ``--json``: never a key, only where one was found."""
    last_used, attempts, accepted = _use_of(listed, found.uses)
    checked = found.checks.get(listed.name)
    return {
        "name": listed.name,
        "model": listed.model,
        "provider": listed.provider,
        "is_default": listed.name == found.default,
        "setting": listed.setting,
        "from": listed.origin,
        "host": listed.host,
        "status": listed.state,
        "needs": listed.lacks,
        "last_used": last_used or None,
        "attempts": attempts,
        "accepted": accepted,
        "check": None
        if checked is None
        else {
            "works": checked.works,
            "took_ms": round(checked.took_ms, 1),
            "said": checked.said,
            "hint": checked.hint,
        },
    }
