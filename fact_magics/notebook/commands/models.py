"""``%fact models``: the models that ``--model`` accepts, what each still needs, and whether it answers."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fact_magics.display import cells
from fact_magics.display.cells import Cell
from fact_magics.display.html import Html, Record, element
from fact_magics.display.table import Table
from fact_magics.errors import CellError, ProviderError
from fact_magics.notebook.commands.desk import Answer, Desk
from fact_magics.notebook.commands.state import model_in_use
from fact_magics.text import duration, inert, one_line, plural, usd
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.config import Settings
    from fact_magics.core import FactCore
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.providers.catalogue import Listed
    from fact_magics.providers.checking import CheckResult
    from fact_magics.providers.local import LocalServer
    from fact_magics.store.glance import ModelUse

_HEAD = ("Model", "Provider", "From", "Status", "Per million tokens", "Check", "Last used", "Accepted")
_LONGEST_NAME = 80
_LONGEST_SOURCE = 60
_LONGEST_REASON = 200
# A local server may list any number of models.
_MOST_LOCAL = 100
# A list may wait longer for busy local servers than a generation, for which 9 turns of 5 ms are usual.
_PROBE_TURNS = 50
INSTALL = 'pip install "fact_magics[litellm]"'


def list_models(arguments: Arguments, desk: Desk) -> Answer:
    """List the values of ``--model``; with ``--check``, ask each model whether it answers."""
    is_checked = bool(arguments.get("check"))
    found = desk.ask(lambda core: _find(core, is_checked=is_checked), stopped="%fact models was stopped.")
    reason = one_line(found["why"], 400)
    if any(row["is_default"] for row in found["models"]):
        title = f"Values for --model. ● marks the model for cells without --model: {reason}"
    elif found["default"] == "none":
        title = f"Values for --model. Cells without --model have no model: {reason}"
    else:
        title = f"Values for --model. The model that is set for cells without --model can't be used: {reason}"
    rows = [_cells(row, desk.session.directory) for row in found["models"]]
    table = Table(title, _HEAD, rows, optional=_HEAD[4:]).record()
    notes = [element("p", note, style="margin:0.3em 0") for note in found["notes"]]
    plain = "\n".join((table.plain, *map(inert, found["notes"])))
    return Answer(Record(element("div", Html(table.html), *notes), plain), found)


async def _find(core: FactCore, *, is_checked: bool) -> dict[str, Any]:
    """Return what ``--json`` prints. A row names the source of a key, never the key."""
    from fact_magics.providers.catalogue import catalogue, is_same_model
    from fact_magics.providers.checking import check
    from fact_magics.providers.local import local_servers
    from fact_magics.store import glance

    if is_checked and core.replayed is not None:
        raise CellError(
            "No model is asked during a replay.", hint="To check the models, first run %fact replay --stop."
        )
    settings = core.settings
    notes = list(settings.notes)
    servers: Sequence[LocalServer] | None = None
    try:
        servers = await local_servers(settings, _PROBE_TURNS)
    except ProviderError as error:
        notes.append(error.line)
    local = [server._replace(models=server.models[:_MOST_LOCAL]) for server in servers or ()]
    notes += (
        f"The local {server.name} has {plural(more, 'more model')}."
        for server in servers or ()
        if (more := len(server.models) - _MOST_LOCAL) > 0
    )
    uses: Sequence[ModelUse] = ()
    with suppress(sqlite3.Error, OSError):  # the database is busy or gone: the list is useful without it
        uses = await asyncio.to_thread(glance.model_uses, core.database_path)
    listed = catalogue(settings, local, [_name(use) for use in uses if use.provider != SHELF])
    checks = await check(settings, listed, purse=core.purse(max_tokens=1)) if is_checked else {}
    chosen, why, _ = await model_in_use(core, servers)
    # The name as written after --model; if it is an alias, not the model that it stands for.
    default = (settings.model or chosen).strip()
    if default not in {model.name for model in listed}:
        default = default.removeprefix("anthropic/")
    prices: dict[str, dict[str, float]] = {}
    try:
        prices = await _prices(settings, listed)
    except ProviderError as error:
        notes.append(error.line)
    rows = []
    for model in listed:
        asked = checks.get(model.name)
        used = [use for use in uses if is_same_model(model.model, _name(use))]
        rows.append(
            {
                "name": model.name,
                "model": model.model,
                "provider": model.provider,
                "is_default": model.name == default,
                "setting": model.setting,
                "from": model.origin,
                "host": model.host,
                "status": _state(model, asked),
                "needs": model.lacks,
                "per_million_tokens": prices.get(model.name),
                "last_used": max((use.last_used for use in used), default=None),
                "attempts": sum(use.attempts for use in used),
                "accepted": sum(use.accepted for use in used),
                "check": {**asdict(asked), "took_ms": round(asked.took_ms, 1)} if asked else None,
            }
        )
    return {"default": default, "why": why, "models": rows, "notes": [*notes, *_advice(listed)]}


async def _prices(settings: Settings, listed: Sequence[Listed]) -> dict[str, dict[str, float]]:
    """Return the known prices of a million tokens, by the names of the models."""
    from fact_magics.providers.prices import find_prices

    own = {deployment.name: deployment.prices for deployment in settings.models}
    found = {}
    for model in listed:
        if model.model and (prices := await find_prices(model.model, own.get(model.name))):
            read, written = map(float, prices.per_million)
            found[model.name] = {"input_usd": read, "output_usd": written}
    return found


def _name(use: ModelUse) -> str:
    """Return the name of a used model, prefixed with ``anthropic/`` if Anthropic was the provider."""
    return f"anthropic/{use.model}" if use.provider == "anthropic" else use.model


def _state(listed: Listed, checked: CheckResult | None) -> str:
    """Return the model's state as it is after a check that proved something."""
    if checked is None or checked.works is None:
        return listed.state
    return "ready" if checked.works else "failed"


