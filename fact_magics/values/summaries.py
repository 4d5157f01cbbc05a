"""Describe tables for people, and hash them: what the history and the keys of runs contain of a table."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from fact_magics.values.beginning import UNREADABLE, items_of
from fact_magics.values.plain import plain
from fact_magics.values.wire import encode

if TYPE_CHECKING:
    from fact_magics.values.forms import Table

_ROWS = 5
_COLUMNS = 30
_CHARACTERS = 80


def describe(table: Table, value: Any) -> None:
    """Add to the stand-in of an object its shape, dtypes, first rows, size in bytes and hash.

    The summary is bounded: of long texts, many columns and many rows it contains the beginning.
    """
    digest = hashlib.sha256(encode([table.kind, table.head]))
    for buffer in table.buffers:
        digest.update(b"%d:" % buffer.nbytes)
        digest.update(buffer)
    columns, rows = _first(value)
    table.about = {
        "type": table.kind,
        "shape": [*getattr(value, "shape", ())],
        "columns": [[_cell(name), str(dtype)[:_CHARACTERS]] for name, dtype in columns],
        "first": [[_cell(item) for item in row] for row in rows],
        "bytes": sum(buffer.nbytes for buffer in table.buffers),
        "sha256": digest.hexdigest(),
    }


def describe_copy(table: Table, value: Any) -> None:
    """Do the same as `describe`, with a copy of the data: the object may change before it is sent."""
    table.buffers = tuple(memoryview(bytes(buffer)) for buffer in table.buffers)
    describe(table, value)


def _first(value: Any) -> tuple[list[tuple[object, object]], list[list[object]]]:
    """Return the names and dtypes of the first columns, and the first rows of these."""
    if hasattr(value, "column_names"):  # of Arrow
        part = value.slice(0, _ROWS).select(range(min(_COLUMNS, value.num_columns)))
        return [(field.name, field.type) for field in part.schema], _rows(part.columns)
    if hasattr(value, "get_columns"):  # of polars
        series = [one.head(_ROWS) for one in value.get_columns()[:_COLUMNS]]
        return [(one.name, one.dtype) for one in series], _rows(series)
    if hasattr(value, "columns"):  # of pandas
        series = [value.iloc[:_ROWS, at] for at in range(min(_COLUMNS, value.shape[1]))]
        return [(one.name, one.dtype) for one in series], _rows(series)
    name = getattr(value, "name", None)
    items = value[:_ROWS] if name is not None or not hasattr(value, "ravel") else value.ravel()[:_ROWS]
    return [(name, value.dtype)], _rows([items])


def _items(column: Any) -> list[object]:
    try:
        return items_of(column)
    except Exception:  # noqa: BLE001 - the library's code runs here, such as for a date beyond Python's range
        return [UNREADABLE] * len(column)


def _rows(columns: list[Any]) -> list[list[object]]:
    return [[*row] for row in zip(*map(_items, columns), strict=True)]


def _cell(value: object) -> object:
    shown = plain(value)
    if isinstance(shown, bool | int | float | None):
        return shown
    text = shown if isinstance(shown, str) else str(shown)
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}…"
