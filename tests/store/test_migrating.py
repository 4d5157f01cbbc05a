"""Databases of earlier versions, brought up to date in place with all that is in them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from fact_magics.store import ExecutionRow, Store
from fact_magics.store.database import Database
from fact_magics.store.schema import MIGRATIONS
from fact_magics.tool import Status

if TYPE_CHECKING:
    from pathlib import Path

_TOOL = """
    INSERT INTO tools (id, name, version, major, minor, patch, source, signature_id, description, contract,
        permissions, tags, provider, model, proven, varies, request_hash, session_id, created_at)
    VALUES (?, ?, '1.0.0', 1, 0, 0, 'def f(): ...', 's', '', '', ?, '[]', 'p', 'm', 1, 0, '', '5e', '2026-01-01')
"""
_RUN = """
    INSERT INTO tool_executions (id, session_id, tool_id, tool_name, tool_version, input_data, output_data, status,
        error, details, printed, cached, cache_key, isolation, duration_ms, executed_at)
    VALUES (?, '5e', ?, ?, '1.0.0', '{"n": 1}', '2', ?, NULL, NULL, 'hi', 0, NULL, 'landlock', 1.5, ?)
"""


@pytest.fixture
async def first_schema(path: Path) -> Path:
    """A file as the first release left it: two tools, one of them with a permission, and runs of both."""
    database = await Database.open(path, migrations=MIGRATIONS[:1])
    await database.aclose()
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        connection.execute("INSERT INTO sessions VALUES ('5e', 'a.ipynb', 'k', '3.11', '2026-01-01', NULL)")
        connection.execute(_TOOL, ("a1", "plain", "[]"))
        connection.execute(_TOOL, ("b2", "fetch", json.dumps(["net:a.org", "read:/x"])))
        connection.execute(_RUN, ("01", "a1", "plain", "ok", "2026-01-02"))
        connection.execute(_RUN, ("02", "b2", "fetch", "ok", "2026-01-03"))
        connection.execute(_RUN, ("03", "b2", "fetch", "error", "2026-01-04"))
        connection.execute(_RUN, ("04", "b2", "fetch", "invalid", "2026-01-05"))
        connection.execute(_RUN, ("05", None, "gone", "invalid", "2026-01-06"))
    return path


async def test_runs_of_the_first_schema_tell_what_their_tool_was_granted(first_schema: Path) -> None:
    async with await Store.open(first_schema) as store:
        runs = {row.id: row for row in await store.history.runs()}
    granted = ("net:a.org", "read:/x")
    assert {key: row.permissions for key, row in runs.items()} == {
        "01": (),
        "02": granted,
        "03": granted,
        "04": (),
        "05": (),
    }
    assert (runs["01"].input_data, runs["01"].printed, runs["01"].isolation) == ('{"n": 1}', "hi", "landlock")


async def test_versions_of_the_first_schema_are_measured_when_they_are_read(first_schema: Path) -> None:
    async with await Store.open(first_schema) as store:
        found = await store.tools.by_id("a1")
    assert found is not None
    assert found.metadata.complexity_score == pytest.approx(1 / 11, abs=1e-4)
    assert found.metadata.created_at == datetime(2026, 1, 1, tzinfo=UTC)  # it was written without a zone


@pytest.mark.parametrize("notebook", ["/me/a b.ipynb", "C:\\me\\a b.ipynb"])
async def test_rows_of_an_older_schema_are_found_by_tool_and_notebook(path: Path, notebook: str) -> None:
    database = await Database.open(path, migrations=MIGRATIONS[:4])
    await database.aclose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO sessions VALUES ('5e', ?, 'k', '3.11', '2026-01-01', NULL)", (notebook,)
        )
        connection.execute(_TOOL, ("a1", "plain", "[]"))
        connection.execute("INSERT INTO toolbox VALUES (1, 'plain', 'a1', '2026-01-01')")
        connection.execute(
            "INSERT INTO tool_search (rowid, name, description, tags) VALUES (1, 'plain', 'simple', '')"
        )
        for number in ("01", "02"):
            connection.execute(
                _RUN.replace("executed_at)", "executed_at, permissions)").replace("1.5, ?)", "1.5, ?, '[]')"),
                (number, "a1", "plain", "ok", "2026-01-02"),
            )
        connection.execute(
            "INSERT INTO execution_search (rowid, input, output, notes) VALUES (1, 'n 1', '2', 'hi')"
        )
        connection.execute(
            """INSERT INTO generations (generation_id, attempt, session_id, tool_name, request_hash, description, contract,
            permissions, provider, model, status, reason, text, source, started_at, duration_ms)
            VALUES ('9f', 1, '5e', 'plain', '', 'Keep it simple. 保持简单。', '', '[]', 'p', 'm', 'ok', '', '', '', '2026-01-01', 1)"""
        )
    async with await Store.open(path) as store:
        for word in ("plain", "b.ipynb", "simple", "hi", "plain hi"):
            assert [row.id for row in await store.history.runs(search=word)] == ["01"]  # 02 was not indexed
        for word in ("plain", "b.ipynb", "simple", "简单"):
            assert [row.generation_id for row in await store.history.generations(search=word)] == ["9f"]
        assert await store.history.runs(search="me") == []
        assert await store.history.generations(search="me") == []


_TOTAL_OF_6 = """
    INSERT INTO run_totals (session_id, tool_name, period, first_seq, last_seq, durations, runs, hits, errors,
        saved_ms) VALUES (?, ?, ?, 1, 2000, ?, ?, 0, 50, 7.5)
