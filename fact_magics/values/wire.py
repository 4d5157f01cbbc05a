"""The wire form of values, for cache keys, the sandbox and the history: writing and reading.

The form is UTF-8 JSON. A value that JSON can't express is an object with one key that starts with ``$``. A
dict that has such a key itself is written as a ``$dict`` object, so the form is unambiguous. If there are
tables in the value, a NUL precedes the JSON, and the buffers of the tables follow it; see `attachments`.
"""

from __future__ import annotations

import binascii
import json
import re
from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import repeat
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

from .attachments import START, Attached, Wire, buffers_of, gathered, head_of, with_buffers
from .foreign import normalise_at
from .forms import (
    INTS,
    MAX_DEPTH,
    TEXTUAL,
    WORD,
    Table,
    ToolEnum,
    ToolObject,
    ValueTypeError,
    WireError,
    deeper_than,
    is_json,
)
from .tables import open_table, stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    _Reader = tuple[type, Callable[[Any], object]]

_CALL_DEPTH = 2  # a call wraps its arguments in an object, and in a list or object inside it
_MAX_WIRE_DEPTH = MAX_DEPTH + _CALL_DEPTH
_SHOWN = 40
# Python compares a key with all keys of the same hash, so a tool could make reading slow with many such keys.
_MOST_OF_ONE_HASH = 100
# Containers are limited, because even an empty list takes as much memory as 25 bytes of text.
_MOST_CONTAINERS = 4_000_000
# An unterminated string matches up to the end of the wire, so that each byte is searched only once.
_STRING = re.compile(rb'"[^"\\]*(?:\\.?[^"\\]*)*(?:"|\Z)', re.DOTALL)
# Surrogates must be written as ASCII escapes, and an escaped pair would be read back as one character.
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def encode(value: object, *, where: str = "result", tables: bool = False) -> bytes:
    """Write a value in its canonical form.

    Parameters
    ----------
    value : object
        Plain Python data, or a foreign object that `normalise` understands.
    where : str
        The name of the value in errors.
    tables : bool
        Whether tables, Series and arrays are written as such; otherwise they become records and lists.

    Returns
    -------
    bytes
        UTF-8 JSON, without spaces, and buffers if there are tables. Equal bytes mean the same value: ``1``,
        ``1.0`` and ``True``, ``-0.0`` and ``0.0``, NFC and NFD, and dicts in another order all differ; sets
        in another order do not.

    Raises
    ------
    ValueTypeError
        The value, or a part of it, has no canonical form; the message names the path to the part.
    """
    return b"".join(encode_parts(value, where=where, tables=tables))


def encode_parts(value: object, *, where: str = "result", tables: bool = False) -> list[bytes | memoryview]:
    """Write a value as `encode` does, in parts; those of large tables share the memory of their objects."""
    if tables:
        try:
            value = stand_ins(value)
        except ValueTypeError as error:
            error.where = where
            raise
    return _write(value, where, 0)


def encode_call(args: Sequence[object], kwargs: Mapping[str, object]) -> Wire:
    """Write the canonical ``{"args": [...], "kwargs": {...}}`` of a call; a view if it holds large tables.

    Raises
    ------
    ValueTypeError
        An argument has no canonical form.
    """
    if not args:
        parts = _write(dict(kwargs), "input", 1 - _CALL_DEPTH)
        if len(parts) == 1:
            return b'{"args":[],"kwargs":%b}' % bytes(parts[0])
    return gathered(_write({"args": list(args), "kwargs": dict(kwargs)}, "input", -_CALL_DEPTH))


def _write(value: object, where: str, depth: int) -> list[bytes | memoryview]:
    if is_json(value, depth):
        lowered = value
    else:
        value = normalise_at(value, where, depth)
        lowered = _lower(value, False)
    text = to_json(lowered)
    try:
        wire = text.encode()
    except UnicodeEncodeError:
        if _SURROGATE_PAIR.search(text):
            lowered = _lower(value, True)
        wire = _to_ascii_json(lowered).encode()
    return with_buffers(wire, buffers_of(value)) if b'{"$table":' in wire else [wire]


def _lower_table(value: Table, escaped: bool) -> object:
    sizes = [buffer.nbytes for buffer in value.buffers]
    return {"$table": [value.kind, _lower(value.head, escaped), _lower(value.about, escaped), sizes]}


def _writer(*, ensure_ascii: bool) -> Callable[[object], str]:
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, allow_nan=False, check_circular=False, separators=(",", ":")
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    # JSONEncoder.encode makes a new C encoder each time, which takes as long as writing an ordinary input.
    text = json.encoder.encode_basestring_ascii if ensure_ascii else json.encoder.encode_basestring
    write = make(None, encoder.default, text, None, ":", ",", False, False, False)
    return lambda value: "".join(write(value, 0))


to_json = _writer(ensure_ascii=False)
_to_ascii_json = _writer(ensure_ascii=True)


