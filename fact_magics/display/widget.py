"""The live views of a generation and of a run, where the front end has widgets.

What is sent is what changed: a view costs as much as the text that it shows. It is sent as the view's
state, not as messages to it, because a message that comes before the browser has made the view is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fact_magics.display.channel import Channel, clicks_arrive
from fact_magics.display.live import Arrivals
from fact_magics.display.record import stopped_record
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
    from collections.abc import Callable, Mapping, Sequence

    from fact_magics.display.record import Record
    from fact_magics.events import Event

# What ends sooner goes straight to its record.
_APPEAR_SECONDS = 0.2
# A message has some 650 bytes around what it carries, so text that streams goes in pieces of this age; the
# browser plays them out evenly. The first ones go at once: what begins to move is seen to work.
_TEXT_SECONDS = 0.5
_TEXT_AT_ONCE = 8
_TEXT_CHARACTERS = 2_000
# Printed text may change all of the screen at each turn: no more than this a second, in the long run.
_SCREEN_CHARACTERS_A_SECOND = 400_000
_ROWS = 2_000
_EXAMPLES = 100


class WidgetView(Arrivals):
    """What both live views are: shown after a moment, changed by what arrives, and replaced by the record.

    Parameters
    ----------
    title : str
        The tool's name.
    """

    kind = ""
    constants: ClassVar[Mapping[str, int]] = {}

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._channel: Channel | None = None
        self._handle: Any = None
        self._stop: Callable[[], None] | None = None
        self._heard = self._offered = False

    def offer_stop(self, stop: Callable[[], None]) -> None:
        """Show a button that calls `stop`, once the front end was heard while the work goes on."""
        if clicks_arrive():
            self._stop = stop

    def pump(self) -> None:
        """Take what has arrived, and show it if it is time to."""
        for event in self.arrived():
            self.take(event)
        seconds = self.seconds
        if self.ended or seconds < _APPEAR_SECONDS:
            return
        changes = self.changes(seconds)
        if self._channel is None:
            self._open(changes, seconds)
            return
        if self._heard and not self._offered:
            self._offered = changes["stop"] = True
        if changes:
            self._channel.send(changes)

    def take(self, event: Event) -> None:
        """Take one event."""
        raise NotImplementedError

    def changes(self, seconds: float) -> dict[str, Any]:
        """Give what changed in the view's state and is due; `seconds` have passed since the work began."""
        raise NotImplementedError

    def _open(self, changes: dict[str, Any], seconds: float) -> None:
        from IPython.display import display

        state = {
            "kind": self.kind,
            "title": inert(self.title),
            "seconds": round(seconds, 2),
            "asks": self._stop is not None,
            **self.constants,
            **changes,
        }
        self._channel = Channel(state, self._hear)
        self.stands = True
        self._handle = display(self._channel.bundle(f"{inert(self.title)} …"), raw=True, display_id=True)

    def _hear(self, content: object) -> None:
        # That the front end is heard at all says that a click will be.
        self._heard = True
        stop = self._stop
        if content == "stop" and stop is not None:
            self._stop = None
            stop()

    def give_way(self, record: Record) -> bool:
        """Put the record where the widget was, and close the widget."""
        for event in self.arrived():
            self.take(event)
        channel, self._channel, self._stop = self._channel, None, None
        if channel is None:
            return False
        self._handle.update(record.bundle, raw=True)
        channel.close(loaded=self._heard)
        self.stands = False
        return True

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """Leave what was printed, and how the work ended."""
        self.pump()
        if self._channel is not None:
            self.give_way(stopped_record(self.title, "".join(self.printed), self.seconds, ended))


class WritingView(WidgetView):
    """Shows the model's text as it is written, and each example as it is proven.

    Its state holds what happened in numbered parts (``p0``, ``p1`` and so on), each a list of steps.

    Parameters
    ----------
    examples : sequence of str
        The calls that the tool is proven on.
    """

    kind = "writing"

    def __init__(self, title: str, examples: Sequence[str] = ()) -> None:
        super().__init__(title)
        listed = [one_line(example, 200) for example in examples[:_EXAMPLES]]
        self._steps: list[list[Any]] = [["examples", listed, len(examples)]]
        self._text: list[str] = []
        self._characters = 0
        self._parts = 0
        self._sent = 0.0
        self._missed = False

    def take(self, event: Event) -> None:
        """Take one event as a step; text is gathered."""
        if isinstance(event, TextArrived):
            text = event.text.replace("\r", "")
            self._text.append(text)
            self._characters += len(text)
            return
        step = self._step(event)
        if step is not None:
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
                # What an example showed is not said again.
                told = [] if self._missed else [one_line(failure, 300) for failure in failures[:20]]
                return ["failed", told]
            case Noticed(text):
                return ["note", one_line(text, 300)]
        return None

    def _gather(self) -> None:
        if self._text:
            self._steps.append(["text", inert("".join(self._text))])
            self._text = []
            self._characters = 0

    def changes(self, seconds: float) -> dict[str, Any]:
        """Give the next part: at once what happened, text when enough has gathered."""
        due = self._parts < _TEXT_AT_ONCE or seconds - self._sent >= _TEXT_SECONDS
        if self._steps or due or self._characters >= _TEXT_CHARACTERS:
            self._gather()
        if not self._steps:
            return {}
        part, self._steps = self._steps, []
        self._sent = seconds
        self._parts += 1
        return {f"p{self._parts - 1}": part}


class RunningView(WidgetView):
    """Shows what a tool prints as a terminal would.

    Its state holds the rows of a screen (``r0``, ``r1`` and so on, by their numbers modulo `kept`), the
    number of the first and the one after the last, and which of them changed.
    """

    kind = "running"
    constants: ClassVar[Mapping[str, int]] = {"kept": _ROWS}

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._screen = Screen(_ROWS)
        self._phase: list[str] = []
        self._due = 0.0

    def take(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Printed(text):
                self._screen.write(text)
            case PhaseChanged(name, detail):
                self._phase = [name, one_line(detail)]
            case Noticed(text):
                self._phase = [one_line(text, 300), ""]

    def changes(self, seconds: float) -> dict[str, Any]:
        """Give the phase if it is another, and the rows that changed."""
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
