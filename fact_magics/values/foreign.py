"""Objects of notebooks and tools, taken as the plain Python values that they mean."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isnan
from pathlib import Path, PurePath
from types import CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .forms import MAX_DEPTH, NONE, ToolEnum, ToolObject, ValueTypeError, is_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PRINTABLE_BITS = 14_000
"""Beyond about 4,300 digits Python refuses to print an int in decimal."""

_MAX_RANGE = 50_000_000
_KEY_CHARACTERS = 40


def normalise(value: object, *, where: str = "input") -> object:
    """Take an object as the plain Python value that it means.

    Numpy scalars become numbers; arrays, Series and indexes lists; a DataFrame its records; Timestamps and
    Timedeltas their standard kin (to the microsecond); NaT and NA None; Enum members their value; instances
    of dataclasses and Pydantic models dicts; named tuples tuples; subclasses of builtin types their base.
    Nothing is imported for it: types are known by their module's name.

    Parameters
    ----------
    value : object
        Anything.
    where : str
        What an error calls the value.

    Returns
    -------
    object
        The value itself where it is plain JSON already; else a new one of None, bool, int, float, str, bytes,
        list, tuple, dict, set, frozenset, date, datetime, time, timedelta, Decimal, UUID, Path.

    Raises
    ------
    ValueTypeError
        For what has no plain meaning, is nested beyond `MAX_DEPTH`, or contains itself.
    """
    return value if is_json(value, 0) else normalise_at(value, where, 0)


def normalise_at(value: object, where: str, depth: int) -> object:
    """Do the same for what stands `depth` containers deep, and is known not to be plain JSON."""
    try:
        return _normalise(value, depth)
    except ValueTypeError as error:
        error.where = where
        raise
    except RecursionError:
        deep = _too_deep()
        deep.where = where
        raise deep from None


_LEAVES = frozenset(
    {
        str,
        bool,
        NONE,
        int,
        float,
        bytes,
        date,
        datetime,
        time,
        timedelta,
        Decimal,
        UUID,
        type(Path()),
        ToolEnum,
    }
)


def _normalise(value: Any, depth: int) -> object:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if depth >= MAX_DEPTH:
        raise _too_deep()
    if kind is list:
        return _normalise_items(value, depth)
    if kind is dict:
        return _normalise_dict(value, depth)
    if kind is tuple:
        return tuple(_normalise_items(value, depth))
    if kind is set:
        return set(_normalise_members(value, depth))
    if kind is frozenset:
        return frozenset(_normalise_members(value, depth))
    return _normalise_foreign(value, depth)


def _normalise_items(items: Iterable[object], depth: int) -> list[object]:
    normalised = []
    index = 0
    try:
        for item in items:
            normalised.append(_normalise(item, depth + 1))
            index += 1
    except ValueTypeError as error:
        error.path.insert(0, f"[{index}]")
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
        raise ValueTypeError("a dict whose keys fall together as plain values", "distinct keys")
    return normalised


def key_text(key: object) -> str:
    """Write a dict's key on one bounded line; of one that is no text, number or None, its type."""
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
        raise ValueTypeError(
            f"{role} that is a {type(value).__name__}", "a text, number or tuple there"
        ) from None


def _normalise_foreign(value: Any, depth: int) -> object:
    if isinstance(value, Enum):
        return _normalise(value.value, depth + 1)
    if type(value) is ToolObject:
        return ToolObject(value.class_name, _normalise_dict(value.fields, depth))  # type: ignore[arg-type]
    if isinstance(value, type):
        raise ValueTypeError(f"the class {value.__name__}", "an instance's data")
    try:
        return _from_object(value, depth)
    except (ValueTypeError, RecursionError, MemoryError):
        raise
    except Exception as error:  # its class's own code ran, and may raise anything
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
        return _normalise_dict(_attributes(value, names), depth)
    for base, read in _BASES:
        if isinstance(value, base):
            return read(value, depth)
    if callable(getattr(type(value), "tolist", None)):  # array.array, and the arrays of most libraries
        return _normalise(value.tolist(), depth + 1)
    raise _unsupported(value)


