"""Write values for people: as JSON, and as short text on one line."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fact_magics.text import inert
from fact_magics.values.foreign import PRINTABLE_BITS, key_text, normalise_at
from fact_magics.values.forms import TEXTUAL, Table, ToolEnum, ToolObject, is_json
from fact_magics.values.wire import base64_text, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

_SKETCH_DEPTH = 4
_SKETCH_ITEMS = 20
_BRIEF_DEPTH = 4
_BRIEF_ITEMS = 8


def plain(value: object) -> object:
    """Convert a value to JSON for people: for the history, tables and ``--json``.

    This never raises, so that refused input can be recorded too.

    Returns
    -------
    object
        Only None, bool, int, float, str, list and dict with str keys. Dates, times, Decimal, UUID and Path
        become text (durations in ISO 8601), bytes become base64, tuples and sets become lists, and NaN
        becomes ``"NaN"``. A container without a canonical form is cut to its first items; another object
        without one becomes the name of its type in angle brackets. Lone surrogates in text are kept.
    """
    if is_json(value, 0):
        return value
    try:
        return _plain(normalise_at(value, "input", 0))
    except Exception:  # noqa: BLE001 - a foreign object's own code runs here, and may raise anything
        return _sketch(value, _SKETCH_DEPTH)


def _plain(value: Any) -> object:
    kind = type(value)
    if kind in TEXTUAL:
        return value
    if kind is list or kind is tuple:
        return [*map(_plain, value)]
    if kind is set or kind is frozenset:
        return sorted(map(_plain, value), key=to_json)
    if kind is dict:
        return _plain_dict(value)
    if kind is ToolObject:
        return _plain_dict(value.fields)
    return _PLAIN[kind](value)


def _plain_dict(value: dict[Any, Any]) -> object:
    keys, items = [*map(_plain, value.keys())], [*map(_plain, value.values())]
    names = [key if isinstance(key, str) else to_json(key) for key in keys]
    if len(set(names)) == len(names):
        return dict(zip(names, items, strict=True))
    return [*map(list, zip(keys, items, strict=True))]


def _sketch(value: Any, depth: int) -> object:
    """Convert the first items of a value without a canonical form; limit the depth, because of cycles."""
    kind = type(value)
    if depth and kind in (dict, list, tuple, set, frozenset):
        keys = [*islice(value, _SKETCH_ITEMS)]
        if kind is not dict:
            return [_sketch(item, depth - 1) for item in keys]
        names = [key if isinstance(key, str) else key_text(key) for key in keys]
        return {name: _sketch(value[key], depth - 1) for name, key in zip(names, keys, strict=True)}
    try:
        return _plain(normalise_at(value, "input", 0))
    except Exception:  # noqa: BLE001 - as in `plain`
        return f"<{kind.__name__}>"


def _iso_duration(value: timedelta) -> str:
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


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_PLAIN: dict[type, Callable[[Any], object]] = {
    int: lambda value: value if value.bit_length() <= PRINTABLE_BITS else hex(value),
    float: lambda value: value if isfinite(value) else _NOT_FINITE[str(value)],
    bytes: base64_text,
    date: date.isoformat,
    datetime: datetime.isoformat,
    time: time.isoformat,
    timedelta: _iso_duration,
    Decimal: str,
    UUID: str,
    type(Path()): str,
    ToolEnum: lambda value: value.member,
    Table: lambda value: value.about or {"type": value.kind},
}


def brief(value: object, limit: int = 80) -> str:
    """Write a value as Python would, on one line; the time taken does not grow with the value.

    An object without a canonical form is shown as the name of its type. More than `limit` characters are cut,
    and an ellipsis is added.
    """
    text = inert(_brief(value, limit, _BRIEF_DEPTH)).replace("\n", "\\n")
    return text if len(text) <= limit else f"{text[:limit]}…"


_BRACKETS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    list: ("[", "]"),
    set: ("{", "}"),
    tuple: ("(", ")"),
    frozenset: ("frozenset({", "})"),
}


def _brief(value: Any, limit: int, depth: int) -> str:
    kind = type(value)
    if kind in (str, bytes):
        return repr(value) if len(value) <= limit else f"{value[:limit]!r}…"
    if kind is int and value.bit_length() > PRINTABLE_BITS:
        return f"<an int of {value.bit_length():,} bits>"
    if kind is ToolObject:
        return f"{value.class_name}{_brief(value.fields, limit, depth)}"
    if kind not in _BRACKETS:
        return repr(value) if type(value).__module__ in _TRUSTED else f"<{type(value).__name__}>"
    if depth == 0:
        return "…"
    if not value and kind in (set, frozenset):
        return f"{kind.__name__}()"
    items = [_brief(item, limit, depth - 1) for item in islice(value, _BRIEF_ITEMS)]
    if kind is dict:
        values = (_brief(item, limit, depth - 1) for item in value.values())
        items = [f"{key}: {item}" for key, item in zip(items, values, strict=False)]
    if len(value) > _BRIEF_ITEMS:
        items.append(f"… {len(value) - _BRIEF_ITEMS:,} more")
    opening, closing = _BRACKETS[kind]
    comma = "," if kind is tuple and len(value) == 1 else ""
    return f"{opening}{', '.join(items)}{comma}{closing}"


_TRUSTED = {
    *("builtins", "datetime", "decimal", "uuid", "pathlib", "pathlib._local"),
    *(ToolEnum.__module__, "fact_magics.pictures.value"),
}
