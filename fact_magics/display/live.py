"""What a cell shows while work goes on, until its record takes the place.

Events arrive on the core's thread and are only queued there; everything that reaches the front end is
sent from the cell's own thread, while the cell runs.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from fact_magics.display import html
from fact_magics.display.html import Html, element, preformatted
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    ExampleProven,
    GenerationEnded,
    Noticed,
    PhaseChanged,
    Printed,
    RunEnded,
    TextArrived,
)
from fact_magics.text import inert, one_line, printable
from fact_magics.tool import Status

if TYPE_CHECKING:
    from fact_magics.display.record import Record
    from fact_magics.events import Event

# Ten updates a second look alive; each is bounded, so that the whole costs no more than the time it takes.
_UPDATE_SECONDS = 0.1
# What ends sooner goes straight to its record.
_APPEAR_SECONDS = 0.1
_TAIL_CHARACTERS = 6_000
_TAIL_LINES = 40


class View(Protocol):
    """Something that shows work as it goes on.

    Attributes
    ----------
    ended : GenerationEnded, RunEnded or None
        The last event, once it has arrived.
    streams : bool
        What has arrived stays where it was shown, so that the record need not repeat it.
    stands : bool
        Something was shown, or is for the view to show, in whose place the record goes.
    """

    ended: Any
    streams: bool
    stands: bool

    def put(self, event: Event) -> None:
        """Take an event; callable from any thread."""

    def pump(self) -> None:
        """Show what has arrived; called in the cell's thread."""

    def give_way(self, record: Record) -> bool:
        """End the view; tell whether `record` is shown now (else the caller shows it)."""

    def close(self) -> None:
        """End the view with no record: what was streamed stays, or one line that says it was stopped."""


class _Queue:
    """The events that have arrived and were not shown yet."""

    streams = False
    stands = False

    def __init__(self) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()
        self.ended: Any = None

    def put(self, event: Event) -> None:
        self._events.put(event)

    def arrived(self) -> list[Event]:
        events: list[Event] = []
        while True:
            try:
                event = self._events.get_nowait()
            except Empty:
                return events
            if isinstance(event, GenerationEnded | RunEnded):
                self.ended = event
            events.append(event)


class SilentView(_Queue):
    """Shows nothing: views are off, or the cell's output is being captured."""

    def pump(self) -> None:
        """Take the events, and show none of them."""
        self.arrived()

    def give_way(self, record: Record) -> bool:
        """Leave the record to the caller."""
        del record
        self.arrived()
        return False

    def close(self) -> None:
        """Take the last events."""
        self.arrived()


class TerminalView(_Queue):
    """Prints text as it arrives, where there is no front end but a terminal."""

    streams = True
    stands = True

    def __init__(self) -> None:
        super().__init__()
        self._open_line = False

    def pump(self) -> None:
        """Print what has arrived."""
        for event in self.arrived():
            self._print(event)
        sys.stdout.flush()

    def _print(self, event: Event) -> None:
        match event:
            case TextArrived(text) | Printed(text):
                sys.stdout.write(printable(text))
                self._open_line = not text.endswith("\n")
            case Noticed(text):
                self._line(text)
            case AttemptEnded(_, status, failures) if status is not Status.OK:
                for failure in failures:
                    self._line(f"✗ {failure}")

    def _line(self, text: str) -> None:
        sys.stdout.write(("\n" if self._open_line else "") + inert(text) + "\n")
        self._open_line = False

    def give_way(self, record: Record) -> bool:
        """Print the record under what has arrived."""
        self.close()
        sys.stdout.write(record.plain + "\n")
        return True

    def close(self) -> None:
        """Finish the open line."""
        self.pump()
        if self._open_line:
            self._line("")


class WidgetView(_Queue):
    """A widget that shows the last lines, the phase and the verdicts, ten times a second at most.

    Parameters
    ----------
    title : str
        What goes on: ``slugify``.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._started = time.perf_counter()
        self._updated = 0.0
        self._widget: Any = None
        self._handle: Any = None
        self._dirty = False
        self._phase = ""
        self._model = ""
        self._characters = 0
        self._tail = ""
        self._lines: deque[str] = deque(maxlen=20)
        self._missed = False

    def pump(self) -> None:
        """Take what has arrived, and show it if it is time to."""
        for event in self.arrived():
            self._take(event)
            self._dirty = True
        now = time.perf_counter()
        if self.ended or now - self._started < _APPEAR_SECONDS or now - self._updated < _UPDATE_SECONDS:
            return
        if self._dirty or now - self._updated >= 1:
            self._updated, self._dirty = now, False
            self._show()

    def _take(self, event: Event) -> None:
        match event:
            case TextArrived(text) | Printed(text):
                self._characters += len(text)
                self._tail = (self._tail + text)[-_TAIL_CHARACTERS:]
            case PhaseChanged(name, detail):
                self._phase = f"{name} {detail}".strip()
            case AttemptStarted(number, of, _, model):
                self._model = model
                self._tail = ""
                self._missed = False
                if number > 1:
                    self._lines.append(f"attempt {number} of {of}")
            case ExampleProven(verdict=verdict):
                mark = "✓" if verdict.holds else "✗"
                self._missed = self._missed or not verdict.holds
                got = "" if verdict.holds else f": got {verdict.got}, expected {verdict.expected}"
                self._lines.append(one_line(f"{mark} {verdict.example.source}{got}", 200))
            case AttemptEnded(_, status, failures) if status is not Status.OK and not self._missed:
                self._lines.extend(one_line(f"✗ {failure}", 200) for failure in failures[:5])
            case Noticed(text):
                self._lines.append(one_line(text, 200))

    def _show(self) -> None:
        markup = self._markup()
        if self._widget is None:
            from IPython.display import display
            from ipywidgets import HTML

            self._widget = HTML(markup)
            self.stands = True
            self._handle = display(self._widget, display_id=True)
        else:
            self._widget.value = markup

    def _markup(self) -> str:
        seconds = time.perf_counter() - self._started
        facts = [fact for fact in (self._model, self._phase, f"{seconds:.0f} s") if fact]
        if self._characters:
            facts.append(f"{self._characters:,} characters")
        lines = [line for line in self._tail.split("\n") if not line.startswith("```")]
        tail = "\n".join(lines[-_TAIL_LINES:])
        pieces = [
            element("p", element("strong", self._title), " · ", " · ".join(facts), aria_live="polite"),
            preformatted(tail, code=True, style="max-height:30em;overflow:auto;line-height:1.3")
            if tail
            else Html(""),
            preformatted("\n".join(self._lines), style="line-height:1.3") if self._lines else Html(""),
        ]
        return html.join(pieces)

    def give_way(self, record: Record) -> bool:
        """Put the record where the widget was, and close the widget."""
        for event in self.arrived():
            self._take(event)
        if self._widget is None:
            return False
        self._handle.update(record.bundle, raw=True)
        self._widget.close()
        self._widget = None
        self.stands = False
        return True

    def close(self) -> None:
        """Leave the last lines of what was printed, as text."""
        from fact_magics.display.record import Record

        self.pump()
        left = self._tail.rstrip() or f"{self._title} · stopped"
        self.give_way(Record(preformatted(left), inert(left)))
