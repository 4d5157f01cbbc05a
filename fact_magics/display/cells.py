"""The cells that lists are made of: times, statuses, and what went in and came out."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from fact_magics.display.grid import Cell
from fact_magics.display.html import Html, element
from fact_magics.text import ago, inert
from fact_magics.tool import Status

_SIDE = 40


def when(moment: str, now: float | None = None) -> Cell:
    """Say how long ago something was; the markup holds the time itself.

    Parameters
    ----------
    moment : str
        ISO 8601, with its time zone.
    now : float, optional
        Seconds since the epoch; by default the clock's.
    """
    then = datetime.fromisoformat(moment)
    said = ago(max(0.0, (time.time() if now is None else now) - then.timestamp()))
    exact = f"{then.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Cell(said, element("time", said, datetime=moment, title=exact))


def status(ended: Status, *, cached: bool = False) -> Cell:
    """Say how something ended, by a mark and a word."""
    mark = {Status.OK: "✓", Status.INTERRUPTED: "■"}.get(ended, "✗")
    said = f"{mark} {ended}{' · cached' if cached else ''}"
    return Cell(said, element("span", said))


def code(text: str | None, limit: int = 80) -> Cell:
    """Show a piece of code or data on one line, cut in the middle."""
    return Cell.code(middle(text or "", limit))


def in_and_out(given: str | None, came: str | None, *, is_data: bool = True) -> Cell:
    """Show what a run was given, and what it came to, so that both can be seen.

    Parameters
    ----------
    given, came : str or None
        Both as text, of any length.
    is_data : bool
        What came is data; else it is a sentence.
    """
    before, after = middle(given or "", _SIDE), middle(came or "", _SIDE if is_data else 2 * _SIDE)
    shown = element("code", after) if is_data and after else element("span", after)
    return Cell(f"{before} → {after}", Html(f"{element('code', before)} → {shown}"))


def middle(text: str, limit: int) -> str:
    """Fold text onto one line, and cut it in the middle, so that its beginning and its end are seen."""
    if len(text) > 4 * limit:  # no more of it is looked at than may be shown
        text = f"{text[: 2 * limit]}…{text[-2 * limit :]}"
    line = " ".join(text.split())
    if len(line) > limit:
        tail = limit // 3
        line = f"{line[: limit - 1 - tail]}…{line[-tail:]}"
    return inert(line)
