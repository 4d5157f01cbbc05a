"""Views that show work until its record replaces them; those here need no widgets.

Events arrive on the core's thread and are only queued there. Everything that reaches the front end is sent
from the cell's own thread while the cell runs.
"""

from __future__ import annotations

import sys
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from fact_magics.display.record import stopped_record
from fact_magics.events import AttemptEnded, GenerationEnded, Noticed, Printed, RunEnded, TextArrived
from fact_magics.text import inert, printable
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.display.record import Record
    from fact_magics.events import Event


class View:
    """Base of all views: queues events and shows none of them.

    Parameters
    ----------
    title : str
        The tool's name.

    Attributes
    ----------
    ended : GenerationEnded, RunEnded or None
        The last event, once it has arrived.
    streams : bool
        Whether text that arrived stays on screen, so that the record need not repeat it.
    stands : bool
        Whether the view is on screen, so that `give_way` must be called.
    """

    streams = False
    stands = False

    def __init__(self, title: str) -> None:
        self.title = title
        self.ended: Any = None
        self._printed: list[str] = []
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._started = time.perf_counter()

    def put(self, event: Event) -> None:
        """Queue an event; may be called from any thread."""
        self._events.put(event)

    def pump(self) -> None:
        """Show what has arrived; called on the cell's thread."""
        self._receive()

    def offer_stop(self, stop: Callable[[], None]) -> None:
        """Let the user stop the work by calling `stop`, which any thread may do; without effect here."""

    def give_way(self, record: Record) -> bool:
        """End the view and return whether it has shown `record`; if not, the caller shows it."""
        del record
        self._receive()
        return False

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """End the view of work that has no result, and keep on screen what it printed."""
        del ended
        self._receive()

    def _receive(self) -> None:
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, GenerationEnded | RunEnded):
                self.ended = event
            elif isinstance(event, Printed):
                self._printed.append(event.text)
            self._take(event)

    def _take(self, event: Event) -> None:
        """Show an event, or prepare to."""

    def _stopped(self, ended: Status) -> Record:
        seconds = time.perf_counter() - self._started
        return stopped_record(self.title, "".join(self._printed), seconds, ended)


class SilentView(View):
    """Shows nothing before the record: views are off, output is captured, or the front end has no widgets."""

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Show what was printed, if anything was."""
        self._receive()
        if self._printed:
            from IPython.display import display

            display(self._stopped(ended).bundle, raw=True)


class MutedView(View):
    """Shows nothing at all, for a cell that ends in ``;``."""

    def give_way(self, record: Record) -> bool:
        """Drop the record."""
        super().give_way(record)
        return True


class TerminalView(View):
    """Prints text as it arrives, for a terminal."""

    streams = True
    stands = True
    _open_line = False

    def pump(self) -> None:
        """Print what has arrived."""
        self._receive()
        sys.stdout.flush()

    def _take(self, event: Event) -> None:
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
        """Print the record below the text."""
        self.close()
        sys.stdout.write(record.plain + "\n")
        return True

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """End the last line."""
        del ended
        self.pump()
        if self._open_line:
            self._line("")
