"""Views that write to the cell's standard output, for terminals and for front ends without widgets."""

from __future__ import annotations

import re
import sys
import time
from itertools import chain
from typing import TYPE_CHECKING

from fact_magics.display.live import View
from fact_magics.display.record import stopped_record
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    GenerationEnded,
    Noticed,
    PhaseChanged,
    Printed,
    TextArrived,
)
from fact_magics.text import inert, one_line, plural, printable
from fact_magics.tool import HAND, IMPORTED, SHELF, Status

if TYPE_CHECKING:
    from fact_magics.display.html import Record
    from fact_magics.events import Event

_LINE = 300
# Of text that is longer, the beginning is shown as it arrives, and the end when the tool has ended.
_BEGINNING, _END = 45_000, 15_000
# The beginning of a colour code whose end has not arrived yet.
_BEGUN = re.compile(r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8})?\Z")
_LONGEST_CODE = 80
# Source that no model writes is tested at once, unless its examples are slow.
_QUIET_SECONDS = 2.0
_NO_MODEL = frozenset({SHELF, HAND, IMPORTED})


class InTurn:
    """Puts the events of candidates that are written side by side into order, one candidate after another."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[Event]] = {}  # those of the first candidate are not kept

    def __call__(self, event: Event) -> list[Event]:
        """Return the events to show now: this one, or none, or further ones that waited for it."""
        number = _candidate(event)
        if isinstance(event, AttemptStarted) and event.beside > 1:
            self._waiting[number] = []
        if isinstance(event, GenerationEnded):
            waiting = [*self._waiting.values()]
            self._waiting.clear()
            return [*chain.from_iterable(waiting), event]
        if number not in self._waiting:
            return [event]
        first = next(iter(self._waiting))
        if number != first:
            self._waiting[number].append(event)
            return []
        shown: list[Event] = [event]
        while isinstance(shown[-1], AttemptEnded):
            del self._waiting[first]
            if not self._waiting:
                break
            first = next(iter(self._waiting))
            shown += self._waiting[first]
            self._waiting[first] = []
        return shown


def _candidate(event: Event) -> int:
    """Return the number of the candidate that an event is about."""
    if isinstance(event, AttemptStarted | AttemptEnded):
        return event.number
    return getattr(event, "attempt", 0)


class StreamView(View):
    """Writes text to the standard output.

    What arrived since the last call of `pump` is written at once: a client receives few messages, even if the
    tool prints single characters.
    """

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._unwritten: list[str] = []
        self._begun = ""
        self._open_line = False
        self._in_turn = InTurn()

    def _take(self, event: Event) -> None:
        for shown in self._in_turn(event):
            self._tell(shown)

    def _tell(self, event: Event) -> None:
        """Show an event; those of candidates come one candidate after another."""

    def _receive(self) -> None:
        super()._receive()
        if self._unwritten:
            # An interrupt may come while the text is being written; it must not be written again.
            text, self._unwritten = "".join(self._unwritten), []
            sys.stdout.write(text)
            sys.stdout.flush()

    def _arrived(self, text: str) -> str:
        """Make the text of a model or a tool printable; an unfinished code at its end waits for the rest."""
        text = self._begun + text
        begun = _BEGUN.search(text, max(0, len(text) - _LONGEST_CODE))
        self._begun = begun[0] if begun else ""
        return printable(text.removesuffix(self._begun))

    def _write(self, text: str) -> None:
        """Write printable text of a model or a tool."""
        if text:
            self._unwritten.append(text)
            self._open_line = not text.endswith("\n")

    def _line(self, text: str) -> None:
        """Write a line of our own."""
        self._unwritten.append(("\n" if self._open_line else "") + inert(text) + "\n")
        self._open_line = False


class TerminalView(StreamView):
    """Writes the text of the model or the tool as it arrives, for a terminal."""

    streams = True
    is_visible = True

    def replace(self, record: Record) -> None:
        """Write the record below the text."""
        self.close()
        sys.stdout.write(record.plain + "\n")

    def close(self, ended: Status = Status.INTERRUPTED) -> None:
        """End the last line."""
        del ended
        self._receive()
        if self._open_line:
            self._line("")
            self._receive()

    def _tell(self, event: Event) -> None:
        match event:
            case AttemptStarted(number, of, _, _, beside) if beside > 1:
                self._line(f"candidate {number} of {of}:")
            case TextArrived(text) | Printed(text):
                self._write(self._arrived(text))
            case Noticed(text):
                self._line(text)
            case AttemptEnded(_, status, failures) if status is not Status.OK:
                for failure in failures:
                    self._line(f"✗ {failure}")


class PrintingView(StreamView):
    """Shows what a tool prints as ordinary output, up to a limit; the record below does not repeat it.

    Parameters
    ----------
    silent : bool
        Show only what the tool prints, and no record.
    """

    streams = True

    def __init__(self, title: str, *, silent: bool = False) -> None:
        super().__init__(title)
        self._silent = silent
        self._room = _BEGINNING
        self._rest = 0  # characters after the beginning
        self._end = ""

    def replace(self, record: Record) -> None:
        """Show the record below the printed text."""
        self._receive()
        if self._end:
            left_out = self._rest - len(self._end)
            self._write(f" ({left_out:,} more characters) …\n{self._end}" if left_out else f"\n{self._end}")
            self._end = ""
        self._receive()
        if not self._silent:
            super().replace(record)

    def _tell(self, event: Event) -> None:
        if not isinstance(event, Printed):
            return
        self.is_visible = True
        text = self._arrived(event.text)
        shown = text[: self._room]
        self._room -= len(shown)
        self._write(shown)
        if rest := text[len(shown) :]:
            if not self._end:
                self._write("\n…")
            self._rest += len(rest)
            self._end = f"{self._end}{rest}"[-_END:]

    def _stopped(self, ended: Status) -> Record:
        return stopped_record(self.title, "", time.perf_counter() - self._started, ended)


class PhasesView(StreamView):
    """Says in short lines what a generation does, if it asks a model or takes long."""

    def __init__(self, title: str, examples: int) -> None:
        super().__init__(title)
        self._testing = f"testing {plural(examples, 'example')}…"
        self._notices: list[str] = []
        self._attempt = ""
        self._asks = False
        self._said: set[str] = set()
        self._later = ""

    def pump(self) -> None:
        """Write the lines that are due."""
        super().pump()
        if self._later and time.perf_counter() - self._started >= _QUIET_SECONDS:
            self._say(self._later)
            self._receive()

    def _tell(self, event: Event) -> None:
        match event:
            case Noticed(text) if self._attempt:
                self._line(one_line(text, _LINE))
            case Noticed(text):  # the record says it too
                self._notices.append(text)
            case AttemptStarted(number, of, provider, model, beside):
                self._begin(number, of, beside, "" if provider in _NO_MODEL else one_line(model))
            case PhaseChanged("thinking" | "writing" as name, _):
                self._say(f"{name}…")
            case PhaseChanged("proving", _):
                self._say(self._testing)
            case PhaseChanged("comparing", _):
                self._say("comparing the candidates…")
            case PhaseChanged("probing", _):
                self._say("probing…")
            case AttemptEnded(_, status, failures) if status is not Status.OK and self._asks:
                why = one_line(failures[0], _LINE) if failures else "it has no candidate"
                self._line(f"{self._attempt} was not accepted: {why}")

    def _begin(self, number: int, of: int, beside: int, model: str) -> None:
        self._attempt = f"{'candidate' if beside > 1 else 'attempt'} {number} of {of}"
        self._asks = bool(model)
        self._said.clear()
        if self._asks:
            for notice in self._notices:
                self._line(one_line(notice, _LINE))
            self._notices.clear()
            which = f"{self._attempt}: " if number > 1 or beside > 1 else ""
            self._line(f"{which}asking {model}…")

    def _say(self, phase: str) -> None:
        """Write the line of a phase, once in each attempt."""
        if not self._asks and time.perf_counter() - self._started < _QUIET_SECONDS:
            self._later = phase
        elif phase not in self._said:
            self._said.add(phase)
            self._line(phase)
