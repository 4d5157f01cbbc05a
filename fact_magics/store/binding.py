"""From a row's fields to what SQLite can keep, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from fact_magics.errors import UnknownName

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

T = TypeVar("T")
Bindable = str | bytes | int | float | None

_HEXADECIMAL = frozenset("0123456789abcdef")


def bound(fields: Mapping[str, object]) -> dict[str, Bindable]:
    """Make a row's fields bindable: a tuple as JSON, a lone surrogate as its escape."""
    return {name: _bindable(value) for name, value in fields.items()}


def words(stored: str) -> tuple[str, ...]:
    """Read back a tuple of texts."""
    return tuple(json.loads(stored))


def fields_of(row: object, names: Iterable[str]) -> dict[str, Bindable]:
    """Make the named attributes of a dataclass bindable."""
    return {name: _bindable(getattr(row, name)) for name in names}


def records(cursor: sqlite3.Cursor) -> list[dict[str, Bindable]]:
    """Read the rest of a query, each row by its columns' names."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def prefix_range(prefix: str) -> tuple[str, str] | None:
    """Bounds, the second exclusive, of the ids that begin so; None for what begins no id."""
    lowered = prefix.strip().lower()
    if not lowered or not _HEXADECIMAL.issuperset(lowered):
        return None
    return lowered, f"{lowered}g"


def ambiguous(prefix: str, kind: str) -> UnknownName:
    """Say that a prefix begins more than one id."""
    return UnknownName(f"More than one {kind} begins with {prefix!r}.", hint="Write more of its id.")


def encodable(value: T) -> T | str:
    """Write a text that UTF-8 can't hold with escapes; anything else is itself."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()


def _bindable(value: object) -> Bindable:
    if isinstance(value, str):
        return encodable(str(value))  # an enum would have SQLite look for an adapter
    if isinstance(value, tuple):
        return json.dumps(value)
    if value is None or isinstance(value, (bytes, int, float)):
        return value
    raise TypeError(f"A {type(value).__name__} has no column.")
