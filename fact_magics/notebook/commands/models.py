"""``%fact models``: the models that ``--model`` accepts, what each still needs, and whether it answers."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
    from collections.abc import Mapping, Sequence

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
INSTALL = 'pip install "fact_magics[litellm]"'


def list_models(arguments: Arguments, desk: Desk) -> Answer:
    """List the values of ``--model``; with ``--check``, ask each model whether it answers."""
    is_checked = bool(arguments.get("check"))
    found = desk.ask(lambda core: _find(core, is_checked=is_checked), stopped="%fact models was stopped.")
    notes = [*found.notes, *_advice(found.listed)]
    data = [_data(listed, found) for listed in found.listed]
    reason = one_line(found.why, 400)
    if any(row["is_default"] for row in data):
        title = f"Values for --model. ● marks the model for cells without --model: {reason}"
    elif found.default == "none":
        title = f"Values for --model. Cells without --model have no model: {reason}"
    else:
        title = f"Values for --model. The model that is set for cells without --model can't be used: {reason}"
    rows = [
        _cells(listed, row, found.checks.get(listed.name), desk.session.directory)
        for listed, row in zip(found.listed, data, strict=True)
    ]
    table = Table(title, _HEAD, rows, optional=_HEAD[4:]).record()
    markup = element("div", Html(table.html), *(element("p", note, style="margin:0.3em 0") for note in notes))
    record = Record(markup, "\n".join((table.plain, *map(inert, notes))))
    return Answer(record, {"default": found.default, "why": found.why, "models": data, "notes": notes})


class _Found(NamedTuple):
    listed: Sequence[Listed]
    uses: Sequence[ModelUse]
    checks: Mapping[str, CheckResult]
    prices: Mapping[str, dict[str, float]]
    default: str
    why: str
    notes: Sequence[str]


async def _find(core: FactCore, *, is_checked: bool) -> _Found:
    from fact_magics.providers.catalogue import catalogue
    from fact_magics.providers.checking import check
    from fact_magics.providers.local import local_servers
    from fact_magics.store import glance

    settings = core.settings
    notes = list(settings.notes)
    local: list[LocalServer] = []
    try:
        for server in await local_servers(settings):
            if (more := len(server.models) - _MOST_LOCAL) > 0:
                notes.append(f"The local {server.name} has {plural(more, 'more model')}.")
            local.append(server._replace(models=server.models[:_MOST_LOCAL]))
    except ProviderError as error:
        notes.append(error.line)
    uses: Sequence[ModelUse] = ()
    with suppress(sqlite3.Error, OSError):  # the database is busy or gone: the list is useful without it
        uses = await asyncio.to_thread(glance.model_uses, core.database_path)
    listed = catalogue(settings, local, [_name(use) for use in uses if use.provider != SHELF])
    if is_checked and core.replayed is not None:
        raise CellError(
            "No model is asked during a replay.", hint="To check the models, first run %fact replay --stop."
        )
    checks = await check(settings, listed, purse=core.purse(max_tokens=1)) if is_checked else {}
    chosen, why, _ = await model_in_use(core)
    # The name as written after --model; if it is an alias, not the model that it stands for.
    default = (settings.model or chosen).strip()
    if default not in {model.name for model in listed}:
        default = default.removeprefix("anthropic/")
    prices: dict[str, dict[str, float]] = {}
    try:
        prices = await _prices(settings, listed)
    except ProviderError as error:
        notes.append(error.line)
    return _Found(listed, uses, checks, prices, default, why, notes)


async def _prices(settings: Settings, listed: Sequence[Listed]) -> dict[str, dict[str, float]]:
    """Return the known prices of a million tokens, by the names of the models."""
    from fact_magics.providers.prices import find_prices

    own = {deployment.name: deployment.prices for deployment in settings.models}
    found = {}
    for model in listed:
        prices = await find_prices(model.model, own.get(model.name)) if model.model else None
        if prices is not None:
            found[model.name] = dict(
                zip(("input_usd", "output_usd"), map(float, prices.per_million), strict=True)
            )
    return found


def _name(use: ModelUse) -> str:
    """Return the name of a used model, prefixed with ``anthropic/`` if Anthropic was the provider."""
    return f"anthropic/{use.model}" if use.provider == "anthropic" else use.model


def _data(listed: Listed, found: _Found) -> dict[str, Any]:
    """Return a model's row for ``--json``. The row names the source of a key, never the key."""
    from fact_magics.providers.catalogue import is_same_model

    uses = [use for use in found.uses if is_same_model(listed.model, _name(use))]
    checked = found.checks.get(listed.name)
    return {
        "name": listed.name,
        "model": listed.model,
        "provider": listed.provider,
        "is_default": listed.name == found.default,
        "setting": listed.setting,
        "from": listed.origin,
        "host": listed.host,
        "status": _state(listed, checked),
        "needs": listed.lacks,
        "per_million_tokens": found.prices.get(listed.name),
        "last_used": max((use.last_used for use in uses), default=None),
        "attempts": sum(use.attempts for use in uses),
        "accepted": sum(use.accepted for use in uses),
        "check": {**asdict(checked), "took_ms": round(checked.took_ms, 1)} if checked else None,
    }


