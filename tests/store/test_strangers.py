"""Databases that another person prepared: what they contain beside rows, and queries that never end."""

from __future__ import annotations

import os
import shlex
import sqlite3
import struct
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import StoreError
from fact_magics.store import ExecutionRow, Store, glance
from fact_magics.store.database import Database
from fact_magics.store.schema import APPLICATION_ID, MIGRATIONS
from fact_magics.tool import Status

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
COUNT = ENDLESS.replace("SELECT i FROM n", "SELECT count(*) name FROM n")
ENDLESS_TOOLBOX = f"CREATE VIEW toolbox AS {COUNT}"
_MASTER = "PRAGMA writable_schema = ON"

REFUSED = {
    "a view in place of a table": (
        [
            "ALTER TABLE toolbox RENAME TO hidden",
            ENDLESS_TOOLBOX,
        ],
        "toolbox",
    ),
    "a view": ["CREATE VIEW spent AS SELECT 1"],
    "a trigger": [
        "CREATE TRIGGER spy AFTER INSERT ON tool_executions BEGIN DELETE FROM tools; END",
    ],
    "a changed trigger": (
        [
            "DROP TRIGGER cache_grows",
            "CREATE TRIGGER cache_grows AFTER INSERT ON cache BEGIN DELETE FROM tools; END",
        ],
        "changed trigger 'cache_grows'",
    ),
    "a virtual table": ["CREATE VIRTUAL TABLE spy USING fts5(a)"],
    "an index with an expression": ["CREATE INDEX spy ON tools (upper(source))"],
    "an index with a condition": ["CREATE INDEX spy ON tools (name) WHERE abs(seq) > 1"],
    "an index that forbids rows": ["CREATE UNIQUE INDEX spy ON tool_executions (tool_name)"],
    "a generated column": (
        ["ALTER TABLE tools ADD COLUMN spy TEXT GENERATED ALWAYS AS (upper(source)) VIRTUAL"],
        "changed table 'tools'",
    ),
    "a column with a default": (["ALTER TABLE cache ADD COLUMN spy DEFAULT 1"], "changed table 'cache'"),
    "a table that guards our rows": ["CREATE TABLE spy (tool TEXT REFERENCES tools (id))"],
    "a table that is missing": (["DROP TABLE session_pins"], "lacks the table 'session_pins'"),
    "an index that is missing": (["DROP INDEX executions_by_name"], "lacks the index 'executions_by_name'"),
    "a rewritten definition": (
        [
            _MASTER,
            "UPDATE sqlite_master SET sql = replace(sql, 'source       TEXT NOT NULL', 'source TEXT')",
        ],
        "changed table 'tools'",
    ),
    "two tables in one place": (
        [
            _MASTER,
            "UPDATE sqlite_master SET rootpage = 4 WHERE name IN ('tools', 'generations')",
        ],
        "two tables or indexes that begin at the same page",
    ),
    "a name with controls": (['CREATE VIEW "spy\x1b[2J\n" AS SELECT 1'], r"the view 'spy\\x1b[2J'"),
}


@pytest.fixture
async def shared(path: Path) -> Path:
    """A database with a run in it."""
    async with await Store.open(path) as store:
        await store.commit([ExecutionRow(id="ab", tool_name="t", status=Status.OK)])
    return path


