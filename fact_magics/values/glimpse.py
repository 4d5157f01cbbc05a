"""The beginning of a table, Series or array: its shape, types and first rows, for descriptions and records.

No library is imported, and only the first rows are read: types are recognised by the name of their module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import islice
from math import isnan
from typing import TYPE_CHECKING, Any

from fact_magics.values.beginning import UNREADABLE, items_of
from fact_magics.values.plain import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_NAME_LIMIT = 200
_NUMBERS = frozenset({int, float, Decimal})
# Types that are written as in Python, and libraries whose own scalars and arrays are short as text.
_BRIEF = frozenset({type(None), bool, int, bytes, list, tuple, dict, set, frozenset})
_PRINTED = frozenset({"pandas", "numpy", "datetime", "decimal", "uuid"})
_BREAKS = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True, slots=True)
class Column:
    """The beginning of one column; `cells` are texts on one line, as many as rows were asked for."""

    name: str
    dtype: str
    cells: tuple[str, ...] = ()
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The beginning of a table, Series or array.

    Attributes
    ----------
    kind : str
        ``table``, ``Series`` or ``array``.
    shape : tuple of int
        The numbers of rows and columns; of a Series the number of its values.
    columns : tuple of Column
        The first columns. An array of other than one or two dimensions has none.
    index : tuple of Column
        The levels of an index that is more than the numbers of the rows.
    dtype : str
        The type of the items of an array.
    """

    kind: str
    shape: tuple[int, ...]
    columns: tuple[Column, ...]
    index: tuple[Column, ...] = ()
    dtype: str = ""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.shape[0] if self.shape else 1


def glimpse(value: object, rows: int, columns: int, *, width: int = 200) -> Glimpse | None:
    """Look at the beginning of a table, Series or array of pandas, polars, Arrow or NumPy.

    Parameters
    ----------
    rows, columns : int
        How much to read at most.
    width : int
        How many characters of a cell to keep.

    Returns
    -------
    Glimpse or None
        None for any other value.

    Raises
    ------
    Exception
        Whatever the code of the library raises.
    """
    for base in type(value).__mro__:
        look = _LOOKS.get((str(base.__module__).partition(".")[0], base.__name__))
        if look is not None:
            there = len(value) if getattr(value, "ndim", 1) else 0  # type: ignore[arg-type]
            return look(value, _Reader(min(rows, there), columns, width))
    return None


@dataclass(frozen=True, slots=True)
class _Reader:
    rows: int
    columns: int
    width: int

    def column(self, name: object, dtype: object, items: Callable[[], Iterable[Any]]) -> Column:
        try:
            read = [*items()]
            cells = tuple(self.cell(item) for item in read)
        except Exception:  # noqa: BLE001 - the library's code runs here, such as for a date beyond Python's range
            read, cells = [], (UNREADABLE,) * self.rows
        kinds = {type(item) for item in read if item is not None}
        return Column(self.label(name), self.label(dtype), cells, bool(kinds) and kinds <= _NUMBERS)

    def cell(self, item: Any) -> str:
        kind = type(item)
        if isinstance(item, str):
            text = str.__str__(item)[: self.width + 1]
        elif kind is float:
            text = "NaN" if isnan(item) else str(item)
        elif kind in _BRIEF:
            text = brief(item, self.width)
        elif kind.__module__.partition(".")[0] in _PRINTED:
            text = str(item)
        else:
            text = f"<{kind.__name__}>"
        text = text.translate(_BREAKS)
        return text if len(text) <= self.width else f"{text[: self.width]}…"

    def label(self, name: object) -> str:
        text = (name if isinstance(name, str) else str(name)).translate(_BREAKS)
        return text if len(text) <= _NAME_LIMIT else f"{text[:_NAME_LIMIT]}…"


def _pandas_frame(frame: Any, read: _Reader) -> Glimpse:
    head = frame.iloc[: read.rows, : read.columns]
    columns = [
        read.column(name, dtype, partial(items_of, head.iloc[:, at]))
        for at, (name, dtype) in enumerate(zip(head.columns, head.dtypes, strict=True))
    ]
    return Glimpse("table", frame.shape, tuple(columns), _pandas_index(frame.index, read))