def _lower(value: Any, escaped: bool) -> object:
    """Turn a normalised value into JSON with ``$`` objects; `escaped` protects pairs of surrogates."""
    kind = type(value)
    if kind is str:
        if escaped and _SURROGATE_PAIR.search(value):
            return {"$str": base64_text(value.encode("utf-8", "surrogatepass"))}
        return value
    if kind is list:
        return _lower_items(value, escaped)
    if kind is dict:
        return _lower_dict(value, escaped)
    if kind in TEXTUAL:
        return value
    return _LOWER[kind](value, escaped)


def _lower_items(items: Iterable[object], escaped: bool) -> list[object]:
    # A comprehension would need one more frame for each level of a deep value on Python 3.11.
    return [*map(_lower, items, repeat(escaped))]


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
    return sorted(_lower_items(items, escaped), key=to_json)


def base64_text(data: bytes) -> str:
    """Write bytes as base64, on one line."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


_LOWER: dict[type, Callable[[Any, bool], object]] = {
    int: lambda value, _: value if -WORD <= value < WORD else {"$int": hex(value)},
    float: lambda value, _: value if isfinite(value) else {"$float": str(value)},
    tuple: lambda value, escaped: {"$tuple": _lower_items(value, escaped)},
    set: lambda value, escaped: {"$set": _lower_set(value, escaped)},
    frozenset: lambda value, escaped: {"$frozenset": _lower_set(value, escaped)},
    bytes: lambda value, _: {"$bytes": base64_text(value)},
    date: lambda value, _: {"$date": value.isoformat()},
    datetime: lambda value, _: {"$datetime": value.isoformat()},
    time: lambda value, _: {"$time": value.isoformat()},
    timedelta: lambda value, _: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value, _: {"$decimal": str(value)},
    UUID: lambda value, _: {"$uuid": str(value)},
    type(Path()): lambda value, escaped: {"$path": _lower(str(value), escaped)},
    ToolObject: lambda value, escaped: {"$object": [value.class_name, _lower_dict(value.fields, escaped)]},
    ToolEnum: lambda value, _: {"$enum": [value.class_name, value.member]},
    Table: _lower_table,
}


def decode(wire: Wire, *, classes: Mapping[str, type] | None = None) -> object:
    """Read a value from its canonical form; nothing is evaluated.

    Parameters
    ----------
    wire : bytes, bytearray or memoryview
        Bytes that `encode` wrote. Tables share the memory of a bytearray, or of a view that can be written
        to. Only the canonical form of a value with tables may be a view.
    classes : mapping of str to type, optional
        The tool's own classes by name, to create their instances. Tables are then made too, by their
        libraries. Without this mapping, these values are `ToolObject`, `ToolEnum` and `Table`.

    Raises
    ------
    WireError
        The bytes are not the canonical form of a value, or are nested deeper than `MAX_DEPTH`.
    """
    if wire[:1] == START:
        return _read_with_tables(wire, _call_readers(classes), _MAX_WIRE_DEPTH, makes=classes is not None)
    is_call = classes is not None and _may_be_tagged(wire)
    tagged = _decoder(_call_readers(classes)) if is_call else _TAGGED_DECODER
    return _read(wire, tagged, _MAX_WIRE_DEPTH)


def decode_result(wire: Wire) -> object:
    """Read the result that a tool's process sent.

    Raises
    ------
    WireError
        As for `decode`; also for instances of the tool's classes, which may only be in the input.
    """
    head = head_of(wire)
    if _containers(head) > _MOST_CONTAINERS and _containers(_STRING.sub(b"", head)) > _MOST_CONTAINERS:
        raise WireError(f"more than {_MOST_CONTAINERS:,} lists and objects")
    if head is not wire:
        return _read_with_tables(wire, _READ, MAX_DEPTH, makes=False)
    return _read(wire, _RESULT_DECODER, MAX_DEPTH)


def _read_with_tables(wire: Wire, readers: Mapping[str, _Reader], max_depth: int, *, makes: bool) -> object:
    """Read a value with tables; `makes` says whether to make the objects of their libraries."""
    attached = Attached(wire)

    def read_table(payload: list[object]) -> object:
        match payload:
            case [str(kind), head, dict(about), list(sizes)]:
                table = Table(kind, head, attached.take(sizes), about)
                return open_table(table) if makes else table
        raise WireError("'$table' without its kind, description and sizes")

    tagged = _decoder({**readers, "$table": (list, read_table)})
    value = _read(head_of(wire), tagged, max_depth)
    attached.end()
    return value


def _read(wire: Wire, tagged: json.JSONDecoder, max_depth: int) -> object:
    try:
        text = str(wire, "utf-8")
        value, end = (tagged if _may_be_tagged(wire) else _PLAIN_DECODER).raw_decode(text)
    except WireError:
        raise
    except _ConstructorFailed as error:
        raise error.__cause__ from None  # type: ignore[misc] # _construct sets the cause
    except RecursionError:
        raise WireError(f"a value nested deeper than {MAX_DEPTH} levels") from None
    except (ValueError, ArithmeticError, TypeError) as error:
        raise WireError(f"not the canonical form of a value: {error}") from None
    if end != len(text):
        raise WireError("not the canonical form of a value: more text follows it")
    # Counting brackets is far cheaper than walking the value, and few brackets can't be nested deeply.
    if len(wire) > max_depth and _containers(wire) > max_depth and deeper_than(value, max_depth):
        raise WireError(f"a value nested deeper than {MAX_DEPTH} levels")
    return value


def _may_be_tagged(wire: Wire) -> bool:
    return b'"$' in wire or b"\\u0024" in wire


def _containers(wire: Any) -> int:
    opened: int = wire.count(b"[") + wire.count(b"{")
    return opened


def _decoder(readers: Mapping[str, _Reader]) -> json.JSONDecoder:
    """Make a decoder for ``$`` objects; `readers` maps each key to its value's type and reader."""

    def read(fields: dict[str, Any]) -> object:  # json calls this with each object, innermost first
        tag = next(iter(fields), "")
        if not tag.startswith("$"):
            for key in fields:
                if key.startswith("$"):
                    raise WireError(f"an object that mixes {key!r} with other keys")
            return fields
        if len(fields) > 1:
            raise WireError(f"an object that mixes {tag!r} with other keys")
        payload = fields[tag]
        try:
            expected, read_payload = readers[tag]
        except KeyError:
            raise WireError(f"an unknown form {tag!r}") from None
        if type(payload) is not expected:
            raise WireError(f"{tag!r} with {type(payload).__name__} in it")
        return read_payload(payload)

    return json.JSONDecoder(object_hook=read, parse_constant=_refuse_constant)


