"""Rows that another program has changed: each is left out and named, and everything else is still there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import UnknownName
from fact_magics.store import CacheEntry, Candidate, ExecutionRow, GenerationRow, Store, glance
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_UTF_8 = "CAST(X'ff' AS TEXT)"
DEEP = "printf('%s', replace(hex(zeroblob(50000)), '00', '['))"

ALTERED = {
    "tools": [
        ("version", "'x.y'"),
        ("version", "'1.0'"),
        ("version", "X'00'"),
        ("major", "'one'"),
        ("minor", "9223372036854775807"),
        ("patch", "-1"),
        ("source", "X'ff'"),
        ("source", NOT_UTF_8),
        ("description", NOT_UTF_8),
        ("contract", "X'00'"),
        ("permissions", "'net:a.org'"),
        ("permissions", "'{}'"),
        ("permissions", "'[1]'"),
        ("permissions", DEEP),
        ("tags", "'[null]'"),
        ("proven", "'maybe'"),
        ("proven", "2"),
        ("varies", "0.5"),
        ("created_at", "'long ago'"),
        ("created_at", "'9999-99-99'"),
        ("created_at", "X'00'"),
        ("complexity_score", "'high'"),
        ("complexity_score", "1.5"),
        ("complexity_score", "-1"),
    ],
    "tool_executions": [
        ("status", "'unheard of'"),
        ("status", "X'6f6b'"),
        ("input_data", "X'ff'"),
        ("output_data", NOT_UTF_8),
        ("printed", "X'00'"),
        ("cached", "'x'"),
        ("permissions", "'x'"),
        ("duration_ms", "'fast'"),
        ("duration_ms", "9e999"),
        ("duration_ms", "-1"),
        ("executed_at", "'0001-01-01'"),
        ("executed_at", "'yesterday'"),
        ("executed_at", "X'00'"),
    ],
    "generations": [
        ("status", "''"),
        ("attempt", "'first'"),
        ("input_tokens", "'many'"),
        ("output_tokens", "1.5"),
        ("cost_usd", "9e999"),
        ("cost_usd", "'free'"),
        ("started_at", "''"),
        ("permissions", "'null'"),
        ("text", NOT_UTF_8),
        ("model", "X'00'"),
    ],
}
CASES = [(table, column, value) for table, changes in ALTERED.items() for column, value in changes]
ANSWERS = [
    ("result", "'1'"),
    ("printed", "X'00'"),
    ("duration_ms", "'fast'"),
    ("created_at", "'then'"),
    ("expires_at", "'later'"),
    ("expires_at", "X'00'"),
    ("confirmations", "'two'"),
    ("confirmations", "-1"),
    ("printed", NOT_UTF_8),
]


@pytest.fixture
async def filled(store: Store, candidate: Callable[..., Candidate]) -> Store:
    """A store with two of everything: `first`, which a test changes, and `second`."""
    await store.sessions.start("5e")
    for name, digit in (("first", "1"), ("second", "2")):
        made = candidate(name, id=f"a{digit}", request_hash=name, tags=(name,))
        await store.tools.accept(made, session_id="5e")
        await store.commit(
            [
                ExecutionRow(
                    id=f"b{digit}", tool_name=name, tool_id=made.id, status=Status.OK, input_data='"x"'
                )
            ],
            [GenerationRow(generation_id=f"c{digit}", attempt=1, tool_name=name, status=Status.OK)],
            [CacheEntry(key=name, tool_id=made.id, result=b"1")],
        )
    return store


def alter(path: Path, *statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(" ".join(statement)).rowcount == 1


@pytest.mark.parametrize(("table", "column", "value"), CASES)
async def test_a_row_that_does_not_fit_is_left_out_of_lists_and_named(
    filled: Store, table: str, column: str, value: str
) -> None:
    name = "name" if table == "tools" else "tool_name"
    alter(filled.path, "UPDATE", table, "SET", column, "=", value, "WHERE", name, "= 'first'")
    lists = {
        "tools": [
            filled.tools.latest,
            lambda: filled.tools.search("does"),
            lambda: filled.tools.versions("first"),
        ],
        "tool_executions": [filled.history.runs, lambda: filled.history.runs(search="x")],
        "generations": [filled.history.generations],
    }
    for of, questions in lists.items():
        for ask in questions:
            found = await ask()
            if of != table:
                assert not found.unreadable
                continue
            assert "first" not in str([*found])
            assert len(found.unreadable) == 1
            assert column in found.unreadable[0] or "version" in found.unreadable[0]
            assert "1 row left out" in found.note
            assert "\n" not in found.note
    assert await filled.tools.names() == ["first", "second"]


@pytest.mark.parametrize(("table", "column", "value"), CASES)
async def test_completion_offers_all_but_the_row(filled: Store, table: str, column: str, value: str) -> None:
    name = "name" if table == "tools" else "tool_name"
    alter(filled.path, "UPDATE", table, "SET", column, "=", value, "WHERE", name, "= 'first'")
    path = filled.path
    assert glance.names(path) == ["first", "second"]
    assert "second" in glance.tags(path)
    assert "b2" in glance.runs(path)
    assert glance.versions(path, "second") == ["1.0.0"]
    assert all(type(number) is str for number in glance.versions(path, "first"))
    assert "def second" in glance.source(path, "second", None)
    glance.source(path, "first", None)
    assert sum(use.attempts for use in glance.model_uses(path)) in {1, 2}


@pytest.mark.parametrize(("column", "value"), ALTERED["tools"])
async def test_a_version_that_does_not_fit_counts_as_missing_and_the_next_one_gets_a_free_number(
    filled: Store, candidate: Callable[..., Candidate], column: str, value: str
) -> None:
    alter(filled.path, "UPDATE tools SET", column, "=", value, "WHERE name = 'first'")
    assert await filled.tools.get("first") is None
    assert await filled.tools.get("first", "1") is None
    assert await filled.tools.by_id("a1") is None
    assert await filled.tools.by_request("first") is None
    again = await filled.tools.accept(candidate("first"))
    assert await filled.tools.get("first") == again
    assert await filled.tools.get("first", again.metadata.version) == again
    assert [version.metadata.name for version in await filled.tools.latest()] == ["first", "second"]


async def test_an_earlier_version_is_found_if_the_latest_does_not_fit(
    store: Store, candidate: Callable[..., Candidate]
) -> None:
    versions = [await store.tools.accept(candidate(request_hash="r")) for _ in range(3)]
    alter(store.path, "UPDATE tools SET created_at = '?' WHERE patch = 2")
    assert await store.tools.get("slugify", "1") == versions[1]
    assert await store.tools.by_request("r") == versions[1]
    assert await store.tools.get("slugify") is None


@pytest.mark.parametrize(
    ("change", "find", "wanted"),
    [
        ("UPDATE tool_executions SET status = 'x' WHERE id = 'b1'", "find_run", "The run b1 can't be read"),
        (
            "UPDATE generations SET status = 'x' WHERE generation_id = 'c1'",
            "attempts",
            "The generation c1 can't",
        ),
    ],
)
async def test_a_row_that_is_asked_for_by_its_id_says_what_does_not_fit(
    filled: Store, change: str, find: str, wanted: str
) -> None:
    alter(filled.path, change)
    with pytest.raises(UnknownName, match=f"{wanted}.*the column status is 'x'"):
        await getattr(filled.history, find)(wanted.split()[2])


async def test_a_session_that_does_not_fit_says_so(filled: Store) -> None:
    alter(filled.path, "UPDATE sessions SET started_at = 'then'")
    with pytest.raises(UnknownName, match=r"The session 5e can't be read.*the column started_at is 'then'"):
        await filled.sessions.find("5e")


@pytest.mark.parametrize(("column", "value"), ANSWERS)
async def test_an_answer_that_does_not_fit_is_missing_and_its_row_is_deleted(
    filled: Store, column: str, value: str
) -> None:
    alter(filled.path, "UPDATE cache SET", column, "=", value, "WHERE key = 'first'")
    assert await filled.cache.get("first") is None
    assert await filled.cache.get("second") is not None
    keys = await filled._database.read(lambda it: it.execute("SELECT key FROM cache").fetchall())
    assert keys == [("second",)]
    await filled.commit(cache_entries=[CacheEntry(key="first", tool_id="a1", result=b"2")])
    assert (await filled.cache.get("first")).result == b"2"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cache SET used_at = 'zzz' WHERE key = 'first'",
        "UPDATE cache SET used_at = X'00' WHERE key = 'first'",
        "UPDATE cache SET used_at = CAST(X'ff' AS TEXT) WHERE key = 'first'",
        "UPDATE cache SET used_at = '9999-12-31T23:59:59.999Z' WHERE key = 'first'",
        "UPDATE cache SET size = 'large' WHERE key = 'first'",
        "UPDATE cache SET size = 9e999 WHERE key = 'first'",
        "UPDATE cache SET size = -9223372036854775807 WHERE key = 'first'",
        "UPDATE cache_total SET bytes = 'many'",
        "UPDATE cache_total SET bytes = -5",
        "UPDATE cache_total SET entries = X'00'",
        "DELETE FROM cache_total",
    ],
)
async def test_answers_are_kept_whatever_the_order_of_use_and_the_sizes_say(
    filled: Store, change: str
) -> None:
    alter(filled.path, change)
    await filled.commit(cache_entries=[CacheEntry(key="third", tool_id="a1", result=b"3")])
    await filled.commit([ExecutionRow(tool_name="t", status=Status.OK, cached=True, cache_key="second")])
    assert await filled.cache.get("third") is not None
    assert await filled.cache.get("second") is not None
    await filled.cache.forget("first")
    assert await filled.cache.get("first") is None


async def test_answers_whose_key_is_not_text_are_removed_to_make_room(
    path: Path, candidate: Callable[..., Candidate]
) -> None:
    async with await Store.open(path, cache_max_bytes=100_000) as store:
        made = await store.tools.accept(candidate())
        tool = made.metadata.id
        await store.commit(cache_entries=[CacheEntry(key="first", tool_id=tool, result=b"1")])
        alter(path, "UPDATE cache SET key =", NOT_UTF_8, ", size = 'large'")
        for key in ("second", "third"):
            large = CacheEntry(key=key, tool_id=tool, result=bytes(60_000))
            await store.commit(cache_entries=[large])
        kept = await store._database.read(lambda it: it.execute("SELECT key FROM cache").fetchall())
        assert kept == [("third",)]


async def test_an_expired_answer_whose_key_is_not_text_is_removed(
    store: Store, candidate: Callable[..., Candidate]
) -> None:
    tool = (await store.tools.accept(candidate())).metadata.id
    await store.commit(cache_entries=[CacheEntry(key="first", tool_id=tool, result=b"1")])
    alter(store.path, "UPDATE cache SET expires_at = '2026-01-01', key =", NOT_UTF_8)
    await store.commit(cache_entries=[CacheEntry(key="second", tool_id=tool, result=b"2")])
    kept = await store._database.read(lambda it: it.execute("SELECT key FROM cache").fetchall())
    assert kept == [("second",)]


async def test_a_list_is_filled_up_with_the_rows_after_those_left_out(store: Store) -> None:
    await store.commit([ExecutionRow(id=f"{n:02}", tool_name="t", status=Status.OK) for n in range(30)])
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE tool_executions SET status = '?' WHERE id >= '20'")
    found = await store.history.runs(limit=3)
    assert [row.id for row in found] == ["19", "18", "17"]
    assert len(found.unreadable) == 10
    assert "10 rows left out" in found.note


async def test_the_largest_possible_number_of_a_row_does_not_end_the_order(store: Store) -> None:
    await store.commit([ExecutionRow(id="01", tool_name="t", status=Status.OK)])
    alter(store.path, "UPDATE tool_executions SET seq = 9223372036854775807")
    for name in ("02", "03", "04"):
        await store.commit([ExecutionRow(id=name, tool_name="t", status=Status.OK)])
    assert [row.id for row in await store.history.runs()] == ["01", "04", "03", "02"]


async def test_runs_are_recorded_after_another_program_deleted_the_latest_ones(store: Store) -> None:
    await store.commit([ExecutionRow(id="01", tool_name="t", status=Status.OK, input_data='"old"')])
    alter(store.path, "DELETE FROM tool_executions")
    await store.commit([ExecutionRow(id="02", tool_name="t", status=Status.OK, input_data='"new"')])
    assert [row.id for row in await store.history.runs(search="new")] == ["02"]
    assert await store.history.runs(search="old") == []


async def test_a_name_that_leads_to_another_tool_leads_to_none(filled: Store) -> None:
    alter(filled.path, "UPDATE toolbox SET tool_id = 'a2' WHERE name = 'first'")
    assert await filled.tools.get("first") is None
    assert [version.metadata.name for version in await filled.tools.latest()] == ["second"]