def prepare(path: Path, statements: list[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("what", list(REFUSED))
async def test_a_schema_that_is_not_ours_is_refused_in_one_line_and_the_file_stays_as_it_is(
    shared: Path, what: str
) -> None:
    case = REFUSED[what]
    statements, said = (
        case if isinstance(case, tuple) else (case, "spy" if what != "a view" else "view 'spent'")
    )
    prepare(shared, statements)
    before = {file.name: file.read_bytes() for file in shared.parent.iterdir()}
    with pytest.raises(StoreError) as refused:
        await Store.open(shared)
    assert said in str(refused.value)
    assert str(shared) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert {file.name: file.read_bytes() for file in shared.parent.iterdir()} == before


@pytest.mark.parametrize("what", ["a view", "a trigger", "a virtual table", "an index that forbids rows"])
async def test_whoever_made_an_object_is_told_how_to_drop_it(shared: Path, what: str) -> None:
    prepare(shared, REFUSED[what])  # type: ignore[arg-type]
    with pytest.raises(StoreError) as refused:
        await Store.open(shared)
    command, file, statement = shlex.split(refused.value.hint.partition("if it is, run: ")[2])
    assert (command, file) == ("sqlite3", str(shared))
    prepare(shared, [statement])
    async with await Store.open(shared) as store:
        assert [row.id for row in await store.history.runs()] == ["ab"]


@pytest.mark.parametrize("version", [-1, 0, 2])
async def test_nobody_is_told_to_drop_an_object_of_ours(shared: Path, version: int) -> None:
    prepare(shared, [f"PRAGMA user_version = {version}"])
    with pytest.raises(StoreError) as refused:
        await Store.open(shared)
    assert "run:" not in refused.value.hint


async def test_an_empty_file_with_a_version_is_refused(path: Path) -> None:
    path.parent.mkdir()
    prepare(path, [f"PRAGMA user_version = {len(MIGRATIONS)}"])
    with pytest.raises(StoreError, match="belongs to another program"):
        await Store.open(path)


async def test_a_journal_can_not_make_sqlite_delete_the_file_that_it_names(
    shared: Path, tmp_path: Path
) -> None:
    prepare(shared, [])
    named = tmp_path / "precious"
    named.write_text("precious")
    magic, name = bytes.fromhex("d9d505f920a163d7"), os.fsencode(named)
    pages = shared.stat().st_size // 4096
    header = (magic + struct.pack(">5I", 0, 1, pages, 512, 4096)).ljust(512, b"\0")
    end = struct.pack(">2I", len(name), sum(name)) + magic
    journal = shared.with_name(f"{shared.name}-journal")
    journal.write_bytes(header + struct.pack(">I", 0x40000000 // 4096 + 1) + name + end)
    before = {file.name: file.read_bytes() for file in shared.parent.iterdir()}
    with pytest.raises(StoreError, match=r"because facts\.db-journal names another file"):
        await Store.open(shared)
    assert {file.name: file.read_bytes() for file in shared.parent.iterdir()} == before
    with closing(sqlite3.connect(shared)) as connection:
        connection.execute("SELECT * FROM tools").fetchall()
    assert not named.exists()  # so the journal would have done it


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", ["pipe", "directory", "link", "link to nothing"])
async def test_a_side_file_that_is_not_a_file_is_refused_and_not_waited_for(
    shared: Path, tmp_path: Path, end: str, kind: str
) -> None:
    prepare(shared, [])
    side, other = shared.with_name(f"{shared.name}{end}"), tmp_path / "other"
    if kind == "pipe":
        os.mkfifo(side)
    elif kind == "directory":
        side.mkdir()
    else:
        side.symlink_to(other)
    if kind == "link":
        other.write_text("precious")
    with pytest.raises(StoreError, match=f"because facts.db{end} is not a regular file"):
        await Store.open(shared)
    assert kind != "link" or other.read_text() == "precious"


async def test_a_name_that_could_end_a_command_is_not_part_of_one(shared: Path) -> None:
    prepare(shared, ["CREATE VIEW \"x'; touch y; '\" AS SELECT 1"])
    with pytest.raises(StoreError) as refused:
        await Store.open(shared)
    assert "run:" not in refused.value.hint


async def test_a_view_in_an_earlier_version_is_refused_before_the_migration(path: Path) -> None:
    database = await Database.open(path, migrations=MIGRATIONS[:1])
    await database.aclose()
    prepare(path, ["CREATE VIEW spy AS SELECT 1"])
    with pytest.raises(StoreError, match="contains the view 'spy'"):
        await Store.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
async def test_a_database_of_each_version_is_ours(path: Path, version: int) -> None:
    database = await Database.open(path, migrations=MIGRATIONS[:version])
    await database.aclose()
    async with await Store.open(path) as store:
        assert await store.history.runs() == []


@pytest.mark.parametrize(
    "statements",
    [
        ["ANALYZE"],
        ["PRAGMA optimize", "VACUUM"],
        ["CREATE TABLE notes (a INTEGER PRIMARY KEY, b TEXT UNIQUE)", "CREATE INDEX notes_by_a ON notes (a)"],
    ],
    ids=str,
)
async def test_statistics_and_a_users_own_plain_tables_are_harmless(
    shared: Path, statements: list[str]
) -> None:
    prepare(shared, statements)
    async with await Store.open(shared) as store:
        assert [row.id for row in await store.history.runs()] == ["ab"]
        await store.commit([ExecutionRow(tool_name="t", status=Status.OK)])


async def test_a_copy_that_the_sqlite_shell_would_make_is_ours(shared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(shared)) as given, closing(sqlite3.connect(copy)) as made:
        given.backup(made)
    async with await Store.open(copy) as store:
        assert [row.id for row in await store.history.runs()] == ["ab"]


async def test_a_marked_file_without_a_version_is_no_way_around(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    prepare(path, ["CREATE VIEW tools AS SELECT 1", f"PRAGMA application_id = {APPLICATION_ID}"])
    with pytest.raises(StoreError, match="contains the view 'tools'"):
        await Store.open(path)


async def test_an_endless_query_is_stopped_and_the_next_one_is_answered(shared: Path) -> None:
    database = await Database.open(shared, seconds=0.2)
    for ask in (database.read, database.write):
        with pytest.raises(StoreError, match="took too long to answer, so the query was stopped"):
            await ask(lambda connection: connection.execute(COUNT).fetchone())
    with pytest.raises(StoreError, match="took too long"):
        await database.read(lambda connection: list(connection.execute(ENDLESS)))
    assert await database.read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    await database.aclose()


def test_completion_does_not_wait_for_a_table_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    prepare(path, [ENDLESS_TOOLBOX])
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        glance.names(path)


async def test_a_schema_can_call_only_harmless_functions(store: Store) -> None:
    def asked(connection: sqlite3.Connection) -> list[object]:
        names = ("trusted_schema", "cell_size_check")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store._database.read(asked) == [0, 1]
