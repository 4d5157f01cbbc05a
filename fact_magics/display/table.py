"""Tables of ``%fact``: HTML with a plain-text twin, or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fact_magics.display.html import element, table
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
    rows : tuple of tuple of str
        Short texts, as many as there are columns.
    widest : int
        Cells are cut at so many characters.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widest: int = 120

    def record(self) -> Record:
        """Build what the cell shows."""
        cells = [tuple(one_line(cell, self.widest) for cell in row) for row in self.rows]
        page = element("div", element("p", self.title), table(self.head, cells) if cells else "")
        return Record(page, inert("\n".join([self.title, *_plain(self.head, cells)])))


def _plain(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
