"""One value as one short text, whatever its type and size."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fact_magics.text import byte_size, shorten
from fact_magics.values import brief

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 1_000
_LONGEST_KEY = 80
_BYTES = 16
_WORD_BITS = 63
# Python refuses to convert longer integers to text, which would take minutes.
_PRINTABLE_BITS = 14_000
# Text that would look like another value without quotes.
_TAKEN_FOR_A_VALUE = re.compile(
    r"(?:None|True|False|nan|[-+]?inf|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|…|[bB]?['\"].*|[\[{(<].*)\Z"
)
# Zero-width joiners belong to some scripts, though `isprintable` rejects them.
_JOINERS = {0x200C: None, 0x200D: None}


def word(value: Any, limit: int = _LONGEST) -> str:
    """Write a value on one line as Python would, but dates and times as people do.

    A text is cut to `limit` characters, followed by the number of characters that are missing. A container is
    only sketched.
    """
    kind = type(value)
    if kind is str:
        if len(value) <= limit:
            return repr(value)
        return f"{value[:limit]!r}… ({len(value) - limit:,} more characters)"
    if kind in _AS_WRITTEN:
        return repr(value)
    write = _WORDS.get(kind)
    return write(value) if write else brief(value, _LONGEST_KEY)


def unquoted(text: str, limit: int = _LONGEST_KEY) -> str:
    """Write a text without quotes if it is printable and does not look like another value."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    is_printable = shown.isprintable() or shown.translate(_JOINERS).isprintable()
    if is_printable and shown and shown[0] != " " != shown[-1] and not _TAKEN_FOR_A_VALUE.match(shown):
        return shown
    quoted = repr(text[:limit])
    return quoted if len(quoted) <= limit >= len(text) else f"{quoted[: limit - 1]}…"


def label(key: Any) -> str:
    """Write a dict's key for people, without quotes where that is clear."""
    return unquoted(key) if type(key) is str else key_word(key)


def key_word(key: Any) -> str:
    """Write a dict's key as Python would, shortened."""
    if type(key) is str:
        return repr(key) if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]!r}…"
    return word(key) if type(key) in SCALARS else brief(key, _LONGEST_KEY)


def _integer(value: int) -> str:
    bits = value.bit_length()
    if bits > _PRINTABLE_BITS:
        return brief(value)
    return repr(value) if bits <= _WORD_BITS else shorten(repr(value), _LONGEST, unit="digits")


def _bytes(value: bytes) -> str:
    if len(value) <= 2 * _BYTES:
        return repr(value)
    return f"{value[:_BYTES]!r}… ({byte_size(len(value))})"


# Python's texts of these types are short, without spaces and quotes.
_AS_WRITTEN = frozenset({bool, float, type(None)})
_WORDS: dict[type, Callable[[Any], str]] = {
    int: _integer,
    bytes: _bytes,
    date: str,
    datetime: str,
    time: str,
    timedelta: lambda value: str(value).replace(",", ""),  # a comma would end an item of a list
    Decimal: lambda value: shorten(repr(value), _LONGEST),
    UUID: str,
}
SCALARS = frozenset({str, *_AS_WRITTEN, *_WORDS})
"""The types whose value `word` writes, shortened if it is long."""
