"""Write values as short text on one line, whatever their size."""

from __future__ import annotations

from itertools import islice
from typing import Any

from fact_magics.text import inert
from fact_magics.values.foreign import PRINTABLE_BITS
from fact_magics.values.forms import ToolEnum, ToolObject

_ITEMS = 8
_DEPTH = 4


def brief(value: object, limit: int = 80) -> str:
    """Write a plain value as Python would; a large one takes no longer than a small one.

    Parameters
    ----------
    value : object
        A value in its canonical Python form; any other value is written as the name of its type.
    limit : int
        The largest number of characters, without the ellipsis.
    """
    text = inert(_brief(value, limit, _DEPTH)).replace("\n", "\\n")
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
    items = [_brief(item, limit, depth - 1) for item in islice(value, _ITEMS)]
    if kind is dict:
        values = (_brief(item, limit, depth - 1) for item in value.values())
        items = [f"{key}: {item}" for key, item in zip(items, values, strict=False)]
    if len(value) > _ITEMS:
        items.append(f"… {len(value) - _ITEMS:,} more")
    opening, closing = _BRACKETS[kind]
    comma = "," if kind is tuple and len(value) == 1 else ""
    return f"{opening}{', '.join(items)}{comma}{closing}"


_TRUSTED = {"builtins", "datetime", "decimal", "uuid", "pathlib", "pathlib._local", ToolEnum.__module__}
