"""Conversion between dataclasses, or Pydantic models, and the rows of SQLite.

The fields of a class have the names of the table's columns. Times are stored as texts in ISO 8601, and tuples
as JSON. Lone surrogates, which UTF-8 can't encode, are stored as escapes.

A stored row is input from outside: another program may have changed it. A row whose values do not fit the
fields is left out of a result, and the result says so.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from fact_magics.checked import InvalidValue
from fact_magics.errors import CellError, UnknownName
from fact_magics.text import one_line, plural, utc_text
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
Bindable = str | bytes | int | float | None

_HEXADECIMAL = frozenset("0123456789abcdef")
# SQLite's integers have 64 bits. If numbers were larger than this, their sums could leave that range.
_MOST = 2**53
# SQLite asks whether to go on after this many steps of its virtual machine, about once a millisecond.
_STEPS = 10_000
# If rows can't be read, at most this many more rows are read to find the wanted number.
_SPARE_ROWS = 1_000
# After a row with the largest possible number, SQLite would number new rows at random.
_NEXT = "(SELECT coalesce(max(seq), 0) + 1 FROM TABLE WHERE seq < 4611686018427387904)"
# The numbers of these rows are never given again; see `_NUMBERS_GIVEN_ONCE` in `schema`.
_NEVER_AGAIN = f"""
    max({_NEXT}, coalesce(
        (SELECT TABLE_seq + 1 FROM history_state WHERE TABLE_seq BETWEEN 0 AND 4611686018427387903), 0))
"""  # noqa: S608 - no input
_NUMBERED = {
    **dict.fromkeys(("tools", "toolbox", "maps", "probes", "tool_cells"), _NEXT),
    **dict.fromkeys(("generations", "tool_executions"), _NEVER_AGAIN),
}


class Connection(sqlite3.Connection):
    """A connection that stops statements that take too long, and trusts nothing in the file.

    A crafted schema can call only harmless functions. A text that is not UTF-8 is returned as
    bytes, so that it spoils its row and not the whole query.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.text_factory = _text_or_bytes
        self._late_at = math.inf
        self.set_progress_handler(lambda: time.monotonic() > self._late_at, _STEPS)
        self.execute("PRAGMA trusted_schema = OFF")
        self.execute("PRAGMA cell_size_check = ON")

    def allow(self, seconds: float) -> None:
        """Stop statements that are still running after this many seconds."""
        self._late_at = time.monotonic() + seconds


def _text_or_bytes(stored: bytes) -> str | bytes:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def read_only(path: Path, timeout_seconds: float) -> Connection:
    """Open a read-only connection to a file, without creating a -wal or -shm file."""
    path = path.resolve()  # SQLite keeps the -wal beside the file itself, not beside a link to it
    # In `ro` mode SQLite reads the contents of a -wal but can't merge them into the file. If there is no
    # -wal, nobody is writing, so SQLite does not need the -shm that readers and writers share.
    try:
        has_wal = path.with_name(f"{path.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        has_wal = False
    immutable = "" if has_wal else "&immutable=1"
    address = f"{path.as_uri()}?mode=ro{immutable}"
    return sqlite3.connect(address, uri=True, timeout=timeout_seconds, factory=Connection)


class Rows(list[T]):
    """The rows of a result that can be read; `unreadable` says why each other row can't be read."""

    def __init__(self, rows: Iterable[T] = (), unreadable: Iterable[str] = ()) -> None:
        super().__init__(rows)
        self.unreadable = [*unreadable]

    @property
    def note(self) -> str:
        """A sentence about the rows that were left out, or an empty text if there are none."""
        if not self.unreadable:
            return ""
        return f"{plural(len(self.unreadable), 'row')} left out as unreadable: {self.unreadable[0]}"

    def to_frame(self) -> Any:
        """Build a DataFrame with a column for each field of the rows; needs pandas."""
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise CellError("pandas is not installed.", hint="Run %pip install pandas.") from None
        return pandas.DataFrame([values_of(row) for row in self])


# The errors of the functions that check stored values.
UNREADABLE = (ValueError, TypeError, OverflowError, OSError, RecursionError)


class UnreadableRow(Exception):
    """A value of a row does not fit its field; the message names both."""


def execute(connection: sqlite3.Connection, query: str, *parameters: object) -> sqlite3.Cursor:
    """Run a statement; its parameters may be any values that `bindable` accepts."""
    return connection.execute(query, tuple(map(bindable, parameters)))


def records(connection: sqlite3.Connection, query: str, *parameters: object) -> Iterator[dict[str, Any]]:
    """Run a query and yield each row as a dict, keyed by the names of its columns."""
    cursor = execute(connection, query, *parameters)
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)


