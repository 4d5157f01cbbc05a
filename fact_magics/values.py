"""The canonical form of values: one definition for cache keys, the wire to the sandbox, and the history.

The wire form is UTF-8 JSON. What JSON has no word for is an object with one key that starts with ``$``; a
dict whose own keys start so is written as ``$dict``, so nothing is ambiguous. The sandbox's worker loads
this file's source by itself, so it needs the standard library and nothing else.
"""

from __future__ import annotations

import binascii
import json
import re
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice, repeat
from math import isfinite, isnan
from pathlib import Path, PurePath
from types import CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_DEPTH = 200
"""Containers within containers; json's own recursion, at three levels for one of ours, stays in bounds."""

_CALL_DEPTH = 2  # the object and the list or object in which a call wraps its arguments
_MAX_WIRE_DEPTH = MAX_DEPTH + _CALL_DEPTH
_WORD = 1 << 63
_MAX_RANGE = 50_000_000
_PRINTABLE_BITS = 14_000  # beyond about 4,300 digits Python refuses to print an int in decimal
_PATH_PARTS = 10
_KEY_CHARACTERS = 40
_SKETCH_DEPTH = 4
_SKETCH_ITEMS = 20

# Written as ASCII escapes, as text with surrogates must be, such a pair would be read back as one character.
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class WireError(ValueError):
    """Bytes that are not the canonical form of a value."""


