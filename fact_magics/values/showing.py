"""Values as short text on one line, whatever their size."""

from __future__ import annotations

from itertools import islice
from typing import Any

from fact_magics.text import inert
from fact_magics.values.forms import ToolEnum, ToolObject

_ITEMS = 8
_DEPTH = 4
_PRINTABLE_BITS = 14_000


def brief(value: object, limit: int = 80) -> str:
    """Write a plain value as Python would, cut to `limit` characters; big ones cost no more than small ones.

    Parameters
    ----------
    value : object
        A value in its canonical Python form; of anything else the type is named.
    limit : int
        How many characters at most, the ellipsis aside.
    """
    text = inert(_brief(value, limit, _DEPTH)).replace("\n", "\\n")
    return text if len(text) <= limit else f"{text[:limit]}…"


_PAIRS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    set: ("{", "}"),
    tuple: ("(", ")"),
    frozenset: ("frozenset({", "})"),
}


def _brief(value: Any, limit: int, depth: int) -> str:
    kind = type(value)
    if kind in (str, bytes):
        return repr(value) if len(value) <= limit else f"{value[:limit]!r}…"
    if kind is int and value.bit_length() > _PRINTABLE_BITS:
        return f"<an int of {value.bit_length():,} bits>"
    if kind is ToolObject:
        return f"{value.class_name}{_brief(value.fields, limit, depth)}"
    if kind is not dict and kind not in _PAIRS:
        return repr(value) if type(value).__module__ in _TRUSTED else f"<{type(value).__name__}>"
    if depth == 0:
        return "…"
    if kind is dict:
        items = [
            f"{_brief(key, limit, depth - 1)}: {_brief(item, limit, depth - 1)}"
            for key, item in islice(value.items(), _ITEMS)
        ]
        opening, closing = "{", "}"
    else:
        items = [_brief(item, limit, depth - 1) for item in islice(value, _ITEMS)]
        opening, closing = _PAIRS[kind]
    if len(value) > _ITEMS:
        items.append(f"… {len(value) - _ITEMS:,} more")
    body = ", ".join(items) + ("," if kind is tuple and len(value) == 1 else "")
    if not value and kind in (set, frozenset):
        return f"{kind.__name__}()"
    return f"{opening}{body}{closing}"


_TRUSTED = {"builtins", "datetime", "decimal", "uuid", "pathlib", "pathlib._local", ToolEnum.__module__}
