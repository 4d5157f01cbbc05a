"""Printed text as a terminal shows it: carriage returns, colours, and the cursor moves of progress bars.

Other controls are dropped or written out as escapes, so a tool can only change its own printed text.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Iterator

Run = tuple[str, str]
"""A style, which consists of words such as ``b``, ``c1`` or ``g4``, and the text in this style."""

# Longer lines are folded, since a single long line can make a browser slow.
_WIDTH = 1_000
# The largest number of runs in a row: each becomes an element of the page, and a view has thousands of rows.
_RUNS = 100
_CONTROL = re.compile(
    r"(?P<move>[\n\r\x08])"
    r"|\x1b\[(?P<numbers>[0-9;:]{0,64})(?P<final>[A-Za-z@`~])"
    # These are dropped: private modes (such as a hidden cursor), titles, links and character sets.
    r"|\x1b\[[<-?][0-9;:]{0,64}[A-Za-z@`~]|\x1b\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78]"
)
# The beginning of a control whose end has not arrived yet.
_BEGUN = re.compile(r"\x1b(?:\[[<-?]?[0-9;:]{0,64}|\][^\x07\x1b]{0,2000}\x1b?|[()])?\Z")
_ACTED_ON = re.compile("[\r\x08\x1b]")
_LEVELS = (0, 95, 135, 175, 215, 255)
# Rows down and columns to the right for each step.
_MOVES = {"A": (-1, 0), "B": (1, 0), "C": (0, 1), "D": (0, -1)}


class _Row:
    """Runs of text, and whether the line continues on the next row."""

    __slots__ = ("folded", "runs", "width")

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.width = 0
        self.folded = False

    def put(self, column: int, style: str, text: str) -> None:
        """Overwrite the text at `column`; blanks fill a gap before it."""
        tail = self.cut(column + len(text))
        self.cut(column)
        if column > self.width:
            self._append("", " " * (column - self.width))
        self._append(style, text)
        for run in tail:
            self._append(*run)

    def cut(self, column: int) -> list[Run]:
        """Remove the text from `column` on and return it."""
        removed: list[Run] = []
        while self.width > column:
            style, text = self.runs.pop()
            self.width -= len(text)
            kept = max(0, column - self.width)
            if kept:
                self._append(style, text[:kept])
            removed.append((style, text[kept:]))
        return removed[::-1]

    def _append(self, style: str, text: str) -> None:
        self.width += len(text)
        if self.runs and (self.runs[-1][0] == style or len(self.runs) == _RUNS):
            style, before = self.runs.pop()
            text = before + text
        self.runs.append((style, text))


class Screen:
    """The last rows of printed text, at most `kept`.

    Attributes
    ----------
    dropped : int
        Number of older rows that were dropped, which is also the number of the first row that is kept.
    """

    def __init__(self, kept: int = 2_000) -> None:
        self._kept = kept
        self._rows: deque[_Row] = deque([_Row()])
        self._row = self._column = 0  # the cursor; its row counts from the first row that is kept
        self._marks: set[str] = set()
        self._colours: dict[str, int] = {}
        self._style = ""
        self._begun = ""
        self._changed: set[int] = {0}
        self.dropped = 0

    @property
    def end(self) -> int:
        """The number of the last row, plus one."""
        return self.dropped + len(self._rows)

    def write(self, text: str) -> None:
        """Add printed text; an incomplete control at its end is kept for the next call."""
        text = self._begun + text
        begun = _BEGUN.search(text, max(0, len(text) - 2_100))
        self._begun = begun[0] if begun else ""
        text = text[: len(text) - len(self._begun)]
        at = 0
        for control in _CONTROL.finditer(text):
            self._put(text[at : control.start()])
            at = control.end()
            if control["move"]:
                self._move(control["move"])
            elif control["final"]:
                self._obey(control["numbers"], control["final"])
        self._put(text[at:])

    def changes(self) -> dict[int, list[Run]]:
        """Return the rows that changed since the last call, by number."""
        changed, self._changed = self._changed, set()
        return {
            number: self._rows[number - self.dropped].runs
            for number in sorted(changed)
            if self.dropped <= number < self.end
        }

    def lines(self) -> Iterator[list[Run]]:
        """Yield the lines, with folded rows joined; the last line is empty after a line feed."""
        line: list[Run] = []
        for row in self._rows:
            line = line + row.runs
            if not row.folded:
                yield line
                line = []

    def _put(self, text: str) -> None:
        text = inert(text)
        while text:
            if self._column >= _WIDTH:
                self._rows[self._row].folded = True
                self._feed()
            piece = text[: _WIDTH - self._column]
            self._rows[self._row].put(self._column, self._style, piece)
            self._changed.add(self.dropped + self._row)
            self._column += len(piece)
            text = text[len(piece) :]

    def _move(self, move: str) -> None:
        if move == "\n":
            self._rows[self._row].folded = False
            self._feed()
        elif move == "\r":
            self._column = 0
        else:
            self._column = max(0, self._column - 1)

    def _feed(self) -> None:
        self._row += 1
        self._column = 0
        if self._row == len(self._rows):
            self._rows.append(_Row())
            self._changed.add(self.dropped + self._row)
        if len(self._rows) > self._kept:
            self._rows.popleft()
            self._row -= 1
            self.dropped += 1

    def _obey(self, numbers: str, final: str) -> None:
        if final == "m":
            codes = [int(code[:6] or 0) for code in re.split("[;:]", numbers)]
            while codes:
                self._change_look(codes.pop(0), codes)
            colours = (f"{ground}{number}" for ground, number in sorted(self._colours.items()))
            self._style = " ".join((*sorted(self._marks), *colours))
            return
        number = int(re.split("[;:]", numbers)[0][:6] or 0)
        steps = min(number or 1, _WIDTH)
        if final in _MOVES:
            down, right = _MOVES[final]
            self._row = min(max(0, self._row + down * steps), len(self._rows) - 1)
            self._column = min(max(0, self._column + right * steps), _WIDTH - 1)
        elif final == "G":
            self._column = steps - 1
        elif final == "K":
            self._erase(number)
        elif final == "J" and not number:
            self._erase(0)
            while len(self._rows) > self._row + 1:
                self._rows.pop()

    def _erase(self, what: int) -> None:
        """Erase to the end of the line (0), from its beginning (1), or all of it (2)."""
        row = self._rows[self._row]
        if what == 1:
            row.put(0, "", " " * min(self._column + 1, row.width))
        else:
            row.cut(self._column if what == 0 else 0)
        self._changed.add(self.dropped + self._row)

    def _change_look(self, code: int, following: list[int]) -> None:
        if code == 0:
            self._marks.clear()
            self._colours.clear()
        elif code in _MARKS:
            self._marks.add(_MARKS[code])
        elif code in _UNMARKED:
            self._marks -= _UNMARKED[code]
        elif code in (39, 49):
            self._colours.pop(_GROUNDS[code // 10], None)
        elif code in (38, 48):
            if (found := _extended(following)) is not None:
                self._colours[_GROUNDS[code // 10]] = found
        elif code // 10 in _GROUNDS and code % 10 < 8:
            self._colours[_GROUNDS[code // 10]] = code % 10 + (8 if code >= 90 else 0)


_MARKS = {1: "b", 2: "d", 3: "i", 4: "u"}
_UNMARKED = {22: frozenset("bd"), 23: frozenset("i"), 24: frozenset("u")}
_GROUNDS = {3: "c", 9: "c", 4: "g", 10: "g"}


def _extended(codes: list[int]) -> int | None:
    """Turn one of 256 colours, or red, green and blue, into one of the 16 basic colours."""
    kind = codes.pop(0) if codes else 0
    if kind == 5 and codes:
        number = codes.pop(0)
        if number < 16:
            return number
        cube = number - 16
        parts = [_LEVELS[cube // place % 6] for place in (36, 6, 1)]
        if number >= 232:
            parts = [8 + 10 * (number - 232)] * 3
    elif kind == 2 and len(codes) >= 3:
        parts = [codes.pop(0) for _ in range(3)]
    else:
        codes.clear()  # the codes that follow belong to this unknown one
        return None
    brightest = max(parts)
    if 60 < brightest < 160 and brightest - min(parts) < 30:
        return 8  # grey, which is bright black
    threshold = max(96, brightest * 2 // 3)
    colour = sum(bit for bit, part in zip((1, 2, 4), parts, strict=True) if part >= threshold)
    return colour + (8 if brightest > 190 else 0)


def draws(text: str) -> bool:
    """Whether text contains controls, so that it needs a `Screen`."""
    return _ACTED_ON.search(text) is not None
