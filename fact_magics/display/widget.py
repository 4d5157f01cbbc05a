"""Live views of generations and runs, for front ends that have widgets.

Only changes are sent, so a view costs as much as the text that it shows. They are sent as the widget's
state, since a custom message that arrives before the browser has created the widget would be lost.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fact_magics.display.channel import Channel, clicks_arrive
from fact_magics.display.live import View
from fact_magics.display.screen import Screen
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    ExampleProven,
    Noticed,
    PhaseChanged,
    Printed,
    TextArrived,
)
from fact_magics.text import inert, one_line
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.display.record import Record
    from fact_magics.events import Event

# Work that ends sooner shows its record only.
_APPEAR_SECONDS = 0.2
# A message has about 650 bytes besides its content. Text is therefore sent in pieces of this age, which the
# browser plays out evenly; the first pieces are sent at once, to show that something happens.
_TEXT_SECONDS = 0.5
_TEXT_AT_ONCE = 8
_TEXT_CHARACTERS = 2_000
# Printed text may change the whole screen each time; this bounds what is sent in the long run.
_SCREEN_CHARACTERS_A_SECOND = 400_000
_ROWS = 2_000
_EXAMPLES = 100


class WidgetView(View):
    """Appears after a moment, sends changes of its state, and is replaced by the record."""

    def __init__(self, title: str, state: dict[str, Any]) -> None:
        super().__init__(title)
        self._initial = {"title": inert(title), **state}
        self._channel: Channel | None = None
        self._handle: Any = None
        self._stop: Callable[[], None] | None = None
        self._heard = self._offered = False

    def offer_stop(self, stop: Callable[[], None]) -> None:
        """Show a button that calls `stop`, once a message shows that clicks arrive while the cell runs."""
        if clicks_arrive():
            self._stop = stop

    def pump(self) -> None:
        """Send the changes that are due."""
        self._receive()
        seconds = time.perf_counter() - self._started
        if self.ended or seconds < _APPEAR_SECONDS:
            return
        changes = self._changes(seconds)
        if self._channel is None:
            self._open(changes, seconds)
            return
        if self._heard and not self._offered:
            self._offered = changes["stop"] = True
        if changes:
            self._channel.send(changes)

    def _changes(self, seconds: float) -> dict[str, Any]:
        """Return the changes of the state that are due `seconds` after the work began."""
        raise NotImplementedError

    def _open(self, changes: dict[str, Any], seconds: float) -> None:
        from IPython.display import display

        asks = self._stop is not None
        state = {**self._initial, "seconds": round(seconds, 2), "asks": asks, **changes}
        self._channel = Channel(state, self._hear)
        self.stands = True
        self._handle = display(self._channel.bundle(f"{state['title']} …"), raw=True, display_id=True)

    def _hear(self, content: object) -> None:
        self._heard = True
        stop = self._stop
        if content == "stop" and stop is not None:
            self._stop = None
            stop()

    def give_way(self, record: Record) -> bool:
        """Replace the widget with the record and close it; returns False if it never appeared."""
        self._receive()
        channel, self._channel, self._stop = self._channel, None, None
        if channel is None:
            return False
        self._handle.update(record.bundle, raw=True)
        channel.close(loaded=self._heard)
        self.stands = False
        return True

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Replace the widget with what was printed and the status."""
        self.pump()
        self.give_way(self._stopped(ended))


class WritingView(WidgetView):
    """Shows the model's text as it is written, and each example as it is proven.

    The events are sent as numbered parts of the state (``p0``, ``p1`` and so on), each a list of steps.

    Parameters
    ----------
    examples : sequence of str
        The calls that the tool is proven on.
    """

    def __init__(self, title: str, examples: Sequence[str] = ()) -> None:
        super().__init__(title, {"kind": "writing"})
        listed = [one_line(example, 200) for example in examples[:_EXAMPLES]]
        self._steps: list[list[Any]] = [["examples", listed, len(examples)]]
        self._text: list[str] = []
        self._parts = 0
        self._sent = 0.0
        self._missed = False

    def _take(self, event: Event) -> None:
        if isinstance(event, TextArrived):
            self._text.append(event.text.replace("\r", ""))
        elif step := self._step(event):
            self._gather()
            self._steps.append(step)

    def _step(self, event: Event) -> list[Any] | None:
        match event:
            case PhaseChanged(name, detail):
                return ["phase", name, one_line(detail)]
            case AttemptStarted(number, of, _, model):
                self._missed = False
                return ["attempt", number, of, one_line(model)]
            case ExampleProven(number, _, verdict):
                self._missed = self._missed or not verdict.holds
                got, expected = one_line(verdict.got, 300), one_line(verdict.expected, 300)
                return ["example", number, verdict.holds, got, expected]
            case AttemptEnded(_, status, failures) if status is not Status.OK:
                # Failed examples are on screen already.
                told = [] if self._missed else [one_line(failure, 300) for failure in failures[:20]]
                return ["failed", told]
            case Noticed(text):
                return ["note", one_line(text, 300)]
        return None

    def _gather(self) -> None:
        if self._text:
            self._steps.append(["text", inert("".join(self._text))])
            self._text = []

    def _changes(self, seconds: float) -> dict[str, Any]:
        """Return the next part: other events at once, text when there is enough of it."""
        due = self._parts < _TEXT_AT_ONCE or seconds - self._sent >= _TEXT_SECONDS
        if self._steps or due or sum(map(len, self._text)) >= _TEXT_CHARACTERS:
            self._gather()
        if not self._steps:
            return {}
        part, self._steps = self._steps, []
        self._sent = seconds
        self._parts += 1
        return {f"p{self._parts - 1}": part}


class RunningView(WidgetView):
    """Shows what a tool prints as a terminal would.

    The state holds the screen's rows (``r0``, ``r1`` and so on, by their number modulo ``kept``), the numbers
    of the first row (``first``) and after the last (``end``), and those of the rows that ``changed``.
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