class ValueTypeError(TypeError):
    """A value, or something inside it, that has no canonical form.

    Parameters
    ----------
    problem : str
        What was met: ``a generator``.
    instead : str
        What to use in its place: ``a list``.

    Attributes
    ----------
    where : str
        What the whole value is called: ``result``, or a parameter's name.
    path : list of str
        Steps from the whole value to the culprit: ``['["rows"]', '[3]']``.
    """

    def __init__(self, problem: str, instead: str = "plain data") -> None:
        super().__init__(problem)
        self.problem = problem
        self.instead = instead
        self.where = "result"
        self.path: list[str] = []

    def __str__(self) -> str:
        steps = self.path
        if len(steps) > _PATH_PARTS:
            steps = [*steps[: _PATH_PARTS // 2], "…", *steps[-_PATH_PARTS // 2 :]]
        return f"{self.where}{''.join(steps)}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """The problem without its place."""
        if self.where == "result":
            return f"{self.problem} can't leave the tool; return {self.instead}"
        return f"{self.problem} can't enter a tool; pass {self.instead}"


class ToolObject:
    """An instance, on its way into a tool, of a class that the tool itself defines.

    The kernel never runs the tool's code and so has no such class; the worker makes the instance.

    Parameters
    ----------
    class_name : str
        The class's name in the tool's module.
    fields : dict
        Its constructor's keyword arguments.
    """

    __slots__ = ("class_name", "fields")

    def __init__(self, class_name: str, fields: dict[str, object]) -> None:
        self.class_name = class_name
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ToolObject)
            and self.class_name == other.class_name
            and self.fields == other.fields
        )

    def __hash__(self) -> int:
        return hash((self.class_name, tuple(self.fields)))

    def __repr__(self) -> str:
        return f"{self.class_name}({', '.join(f'{name}={value!r}' for name, value in self.fields.items())})"


class ToolEnum:
    """A member, on its way into a tool, of an enumeration that the tool itself defines.

    Parameters
    ----------
    class_name, member : str
        The enumeration's name in the tool's module, and the member's.
    """

    __slots__ = ("class_name", "member")

    def __init__(self, class_name: str, member: str) -> None:
        self.class_name = class_name
        self.member = member

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ToolEnum)
            and self.class_name == other.class_name
            and self.member == other.member
        )

    def __hash__(self) -> int:
        return hash((self.class_name, self.member))

    def __repr__(self) -> str:
        return f"{self.class_name}.{self.member}"


# -- to the wire ---------------------------------------------------------------------------------------------


def encode(value: object, *, where: str = "result") -> bytes:
    """Write a value in its canonical form.

    Parameters
    ----------
    value : object
        Plain Python data, or a foreign object that `normalise` understands.
    where : str
        What an error calls the value.

    Returns
    -------
    bytes
        UTF-8 JSON, without spaces. Equal bytes mean the same value: ``1``, ``1.0`` and ``True``, ``-0.0`` and
        ``0.0``, NFC and NFD, and dicts in another order all differ; sets in another order do not.

    Raises
    ------
    ValueTypeError
        For what has no canonical form, naming the path to it.
    """
    return _write(value, where, 0)


def encode_call(args: Sequence[object], kwargs: Mapping[str, object]) -> bytes:
    """Write the canonical ``{"args": [...], "kwargs": {...}}`` of a call.

    Raises
    ------
    ValueTypeError
        For what has no canonical form.
    """
    if not args:
        return b'{"args":[],"kwargs":%b}' % _write(dict(kwargs), "input", 1 - _CALL_DEPTH)
    return _write({"args": list(args), "kwargs": dict(kwargs)}, "input", -_CALL_DEPTH)


def _write(value: object, where: str, depth: int) -> bytes:
    if _is_json(value, depth):
        lowered = value
    else:
        value = _normalised(value, where, depth)
        lowered = _lower(value, False)
    text = _to_json(lowered)
    try:
        return text.encode()
    except UnicodeEncodeError:
        if _SURROGATE_PAIR.search(text):
            lowered = _lower(value, True)
        return _to_ascii_json(lowered).encode()


def _writer(*, ensure_ascii: bool) -> Callable[[object], str]:
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, allow_nan=False, check_circular=False, separators=(",", ":")
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    # `encode` makes this anew each time, which takes as long as writing the input of a usual call.
    text = json.encoder.encode_basestring_ascii if ensure_ascii else json.encoder.encode_basestring
    write = make(None, encoder.default, text, None, ":", ",", False, False, False)
    return lambda value: "".join(write(value, 0))


_to_json = _writer(ensure_ascii=False)
_to_ascii_json = _writer(ensure_ascii=True)
_NONE = type(None)
_TEXTUAL = frozenset({str, bool, _NONE})
_INTS = {int}
_FLOATS = {float}


def _is_json(value: object, depth: int) -> bool:
    """Whether the C encoder writes the value canonically as it stands; a cycle ends at the depth limit."""
    kind = type(value)
    if kind in _TEXTUAL:
        return True
    if kind is int:
        return -_WORD <= value < _WORD  # type: ignore[operator]
    if kind is float:
        return isfinite(value)  # type: ignore[arg-type]
    if depth >= MAX_DEPTH:
        return False
    if kind is list:
        return _is_json_list(value, depth)  # type: ignore[arg-type]
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str or key[:1] == "$":
                return False
            if type(item) not in _TEXTUAL and not _is_json(item, depth + 1):
                return False
        return True
    return False


def _is_json_list(items: list[Any], depth: int) -> bool:
    kinds = set(map(type, items))
    if kinds <= _TEXTUAL:
        return True
    if kinds == _INTS:
        return bool(min(items) >= -_WORD and max(items) < _WORD)
    if kinds == _FLOATS:
        return all(map(isfinite, items))
    return all(_is_json(item, depth + 1) for item in items)


def _lower(value: Any, escaped: bool) -> object:
    """Turn a normalised value into JSON with ``$`` objects; `escaped` protects pairs of surrogates."""
    kind = type(value)
    if kind is str:
        if escaped and _SURROGATE_PAIR.search(value):
            return {"$str": _base64(value.encode("utf-8", "surrogatepass"))}
        return value
    if kind is list:
        return _lower_items(value, escaped)
    if kind is dict:
        return _lower_dict(value, escaped)
    if kind in _TEXTUAL:
        return value
    return _LOWER[kind](value, escaped)


def _lower_items(items: Iterable[object], escaped: bool) -> list[object]:
    return [
        *map(_lower, items, repeat(escaped))
    ]  # no comprehension: on 3.11 it costs deep values a frame each


def _lower_dict(value: dict[object, object], escaped: bool) -> object:
    keys, items = [*value], _lower_items(value.values(), escaped)
    if not any(map(_is_special, keys, repeat(escaped))):
        return dict(zip(keys, items, strict=True))
    return {"$dict": [*map(list, zip(_lower_items(keys, escaped), items, strict=True))]}


def _is_special(key: object, escaped: bool) -> bool:
    if type(key) is not str:
        return True
    return key[:1] == "$" or (escaped and _SURROGATE_PAIR.search(key) is not None)


def _lower_set(items: Iterable[object], escaped: bool) -> list[object]:
    return sorted(_lower_items(items, escaped), key=_to_json)


def _lower_float(value: float) -> object:
    if isfinite(value):
        return value
    return {"$float": "nan" if isnan(value) else "inf" if value > 0 else "-inf"}


def _lower_object(value: ToolObject, escaped: bool) -> object:
    return {"$object": [value.class_name, _lower_dict(value.fields, escaped)]}  # type: ignore[arg-type]


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


_LOWER: dict[type, Callable[[Any, bool], object]] = {
    int: lambda value, _: value if -_WORD <= value < _WORD else {"$int": hex(value)},
    float: lambda value, _: _lower_float(value),
    tuple: lambda value, escaped: {"$tuple": _lower_items(value, escaped)},
    set: lambda value, escaped: {"$set": _lower_set(value, escaped)},
    frozenset: lambda value, escaped: {"$frozenset": _lower_set(value, escaped)},
    bytes: lambda value, _: {"$bytes": _base64(value)},
    date: lambda value, _: {"$date": value.isoformat()},
    datetime: lambda value, _: {"$datetime": value.isoformat()},
    time: lambda value, _: {"$time": value.isoformat()},
    timedelta: lambda value, _: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value, _: {"$decimal": str(value)},
    UUID: lambda value, _: {"$uuid": str(value)},
    type(Path()): lambda value, escaped: {"$path": _lower(str(value), escaped)},
    ToolObject: _lower_object,
    ToolEnum: lambda value, _: {"$enum": [value.class_name, value.member]},
}


# -- from the wire -------------------------------------------------------------------------------------------


def decode(wire: bytes, *, classes: Mapping[str, type] | None = None) -> object:
    """Read a value from its canonical form; nothing is evaluated or imported.

    Parameters
    ----------
    wire : bytes
        What `encode` wrote, or what a tool's process claims to be so.
    classes : mapping of str to type, optional
        The tool's own classes, by name, of which to make instances. Without it they stay `ToolObject` and
        `ToolEnum`.

    Raises
    ------
    WireError
        For bytes that are not in the canonical form, or are nested beyond `MAX_DEPTH`.
    """
    try:
        text = wire.decode("utf-8")
        value, end = _decoder(wire, classes).raw_decode(text)
    except WireError:
        raise
    except _ConstructorFailed as error:
        raise error.failure from None
    except RecursionError:
        raise WireError(f"a value nested deeper than {MAX_DEPTH} levels") from None
    except (ValueError, ArithmeticError, TypeError) as error:
        raise WireError(f"not the canonical form of a value: {error}") from None
    if end != len(text):
        raise WireError("not the canonical form of a value: something follows it")
    if len(wire) > _MAX_WIRE_DEPTH and _may_be_deep(wire) and _deeper_than(value, _MAX_WIRE_DEPTH):
        raise WireError(f"a value nested deeper than {MAX_DEPTH} levels")
    return value


def _may_be_deep(wire: bytes) -> bool:
    # Few brackets can't be deep, and counting them is far cheaper than walking the value.
    return wire.count(b"[") + wire.count(b"{") > _MAX_WIRE_DEPTH


def _decoder(wire: bytes, classes: Mapping[str, type] | None) -> json.JSONDecoder:
    if b'"$' not in wire and b"\\u0024" not in wire:
        return _PLAIN_DECODER
    if classes is None:
        return _TAGGED_DECODER
    return json.JSONDecoder(object_hook=_Hook(classes), parse_constant=_refuse_constant)


class _Hook:
    """What json calls with each object, innermost first."""

    __slots__ = ("_classes",)

    def __init__(self, classes: Mapping[str, type] | None) -> None:
        self._classes = classes

    def __call__(self, fields: dict[str, Any]) -> object:
        tag = next(iter(fields), "")
        if not tag.startswith("$"):
            for key in fields:
                if key.startswith("$"):
                    raise WireError(f"an object that mixes {key!r} with other keys")
            return fields
        if len(fields) > 1:
            raise WireError(f"an object that mixes {tag!r} with other keys")
        payload = fields[tag]
        if tag == "$object":
            return self._object(payload)
        if tag == "$enum":
            return self._member(payload)
        try:
            expected, read = _READ[tag]
        except KeyError:
            raise WireError(f"an unknown form {tag!r}") from None
        if type(payload) is not expected:
            raise WireError(f"{tag!r} with {type(payload).__name__} in it")
        return read(payload)

    def _object(self, payload: object) -> object:
        match payload:
            case [str(name), dict(fields)] if all(type(key) is str for key in fields):
                cls = self._class(name)
                return ToolObject(name, fields) if cls is None else _construct(cls, fields)
        raise WireError("'$object' that is no name with fields")

    def _member(self, payload: object) -> object:
        match payload:
            case [str(name), str(member)]:
                cls: Any = self._class(name)
                if cls is None:
                    return ToolEnum(name, member)
                if member in getattr(cls, "__members__", ()):
                    return cls[member]
        raise WireError("'$enum' that is no name with a member")

    def _class(self, name: str) -> type | None:
        if self._classes is None:
            return None
        try:
            return self._classes[name]
        except KeyError:
            raise WireError(f"no class {name!r} in the tool") from None


class _ConstructorFailed(Exception):
    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure


def _construct(cls: type, fields: dict[str, object]) -> object:
    try:
        return cls(**fields)
    except Exception as error:
        raise _ConstructorFailed(error) from error


def _refuse_constant(name: str) -> NoReturn:
    raise WireError(f"a bare {name}")


def _read_float(text: str) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise WireError(f"'$float' with {text[:_KEY_CHARACTERS]!r}")
    return float(text)


def _read_dict(pairs: list[object]) -> dict[object, object]:
    read: dict[object, object] = {}
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2:
            raise WireError("'$dict' with something else than pairs")
        read[pair[0]] = pair[1]
    return read


def _read_timedelta(parts: list[Any]) -> timedelta:
    if len(parts) != 3 or set(map(type, parts)) != _INTS:
        raise WireError("'$timedelta' that is not three integers")
    return timedelta(*parts)


def _read_bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True) if text else b""


_PLAIN_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_TAGGED_DECODER = json.JSONDecoder(object_hook=_Hook(None), parse_constant=_refuse_constant)
_READ: dict[str, tuple[type, Callable[[Any], object]]] = {
    "$str": (str, lambda text: _read_bytes(text).decode("utf-8", "surrogatepass")),
    "$int": (str, lambda text: int(text, 16)),
    "$float": (str, _read_float),
    "$tuple": (list, tuple),
    "$set": (list, set),
    "$frozenset": (list, frozenset),
    "$dict": (list, _read_dict),
    "$bytes": (str, _read_bytes),
    "$date": (str, date.fromisoformat),
    "$datetime": (str, datetime.fromisoformat),
    "$time": (str, time.fromisoformat),
    "$timedelta": (list, _read_timedelta),
    "$decimal": (str, Decimal),
    "$uuid": (str, UUID),
    "$path": (str, Path),
}


def _deeper_than(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        below: list[object] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.keys())
                below.extend(item.values())
            elif isinstance(item, list | tuple | set | frozenset):
                below.extend(item)
            elif type(item) is ToolObject:
                below.append(item.fields)
        if not below:
            return False
        level = below
    return True


# -- from whatever a notebook or a tool holds ----------------------------------------------------------------


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
    return value if _is_json(value, 0) else _normalised(value, where, 0)


def _normalised(value: object, where: str, depth: int) -> object:
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
        _NONE,
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
        error.path.insert(0, f"[{_key_text(key)}]")
        raise
    if len(normalised) != len(value):
        raise ValueTypeError("a dict whose keys fall together as plain values", "distinct keys")
    return normalised


def _key_text(key: object) -> str:
    if isinstance(key, str):
        text = json.dumps(str.__str__(key), ensure_ascii=False)
    elif isinstance(key, bool | int | float | _NONE):
        text = repr(key) if not isinstance(key, int) or key.bit_length() <= _PRINTABLE_BITS else hex(key)
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


# -- for people ----------------------------------------------------------------------------------------------


def plain(value: object) -> object:
    """Give a value as JSON that people read: for the history, tables and ``--json``.

    Never raises, so that input which was refused can still be recorded.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    object
        None, bool, int, float, str, list and dict with str keys only. Temporal values, Decimal, UUID and Path
        are text (durations as ISO 8601), bytes base64, tuples and sets lists, NaN ``"NaN"``. Of a value that
        has no canonical form, the first items are told, and the culprit as its type's name in angle brackets.
        Text may hold lone surrogates, as the value did.
    """
    if _is_json(value, 0):
        return value
    try:
        return _plain(_normalise(value, 0))
    except Exception:  # noqa: BLE001 - a foreign object's own code runs here, and people still want the rest
        return _sketch(value, _SKETCH_DEPTH)


def _plain(value: Any) -> object:
    kind = type(value)
    if kind in _TEXTUAL:
        return value
    if kind is list or kind is tuple:
        return [*map(_plain, value)]
    if kind is set or kind is frozenset:
        return sorted(map(_plain, value), key=_to_json)
    if kind is dict:
        return _plain_dict(value)
    if kind is ToolObject:
        return _plain_dict(value.fields)
    return _PLAIN[kind](value)


def _plain_dict(value: dict[Any, Any]) -> object:
    keys, items = [*map(_plain, value.keys())], [*map(_plain, value.values())]
    names = [key if isinstance(key, str) else _to_json(key) for key in keys]
    if len(set(names)) == len(names):
        return dict(zip(names, items, strict=True))
    return [*map(list, zip(keys, items, strict=True))]


def _sketch(value: object, depth: int) -> object:
    """Tell what can be told of a value without canonical form, as wide and deep as is safe in a cycle."""
    if depth and type(value) is dict:
        some = islice(value.items(), _SKETCH_ITEMS)
        return {
            key if isinstance(key, str) else _key_text(key): _sketch(item, depth - 1) for key, item in some
        }
    if depth and type(value) in (list, tuple, set, frozenset):
        return [_sketch(item, depth - 1) for item in islice(value, _SKETCH_ITEMS)]  # type: ignore[call-overload]
    try:
        return _plain(_normalise(value, 0))
    except Exception:  # noqa: BLE001 - see plain
        return f"<{type(value).__name__}>"


def _plain_float(value: float) -> float | str:
    if isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def iso_duration(value: timedelta) -> str:
    """Write a duration as ISO 8601: ``P1DT2H3M4.5S``, ``-PT5S``."""
    sign = "-" if value < timedelta(0) else ""
    value = abs(value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    days = f"{value.days}D" if value.days else ""
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if seconds or fraction or not (days or clock):
        clock += f"{seconds}{fraction}S"
    return f"{sign}P{days}{'T' + clock if clock else ''}"


_PLAIN: dict[type, Callable[[Any], object]] = {
    int: lambda value: value if value.bit_length() <= _PRINTABLE_BITS else hex(value),
    float: _plain_float,
    bytes: _base64,
    date: date.isoformat,
    datetime: datetime.isoformat,
    time: time.isoformat,
    timedelta: iso_duration,
    Decimal: str,
    UUID: str,
    type(Path()): str,
    ToolEnum: lambda value: value.member,
}
