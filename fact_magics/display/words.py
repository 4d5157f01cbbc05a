"""One value as one short text, whatever it is and however big."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fact_magics.text import plural, shorten
from fact_magics.values.showing import brief

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 1_000
_LONGEST_KEY = 80
_BYTES = 16
_WORD_BITS = 63
# What Python itself writes out; more digits are a matter of minutes.
_PRINTABLE_BITS = 14_000
# Text that a reader would take for another value, were it not in quotes.
_TAKEN_FOR_A_VALUE = re.compile(
    r"(?:None|True|False|nan|[-+]?inf|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|…|[bB]?['\"].*|[\[{(<].*)\Z"
)

_JOINERS = {0x200C: None, 0x200D: None}
_BEGINS_A_VALUE = frozenset("NTFni+-.0123456789…bB'\"[{(<")


def word(value: Any, limit: int = _LONGEST) -> str:
    """Write a value as Python would, on one line; dates and times as people do.

    Parameters
    ----------
    value : object
        Anything but a container, of which no more than a sketch is given.
    limit : int
        Characters of a text that are shown; how many follow is said.
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


def bare(value: Any, limit: int) -> str:
    """Write a value for a table's cell: a text without quotes, where it can't be taken for something else."""
    kind = type(value)
    if kind is str:
        return unquoted(value, limit)
    return str(value) if kind is Decimal else word(value, limit)


def unquoted(text: str, limit: int = _LONGEST_KEY) -> str:
    """Write a text without quotes, where it is plain and can't be taken for something else."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    # What joins letters is part of some scripts; the one space that is printable is that of the space bar.
    is_printable = shown.isprintable() or shown.translate(_JOINERS).isprintable()
    is_plain = is_printable and shown and shown[0] != " " != shown[-1]
    if is_plain and (shown[0] not in _BEGINS_A_VALUE or not _TAKEN_FOR_A_VALUE.match(shown)):
        return shown
    quoted = repr(text[:limit])
    return quoted if len(quoted) <= limit >= len(text) else f"{quoted[: limit - 1]}…"


def label(key: Any) -> str:
    """Write the key of a dict as people read it."""
    return unquoted(key) if type(key) is str else key_word(key)


def key_word(key: Any) -> str:
    """Write the key of a dict as Python would, bounded."""
    if type(key) is str:
        return repr(key) if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]!r}…"
    return word(key) if type(key) in SCALARS else brief(key, _LONGEST_KEY)


def byte_size(number: int) -> str:
    """Say how much that is: ``512 bytes``, ``3.4 kB``, ``1.2 MB``."""
    if number < 1_000:
        return plural(number, "byte")
    return f"{number / 1e3:,.1f} kB" if number < 1_000_000 else f"{number / 1e6:,.1f} MB"


def _integer(value: int) -> str:
    bits = value.bit_length()
    if bits > _PRINTABLE_BITS:
        return f"<an int of {bits:,} bits>"
    return repr(value) if bits <= _WORD_BITS else shorten(repr(value), _LONGEST, unit="digits")


def _bytes(value: bytes) -> str:
    if len(value) <= 2 * _BYTES:
        return repr(value)
    return f"{value[:_BYTES]!r}… ({byte_size(len(value))})"


def _duration(value: timedelta) -> str:
    return str(value).replace(",", "")  # a comma would end an item of a list


# These two hold nothing but digits and a few letters, or have a short text of their own.
_AS_WRITTEN = frozenset({bool, float, type(None)})
_WORDS: dict[type, Callable[[Any], str]] = {
    int: _integer,
    bytes: _bytes,
    date: str,
    datetime: str,
    time: str,
    timedelta: _duration,
    Decimal: lambda value: shorten(repr(value), _LONGEST),
    UUID: str,
}
SCALARS = frozenset({str, *_AS_WRITTEN, *_WORDS})
"""The types that a word says all of, unless it is a long text."""
