"""Convert objects of notebooks and tools, such as arrays and data frames, to plain Python values."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from math import isnan
from pathlib import Path, PurePath
from types import CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .columnar import (
    has_arrow_interface,
    read_arrow,
    read_arrow_interface,
    read_polars,
    records,
    repeated_names,
)
from .forms import MAX_DEPTH, NONE, Table, ToolEnum, ToolObject, ValueTypeError, is_json
from .rendering import rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PRINTABLE_BITS = 14_000
"""Beyond about 4,300 digits Python refuses to print an int in decimal."""

_MAX_RANGE = 50_000_000
_KEY_CHARACTERS = 40


def normalise(value: object, *, where: str = "input") -> object:
    """Convert an object to a plain Python value.

    Numpy scalars become numbers; arrays, Series and indexes become lists; a DataFrame becomes its records;
    a table of Arrow, or of any library that offers Arrow's C data interface, becomes its records too;
    a figure of matplotlib and an image of Pillow become the bytes of a PNG file;
    Timestamps and Timedeltas become datetimes and timedeltas (to the microsecond); NaT and NA become None;
    Enum members become their value; instances of dataclasses and Pydantic models become dicts; named tuples
    become tuples; instances of subclasses of builtin types become instances of the builtin type. No library
    is imported: types are recognised by the name of their module. Errors name the value `where`.

    Returns
    -------
    object
        The value itself if it is plain JSON, otherwise a new value made of None, bool, int, float, str,
        bytes, list, tuple, dict, set, frozenset, date, datetime, time, timedelta, Decimal, UUID and Path.

    Raises
    ------
    ValueTypeError
        The value has no plain equivalent, is nested deeper than `MAX_DEPTH`, or contains itself.
    """
    return value if is_json(value, 0) else normalise_at(value, where, 0)


def normalise_at(value: object, where: str, depth: int) -> object:
    """Convert a value that is `depth` containers deep and not plain JSON."""
    try:
        return _normalise(value, depth)
    except ValueTypeError as error:
        error.where = where
        raise
    except RecursionError:
        deep = _too_deep()
        deep.where = where
        raise deep from None


_LEAVES = frozenset({str, bool, NONE, int, float, bytes, date, datetime, time, timedelta, Decimal, UUID})
_LEAVES |= {type(Path()), Table, ToolEnum}


def _normalise(value: Any, depth: int) -> object:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if depth >= MAX_DEPTH:
        raise _too_deep()
    if kind is list or kind is tuple:
        return kind(_normalise_items(value, depth))
    if kind is dict:
        return _normalise_dict(value, depth)
    if kind is set or kind is frozenset:
        return kind(_normalise_members(value, depth))
    return _normalise_foreign(value, depth)


def _normalise_items(items: Iterable[object], depth: int) -> list[object]:
    normalised: list[object] = []
    try:
        for item in items:
            normalised.append(_normalise(item, depth + 1))  # noqa: PERF401 - an error needs the index
    except ValueTypeError as error:
        error.path.insert(0, f"[{len(normalised)}]")
        raise
    return normalised


def _normalise_members(items: Iterable[object], depth: int) -> list[object]:
    members = _normalise_items(items, depth)
    for member in members:
        _check_hashable(member, "a set's item")
    return members


def _normalise_dict(value: Mapping[Any, Any], depth: int) -> dict[object, object]:
    normalised: dict[object, object] = {}
    key: object = None
    try:
        for key, item in value.items():
            plain_key = _normalise(key, depth + 1)
            _check_hashable(plain_key, "a dict's key")
            normalised[plain_key] = _normalise(item, depth + 1)
    except ValueTypeError as error:
        error.path.insert(0, f"[{key_text(key)}]")
        raise
    if len(normalised) != len(value):
        raise ValueTypeError("a dict in which two keys become the same plain value", "distinct keys")
    return normalised


def key_text(key: object) -> str:
    """Write a dict's key on one short line; a key that is not text, a number or None is shown by its type."""
    if isinstance(key, str):
        text = json.dumps(str.__str__(key), ensure_ascii=False)
    elif isinstance(key, bool | int | float | NONE):
        text = repr(key) if not isinstance(key, int) or key.bit_length() <= PRINTABLE_BITS else hex(key)
    else:
        text = f"<{type(key).__name__}>"
    return text if len(text) <= _KEY_CHARACTERS else f"{text[:_KEY_CHARACTERS]}…"


