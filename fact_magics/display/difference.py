"""What changed between two texts: a unified diff in colours, and as plain text."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING

from fact_magics.display.html import Record, coloured, element, join, preformatted
from fact_magics.display.result import scrolled
from fact_magics.text import inert, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 200_000
# The product of the numbers of lines, up to which two texts are compared: the time of `difflib` may grow with
# it.
_COMPARED = 16_000_000
# The styles of `coloured`: green, red, cyan.
_STYLES = {"+": "c2", "-": "c1", "@": "c6"}


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes from one text to another as lines of a unified diff; no lines if the texts are equal.

    Texts that are too long to compare have no lines either, but a `note` about how long they are.
    """

    title: str
    lines: Sequence[str]
    note: str = ""

    @property
    def summary(self) -> str:
        """The changes in words, such as ``2 lines added, 1 line removed``."""
        if self.note:
            return self.note
        body = self.lines[2:]  # the first two lines name the texts
        counts = (("+", "added"), ("-", "removed"))
        said = [
            f"{plural(number, 'line')} {word}"
            for mark, word in counts
            if (number := sum(line.startswith(mark) for line in body))
        ]
        return ", ".join(said) or "unchanged"

    def record(self) -> Record:
        """Build the record: added lines begin with + and are green, removed ones begin with - and are red."""
        runs = [
            [(_STYLES.get(line[:1], "") if number > 1 else "b", line)]
            for number, line in enumerate(self.lines)
        ]
        plain = "\n".join(self.lines)
        shown = preformatted(coloured(runs, _SHOWN), code=True, style=scrolled(plain))
        heading = element("p", f"{self.title}: {self.summary}", style="margin:0.3em 0")
        return Record(join(heading, shown), inert(f"{self.title}: {self.summary}\n{plain}"))


def difference(title: str, before: str, after: str, names: tuple[str, str]) -> Difference:
    """Compare two texts line by line; `names` are the names of the texts before and after."""
    old, new = _lines(before), _lines(after)
    if old != new and len(old) * len(new) > _COMPARED:
        lengths = f"{plural(len(old), 'line')} before, {plural(len(new), 'line')} after"
        note = f"different, too long to compare: {lengths}"
        return Difference(title, [], note)
    return Difference(title, [*unified_diff(old, new, *names, lineterm="")])


def _lines(text: str) -> list[str]:
    # `splitlines` would also split at a form feed, which is only white space within a line of source.
    return text.removesuffix("\n").split("\n") if text else []
