"""Check that a database contains only the tables, indexes and triggers that the migrations create.

SQLite runs code that a file contains: a view in place of a table, a trigger, an expression in an index. A
file is therefore refused if another program has added such an object.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from typing import NamedTuple

from fact_magics.store.search import add_indexable
from fact_magics.text import one_line

Migrations = tuple[tuple[str, ...], ...]

# The kinds of objects that contain code; an error names these first.
_ACTIVE = frozenset({"view", "trigger"})
# ANALYZE, which `PRAGMA optimize` runs, writes these tables; SQLite alone reads them.
_STATISTICS = frozenset({"sqlite_stat1", "sqlite_stat4"})
# Another program's table is never read or written here, unless its foreign keys refer to our rows.
_PLAIN_TABLE = re.compile(r"CREATE TABLE (?!.*\bREFERENCES\b)", re.IGNORECASE | re.DOTALL)


class _Object(NamedTuple):
    kind: str
    name: str
    table: str
    sql: str | None


class Fault(NamedTuple):
    """A difference between a database and what the migrations create.

    Attributes
    ----------
    text : str
        The end of a sentence about the file: ``contains the view 'x', which fact_magics did not make``.
    removal : str
        A statement that removes the object that was added; empty if none was added, or if its name is unsafe.
    """

    text: str
    removal: str = ""


def fault(connection: sqlite3.Connection, migrations: Migrations, version: int) -> Fault | None:
    """Describe the first difference between a database and what its migrations create; None if they agree.

    Parameters
    ----------
    connection : sqlite3.Connection
        A connection to the database, whose statements should have a time limit.
    migrations : tuple of tuples of str
        All migrations.
    version : int
        The number of migrations that were applied to the database.

    Returns
    -------
    Fault or None
    """
    expected = _created(migrations[:version])
    found = _objects(connection)
    others = found - expected
    other_tables = {each.name for each in others if _is_harmless_table(each)}
    missing = {(each.kind, each.name) for each in expected} - {(each.kind, each.name) for each in found}
    for each in sorted(
        others, key=lambda other: (other.kind not in _ACTIVE, other.kind == "index", other.name)
    ):
        if any((known.kind, known.name) == (each.kind, each.name) for known in expected):
            return Fault(f"has a changed {_shown(each.kind, each.name)}")
        if each.name not in other_tables and not (each.kind == "index" and each.table in other_tables):
            text = f"contains the {_shown(each.kind, each.name)}, which fact_magics did not make"
            # A name with other characters could break out of the command that contains the statement.
            is_plain = all(word.isidentifier() and word.isascii() for word in (each.kind, each.name))
            is_ours = any(known.name == each.name for known in _created(migrations))
            removal = f"DROP {each.kind.upper()} {each.name}" if is_plain and not is_ours else ""
            return Fault(text, removal)
    if missing:
        return Fault(f"lacks the {_shown(*min(missing))}")
    pages, places = connection.execute(
        "SELECT count(*), count(DISTINCT rootpage) FROM sqlite_master WHERE rootpage > 0"
    ).fetchone()
    return None if pages == places else Fault("has two tables or indexes that begin at the same page")


def _is_harmless_table(each: _Object) -> bool:
    return each.kind == "table" and (each.name in _STATISTICS or bool(_PLAIN_TABLE.match(each.sql or "")))


def _shown(kind: str, name: str) -> str:
    return f"{one_line(kind, 20)} {one_line(name, 60)!r}"


@cache
def _created(migrations: Migrations) -> frozenset[_Object]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        add_indexable(connection)
        for statements in migrations:
            for statement in statements:
                connection.execute(statement)
        return _objects(connection)


def _objects(connection: sqlite3.Connection) -> frozenset[_Object]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return frozenset(_Object(str(kind), str(name), str(table), sql) for kind, name, table, sql in rows)
