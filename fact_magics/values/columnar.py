"""Read the frames, Series and arrays of polars, Arrow and related libraries as lists and records.

Only libraries that the process has already imported are used.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .forms import ValueTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_INTERFACE = ("__arrow_c_stream__", "__arrow_c_array__")
_NAME_CHARACTERS = 40
_REASON_CHARACTERS = 120


def read_polars(value: Any, base: str) -> object:
    """Read a DataFrame as its records and a Series as a list; the items may need `normalise`.

    Parameters
    ----------
    value : object
        An instance of a class of polars.
    base : str
        The name of this class.

    Returns
    -------
    object
        `NotImplemented` for an object of another class, such as an expression.

    Raises
    ------
    ValueTypeError
        Python can't hold a value, such as a date beyond the year 9999.
    """
    if base == "DataFrame":
        columns = [_read_column(column, polars_items, column.name) for column in value.get_columns()]
        return records(value.columns, columns, value.height)
    return _read_column(value, polars_items) if base == "Series" else NotImplemented


def polars_items(series: Any) -> list[object]:
    """Read a Series as a list; raises `ValueError` for a date that Python can't hold."""
    with panics_as_errors():
        return list(series.to_list())


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise a `ValueError` where polars raises its PanicException, which is not an `Exception`."""
    try:
        yield
    except import_module("polars.exceptions").PanicException as error:
        raise ValueError(error) from None


def read_arrow(value: Any, _base: str = "") -> object:
    """Read a table or batch as its records, an array as a list, and a scalar as its value.

    Timestamps and durations are read to the microsecond. The items may need `normalise`.

    Returns
    -------
    object
        `NotImplemented` for an object without data, such as a schema.

    Raises
    ------
    ValueTypeError
        Column names are repeated, or Python can't hold a value.
    """
    if isinstance(value, tuple):  # an interval: months, days and nanoseconds
        return tuple(value)
    if hasattr(value, "as_py"):
        return _read_column(_arrow().array([value], value.type), _arrow_items)[0] if value.is_valid else None
    if not hasattr(value, "to_pylist"):
        return NotImplemented
    names = getattr(value, "column_names", None)
    if names is None:
        return _read_column(value, _arrow_items)
    if len(set(names)) != len(names):
        raise repeated_names(value)
    pairs = zip(value.columns, names, strict=True)
    columns = [_read_column(column, _arrow_items, name) for column, name in pairs]
    return records(names, columns, value.num_rows)


def _arrow_items(array: Any) -> list[object]:
    kind = str(array.type)
    if kind.startswith("timestamp[ns"):
        # In a time zone, rounding fails in the hour that is repeated when clocks are set back.
        in_utc = array.cast(_arrow().timestamp("ns", "UTC"))
        rounded = import_module("pyarrow.compute").floor_temporal(in_utc, unit="microsecond")
        array = rounded.cast(_arrow().timestamp("us", array.type.tz))
    elif kind == "duration[ns]":
        array = array.cast("duration[us]", safe=False)
    return list(array.to_pylist(**({"maps_as_pydicts": "strict"} if "map<" in kind else {})))


def _arrow() -> Any:
    return import_module("pyarrow")


def _read_column(column: Any, read: Callable[[Any], list[object]], name: str | None = None) -> list[object]:
    try:
        return read(column)
    except (ValueError, KeyError, ArithmeticError) as error:
        kind = column.type if hasattr(column, "type") else column.dtype
        reason = " ".join(str(error.args[0] if error.args else error).split())[:_REASON_CHARACTERS]
        refused = ValueTypeError(f"a value of type {kind} that Python can't hold ({reason})")
        if name is not None:
            refused.path = [f"[{json.dumps(name[:_NAME_CHARACTERS], ensure_ascii=False)}]"]
        raise refused from error


def has_arrow_interface(value: object) -> bool:
    """Whether the object, of any library, offers its data by Arrow's C data interface."""
    return any(hasattr(type(value), name) for name in _INTERFACE)


def read_arrow_interface(value: Any) -> object:
    """Read an object that offers Arrow's C data interface, by pyarrow or polars if either is imported.

    Raises
    ------
    ValueTypeError
        Neither library is imported, or Python can't hold a value.
    """
    if sys.modules.get("pyarrow") is not None:
        is_stream = hasattr(type(value), _INTERFACE[0])
        return read_arrow((_arrow().chunked_array if is_stream else _arrow().array)(value))
    if sys.modules.get("polars") is not None:
        return read_polars(import_module("polars").Series(values=value), "Series")
    problem = f"a {type(value).__name__}, which only pyarrow or polars can read,"
    raise ValueTypeError(problem, "its rows as a list, or import pyarrow first")


def records(names: list[Any], columns: list[list[object]], height: int) -> list[dict[object, object]]:
    """Make the records of a frame with `height` rows; a frame without columns has empty records."""
    if not columns:
        return [{} for _ in range(height)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def repeated_names(frame: object) -> ValueTypeError:
    """Build the error about a frame with two columns of the same name."""
    kind = type(frame).__name__
    return ValueTypeError(f"a {kind} with repeated column names", f"a {kind} with distinct names")
