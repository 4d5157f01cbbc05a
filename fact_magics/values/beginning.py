"""Read the items of a few rows of a column, of any library, at a cost that is bounded.

The types of libraries are recognised by what they offer, so that none is imported.
"""

from __future__ import annotations

from typing import Any

from .columnar import polars_items

UNREADABLE = "<unreadable>"
"""Stands for an item that `items_of` can't return."""

# A single cell of Arrow or polars can be a list of any length, and nulls in it take no bytes.
_MOST_ITEMS = 10_000


def items_of(column: Any) -> list[Any]:
    """Return the items of a short column of pandas, NumPy, polars or Arrow as Python objects.

    Raises
    ------
    ValueError
        The lists in the column have more than 10,000 items together.
    Exception
        Whatever the library raises, such as for a date that Python can't hold.
    """
    if hasattr(column, "to_pylist"):
        _refuse_long(_arrow_items(column))
        return [*column.to_pylist()]
    if hasattr(column, "to_physical"):
        _refuse_long(_polars_items(column))
        return polars_items(column)
    if type(column.dtype).__name__ == "ArrowDtype":
        _refuse_long(_arrow_items(column.array.__arrow_array__()))
    return [*column.tolist()]


def _refuse_long(items: int) -> None:
    if items > _MOST_ITEMS:
        raise ValueError(f"{items:,} items in a few rows")


def _arrow_items(array: Any) -> int:
    """Count the items on all levels of an array of Arrow, as far as they are few."""
    kind, name = array.type, type(array).__name__
    if name == "ChunkedArray":
        return sum(map(_arrow_items, array.chunks))
    if name == "DictionaryArray":
        return len(array) if not kind.value_type.num_fields else _MOST_ITEMS + 1
    if name == "UnionArray":
        return sum(_arrow_items(array.field(at)) for at in range(kind.num_fields))
    if name == "StructArray":
        return len(array) + sum(map(_arrow_items, array.flatten()))
    if not kind.num_fields:
        return len(array)
    if name == "FixedSizeListArray":
        first, count = array.offset * kind.list_size, len(array) * kind.list_size
    elif name.endswith("ListViewArray"):
        spans = zip(array.offsets.to_pylist(), array.sizes.to_pylist(), strict=True)
        return _in_lists([array.values.slice(*span) for span in spans])
    else:
        offsets = array.offsets
        first, count = offsets[0].as_py(), offsets[-1].as_py() - offsets[0].as_py()
    return _in_lists([array.values.slice(first, count)])


def _in_lists(parts: list[Any]) -> int:
    count = sum(map(len, parts))
    return count if count > _MOST_ITEMS else count + sum(map(_arrow_items, parts))


def _polars_items(series: Any) -> int:
    kind = type(series.dtype).__name__
    if kind == "Struct":
        return len(series) + sum(map(_polars_items, series.struct.unnest().get_columns()))
    if kind == "List":
        count = int(series.list.len().sum())
    elif kind == "Array":
        count = len(series) * series.dtype.size
    else:
        return len(series)
    return count if count > _MOST_ITEMS else count + _polars_items(series.explode())