def readable(
    found: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], T], limit: int | None = None
) -> Rows[T]:
    """Read the first `limit` records that can be read."""
    rows: Rows[T] = Rows()

    def each() -> Iterator[T]:
        for record in found:
            try:
                yield read(record)
            except UnreadableRow as error:
                rows.unreadable.append(str(error))

    rows.extend(islice(each(), limit if limit is None else min(limit, _MOST)))
    return rows


def fetch(
    connection: sqlite3.Connection, kind: type[T], query: str, *parameters: object, limit: int | None = None
) -> Rows[T]:
    """Run a query and return its first `limit` readable rows, each as an instance of the dataclass `kind`."""
    return readable(records(connection, query, *parameters), lambda record: instance(kind, record), limit)


def spare(limit: int | None) -> int:
    """Return the ``LIMIT`` of a query, with room for rows that can't be read; -1 for no limit.

    Raises `CellError` if the limit is not a number of rows.
    """
    if limit is None:
        return -1
    if not isinstance(limit, int) or limit < 0:
        raise CellError(
            f"limit is {one_line(repr(limit), 60)}.", hint="Give a number of rows, or None for all."
        )
    return min(limit + _SPARE_ROWS, _MOST)


def instance(kind: Callable[..., T], record: Mapping[str, Any]) -> T:
    """Make an instance of a class from the columns named like its fields; ignore other columns.

    Raises
    ------
    UnreadableRow
        A value does not fit its field.
    """
    values = {}
    for name, read in _fields(kind):
        try:
            values[name] = read(record[name])
        except UNREADABLE:
            raise UnreadableRow(f"the column {name} is {one_line(repr(record[name]), 60)}") from None
    try:
        return kind(**values)
    except InvalidValue as error:
        raise UnreadableRow(error.message.rstrip(".")) from None


def values_of(row: object) -> dict[str, Any]:
    """Return the values of a row's object, keyed by the names of its fields."""
    kind: Any = type(row)
    return {name: getattr(row, name) for name, _ in _fields(kind)}


def insert(
    connection: sqlite3.Connection, table: str, values: Mapping[str, object], conflict: str = ""
) -> sqlite3.Cursor:
    """Insert a row; `values` are keyed by column name, and `conflict` is an ``ON CONFLICT`` clause.

    If the table has a `seq`, the new row gets the next one.
    """
    names, blanks = [*values], ["?"] * len(values)
    if table in _NUMBERED:
        names.append("seq")
        blanks.append(_NUMBERED[table].replace("TABLE", table))
    statement = " ".join(
        ("INSERT INTO", table, f"({', '.join(names)}) VALUES ({', '.join(blanks)})", conflict)
    )
    return execute(connection, statement, *values.values())


def insert_many(
    connection: sqlite3.Connection, table: str, rows: Sequence[Any], conflict: str, **more: Sequence[object]
) -> tuple[int, int]:
    """Insert rows' objects of one class as `insert` does, with one statement.

    `more` has further columns, with a value for each row. Returns the first and the last `seq`, if the table
    has one; rows in conflict with others are not stored, and their numbers are left out.
    """
    if not rows:
        return 0, 0
    kind: Any = type(rows[0])
    names = [name for name, _ in _fields(kind)]
    values: Iterable[Iterable[object]] = map(attrgetter(*names), rows)
    first = 0
    if table in _NUMBERED:
        first = next_number(connection, table)
        more["seq"] = range(first, first + len(rows))
    columns = ", ".join((*names, *more))
    blanks = ", ".join("?" * (len(names) + len(more)))
    statement = " ".join(("INSERT INTO", table, f"({columns}) VALUES ({blanks})", conflict))
    parameters = (
        (*map(bindable, known), *others) for known, *others in zip(values, *more.values(), strict=True)
    )
    connection.executemany(statement, parameters)
    return first, first + len(rows) - 1