def _call_readers(classes: Mapping[str, type] | None) -> dict[str, _Reader]:
    """Build the readers of a call, which may contain instances of the tool's classes."""

    def find(name: str) -> Any:
        if name not in classes:  # type: ignore[operator]
            raise WireError(f"the tool has no class {name!r}")
        return classes[name]  # type: ignore[index]

    def read_object(payload: list[object]) -> object:
        match payload:
            case [str(name), dict(fields)] if all(type(key) is str for key in fields):
                return ToolObject(name, fields) if classes is None else _construct(find(name), fields)
        raise WireError("'$object' without a class's name and fields")

    def read_member(payload: list[object]) -> object:
        match payload:
            case [str(name), str(member)]:
                if classes is None:
                    return ToolEnum(name, member)
                if member in getattr(find(name), "__members__", ()):
                    return find(name)[member]
        raise WireError("'$enum' without a class's name and a member")

    return {**_READ, "$object": (list, read_object), "$enum": (list, read_member)}


class _ConstructorFailed(Exception):
    """Carries an exception from a constructor through json's decoder."""


def _construct(cls: type, fields: dict[str, object]) -> object:
    try:
        return cls(**fields)
    except Exception as error:
        raise _ConstructorFailed from error


def _refuse_constant(name: str) -> NoReturn:
    raise WireError(f"{name} outside '$float'")


def _read_float(text: str) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise WireError(f"'$float' with {text[:_SHOWN]!r}")
    return float(text)


def _read_dict(pairs: list[Any]) -> dict[object, object]:
    if any(type(pair) is not list or len(pair) != 2 for pair in pairs):
        raise WireError("'$dict' with an item that is not a pair")
    _refuse_one_hash([key for key, _ in pairs])
    return dict(pairs)


def _read_set(items: list[object]) -> set[object]:
    _refuse_one_hash(items)
    return set(items)


def _refuse_one_hash(keys: list[object]) -> None:
    if len(keys) > _MOST_OF_ONE_HASH and max(Counter(map(hash, keys)).values()) > _MOST_OF_ONE_HASH:
        raise WireError(f"more than {_MOST_OF_ONE_HASH} keys with the same hash")


def _read_timedelta(parts: list[Any]) -> timedelta:
    if len(parts) != 3 or set(map(type, parts)) != INTS:
        raise WireError("'$timedelta' with items other than three integers")
    return timedelta(*parts)


def _read_bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True) if text else b""


_READ: dict[str, _Reader] = {
    "$str": (str, lambda text: _read_bytes(text).decode("utf-8", "surrogatepass")),
    "$int": (str, lambda text: int(text, 16)),
    "$float": (str, _read_float),
    "$tuple": (list, tuple),
    "$set": (list, _read_set),
    "$frozenset": (list, lambda items: frozenset(_read_set(items))),
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
_PLAIN_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_RESULT_DECODER = _decoder(_READ)
_TAGGED_DECODER = _decoder(_call_readers(None))
