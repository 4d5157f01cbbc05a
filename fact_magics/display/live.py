"""Views that show work while it goes on, until its record replaces them.

Events arrive on the core's thread and are only queued there. Everything that the front end receives is sent
from the cell's own thread while the cell runs.

The views of front ends with widgets send only changes, so a view costs as much as the text that it shows. The
changes are sent as the widget's state, since a custom message that arrives before the browser has created
the widget would be lost.
"""

from __future__ import annotations

import time
from itertools import chain
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from fact_magics.display.channel import Channel, clicks_arrive
from fact_magics.display.record import stopped_record
from fact_magics.display.screen import Screen
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
from fact_magics.text import inert, one_line
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.display.html import Record
    from fact_magics.events import Event

# Work that ends sooner shows only its record.
_APPEAR_SECONDS = 0.2
# A message has about 650 bytes besides its content. Text is therefore collected for this long before it is
# sent, and the browser reveals it evenly. The first pieces are sent at once, to show that something happens.
_TEXT_SECONDS = 0.5
_TEXT_AT_ONCE = 8
_TEXT_CHARACTERS = 2_000
# Each piece of printed text may change the whole screen. This limits the average amount that is sent.
_SCREEN_CHARACTERS_A_SECOND = 400_000
_ROWS = 2_000
_EXAMPLES = 100


class View:
    """Shows nothing before the record; used if views are off.

    Attributes
    ----------
    ended : GenerationEnded, RunEnded or None
        The last event, once it has arrived.
    streams : bool
        Whether the text of the model or the tool stays on screen, so that the record need not repeat it.
    goes_on : bool
        Whether more work is shown after that event.
    is_visible : bool
        Whether the view is on screen, so that a record must replace it.
    """

    streams = False
    is_visible = False

    def __init__(self, title: str) -> None:
        self.title = title
        self.ended: Any = None
        self.goes_on = False
        self._printed: list[str] = []
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._started = time.perf_counter()

    def put(self, event: Event) -> None:
        """Queue an event; may be called from any thread."""
        self._events.put(event)

    def pump(self) -> None:
        """Show the events that have arrived; called on the cell's thread."""
        self._receive()

    def offer_stop(self, stop: Callable[[], None]) -> None:
        """Offer a button that calls `stop` from any thread; only views with widgets have a button."""

    def replace(self, record: Record) -> None:
        """End the view and show the record in its place."""
        from IPython.display import display

        self._receive()
        display(record.bundle, raw=True)

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """End the view of work that has no result; printed text stays on screen, with the final status."""
        self._receive()
        if self._printed:
            self.replace(self._stopped(ended))

    def _receive(self) -> None:
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, GenerationEnded | RunEnded):
                self.ended = event
            elif isinstance(event, PhaseChanged) and event.name == "probing":
                self.goes_on = True
            elif isinstance(event, Printed):
                self._printed.append(event.text)
            self._take(event)

    def _take(self, event: Event) -> None:
        """Show an event, or prepare to show it."""

    def _stopped(self, ended: Status) -> Record:
        seconds = time.perf_counter() - self._started
        return stopped_record(self.title, "".join(self._printed), seconds, ended)


class MutedView(View):
    """Shows nothing at all, for a cell that ends in ``;``."""

    def replace(self, record: Record) -> None:
        """Drop the record."""
        del record
        self._receive()