def next_number(connection: sqlite3.Connection, table: str) -> int:
    """Return the `seq` of the next row of a table, in a transaction of the caller."""
    number = _NUMBERED[table].replace("TABLE", table)
    (first,) = connection.execute(" ".join(("SELECT", number))).fetchone()
    return int(first)


def fetch_by_id(
    connection: sqlite3.Connection, kind: type[T], ids: str, rows: str, wanted: str, noun: str
) -> list[T]:
    """Fetch rows by an id, or by the beginning of a hexadecimal id.

    Raises `UnknownName` if several ids match, or if none of the rows can be read.

    `ids` is a query for the first two ids between its two parameters, including the first parameter but not
    the second. `rows` is a query for the rows with one id.
    """
    beginning = wanted.strip().lower()
    found = []
    if beginning and _HEXADECIMAL.issuperset(beginning):
        found = [row[0] for row in connection.execute(ids, (beginning, f"{beginning}g"))]
        if len(found) > 1 and found[0] != beginning:
            raise UnknownName(f"More than one {noun} begins with {wanted!r}.", hint="Write more of the id.")
    read = fetch(connection, kind, rows, found[0] if found else wanted)
    if read.unreadable and not read:
        raise UnknownName(
            f"The {noun} {one_line(wanted)} can't be read from the database: {read.unreadable[0]}.",
            hint="Another program has changed its row.",
        )
    return read


def bindable(value: object) -> Bindable:
    """Convert a value to one that SQLite can store."""
    if isinstance(value, str):
        # Enums are converted too, because sqlite3 would look for an adapter for them.
        return str(value) if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, tuple):
        return json.dumps(value)
    if isinstance(value, datetime):
        return utc_text(value)
    if value is None or isinstance(value, (bytes, int, float)):
        return value
    raise TypeError(f"A {type(value).__name__} can't be stored in a column.")


# Functions that check stored values and convert them; for other values they raise an error of `UNREADABLE`.


def text(stored: object) -> str:
    """Read a stored text."""
    if type(stored) is not str:
        raise TypeError
    return stored


def moment(stored: object) -> str:
    """Read a stored time, which stays a text in ISO 8601."""
    read = text(stored)
    datetime.fromisoformat(read).astimezone(UTC).timestamp()
    return read


def _instant(stored: object) -> datetime:
    """Read a stored time; another program may have left out the time zone."""
    read = datetime.fromisoformat(moment(stored))
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def words(stored: object) -> tuple[str, ...]:
    """Read a stored tuple of texts."""
    read = json.loads(text(stored))
    if type(read) is not list:
        raise TypeError
    return tuple(map(text, read))


def count(stored: object) -> int:
    """Read a stored count."""
    if type(stored) is not int or not 0 <= stored < _MOST:
        raise ValueError
    return stored


def _content(stored: object) -> bytes:
    if type(stored) is not bytes:
        raise TypeError
    return stored


def _quantity(stored: object) -> float:
    if type(stored) not in (int, float) or not 0 <= stored < _MOST:  # type: ignore[operator]
        raise ValueError
    return stored  # type: ignore[return-value]


def _flag(stored: object) -> bool:
    if type(stored) is not int or stored not in (0, 1):
        raise ValueError
    return stored == 1


_READERS: Mapping[str, Callable[[Any], object]] = {
    "str": text,
    "bytes": _content,
    "int": count,
    "float": _quantity,
    "bool": _flag,
    "Status": Status,
    "tuple[str, ...]": words,
    "AwareDatetime": _instant,
}


@cache
def _fields(kind: Any) -> tuple[tuple[str, Callable[[Any], object]], ...]:
    if hasattr(kind, "model_fields"):
        annotations = {name: kind.__annotations__[name] for name in kind.model_fields}
    else:
        annotations = {field.name: field.type for field in fields(kind)}
    return tuple((name, _reader(name, annotation)) for name, annotation in annotations.items())


def _reader(name: str, annotation: Any) -> Callable[[Any], object]:
    required = annotation.removesuffix(" | None")
    read = moment if name.endswith("_at") and required == "str" else _READERS[required]
    if required == annotation:
        return read
    return lambda stored: None if stored is None else read(stored)