"""


@pytest.mark.parametrize("removed", [0, 1_900])
async def test_totals_of_the_sixth_schema_are_taken_over_where_runs_were_removed(
    path: Path, removed: int
) -> None:
    database = await Database.open(path, migrations=MIGRATIONS[:6])
    await database.aclose()
    durations = json.dumps({"ok 117": 1_950, "error -2000": 50})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO sessions VALUES ('5e', 'a.ipynb', 'k', '3.11', '2026-01-01', NULL)")
        connection.executemany(
            _RUN.replace("(id,", "(seq, id,").replace("VALUES (?,", "VALUES (?, ?,"),
            (
                (number, f"{number:x}", None, "slugify", "ok" if number % 40 else "error", "2026-01-02T10")
                for number in range(1 + removed, 2_021)
            ),
        )
        for scope in (("", ""), ("", "slugify"), ("5e", ""), ("5e", "slugify")):
            for period in ("", "H2026-01-02T10", "D2026-01-02"):
                connection.execute(_TOTAL_OF_6, (*scope, period, durations, 2_000))
        connection.execute(_TOTAL_OF_6, ("", "odd", "", b"\xff", 1))
        connection.execute("UPDATE history_state SET tool_executions_seq = 2000")
    for _ in range(2):
        async with await Store.open(path) as store:
            for asked in ({}, {"tool_name": "slugify"}, {"session_id": "5e"}):
                found = await store.history.stats(**asked)
                assert found.runs == 2_020
                assert found.errors == {"error": 50}
                assert found.data["run_ms"]["p50"] == pytest.approx(10 if removed else 1.5, rel=0.02)
                assert found.saved_ms == (7.5 if removed else 0)
            assert (await store.history.stats(since="2026-02-01")).runs == 0


async def test_a_file_of_the_seventh_schema_keeps_its_probes(path: Path) -> None:
    database = await Database.open(path, migrations=MIGRATIONS[:7])
    await database.aclose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            """INSERT INTO probes (tool_id, tool_name, tool_version, changes, caught, inputs, questions, surprises, untried,
            seconds, probed_at) VALUES ('a1', 'plain', '1.0.0', 31, 29, 12, '[]', '[]', 1, 0.5, '2026-01-02')"""
        )
    async with await Store.open(path) as store:
        found = await store.probes.newest("a1")
    assert found is not None
    assert (found.changes, found.caught, found.inputs, found.untried, found.candidates) == (31, 29, 12, 1, 0)


async def test_new_rows_stand_beside_the_old_ones(first_schema: Path) -> None:
    row = ExecutionRow(tool_name="plain", tool_id="a1", status=Status.OK, permissions=("env:A", "read:/ü"))
    async with await Store.open(first_schema) as store:
        await store.commit(executions=[row])
        assert await store.history.find_run(row.id) == row
        assert len(await store.history.runs()) == 6
    async with await Store.open(first_schema) as store:
        assert await store.history.find_run(row.id) == row
    with closing(sqlite3.connect(first_schema)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        found = connection.execute("SELECT permissions FROM tool_executions WHERE id = ?", (row.id,))
        assert json.loads(found.fetchone()[0]) == ["env:A", "read:/ü"]


async def test_an_older_release_refuses_the_file_from_then_on(first_schema: Path) -> None:
    """It would write rows that say nothing of their permissions."""
    async with await Store.open(first_schema):
        pass
    with pytest.raises(Exception, match="newer fact_magics"):
        await Database.open(first_schema, migrations=MIGRATIONS[:1])


async def test_a_migrated_file_is_what_a_new_one_is(first_schema: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    for path in (first_schema, new):
        async with await Store.open(path):
            pass

    def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
        with closing(sqlite3.connect(path)) as connection:
            names = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in names}

    assert columns(first_schema) == columns(new)


async def test_the_tool_that_became_current_last_stays_the_first_one(path: Path) -> None:
    database = await Database.open(path, migrations=MIGRATIONS[:2])
    await database.aclose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO sessions VALUES ('5e', 'a.ipynb', 'k', '3.11', '2026-01-01', NULL)")
        for number, name in enumerate(("first", "second", "third")):
            connection.execute(_TOOL, (f"{number}", name, "[]"))
            day = "2026-02-01" if name == "second" else f"2026-01-0{number + 1}"
            connection.execute(
                "INSERT INTO toolbox (name, tool_id, updated_at) VALUES (?, ?, ?)", (name, f"{number}", day)
            )
    async with await Store.open(path) as store:
        assert [tool.metadata.name for tool in await store.tools.latest(10)] == ["second", "third", "first"]


async def test_rows_of_before_are_found_by_their_times(path: Path) -> None:
    database = await Database.open(path, migrations=MIGRATIONS[:3])
    await database.aclose()
    times = [f"2026-01-01T00:{minute:02}:00.000Z" for minute in (*range(30, 59), *range(59))]
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, time in enumerate(times * 3):
            connection.execute(_RUN.replace("'5e'", "NULL"), (f"{number}", None, "t", "ok", time))
            connection.execute("UPDATE tool_executions SET seq = ? WHERE id = ?", (number + 1, f"{number}"))
    async with await Store.open(path) as store:
        for since in ("2026-01-01T00:10Z", "2026-01-01T00:58Z", "2026-01-01T01:00Z"):
            wanted = [
                row for row in await store.history.runs(limit=None) if row.executed_at[:16] >= since[:16]
            ]
            assert await store.history.runs(since=since, limit=None) == wanted


async def test_a_migration_that_was_killed_is_undone_and_done_again(path: Path) -> None:
    """Where SQLite can't use a -wal, a killed process leaves half a transaction in the file and a journal."""
    database = await Database.open(path, migrations=MIGRATIONS[:2])
    await database.aclose()
    script = """
import os, signal, sqlite3, sys
from fact_magics.store.schema import MIGRATIONS
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = DELETE")
connection.execute("INSERT INTO sessions VALUES ('5e', 'a.ipynb', 'k', '3.11', '2026-01-01', NULL)")
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
for statement in MIGRATIONS[2]:
    connection.execute(statement)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert path.with_name(f"{path.name}-journal").stat().st_size
    async with await Store.open(path) as store:
        assert await store.tools.latest(10) == []