class WidgetView(View):
    """Appears after a moment and sends the changes of its state."""

    def __init__(self, title: str, state: dict[str, Any]) -> None:
        super().__init__(title)
        self._initial = {"title": inert(title), **state}
        self._channel: Channel | None = None
        self._shown: Any = None
        self._stop: Callable[[], None] | None = None
        self._answered = self._offered = False

    def offer_stop(self, stop: Callable[[], None]) -> None:
        """Show a button that calls `stop`, once a message shows that clicks arrive while the cell runs."""
        if clicks_arrive():
            self._stop = stop

    def pump(self) -> None:
        """Send the changes that are due."""
        self._receive()
        seconds = time.perf_counter() - self._started
        if (self.ended and not self.goes_on) or seconds < _APPEAR_SECONDS:
            return
        changes = self._changes(seconds)
        if self._channel is None:
            self._open(changes, seconds)
            return
        if self._answered and not self._offered:
            self._offered = changes["stop"] = True
        if changes:
            self._channel.send(changes)

    def replace(self, record: Record) -> None:
        """Replace the widget with the record and close it; show the record if the widget never appeared."""
        channel, self._channel, self._stop = self._channel, None, None
        if channel is None:
            super().replace(record)
            return
        self._receive()
        self._shown.update(record.bundle, raw=True)
        channel.close(loaded=self._answered)
        self.is_visible = False

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Replace the widget, if it appeared, with the printed text and the status."""
        self.pump()
        if self.is_visible:
            self.replace(self._stopped(ended))

    def _changes(self, seconds: float) -> dict[str, Any]:
        """Return the changes of the state that are due `seconds` after the work began."""
        raise NotImplementedError

    def _open(self, changes: dict[str, Any], seconds: float) -> None:
        from IPython.display import display

        asks = self._stop is not None
        state = {**self._initial, "seconds": round(seconds, 2), "asks": asks, **changes}
        self._channel = Channel(state, self._hear)
        self.is_visible = True
        self._shown = display(self._channel.bundle(f"{state['title']} …"), raw=True, display_id=True)

    def _hear(self, content: object) -> None:
        self._answered = True
        stop = self._stop
        if content == "stop" and stop is not None:
            self._stop = None
            stop()


class WritingView(WidgetView):
    """Shows the model's text as it is written, and each example as it is proven.

    The events are sent as numbered parts of the state (``p0``, ``p1`` and so on), each a list of steps. While
    several candidates are written at the same time, a step ``turn`` says about which one the next steps are.
    """

    def __init__(self, title: str, examples: Sequence[str] = ()) -> None:
        super().__init__(title, {"kind": "writing"})
        listed = [one_line(example, 200) for example in examples[:_EXAMPLES]]
        self._steps: list[list[Any]] = [["examples", listed, len(examples)]]
        self._text: dict[int, list[str]] = {}
        self._parts = 0
        self._sent = 0.0
        self._turn = 0
        self._beside = False
        self._failed: set[int] = set()  # the attempts that failed an example, which is on screen already

    def _take(self, event: Event) -> None:
        if isinstance(event, TextArrived):
            self._text.setdefault(event.attempt, []).append(event.text.replace("\r", ""))
        elif step := self._step(event):
            self._gather()
            number = event.number if isinstance(event, AttemptEnded) else getattr(event, "attempt", 0)
            self._give_turn(number if self._beside else 0)
            self._steps.append(step)
            if isinstance(event, AttemptStarted):
                self._beside = event.beside > 1
                self._turn = event.number if self._beside else 0

    def _step(self, event: Event) -> list[Any] | None:
        match event:
            case PhaseChanged(name, detail):
                return ["phase", name, one_line(detail)]
            case AttemptStarted(number, of, _, model, beside):
                return ["attempt", number, of, one_line(model), beside]
            case ExampleProven(number, _, verdict, attempt):
                if not verdict.holds:
                    self._failed.add(attempt)
                got, expected = one_line(verdict.got, 300), one_line(verdict.expected, 300)
                return ["example", number, verdict.holds, got, expected]
            case AttemptEnded(number, status, failures) if status is not Status.OK:
                number = number if self._beside else 0
                if number in self._failed:
                    self._failed.discard(number)
                    failures = ()
                return ["failed", [one_line(failure, 300) for failure in failures[:20]]]
            case AttemptEnded() if self._beside:
                return ["held"]
            case Noticed(text):
                return ["note", one_line(text, 300)]
        return None

    def _gather(self) -> None:
        for number, text in self._text.items():
            self._give_turn(number)
            self._steps.append(["text", inert("".join(text))])
        self._text = {}

    def _give_turn(self, number: int) -> None:
        if number != self._turn:
            self._turn = number
            self._steps.append(["turn", number])

    def _changes(self, seconds: float) -> dict[str, Any]:
        """Return the next changes; text is collected until there is enough, other events are sent at once."""
        due = self._parts < _TEXT_AT_ONCE or seconds - self._sent >= _TEXT_SECONDS
        if self._steps or due or sum(map(len, chain.from_iterable(self._text.values()))) >= _TEXT_CHARACTERS:
            self._gather()
        if not self._steps:
            return {}
        part, self._steps = self._steps, []
        self._sent = seconds
        self._parts += 1
        return {f"p{self._parts - 1}": part}


class RunningView(WidgetView):
    """Shows what a tool prints as a terminal would.

    The state holds the screen's rows (``r0``, ``r1`` and so on, by their number modulo ``kept``), the number
    of the first row (``first``), the number after the last row (``end``), and the numbers of the rows that
    changed (``changed``).
    """

    def __init__(self, title: str) -> None:
        super().__init__(title, {"kind": "running", "kept": _ROWS})
        self._screen = Screen(_ROWS)
        self._phase: list[str] = []
        self._due = 0.0

    def _take(self, event: Event) -> None:
        match event:
            case Printed(text):
                self._screen.write(text)
            case PhaseChanged(name, detail):
                self._phase = [name, one_line(detail)]
            case Noticed(text):
                self._phase = [one_line(text, 300), ""]

    def _changes(self, seconds: float) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if self._phase:
            changes["phase"], self._phase = self._phase, []
        if seconds < self._due:
            return changes
        rows = self._screen.changes()
        if rows:
            changes |= {f"r{number % _ROWS}": runs for number, runs in rows.items()}
            changes |= {"changed": list(rows), "first": self._screen.dropped, "end": self._screen.end}
            size = sum(len(text) + 20 for runs in rows.values() for _, text in runs)
            self._due = seconds + size / _SCREEN_CHARACTERS_A_SECOND
        return changes
