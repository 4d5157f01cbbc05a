"""Tables of ``%fact``: HTML with a plain-text twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fact_magics.display.grid import Cell, Grid
from fact_magics.display.html import Html, element
from fact_magics.display.record import Record
from fact_magics.text import inert, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column headings.

    Attributes
    ----------
    title : str
        What is listed, and how much of it.
    head : tuple of str
        Column names.
    rows : sequence of sequence of (str or Cell)
        As many cells as there are columns; texts are short, the cells those of `fact_magics.display.cells`.
    widest : int
        Texts are cut at so many characters.
    numbers : tuple of str
        The columns that hold numbers, by their names; they are right-aligned.
    optional : tuple of str
        The columns that are left out where none of their cells holds anything.
    """

    title: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[str | Cell]]
    widest: int = 120
    numbers: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def record(self) -> Record:
        """Build what the cell shows."""
        if not self.rows:
            return Record(element("div", element("p", self.title)), inert(self.title))
        kept = [
            column
            for column, name in enumerate(self.head)
            if name not in self.optional or any(row[column] for row in self.rows)
        ]
        head = tuple(self.head[column] for column in kept)
        grid = Grid(
            head,
            [[self._short(row[column]) for column in kept] for row in self.rows],
            caption=self.title,
            numbers=frozenset(column for column, name in enumerate(head) if name in self.numbers),
        )
        return Record(Html(f"<div>{grid.html()}</div>"), inert("\n".join((self.title, *grid.plain()))))

    def _short(self, cell: str | Cell) -> str | Cell:
        return cell if isinstance(cell, Cell) else one_line(cell, self.widest)