def _check_hashable(value: object, role: str) -> None:
    try:
        hash(value)
    except TypeError:
        problem = f"{role} that is a {type(value).__name__}"
        raise ValueTypeError(problem, "text, a number or a tuple there") from None


def _normalise_foreign(value: Any, depth: int) -> object:
    if isinstance(value, Enum):
        return _normalise(value.value, depth + 1)
    if type(value) is ToolObject:
        return ToolObject(value.class_name, _normalise_dict(value.fields, depth))  # type: ignore[arg-type]
    if isinstance(value, type):
        raise ValueTypeError(f"the class {value.__name__}", "the data of an instance")
    try:
        return _from_object(value, depth)
    except (ValueTypeError, RecursionError, MemoryError):
        raise
    except Exception as error:  # the object's own code runs here, and may raise anything
        problem = f"a {type(value).__name__} that fails when it is read ({type(error).__name__})"
        raise ValueTypeError(problem) from error


def _from_object(value: Any, depth: int) -> object:
    for base in type(value).__mro__:
        library = base.__module__.partition(".")[0] if isinstance(base.__module__, str) else ""
        convert = _LIBRARIES.get(library)
        if convert is not None:
            return convert(value, base.__name__, depth)
    names = getattr(type(value), "__dataclass_fields__", None)
    if names is not None:
        return _normalise_dict(attributes(value, names), depth)
    for base, read in _BASES:
        if isinstance(value, base):
            return read(value, depth)
    if callable(getattr(type(value), "tolist", None)):  # array.array, and the arrays of most libraries
        return _normalise(value.tolist(), depth + 1)
    if has_arrow_interface(value) and not isinstance(value, Iterator):  # reading an iterator would use it up
        return _normalise(read_arrow_interface(value), depth)
    raise _unsupported(value)


def attributes(value: object, names: Iterable[str]) -> dict[str, object]:
    """Return the fields of an instance of a dataclass or Pydantic model, those that it has."""
    # A dataclass lists its ClassVars and InitVars beside its fields; instances may lack those.
    pseudo = {
        name
        for name, field in getattr(type(value), "__dataclass_fields__", {}).items()
        if getattr(getattr(field, "_field_type", None), "name", "_FIELD") != "_FIELD"
    }
    return {name: getattr(value, name) for name in names if name not in pseudo and hasattr(value, name)}


def _from_numpy(value: Any, _base: str, depth: int) -> object:
    dtype = getattr(value, "dtype", None)
    if dtype is None or not hasattr(value, "tolist"):
        raise _unsupported(value)
    if dtype.kind in "mM":
        unit = dtype.name.partition("[")[2].rstrip("]")
        if unit in {"ns", "ps", "fs", "as"}:
            value = value.astype(f"{dtype.kind}8[us]")
        if int in set(map(type, value.ravel().tolist())):  # numpy returns an int if datetime can't hold it
            problem = f"a {dtype.name} outside the range of Python's dates"
            raise ValueTypeError(problem, "dates in the years 1 to 9999")
    plain = value.tolist()
    if type(plain) is type(value):  # tolist() returns a longdouble unchanged
        return complex(value) if dtype.kind == "c" else float(value)
    return _normalise(plain, depth)


def _from_pandas(value: Any, base: str, depth: int) -> object:
    name = type(value).__name__
    if isinstance(value, tuple):  # a row of itertuples()
        return tuple(_normalise_items(value, depth))
    if name in {"NaTType", "NAType"}:
        return None
    if base == "Timestamp":
        return value.to_pydatetime(warn=False)
    if base == "Timedelta":
        return value.to_pytimedelta()
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        if not value.columns.is_unique:
            raise repeated_names(value)
        columns = [_pandas_items(value.iloc[:, index]) for index in range(value.shape[1])]
        return _normalise(records(value.columns.tolist(), columns, len(value)), depth)
    if hasattr(value, "tolist"):
        return _normalise(_pandas_items(value), depth)
    raise _unsupported(value)


def _pandas_items(series: Any) -> list[object]:
    items: list[object] = series.tolist()
    if getattr(series.dtype, "kind", "f") == "f":
        return items
    # In a column of another type than float, NaN marks a missing value.
    return [None if type(item) is float and isnan(item) else item for item in items]


