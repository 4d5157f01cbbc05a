"""Tables: HTML with headings and a caption, and the same as aligned plain text."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fact_magics.display.cells import UNBROKEN, Cell
from fact_magics.display.html import Html, Record, element, text, texts
from fact_magics.text import inert, one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

RULE = "1px solid rgba(128,128,128,0.3)"
"""A line that is faint on a light page and on a dark one."""

_WIDEST = 120
_LEFT = "text-align:left"
# The attribute `align` is for pages that strip styles.
_ALIGNED = {False: f'style="{_LEFT}', True: 'align="right" style="text-align:right'}
_CAPTION = f"{_LEFT};caption-side:top;padding:0 0 0.3em 0"
# A caption wraps to the width of its table, which may be one narrow column.
_UNWRAPPED = 70


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column headings.

    Attributes
    ----------
    title : str
        The caption, which says what the table lists and how many rows it has.
    head : tuple of str
        Column names.
    rows : sequence of sequence of (str or Cell)
        One cell for each column, on one line.
    numbers : collection of (str or int)
        Names or positions of the columns that hold numbers; they are right-aligned.
    optional : tuple of str
        Names of the columns that `record` omits when all their cells are empty.
    types : tuple of str
        A second line of headings, for the types of the columns; empty for none.
    row_heads : int
        How many of the first columns are the headings of the rows.
    """

    title: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[str | Cell]]
    numbers: Collection[str | int] = ()
    optional: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    row_heads: int = 0

    def record(self) -> Record:
        """Build the record that a cell shows."""
        if not self.rows:
            return Record(element("div", element("p", self.title)), inert(self.title))
        kept = [
            column
            for column, name in enumerate(self.head)
            if name not in self.optional or any(row[column] for row in self.rows)
        ]
        rows = [[_on_one_line(row[column]) for column in kept] for row in self.rows]
        shown = replace(self, head=tuple(self.head[column] for column in kept), rows=rows)
        return Record(f"<div>{shown.html()}</div>", inert("\n".join((self.title, *shown.lines()))))

    def html(self) -> Html:
        """Build the markup; a table that is too wide scrolls."""
        aligned = [_ALIGNED[is_number] for is_number in self._numeric()]
        types = self.types or ("",) * len(self.head)
        heads = "".join(
            f'<th scope="col" {align};white-space:nowrap">{text(name)}{_type(kind)}</th>'
            for name, align, kind in zip(self.head, aligned, types, strict=True)
        )
        tags = ['th scope="row"' if column < self.row_heads else "td" for column in range(len(self.head))]
        short = [f'<{tag} {align};white-space:nowrap">' for tag, align in zip(tags, aligned, strict=True)]
        long = [
            f'<{tag} {align};min-width:16em;overflow-wrap:anywhere">'
            for tag, align in zip(tags, aligned, strict=True)
        ]
        lines = []
        for row in self.rows:
            cells = [
                f"{(short if len(content) <= UNBROKEN else long)[column]}{markup}</{tags[column][:2]}>"
                for column, (content, markup) in enumerate(_contents(row))
            ]
            lines.append(f'<tr style="border-top:{RULE}">{"".join(cells)}</tr>')
        style = f"{_CAPTION};white-space:nowrap" if len(self.title) <= _UNWRAPPED else _CAPTION
        caption = f'<caption style="{style}">{text(self.title)}</caption>' if self.title else ""
        head = f"<thead><tr>{heads}</tr></thead>" if any((*self.head, *self.types)) else ""
        return _scrolling(f"{caption}{head}<tbody>{''.join(lines)}</tbody>")

    def lines(self) -> list[str]:
        """Write the headings and the rows as text in columns, without the title."""
        lines = [
            *(line for line in (self.head, self.types) if any(line)),
            *([cell.plain if isinstance(cell, Cell) else cell for cell in row] for row in self.rows),
        ]
        widths = [max(map(columns, column)) for column in zip(*lines, strict=True)]
        return ["  ".join(map(_padded, self._numeric(), line, widths)).rstrip() for line in lines]

    def _numeric(self) -> list[bool]:
        return [name in self.numbers or column in self.numbers for column, name in enumerate(self.head)]


def _type(kind: str) -> str:
    return f'<br><small style="font-weight:normal;opacity:0.75">{text(kind)}</small>' if kind else ""


def _padded(is_number: bool, content: str, width: int) -> str:
    blank = " " * (width - columns(content))
    return blank + content if is_number else content + blank


def _on_one_line(cell: str | Cell) -> str | Cell:
    return cell if isinstance(cell, Cell) else one_line(cell, _WIDEST)


def _contents(row: Sequence[str | Cell]) -> Iterable[tuple[str, str]]:
    """Return the text and the markup of each cell of a row."""
    if all(type(cell) is str and "\n" not in cell for cell in row):
        return zip(row, texts(row), strict=True)  # type: ignore[arg-type]
    return ((cell.plain, cell.html) if isinstance(cell, Cell) else (cell, text(cell)) for cell in row)


def _scrolling(rows: str) -> Html:
    style = "border-collapse:collapse;margin:0.3em 0"
    return Html(f'<div style="overflow-x:auto"><table cellpadding="5" style="{style}">{rows}</table></div>')


def facts_table(facts: Iterable[tuple[str, str | Html]]) -> Html:
    """Show pairs of a name and a fact as a table, with the names as row headings."""
    rows = (
        f'<tr><th scope="row" style="{_LEFT};vertical-align:top;white-space:nowrap">{text(name)}</th>'
        f'<td style="{_LEFT};vertical-align:top">{text(content)}</td></tr>'
        for name, content in facts
    )
    return _scrolling(f"<tbody>{''.join(rows)}</tbody>")


def columns(line: str) -> int:
    """Count a text's columns in a terminal: two for a wide character, none for a combining mark."""
    if line.isascii():
        return len(line)
    return sum(
        2 if unicodedata.east_asian_width(character) in "WF" else not unicodedata.combining(character)
        for character in line
    )
