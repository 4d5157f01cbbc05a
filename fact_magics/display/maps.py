"""The views of maps while they go on, and the records that stay."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from fact_magics.display.html import Record, element
from fact_magics.display.live import View, WidgetView
from fact_magics.display.record import stacked
from fact_magics.display.result import show
from fact_magics.display.table import Table
from fact_magics.events import MapAdvanced
from fact_magics.text import duration, inert, one_line, plural
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fact_magics.events import Event

_SHOWN = 20
_ERRORS_SHOWN = 10
_ERROR_LIMIT = 300
_EVERY_SECONDS = 0.25


def progress_text(event: MapAdvanced) -> str:
    """Say how far a map is: ``1,200 of 5,000 · 800/s · 5 s left · 3 cached · 1 failed``."""
    done = f"{event.done:,}" if event.total is None else f"{event.done:,} of {event.total:,}"
    parts = [done, f"{event.rate:,.0f}/s" if event.rate >= 10 else f"{event.rate:,.1f}/s"]
    if event.seconds_left is not None:
        parts.append(f"{duration(event.seconds_left * 1000)} left")
    parts += [f"{event.counts[kind]:,} {kind}" for kind in ("cached", "failed") if event.counts.get(kind)]
    return " · ".join(filter(None, (*parts, event.where)))


class Mapped(Protocol):
    """What the record of a map shows: the attributes of a `MapResult`."""

    tool: str
    errors: dict[int, str]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    duration_ms: float

    @property
    def values(self) -> list[Any]:
        """The values of the rows; None where a row failed."""

    @property
    def facts(self) -> list[str]:
        """The numbers of rows, as short phrases."""


class MapView(WidgetView):
    """Shows a bar, the rate, the time left, and how many rows were cached or have failed."""

    def __init__(self, title: str) -> None:
        super().__init__(title, {"kind": "mapping"})
        self._newest: MapAdvanced | None = None
        self._told = ""
        self._sent = 0.0

    def _take(self, event: Event) -> None:
        if isinstance(event, MapAdvanced):
            self._newest = event
            self._told = progress_text(event)

    def _changes(self, seconds: float) -> dict[str, Any]:
        newest = self._newest
        if newest is None or (self._sent and seconds - self._sent < _EVERY_SECONDS):
            return {}
        self._newest, self._sent = None, seconds
        share = None if not newest.total else round(newest.done / newest.total, 4)
        return {"told": self._told, "share": share}

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Replace the bar with the last numbers."""
        self.pump()
        if self.is_visible:
            state = "" if ended is Status.OK else f" · {ended}"
            line = f"{inert(self.title)}: {self._told}{state}"
            self.replace(Record(element("small", line), line))


class TerminalMapView(View):
    """Shows the progress on a line of a terminal, with tqdm if it is installed. Writes nothing to a file."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._bar: Any = None
        self._width = 0

    def pump(self) -> None:
        """Show the newest numbers."""
        self._receive()

    def _take(self, event: Event) -> None:
        if not isinstance(event, MapAdvanced) or not sys.stderr.isatty():
            return
        tqdm = _tqdm()
        if tqdm is None:
            line = f"{self.title}: {progress_text(event)}"
            sys.stderr.write(f"\r{line.ljust(self._width)}")
            sys.stderr.flush()
            self._width = max(self._width, len(line))
            return
        if self._bar is None:
            # The events don't come more often than the bar should be drawn.
            self._bar = tqdm(
                total=event.total, desc=self.title, unit="row", leave=False, mininterval=0, miniters=1
            )
        told = [f"{event.counts[kind]:,} {kind}" for kind in ("cached", "failed") if event.counts.get(kind)]
        self._bar.set_postfix_str(" · ".join(filter(None, (*told, event.where))), refresh=False)
        self._bar.update(event.done - self._bar.n)

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._width:
            sys.stderr.write(f"\r{' ' * self._width}\r")
            self._width = 0

    def replace(self, record: Record) -> None:
        """Remove the line, and write the record."""
        self._receive()
        self._hide()
        sys.stdout.write(record.plain + "\n")

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Remove the line."""
        del ended
        self._receive()
        self._hide()


def _tqdm() -> Any:
    try:
        return import_module("tqdm").tqdm
    except ImportError:
        return None


def map_record(result: Mapped) -> Record:
    """Show a map: its numbers with the failures first, the first failed rows, and the first values."""
    rows = plural(len(result.values), "row")
    facts = (rows, *result.facts, duration(result.duration_ms))
    head = " · ".join((result.tool, *facts))
    parts = [Record(element("p", element("strong", result.tool), f" · {' · '.join(facts)}"), head)]
    notes = filter(None, (_left_out(result), *result.notes))
    parts += [Record(element("p", element("small", note)), note) for note in notes]
    if result.errors:
        parts.append(_errors(result.errors))
    values = [value for row, value in enumerate(result.values[: 4 * _SHOWN]) if row not in result.errors]
    if values:
        if result.errors:
            others = "The values of the other rows:"
            parts.append(Record(element("p", element("small", others)), others))
        parts.append(show(values[:_SHOWN]))
        if len(result.values) > _SHOWN:
            more = f"The first {min(len(values), _SHOWN)} of {len(result.values):,} values."
            parts.append(Record(element("p", element("small", more)), more))
    return stacked(parts)


def _left_out(result: Mapped) -> str:
    if not result.left_out:
        return ""
    return f"Left out, because the tool does not take them: {', '.join(result.left_out)}."


def _errors(errors: Mapping[int, str]) -> Record:
    shown = [(str(row), one_line(error, _ERROR_LIMIT)) for row, error in [*errors.items()][:_ERRORS_SHOWN]]
    left = len(errors) - len(shown)
    title = f"{plural(len(errors), 'failed row')}{f', the first {len(shown)} of them' if left else ''}"
    return Table(title, ("Row", "Error"), [[*one] for one in shown], numbers=("Row",)).record()
