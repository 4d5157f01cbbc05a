"""What a cell shows while work goes on, until its record takes the place: the views that need no widget.

Events arrive on the core's thread and are only queued there; everything that reaches the front end is
sent from the cell's own thread, while the cell runs.
"""

from __future__ import annotations

import sys
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from fact_magics.display.record import stopped_record
from fact_magics.events import (
    AttemptEnded,
    GenerationEnded,
    Noticed,
    Printed,
    RunEnded,
    TextArrived,
)
from fact_magics.text import inert, printable
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.display.record import Record
    from fact_magics.events import Event


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

    def offer_stop(self, stop: Callable[[], None]) -> None:
        """Let the view show a way to stop the work, if it has one; `stop` is callable from any thread."""

    def give_way(self, record: Record) -> bool:
        """End the view; tell whether `record` is shown now (else the caller shows it)."""

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """End the view of work that came to no outcome: what was printed stays, and how it `ended`."""


class Arrivals:
    """The events that have arrived, and what every view does with them.

    Parameters
    ----------
    title : str
        What goes on: ``slugify``.
    """

    streams = False
    stands = False

    def __init__(self, title: str) -> None:
        self.title = title
        self.ended: Any = None
        self.printed: list[str] = []
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the work has gone on."""
        return time.perf_counter() - self._started

    def put(self, event: Event) -> None:
        """Take an event; callable from any thread."""
        self._events.put(event)

    def arrived(self) -> list[Event]:
        """Give the events that have arrived since this was asked last."""
        events: list[Event] = []
        while True:
            try:
                event = self._events.get_nowait()
            except Empty:
                return events
            if isinstance(event, GenerationEnded | RunEnded):
                self.ended = event
            elif isinstance(event, Printed):
                self.printed.append(event.text)
            events.append(event)

    def offer_stop(self, stop: Callable[[], None]) -> None:
        """Leave stopping to the front end's own ways."""
        del stop


class SilentView(Arrivals):
    """Shows nothing before the record: views are off, the output is captured, or there is nobody to watch."""

    def pump(self) -> None:
        """Take the events, and show none of them."""
        self.arrived()

    def give_way(self, record: Record) -> bool:
        """Leave the record to the caller."""
        del record
        self.arrived()
        return False

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Leave what was printed, if anything was."""
        self.arrived()
        if self.printed:
            from IPython.display import display

            record = stopped_record(self.title, "".join(self.printed), self.seconds, ended)
            display(record.bundle, raw=True)


class MutedView(SilentView):
    """Shows nothing at all, as a cell asks that ends in ``;``."""

    def give_way(self, record: Record) -> bool:
        """Take the record for shown."""
        del record
        self.arrived()
        return True

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Take the last events."""
        del ended
        self.arrived()


class TerminalView(Arrivals):
    """Prints text as it arrives, where there is no front end but a terminal."""

    streams = True
    stands = True

    def __init__(self, title: str) -> None:
        super().__init__(title)
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

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Finish the open line."""
        del ended
        self.pump()
        if self._open_line:
            self._line("")