def _from_columnar(read: Callable[[Any, str], object], value: Any, base: str, depth: int) -> object:
    data = read(value, base)
    if data is NotImplemented:
        raise _unsupported(value)
    return _normalise(data, depth)


def _from_pydantic(value: Any, _base: str, depth: int) -> object:
    fields = getattr(type(value), "model_fields", None)
    if fields is None:
        raise _unsupported(value)
    return _normalise_dict(attributes(value, fields), depth)


def _from_pictures(value: Any, _base: str, _depth: int) -> object:
    picture = rendered(value)
    if picture is None:
        if hasattr(value, "get_figure"):
            raise ValueTypeError(f"the {type(value).__name__} of a figure", "its .figure")
        raise _unsupported(value)
    return picture


_LIBRARIES: dict[str, Callable[[Any, str, int], object]] = {
    "matplotlib": _from_pictures,
    "numpy": _from_numpy,
    "pandas": _from_pandas,
    "PIL": _from_pictures,
    "polars": partial(_from_columnar, read_polars),
    "pyarrow": partial(_from_columnar, read_arrow),
    "pydantic": _from_pydantic,
}


def _from_range(value: range, _depth: int) -> object:
    if value and abs(value[-1] - value[0]) // abs(value.step) >= _MAX_RANGE:  # len() may overflow
        raise ValueTypeError("a range of that length", "its bounds")
    return list(value)


# The first base that fits decides, so datetime comes before date.
_BASES: tuple[tuple[Any, Callable[[Any, int], object]], ...] = (
    (str, lambda value, _: str.__str__(value)),
    (int, lambda value, _: int.__int__(value)),
    (float, lambda value, _: float.__float__(value)),
    (bytes | bytearray | memoryview, lambda value, _: bytes(value)),
    (Mapping, _normalise_dict),
    (tuple, lambda value, depth: tuple(_normalise_items(value, depth))),
    (range, _from_range),
    (list | deque | KeysView | ValuesView | ItemsView, _normalise_items),
    (set, lambda value, depth: set(_normalise_members(value, depth))),
    (frozenset, lambda value, depth: frozenset(_normalise_members(value, depth))),
    (datetime, lambda value, _: datetime.combine(_date(value), value.timetz())),
    (date, lambda value, _: _date(value)),
    (time, lambda value, _: time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo)),
    (timedelta, lambda value, _: timedelta(value.days, value.seconds, value.microseconds)),
    (Decimal, lambda value, _: Decimal(value)),
    (UUID, lambda value, _: UUID(int=value.int)),
    (PurePath, lambda value, _: Path(str(value))),
)


def _date(value: date) -> date:
    return date(value.year, value.month, value.day)


def _too_deep() -> ValueTypeError:
    problem = f"a value nested deeper than {MAX_DEPTH} levels, or inside itself,"
    return ValueTypeError(problem, "a flatter value")


# The first base that fits decides, so a generator comes before an iterator.
_UNSUPPORTED: tuple[tuple[type, str, str], ...] = (
    (GeneratorType, "a generator", "a list"),
    (CoroutineType, "a coroutine", "the result of awaiting it"),
    (Iterator, "an iterator ({kind})", "a list"),
    (FunctionType, "the function {name}", "its result"),
    (ModuleType, "the module {name}", "plain data"),
    (complex, "a complex number", "its real and imaginary parts"),
    (BaseException, "an exception ({kind})", "its message"),
    (Sequence, "a {kind}", "a list"),
    (object, "an object of type {kind}", "plain data"),
)


_READING = ("collect", "compute", "read_all", "to_table")
"""The methods by which lazy frames, data sets and streams read their rows."""


def reading_method(value: object) -> str | None:
    """Name the method that reads the rows of a lazy frame, a data set or a stream; None for other objects."""
    return next((method for method in _READING if callable(getattr(type(value), method, None))), None)


def _unsupported(value: object) -> ValueTypeError:
    if method := reading_method(value):
        problem = f"a {type(value).__name__}, whose rows are not read yet,"
        return ValueTypeError(problem, f"the result of its {method}()")
    problem, instead = next(words for base, *words in _UNSUPPORTED if isinstance(value, base))
    name = value.__name__ if isinstance(value, FunctionType | ModuleType) else ""
    return ValueTypeError(problem.format(kind=type(value).__name__, name=name), instead)