def _pandas_series(series: Any, read: _Reader) -> Glimpse:
    name = "" if series.name is None else series.name
    column = read.column(name, series.dtype, partial(items_of, series.iloc[: read.rows]))
    return Glimpse("Series", series.shape, (column,), _pandas_index(series.index, read))


def _pandas_items(index: Any, read: _Reader) -> Glimpse:
    return Glimpse("Series", (len(index),), _levels(index, read))


def _pandas_index(index: Any, read: _Reader) -> tuple[Column, ...]:
    is_default = type(index).__name__ == "RangeIndex" and index.name is None and index.start == 0
    return () if is_default and index.step == 1 else _levels(index, read)


def _levels(index: Any, read: _Reader) -> tuple[Column, ...]:
    head = index[: read.rows]
    names = ["" if name is None else name for name in index.names]
    if len(names) == 1:
        return (read.column(names[0], index.dtype, partial(items_of, head)),)
    levels = range(min(len(names), read.columns))
    return tuple(
        read.column(names[at], index.levels[at].dtype, partial(items_of, head.get_level_values(at)))
        for at in levels
    )


def _polars_frame(frame: Any, read: _Reader) -> Glimpse:
    head = frame.head(read.rows)
    columns = [
        read.column(name, dtype, partial(items_of, head.get_column(name)))
        for name, dtype in islice(frame.schema.items(), read.columns)
    ]
    return Glimpse("table", frame.shape, tuple(columns))


def _polars_series(series: Any, read: _Reader) -> Glimpse:
    column = read.column(series.name, series.dtype, partial(items_of, series.head(read.rows)))
    return Glimpse("Series", series.shape, (column,))


def _arrow_table(table: Any, read: _Reader) -> Glimpse:
    head = table.slice(0, read.rows)
    names = islice(zip(table.schema.names, table.schema.types, strict=True), read.columns)
    columns = [
        read.column(name, dtype, partial(items_of, head.column(at))) for at, (name, dtype) in enumerate(names)
    ]
    return Glimpse("table", table.shape, tuple(columns))


def _arrow_items(array: Any, read: _Reader) -> Glimpse:
    column = read.column("", array.type, partial(items_of, array.slice(0, read.rows)))
    return Glimpse("Series", (len(array),), (column,))


def _numpy_array(array: Any, read: _Reader) -> Glimpse:
    names: Iterable[object]
    found = Glimpse("array", array.shape, (), (), read.label(array.dtype))
    if array.ndim == 1 and array.dtype.names:
        names = array.dtype.names[: read.columns]
        columns = [read.column(name, array.dtype[name], array[name][: read.rows].tolist) for name in names]
    elif array.ndim in (1, 2):
        head = array[: read.rows] if array.ndim == 2 else array[: read.rows, None]
        names = ("",) if array.ndim == 1 else range(min(read.columns, array.shape[1]))
        columns = [
            # Moments would become numbers.
            read.column(name, array.dtype, partial(list, part) if array.dtype.kind in "mM" else part.tolist)
            for name, part in zip(names, head.T, strict=False)
        ]
    else:
        columns = []
    return replace(found, columns=tuple(columns))


_LOOKS: dict[tuple[str, str], Callable[[Any, _Reader], Glimpse]] = {
    ("pandas", "DataFrame"): _pandas_frame,
    ("pandas", "Series"): _pandas_series,
    ("pandas", "Index"): _pandas_items,
    ("polars", "DataFrame"): _polars_frame,
    ("polars", "Series"): _polars_series,
    ("pyarrow", "Table"): _arrow_table,
    ("pyarrow", "RecordBatch"): _arrow_table,
    ("pyarrow", "Array"): _arrow_items,
    ("pyarrow", "ChunkedArray"): _arrow_items,
    ("numpy", "ndarray"): _numpy_array,
}


def aligned(columns: Iterable[Column], *, headed: bool = True) -> Iterator[str]:
    """Write the first rows of columns as lines of text, right-aligned under the names if `headed`."""
    padded = []
    for column in columns:
        cells = (column.name, *column.cells) if headed else column.cells
        width = max(map(len, cells), default=0)
        padded.append([cell.rjust(width) for cell in cells])
    return map(" ".join, zip(*padded, strict=True))
