"""Table cells: times, statuses, code, and the input and output of a run."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fact_magics.display.html import Html, element, join
from fact_magics.text import ago, inert, plural, usd
from fact_magics.tool import HAND, IMPORTED, NO_MODELS, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIDE = 40
UNBROKEN = 28
"""Texts up to this many characters stay on one line; longer ones get a wider column and wrap."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell with markup of its own; its text is a single line."""

    plain: str
    html: Html


def when(moment: str, now: float | None = None) -> Cell:
    """Show how long ago a moment was; the markup holds the exact time.

    `moment` is in ISO 8601 with a time zone, `now` in seconds since the epoch.
    """
    then = datetime.fromisoformat(moment)
    shown = ago(max(0.0, (time.time() if now is None else now) - then.timestamp()))
    exact = f"{then.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Cell(shown, element("time", shown, datetime=moment, title=exact))


def status(ended: Status, *, cached: bool = False) -> Cell:
    """Show a status as a mark and a word."""
    mark = {Status.OK: "✓", Status.INTERRUPTED: "■"}.get(ended, "✗")
    shown = f"{mark} {ended}{' · cached' if cached else ''}"
    return Cell(shown, element("span", shown))


def writer(provider: str, model: str) -> str:
    """Say who wrote a version, as words that fit after "written by"; imported versions say so."""
    if provider == IMPORTED:
        return f"imported: {model or 'unknown'}"
    return "hand" if provider == HAND else model


def price(attempts: Iterable[Any]) -> str:
    """Say what attempts or their rows cost; empty if no request to a model had to be paid."""
    costs = [
        attempt.cost_usd
        for attempt in attempts
        if attempt.cost_usd is not None
        # The server may charge for a request that was stopped while it waited for the first text.
        or ((attempt.text or attempt.status is Status.INTERRUPTED) and attempt.provider not in NO_MODELS)
    ]
    known = [cost for cost in costs if cost is not None]
    if not known:
        return "price unknown" if costs else ""
    unknown = len(costs) - len(known)
    return usd(sum(known)) + (f" and the unknown price of {plural(unknown, 'attempt')}" if unknown else "")


def saving(attempts: Iterable[Any]) -> str:
    """Say what the provider's prompt cache saved; empty if nothing is known."""
    saved = sum(attempt.saved_usd or 0.0 for attempt in attempts)
    return f"{usd(saved)} saved by the prompt cache" if saved else ""


def code(source: str) -> Cell:
    """Show code; short code does not wrap, since JupyterLab would break it after each word."""
    style = "white-space:pre" if len(source) <= UNBROKEN else ""
    return Cell(source, element("code", source, style=style) if source else Html(""))


def in_and_out(given: str | None, came: str | None, *, is_data: bool = True) -> Cell:
    """Show a run's input and output; the output is data, or a sentence if `is_data` is false."""
    before = middle(_without_summaries(given or ""), _SIDE)
    after = middle(_without_summaries(came or ""), _SIDE) if is_data else middle(came or "", 2 * _SIDE)
    shown = element("code" if is_data and after else "span", after)
    return Cell(f"{before} → {after}", join(element("code", before), " → ", shown))


def _without_summaries(data: str) -> str:
    """Replace what the history keeps of tables and pictures by their type and size."""
    if '"sha256": "' not in data:
        return data
    try:
        return json.dumps(json.loads(data, object_hook=_type_and_size), ensure_ascii=False)
    except (ValueError, RecursionError):  # only the beginning of long data is kept
        return data


def _type_and_size(found: dict[str, Any]) -> object:
    size = found.get("shape", found.get("size"))
    if not {"type", "bytes", "sha256"} <= found.keys() or not isinstance(size, list):
        return found
    sides = " by ".join(map(str, size))
    return f"<{found['type']}{f' of {sides}' if sides else ''}>"


def middle(text: str, limit: int) -> str:
    """Put text on one line; replace its middle by an ellipsis if it exceeds `limit` characters."""
    if len(text) > 4 * limit:  # long text costs no more than the part that can be shown
        text = f"{text[: 2 * limit]}…{text[-2 * limit :]}"
    line = " ".join(text.split())
    if len(line) > limit:
        tail = limit // 3
        line = f"{line[: limit - 1 - tail]}…{line[-tail:]}"
    return inert(line)
