"""Rows under column headings: a real table, and the same as aligned text."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from fact_magics.display.html import Html, element, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RULE = "1px solid rgba(128,128,128,0.3)"
"""A line that is faint on a light page and on a dark one."""

_LEFT = "text-align:left"
# The attribute is for where styles are stripped.
_ALIGNED = {False: f'style="{_LEFT}', True: 'align="right" style="text-align:right'}
# Shorter cells are not broken after each word, longer ones get the room for a few words a line.
_UNBROKEN = 28
_TABLE = "border-collapse:collapse;margin:0.3em 0"
_CAPTION = f"{_LEFT};caption-side:top;padding:0 0 0.3em 0"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell whose markup is more than its text.

    Attributes
    ----------
    plain : str
        Its text, on one line.
    html : Html
        The same, marked up.
    """

    plain: str
    html: Html

    @classmethod
    def code(cls, source: str) -> Cell:
        """Show code on one line, unless it is long: JupyterLab would break it after each word."""
        style = "white-space:pre" if len(source) <= _UNBROKEN else ""
        return cls(source, element("code", source, style=style) if source else Html(""))


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows under column headings.

    Attributes
    ----------
    head : tuple of str
        Column names.
    rows : sequence of sequence of (str or Cell)
        As many cells as there are columns; texts on one line.
    caption : str or Html
        What the table lists, and how much of it.
    numbers : frozenset of int
        Columns of numbers, which are right-aligned.
    """

    head: tuple[str, ...]
    rows: Sequence[Sequence[str | Cell]]
    caption: str | Html = ""
    numbers: frozenset[int] = frozenset()

    def html(self) -> Html:
        """Build the table; one that is too wide scrolls."""
        aligned = [_ALIGNED[column in self.numbers] for column in range(len(self.head))]
        heads = "".join(
            f'<th scope="col" {align};white-space:nowrap">{text(name)}</th>'
            for name, align in zip(self.head, aligned, strict=True)
        )
        short = [f'<td {align};white-space:nowrap">' for align in aligned]
        long = [f'<td {align};min-width:16em;overflow-wrap:anywhere">' for align in aligned]
        lines = []
        for row in self.rows:
            cells = [
                f"{(short if len(content) <= _UNBROKEN else long)[column]}{markup}</td>"
                for column, (content, markup) in enumerate(_contents(row))
            ]
            lines.append(f'<tr style="border-top:{RULE}">{"".join(cells)}</tr>')
        caption = f'<caption style="{_CAPTION}">{text(self.caption)}</caption>' if self.caption else ""
        return Html(
            f'<div style="overflow-x:auto"><table cellpadding="5" style="{_TABLE}">{caption}'
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        )

    def plain(self) -> list[str]:
        """Write the lines: headings, then rows, in columns."""
        texts = [
            self.head,
            *([cell.plain if isinstance(cell, Cell) else cell for cell in row] for row in self.rows),
        ]
        widths = [[columns(content) for content in line] for line in texts]
        widest = [max(column) for column in zip_longest(*widths, fillvalue=0)]
        lines = []
        for line, measured in zip(texts, widths, strict=True):
            cells = []
            for column, (content, width) in enumerate(zip(line, measured, strict=True)):
                blank = " " * (widest[column] - width)
                cells.append(blank + content if column in self.numbers else content + blank)
            lines.append("  ".join(cells).rstrip())
        return lines


def _contents(row: Sequence[str | Cell]) -> Iterable[tuple[str, str]]:
    """Give the text and the markup of each cell of a row."""
    if all(type(cell) is str for cell in row):
        return zip(row, texts(row), strict=True)  # type: ignore[arg-type]
    return ((cell.plain, cell.html) if isinstance(cell, Cell) else (cell, text(cell)) for cell in row)


def facts_table(facts: Iterable[tuple[str, str | Html]]) -> Html:
    """Show named facts, a row each, whose names are the rows' headings."""
    rows = (
        f'<tr><th scope="row" style="{_LEFT};vertical-align:top;white-space:nowrap">{text(name)}</th>'
        f'<td style="{_LEFT};vertical-align:top">{text(content)}</td></tr>'
        for name, content in facts
    )
    return Html(
        f'<div style="overflow-x:auto"><table cellpadding="5" style="{_TABLE}"><tbody>{"".join(rows)}'
        "</tbody></table></div>"
    )


def columns(line: str) -> int:
    """Count the columns that a line takes in a terminal: two for a wide character, none for a mark on one."""
    if line.isascii():
        return len(line)
    return sum(
        2 if unicodedata.east_asian_width(character) in "WF" else not unicodedata.combining(character)
        for character in line
    )