def _cells(row: dict[str, Any], directory: Path) -> tuple[str | Cell, ...]:
    return (
        _name_cell(row),
        "no model" if row["name"] == SHELF else row["provider"],
        _source(row, directory),
        _status(row),
        _price(row),
        _check_cell(row["check"]),
        cells.when(row["last_used"]) if row["last_used"] else "",
        f"{row['accepted']} of {row['attempts']}" if row["attempts"] else "",
    )


def _name_cell(row: dict[str, Any]) -> Cell:
    name = cells.code(cells.middle(row["name"], _LONGEST_NAME))
    parts, plain = [name.html], name.plain
    if row["model"] not in ("", row["name"]):
        stands_for = cells.code(cells.middle(row["model"], _LONGEST_NAME))
        parts += [Html(" → "), stands_for.html]
        plain = f"{plain} → {stands_for.plain}"
    if row["is_default"]:
        mark = element("span", "● ", title="the model for cells without --model")
        return Cell(f"● {plain}", element("strong", mark, *parts))
    return Cell(plain, Html("".join(parts)))


def _source(row: dict[str, Any], directory: Path) -> str:
    origin = row["from"]
    if (path := Path(origin)).is_absolute() and path.is_relative_to(directory):
        origin = str(path.relative_to(directory))
    source = " in ".join(filter(None, (row["setting"], origin)))
    at = f", at {row['host']}" if row["host"] else ""
    return f"{cells.middle(source, _LONGEST_SOURCE)}{at}"


def _status(row: dict[str, Any]) -> str:
    if row["name"] == SHELF:
        from fact_magics.shelf.entry import SHELF as DIRECTORY

        return f"ready, {plural(len(list(DIRECTORY.glob('*.py'))), 'tool')}"
    if row["needs"]:
        return f"needs {row['needs']}"
    state = str(row["status"])
    if state == "not checked" and row["setting"]:
        return f"{'key' if row['setting'].endswith('_API_KEY') else 'address'} set, not checked"
    return {"not known": "unknown until its first request", "failed": "failed the check"}.get(state, state)


def _price(row: dict[str, Any]) -> str:
    prices = row["per_million_tokens"]
    if prices is None:
        return "" if row["name"] == SHELF or not row["model"] else "price unknown"
    return f"{usd(prices['input_usd'])} in, {usd(prices['output_usd'])} out"


def _check_cell(checked: dict[str, Any] | None) -> str | Cell:
    if checked is None:
        return ""
    if checked["works"] is None:
        return "not checked: name one of its models"
    line = f"✗ {checked['said']}"
    if checked["works"]:
        line = ", ".join(filter(None, (f"✓ {duration(checked['took_ms'])}", checked["said"])))
    line = one_line(line, _LONGEST_REASON)
    return Cell(line, element("span", line, **({"title": checked["hint"]} if checked["hint"] else {})))


def _advice(listed: Sequence[Listed]) -> list[str]:
    """Explain the list, and how to get more models."""
    usable = [model for model in listed if model.is_usable]
    notes = []
    if any(model.state == "needs LiteLLM" for model in listed):
        notes.append(f"To use the models that need LiteLLM: {INSTALL}")
    if any(model.is_any for model in usable):
        notes.append("Replace … with the name of any model of that provider.")
    if all(model.name == SHELF for model in usable):
        from fact_magics.providers.litellm import has_litellm

        more = ", or set another provider's key." if has_litellm() else f". Others need LiteLLM: {INSTALL}"
        notes.append(
            "To connect a model: put ANTHROPIC_API_KEY=… into the environment or into .env, or start a local"
            f" server (Ollama, LM Studio, llama.cpp){more}"
        )
    return notes