def _attributes(value: object, names: Iterable[str]) -> dict[str, object]:
    # A dataclass lists its ClassVars and InitVars beside its fields; the instance need not hold those.
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
        if int in set(map(type, value.ravel().tolist())):  # numpy's way to say that datetime can't hold it
            raise ValueTypeError(
                f"a {dtype.name} beyond what Python's own dates hold", "dates within years 1 to 9999"
            )
    plain = value.tolist()
    if type(plain) is type(value):  # a longdouble's Python scalar is itself
        return complex(value) if dtype.kind == "c" else float(value)
    return _normalise(plain, depth)


def _from_pandas(value: Any, base: str, depth: int) -> object:
    name = type(value).__name__
    if name in {"NaTType", "NAType"}:
        return None
    if base == "Timestamp":
        return value.to_pydatetime(warn=False)
    if base == "Timedelta":
        return value.to_pytimedelta()
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        if not value.columns.is_unique:
            raise ValueTypeError("a DataFrame with repeated column names", "one with distinct names")
        columns = [_pandas_items(value.iloc[:, index]) for index in range(value.shape[1])]
        names = value.columns.tolist()
        records = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return _normalise(records, depth)
    if hasattr(value, "tolist"):
        return _normalise(_pandas_items(value), depth)
    raise _unsupported(value)


def _pandas_items(series: Any) -> list[object]:
    items: list[object] = series.tolist()
    if getattr(series.dtype, "kind", "f") == "f":
        return items
    # Where a column is not of floats, its NaN is how pandas says that nothing is there.
    return [None if type(item) is float and isnan(item) else item for item in items]


def _from_pydantic(value: Any, _base: str, depth: int) -> object:
    fields = getattr(type(value), "model_fields", None)
    if fields is None:
        raise _unsupported(value)
    return _normalise_dict(_attributes(value, fields), depth)


_LIBRARIES: dict[str, Callable[[Any, str, int], object]] = {
    "numpy": _from_numpy,
    "pandas": _from_pandas,
    "pydantic": _from_pydantic,
}


def _from_range(value: range, _depth: int) -> object:
    try:
        small = len(value) <= _MAX_RANGE
    except OverflowError:
        small = False
    if not small:
        raise ValueTypeError("a range of that length", "its bounds")
    return list(value)


# The first base that fits decides: datetime before date.
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
    (
        datetime,
        lambda value, _: datetime.combine(date(value.year, value.month, value.day), value.timetz()),
    ),
    (date, lambda value, _: date(value.year, value.month, value.day)),
    (
        time,
        lambda value, _: time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo),
    ),
    (timedelta, lambda value, _: timedelta(value.days, value.seconds, value.microseconds)),
    (Decimal, lambda value, _: Decimal(value)),
    (UUID, lambda value, _: UUID(int=value.int)),
    (PurePath, lambda value, _: Path(str(value))),
)


def _too_deep() -> ValueTypeError:
    return ValueTypeError(
        f"a value nested deeper than {MAX_DEPTH} levels, or inside itself,", "a flatter one"
    )


def _unsupported(value: object) -> ValueTypeError:
    if isinstance(value, GeneratorType):
        return ValueTypeError("a generator", "a list")
    if isinstance(value, CoroutineType):
        return ValueTypeError("a coroutine", "what it gives when awaited")
    if isinstance(value, Iterator):
        return ValueTypeError(f"an iterator ({type(value).__name__})", "a list")
    if isinstance(value, FunctionType):
        return ValueTypeError(f"the function {value.__name__}", "what it returns")
    if isinstance(value, ModuleType):
        return ValueTypeError(f"the module {value.__name__}")
    if isinstance(value, complex):
        return ValueTypeError("a complex number", "its real and imaginary parts")
    if isinstance(value, BaseException):
        return ValueTypeError(f"an exception ({type(value).__name__})", "its message")
    if isinstance(value, Sequence):
        return ValueTypeError(f"a {type(value).__name__}", "a list")
    return ValueTypeError(f"an object of type {type(value).__name__}")
