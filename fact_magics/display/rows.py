"""A list of dicts as a table: its first rows, their first fields, and how many there are of both."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from fact_magics.display.grid import Grid
from fact_magics.display.outline import COLUMNS
from fact_magics.display.words import bare, label
from fact_magics.text import plural

if TYPE_CHECKING:
    from typing import Any

    from fact_magics.display.outline import Node

_WIDEST = 60
_NUMBERS = frozenset({int, float, Decimal})
_LISTS = frozenset({list, tuple})


def are_rows(node: Node) -> bool:
    """Tell whether a value reads well as a table: two dicts or more that share fields, with short values."""
    if node.kind not in _LISTS or len(node.items) < 2:
        return False
    rows = [row for _, row in node.items]
    if not all(row.kind is dict and row.items for row in rows):
        return False
    cells = sum(len(row.items) for row in rows)
    names = {key for row in rows for key, _ in row.items}
    long = sum(cell.text is None for row in rows for _, cell in row.items)
    return 2 * cells >= len(names) * len(rows) and 3 * long <= cells


def rows_grid(node: Node) -> Grid:
    """Build the table of a value of which `are_rows` holds."""
    rows = [dict(row.items) for _, row in node.items]
    names = list(dict.fromkeys(key for row in rows for key in row))
    # Fields that only rows have which are not shown are not counted: that would mean looking at all of them.
    columns = max(len(names), *(len(row.value) for _, row in node.items))
    shown = names[:COLUMNS]
    caption = _count(len(rows), len(node.value), "row")
    if len(shown) < columns:
        caption += f", {_count(len(shown), columns, 'column')}"
    return Grid(
        head=tuple(label(name) for name in shown),
        rows=[
            [_cell(fields[name]) if name in fields else _missing(name, row) for name in shown]
            for fields, (_, row) in zip(rows, node.items, strict=True)
        ],
        caption=caption,
        numbers=frozenset(
            column for column, name in enumerate(shown) if _is_number([row.get(name) for row in rows])
        ),
    )


def _count(shown: int, all_of_them: int, noun: str) -> str:
    known = plural(all_of_them, noun)
    return known if shown == all_of_them else f"the first {shown} of {known}"


def _is_number(cells: list[Node | None]) -> bool:
    kinds = {cell.kind for cell in cells if cell is not None and cell.value is not None}
    return bool(kinds) and kinds <= _NUMBERS


def _missing(name: Any, row: Node) -> str:
    # A field that stands too far back in a long row to have been looked at.
    return "…" if row.left and name in row.value else ""


def _cell(node: Node) -> str:
    value: Any = node.value
    if not node.is_container:
        return bare(value, _WIDEST)
    sketch = node.sketch
    return sketch if len(sketch) <= _WIDEST else f"{sketch[: _WIDEST - 1]}…"
