"""Compare tables, Series and arrays as examples do, and say in one line where they differ first.

The rules are those of `pandas.testing`: dtypes, labels, their order, and missing values of each kind count.
Three differences do not count: floats within a relative 1e-9, as in all examples; the frequency of an index
of dates; and how labels and texts are stored, such as a range and the same integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.values import brief
from fact_magics.values.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fact_magics.values import Table

    Same = Callable[[Any, Any, Any], bool]

_SHOWN = 60


class _Column(NamedTuple):
    """One column, or the index of a table: how it is called in a message, its dtype, and its items."""

    name: str
    dtype: str
    items: list[Any]


def difference(expected: Table, got: Table, same: Same) -> str:
    """Say where a table differs first from the expected one; an empty text if it does not.

    Parameters
    ----------
    same : callable
        Compares an expected item, the same again, and an item that was got.
    """
    if got.kind != expected.kind:
        return f"got a {got.kind}, expected a {expected.kind}"
    if expected == got:
        return ""
    one, other = open_table(expected), open_table(got)
    if one.shape != other.shape:
        return f"got the shape {_size(other.shape)}, expected {_size(one.shape)}"
    labels: list[Any] = []
    for want, have in zip(_columns(one), _columns(other), strict=True):
        if want.name != have.name:
            return f"got the {have.name}, expected the {want.name}"
        if want.dtype != have.dtype:
            return f"{want.name}: got the dtype {have.dtype}, expected {want.dtype}"
        for row, (item, found) in enumerate(zip(want.items, have.items, strict=True)):
            if item is not found and not same(item, item, found):
                place = f"row {brief(labels[row], _SHOWN)}" if labels else _place(one, row)
                return f"{want.name}, {place}: got {brief(found, _SHOWN)}, expected {brief(item, _SHOWN)}"
        if want.name == "index":
            labels = want.items
    return ""


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} by {shape[1]}" if len(shape) == 2 else str(shape)


def _place(table: Any, row: int) -> str:
    """Name the place of an item, which is counted in C order."""
    if len(table.shape) < 2 or hasattr(table, "columns"):
        return f"row {row}"
    places = []
    for size in reversed(table.shape):
        row, at = divmod(row, size)
        places.append(at)
    return f"place {places[::-1]}"


def _columns(table: Any) -> Iterator[_Column]:
    """Yield what counts in a table, in the order in which differences are looked for."""
    if hasattr(table, "iloc"):
        yield from _of_pandas(table)
    elif hasattr(table, "get_columns"):
        for column in table.get_columns():
            yield _Column(f"column {column.name!r}", str(column.dtype), column.to_list())
    elif hasattr(table, "column_names"):
        for name, column in zip(table.column_names, table.columns, strict=True):
            yield _Column(f"column {name!r}", str(column.type), column.to_pylist())
    elif hasattr(table, "to_list"):
        yield _Column(f"Series {table.name!r}", str(table.dtype), table.to_list())
    else:
        yield _Column("array", str(table.dtype), table.ravel().tolist())


def _of_pandas(table: Any) -> Iterator[_Column]:
    series = [table]
    if hasattr(table, "columns"):
        for label in table.columns.tolist():
            yield _Column(f"column {label!r}", "", [])
        yield _Column(f"columns named {[*table.columns.names]!r}", "", [])
        series = [table.iloc[:, at] for at in range(table.shape[1])]
    yield _Column(f"index named {[*table.index.names]!r}", "", [])
    yield _Column("index", _kind(table.index), table.index.tolist())
    what = "column" if hasattr(table, "columns") else "Series"
    for one in series:
        yield _Column(f"{what} {one.name!r}", _kind(one), one.tolist())


def _kind(column: Any) -> str:
    """Write a dtype as far as it counts; the dtypes of the levels of an index are those of their items."""
    dtype = column.dtype
    if hasattr(dtype, "categories"):
        order = "ordered " if dtype.ordered else ""
        return f"{order}category of {brief(dtype.categories.tolist(), _SHOWN)}"
    return str(dtype)