def _cells(
    listed: Listed, row: dict[str, Any], checked: CheckResult | None, directory: Path
) -> tuple[str | Cell, ...]:
    return (
        _name_cell(listed, is_default=row["is_default"]),
        "no model" if listed.name == SHELF else listed.provider,
        _source(listed, directory),
        _status(listed, row["status"]),
        _price(listed, row["per_million_tokens"]),
        _check_cell(checked),
        cells.when(row["last_used"]) if row["last_used"] else "",
        f"{row['accepted']} of {row['attempts']}" if row["attempts"] else "",
    )


def _name_cell(listed: Listed, *, is_default: bool) -> Cell:
    name = cells.code(cells.middle(listed.name, _LONGEST_NAME))
    parts, plain = [name.html], name.plain
    if listed.model and listed.model != listed.name:
        stands_for = cells.code(cells.middle(listed.model, _LONGEST_NAME))
        parts += [Html(" → "), stands_for.html]
        plain = f"{plain} → {stands_for.plain}"
    if is_default:
        mark = element("span", "● ", title="the model for cells without --model")
        return Cell(f"● {plain}", element("strong", mark, *parts))
    return Cell(plain, Html("".join(parts)))


def _source(listed: Listed, directory: Path) -> str:
    origin = listed.origin
    if (path := Path(origin)).is_absolute() and path.is_relative_to(directory):
        origin = str(path.relative_to(directory))
    source = " in ".join(filter(None, (listed.setting, origin)))
    at = f", at {listed.host}" if listed.host else ""
    return f"{cells.middle(source, _LONGEST_SOURCE)}{at}"


def _state(listed: Listed, checked: CheckResult | None) -> str:
    """Return the model's state as it is after a check that proved something."""
    if checked is None or checked.works is None:
        return listed.state
    return "ready" if checked.works else "failed"


def _status(listed: Listed, state: str) -> str:
    if listed.name == SHELF:
        from fact_magics.shelf.entry import SHELF as DIRECTORY

        return f"ready, {plural(len(list(DIRECTORY.glob('*.py'))), 'tool')}"
    if listed.lacks:
        return f"needs {listed.lacks}"
    if state == "not checked":
        held = "key" if listed.setting.endswith("_API_KEY") else "address" if listed.setting else ""
        return f"{held} set, not checked" if held else state
    return {"not known": "unknown until its first request", "failed": "failed the check"}.get(state, state)


def _price(listed: Listed, prices: dict[str, float] | None) -> str:
    if prices is None:
        return "" if listed.name == SHELF or listed.is_any else "price unknown"
    return f"{usd(prices['input_usd'])} in, {usd(prices['output_usd'])} out"


def _check_cell(checked: CheckResult | None) -> str | Cell:
    if checked is None:
        return ""
    if checked.works is None:
        return "not checked: name one of its models"
    if checked.works:
        line = f"✓ {duration(checked.took_ms)}{f', {checked.said}' if checked.said else ''}"
    else:
        line = f"✗ {checked.said}"
    line = one_line(line, _LONGEST_REASON)
    return Cell(line, element("span", line, **({"title": checked.hint} if checked.hint else {})))


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
