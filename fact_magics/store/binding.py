"""Conversion between dataclasses and the rows of SQLite.

The fields of a dataclass have the names of the table's columns. Tuples are stored as JSON. Lone surrogates,
which UTF-8 can't encode, are stored as escapes.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from fact_magics.errors import UnknownName
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")
Bindable = str | bytes | int | float | None

_HEXADECIMAL = frozenset("0123456789abcdef")


def words(stored: str) -> tuple[str, ...]:
    """Read a stored tuple of texts."""
    return tuple(json.loads(stored))


# Functions that convert stored values, by the annotation of the field. Other fields need no conversion.
_READERS: Mapping[object, Callable[[Any], object]] = {
    "tuple[str, ...]": words,
    "bool": bool,
    "Status": Status,
}


def read_only(path: Path, timeout_seconds: float) -> sqlite3.Connection:
    """Open a read-only connection to a file, without creating a -wal or -shm file."""
    wal = path.with_name(f"{path.name}-wal")
    # In `ro` mode SQLite reads the contents of a -wal but can't merge them into the file. If there is no
    # -wal, nobody is writing, so SQLite does not need the -shm that readers and writers share.
    immutable = "" if wal.exists() and wal.stat().st_size else "&immutable=1"
    return sqlite3.connect(f"{path.as_uri()}?mode=ro{immutable}", uri=True, timeout=timeout_seconds)


def execute(connection: sqlite3.Connection, query: str, *parameters: object) -> sqlite3.Cursor:
    """Run a statement; its parameters may be any values that `bindable` accepts."""
    return connection.execute(query, tuple(map(bindable, parameters)))


def records(connection: sqlite3.Connection, query: str, *parameters: object) -> list[dict[str, Any]]:
    """Run a query and return each row as a dict, keyed by the names of its columns."""
    cursor = execute(connection, query, *parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def fetch(connection: sqlite3.Connection, kind: type[T], query: str, *parameters: object) -> list[T]:
    """Run a query and return each row as an instance of the dataclass `kind`."""
    return [instance(kind, record) for record in records(connection, query, *parameters)]


def instance(kind: Callable[..., T], record: Mapping[str, Any]) -> T:
    """Make an instance of a dataclass from the columns named like its fields; ignore other columns."""
    return kind(**{name: read(record[name]) if read else record[name] for name, read in _fields(kind)})


def values_of(row: object) -> dict[str, Any]:
    """Return the values of a dataclass, keyed by the names of its fields."""
    kind: Any = type(row)
    return {name: getattr(row, name) for name, _ in _fields(kind)}


def insert(
    connection: sqlite3.Connection, table: str, values: Mapping[str, object], conflict: str = ""
) -> sqlite3.Cursor:
    """Insert a row; `values` are keyed by column name, and `conflict` is an ``ON CONFLICT`` clause."""
    blanks = ", ".join("?" * len(values))
    statement = " ".join(("INSERT INTO", table, f"({', '.join(values)}) VALUES ({blanks})", conflict))
    return execute(connection, statement, *values.values())


def fetch_by_id(
    connection: sqlite3.Connection, kind: type[T], ids: str, rows: str, wanted: str, noun: str
) -> list[T]:
    """Fetch rows by an id, or by the beginning of a hexadecimal id; raises `UnknownName` if several match.

    `ids` is a query for the first two ids between its two parameters, including the first parameter but not
    the second. `rows` is a query for the rows with one id.
    """
    beginning = wanted.strip().lower()
    found = []
    if beginning and _HEXADECIMAL.issuperset(beginning):
        found = [row[0] for row in connection.execute(ids, (beginning, f"{beginning}g"))]
        if len(found) > 1 and found[0] != beginning:
            raise UnknownName(f"More than one {noun} begins with {wanted!r}.", hint="Write more of the id.")
    return fetch(connection, kind, rows, found[0] if found else wanted)


def bindable(value: object) -> Bindable:
    """Convert a value to one that SQLite can store."""
    if isinstance(value, str):
        # Enums are converted too, because sqlite3 would look for an adapter for them.
        return str(value) if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, tuple):
        return json.dumps(value)
    if value is None or isinstance(value, (bytes, int, float)):
        return value
    raise TypeError(f"A {type(value).__name__} can't be stored in a column.")


@cache
def _fields(kind: Any) -> tuple[tuple[str, Callable[[Any], object] | None], ...]:
    return tuple((field.name, _READERS.get(field.type)) for field in fields(kind))
