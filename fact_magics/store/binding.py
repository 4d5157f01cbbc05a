"""Conversion between dataclasses and the rows of SQLite.

The names of a dataclass's fields are the names of the table's columns. A tuple is stored as JSON, and a text
that UTF-8 can't hold with its lone surrogates as escapes.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from fact_magics.errors import UnknownName
from fact_magics.tool import Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

T = TypeVar("T")
Bindable = str | bytes | int | float | None

_HEXADECIMAL = frozenset("0123456789abcdef")


def words(stored: str) -> tuple[str, ...]:
    """Read back a tuple of texts."""
    return tuple(json.loads(stored))


# By the annotation of a field; every other type is stored as it is.
_READERS: Mapping[object, Callable[[Any], object]] = {
    "tuple[str, ...]": words,
    "bool": bool,
    "Status": Status,
}


def execute(connection: sqlite3.Connection, query: str, *parameters: object) -> sqlite3.Cursor:
    """Run a statement whose parameters may be any value that `bindable` takes."""
    return connection.execute(query, tuple(map(bindable, parameters)))


def records(connection: sqlite3.Connection, query: str, *parameters: object) -> list[dict[str, Any]]:
    """Run a query; each row as a dict by the names of its columns."""
    cursor = execute(connection, query, *parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def fetch(connection: sqlite3.Connection, kind: type[T], query: str, *parameters: object) -> list[T]:
    """Run a query; each row as a `kind`."""
    return [instance(kind, record) for record in records(connection, query, *parameters)]


def instance(kind: Callable[..., T], record: Mapping[str, Any]) -> T:
    """Make a dataclass of the columns named as its fields; other columns are ignored."""
    return kind(**{name: read(record[name]) if read else record[name] for name, read in _fields(kind)})


def values_of(row: object) -> dict[str, Any]:
    """Give the fields of a dataclass by their names."""
    kind: Any = type(row)
    return {name: getattr(row, name) for name, _ in _fields(kind)}


def insert(
    connection: sqlite3.Connection, table: str, values: Mapping[str, object], conflict: str = ""
) -> sqlite3.Cursor:
    """Insert a row, its values by the names of its columns; `conflict` may end the statement."""
    blanks = ", ".join("?" * len(values))
    statement = " ".join(("INSERT INTO", table, f"({', '.join(values)}) VALUES ({blanks})", conflict))
    return execute(connection, statement, *values.values())


def full_id(connection: sqlite3.Connection, query: str, prefix: str, noun: str) -> str | None:
    """Find the id that is, or begins with, a hexadecimal text; `UnknownName` if several ids begin so.

    `query` selects, in order, at most two ids from its first parameter up to, and without, its second.
    """
    beginning = prefix.strip().lower()
    if not beginning or not _HEXADECIMAL.issuperset(beginning):
        return None
    found = [row[0] for row in connection.execute(query, (beginning, f"{beginning}g"))]
    if len(found) > 1 and found[0] != beginning:
        raise UnknownName(f"More than one {noun} begins with {prefix!r}.", hint="Write more of its id.")
    return found[0] if found else None


def bindable(value: object) -> Bindable:
    """Convert a value to one that SQLite can store."""
    if isinstance(value, str):
        # An enum would make SQLite look for an adapter.
        return str(value) if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, tuple):
        return json.dumps(value)
    if value is None or isinstance(value, (bytes, int, float)):
        return value
    raise TypeError(f"A {type(value).__name__} can't be stored in a column.")


@cache
def _fields(kind: Any) -> tuple[tuple[str, Callable[[Any], object] | None], ...]:
    return tuple((field.name, _READERS.get(field.type)) for field in fields(kind))
