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
# The styles of `coloured`: green, red, cyan.
_STYLES = {"+": "c2", "-": "c1", "@": "c6"}


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes from one text to another as lines of a unified diff; no lines if the texts are equal."""

    title: str
    lines: Sequence[str]

    @property
    def summary(self) -> str:
        """The changes in words, such as ``2 lines added, 1 line removed``."""
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
    lines = unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
    return Difference(title, [*lines])
