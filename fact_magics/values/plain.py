"""Write values as JSON for people: in the history, in tables and with ``--json``."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fact_magics.values.foreign import PRINTABLE_BITS, key_text, normalise_at
from fact_magics.values.forms import TEXTUAL, ToolEnum, ToolObject, is_json
from fact_magics.values.wire import base64_text, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

_SKETCH_DEPTH = 4
_SKETCH_ITEMS = 20


def plain(value: object) -> object:
    """Give a value as JSON for people: in the history, in tables and with ``--json``.

    Never raises, so that refused input can be recorded too.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    object
        None, bool, int, float, str, list and dict with str keys only. Temporal values, Decimal, UUID and Path
        become text (durations as ISO 8601), bytes base64, tuples and sets lists, NaN ``"NaN"``. A value
        without a canonical form becomes its first items, and inside it each object that has none becomes the
        name of its type in angle brackets. Text may contain lone surrogates, if the value does.
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
    """Give the first items of a value without canonical form, not too deep: it may contain itself."""
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


def _plain_float(value: float) -> float | str:
    if isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


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


_PLAIN: dict[type, Callable[[Any], object]] = {
    int: lambda value: value if value.bit_length() <= PRINTABLE_BITS else hex(value),
    float: _plain_float,
    bytes: base64_text,
    date: date.isoformat,
    datetime: datetime.isoformat,
    time: time.isoformat,
    timedelta: _iso_duration,
    Decimal: str,
    UUID: str,
    type(Path()): str,
    ToolEnum: lambda value: value.member,
}
