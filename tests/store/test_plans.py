"""Nothing that a notebook asks of the database takes longer because there is more in it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.store import CacheEntry, Candidate, ExecutionRow, GenerationRow, Store, glance
from fact_magics.tool import Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

SMALL = {"cache_total", "history_state"}
# Walks a table or an index in its order until the limit is reached: hardly more rows than are shown.
ORDERED = {
    "SCAN tool_executions",
    "SCAN generations",
    "SCAN toolbox",
    "SCAN cache USING COVERING INDEX cache_by_use",
    "SCAN cache USING INDEX cache_by_use",
}


# A row is not looked at if all before it are older than asked.
FIRST_SINCE = [
    "SCALAR SUBQUERY 1",
    "SEARCH tool_executions_reached USING COVERING INDEX tool_executions_reached_by_time (reached_at<?)",
]

# What a search need not look at, it finds in an index.
BOUNDS = [
    *FIRST_SINCE,
    "SEARCH tool_executions USING COVERING INDEX executions_by_session (session_id=?)",
]


@pytest.fixture
async def traced(store: Store, candidate: Callable[..., Candidate]) -> Store:
    await store.sessions.start("5e")
    await store.tools.accept(candidate(id="71d", request_hash="r"), session_id="5e")
    await store.commit(
        [ExecutionRow(id="ab", tool_name="slugify", tool_id="71d", session_id="5e", status=Status.OK)],
        [GenerationRow(generation_id="cd", attempt=1, tool_name="slugify", status=Status.OK)],
        [CacheEntry(key="k", tool_id="71d", result=b"1")],
    )
    return store


def calls(candidate: Callable[..., Candidate]) -> dict[str, Callable[[Store], Awaitable[object]]]:
    made = candidate()
    run = ExecutionRow(tool_name="slugify", status=Status.OK, cached=True, cache_key="k", session_id="5e")
    attempt = GenerationRow(generation_id="ef", attempt=1, tool_name="slugify", status=Status.OK)
    entry = CacheEntry(key="l", tool_id="71d", result=b"1", expires_at="2999")
    return {
        "sessions.start": lambda store: store.sessions.start("5f"),
        "sessions.end": lambda store: store.sessions.end("5e"),
        "sessions.find": lambda store: store.sessions.find("5"),
        "sessions.pin": lambda store: store.sessions.pin("5e", "slugify", "71d"),
        "tools.accept": lambda store: store.tools.accept(made, session_id="5e"),
        "tools.accept another contract": lambda store: store.tools.accept(candidate(contract="c")),
        "tools.accept another signature": lambda store: store.tools.accept(candidate(signature_id="s9")),
        "tools.get": lambda store: store.tools.get("slugify"),
        "tools.get 1": lambda store: store.tools.get("slugify", "1"),
        "tools.get 1.0": lambda store: store.tools.get("slugify", "1.0"),
        "tools.get 1.0.0": lambda store: store.tools.get("slugify", "1.0.0"),
        "tools.by_id": lambda store: store.tools.by_id("71d"),
        "tools.by_request": lambda store: store.tools.by_request("r"),
        "tools.versions": lambda store: store.tools.versions("slugify"),
        "tools.set_current": lambda store: store.tools.set_current("slugify", "71d"),
        "tools.latest": lambda store: store.tools.latest(),
        "tools.names": lambda store: store.tools.names("s"),
        "tools.search": lambda store: store.tools.search("slug"),
        "commit": lambda store: store.commit([run], [attempt], [entry]),
        "history.find_run": lambda store: store.history.find_run("a"),
        "history.stats": lambda store: store.history.stats(since="1h"),
        "history.stats of a tool": lambda store: store.history.stats(tool_name="slugify", session_id="5e"),
        "history.attempts": lambda store: store.history.attempts("c"),
        "cache.get": lambda store: store.cache.get("k"),
        "cache.forget": lambda store: store.cache.forget("k"),
        "tools.remove": lambda store: store.tools.remove("slugify"),
    }


FILTERS: list[dict[str, object]] = [
    {},
    {"session_id": "5e"},
    {"tool_name": "slugify"},
    {"session_id": "5e", "tool_name": "slugify"},
    {"since": "1h", "session_id": "5e", "tool_name": "slugify"},
    {"status": Status.ERROR},
    {"status": Status.ERROR, "session_id": "5e"},
    {"status": Status.ERROR, "tool_name": "slugify"},
    {"since": "1h"},
    {"since": "1h", "session_id": "5e"},
    {"since": "1h", "tool_name": "slugify"},
    {"since": "1h", "status": Status.ERROR},
    {"since": "1h", "session_id": "5e", "tool_name": "slugify", "status": Status.ERROR},
]


async def plans(store: Store, call: Callable[[Store], Awaitable[object]]) -> list[tuple[str, str]]:
    """Every statement that a call runs, and each step that SQLite plans for it."""
    database = store._database
    statements: list[str] = []
    await database.read(lambda connection: connection.set_trace_callback(statements.append))
    await call(store)
    await database.read(lambda connection: connection.set_trace_callback(None))
    queries = [
        statement
        for statement in statements
        if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)\b", statement)
        and not re.search(r"'main'\.|_(data|idx|content|docsize|config)\b", statement)  # FTS5's own
    ]
    assert queries

    def explain(connection: sqlite3.Connection) -> list[tuple[str, str]]:
        steps = []
        for query in queries:
            blanks = (None,) * query.count("?")
            rows = connection.execute(f"EXPLAIN QUERY PLAN {query}", blanks).fetchall()
            steps.extend((query, row[3]) for row in rows)
        return steps

    return await database.read(explain)


def is_bounded(query: str, step: str) -> bool:
    if not step.startswith("SCAN"):
        return "TEMP B-TREE" not in step or "tool_search" in query or "GROUP BY" in query
    if step == "SCAN CONSTANT ROW" or step.split()[1] in SMALL or "VIRTUAL TABLE INDEX" in step:
        return True
    return step in ORDERED and "LIMIT" in query and "WHERE" not in query


@pytest.mark.parametrize("name", list(calls(lambda *_, **__: None)))  # type: ignore[arg-type, return-value]
async def test_no_call_scans_a_table(traced: Store, candidate: Callable[..., Candidate], name: str) -> None:
    for query, step in await plans(traced, calls(candidate)[name]):
        assert is_bounded(query, step), f"{step} in {query}"


async def test_eviction_walks_the_order_of_use(traced: Store) -> None:
    traced.cache._max_bytes = 300
    answer = CacheEntry(key="l", tool_id="71d", result=b"1")
    steps = await plans(traced, lambda store: store.commit(cache_entries=[answer]))
    assert "SCAN cache USING INDEX cache_by_use" in [step for _, step in steps]
    assert all(is_bounded(query, step) for query, step in steps)
    assert await traced.cache.get("k") is None


@pytest.mark.parametrize("asked", [*FILTERS, {"tool_id": "71d"}, {"tool_id": "71d", "since": "1h"}], ids=str)
async def test_a_history_is_read_from_an_index_in_its_order(traced: Store, asked: dict[str, object]) -> None:
    (query, step), *since = await plans(traced, lambda store: store.history.runs(**asked))  # type: ignore[arg-type]
    assert is_bounded(query, step)
    assert [step for _, step in since] == (FIRST_SINCE if "since" in asked else [])
    if asked.keys() - {"since"}:
        narrowest = [name for name in ("session_id", "tool_name", "tool_id") if name in asked]
        assert step.startswith("SEARCH tool_executions USING INDEX"), step
        assert not narrowest or any(f"{name}=?" in step for name in narrowest), step
        if {"session_id", "tool_name"} <= asked.keys() and "status" not in asked:
            assert "(session_id=? AND tool_name=?" in step, step
        assert "since" not in asked or "rowid>?" in step, step
        assert asked.get("status") is None or "failed" in step or len(narrowest) == 2, step


@pytest.mark.parametrize("asked", FILTERS, ids=str)
async def test_generations_are_read_from_an_index_in_their_order(
    traced: Store, asked: dict[str, object]
) -> None:
    (query, step), *_ = await plans(traced, lambda store: store.history.generations(**asked))  # type: ignore[arg-type]
    assert is_bounded(query, step)
    assert not asked or step.startswith("SEARCH generations USING IN"), step


@pytest.mark.parametrize("asked", FILTERS, ids=str)
@pytest.mark.parametrize("kind", ["runs", "generations"])
async def test_a_search_asks_the_full_text_index_first_and_sorts_nothing(
    traced: Store, asked: dict[str, object], kind: str
) -> None:
    table, index = {
        "runs": ("tool_executions", "execution_search"),
        "generations": ("generations", "generation_search"),
    }[kind]
    steps = await plans(traced, lambda store: getattr(store.history, kind)(search="word", **asked))
    steps = [(query, step) for query, step in steps if "FROM tool_search" not in query]  # finds descriptions
    found = [
        step.split(" VIRTUAL")[0]
        for _, step in steps
        if "SUBQUERY" not in step and step not in BOUNDS and "COVERING" not in step
    ]
    assert found == [
        f"SCAN {index}",
        f"SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)",
    ]
    assert ":M" in steps[0][1], "the full-text index is asked for a match"
    assert "since" not in asked or ">" in steps[0][1], "and for no row before the first that is recent enough"


async def test_what_was_asked_of_which_model_is_read_from_the_latest_attempts(
    traced: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    opened = glance._opened

    @contextmanager
    def observed(path: Path) -> Iterator[sqlite3.Connection]:
        with opened(path) as connection:
            connection.set_trace_callback(statements.append)
            yield connection

    monkeypatch.setattr(glance, "_opened", observed)
    assert [use.attempts for use in glance.model_uses(traced.path)] == [1]
    [query] = statements
    again = lambda known: known.execute(query).fetchall()  # noqa: E731
    steps = await plans(traced, lambda store: store._database.read(again))
    assert [step for _, step in steps] == ["SCAN generations"]
    assert "LIMIT 500" in query


async def test_the_check_itself_finds_a_scan(traced: Store) -> None:
    def scan(connection: sqlite3.Connection) -> object:
        return connection.execute("SELECT * FROM tool_executions WHERE printed = 'x'").fetchall()

    steps = await plans(traced, lambda store: store._database.read(scan))
    assert not any(is_bounded(query, step) for query, step in steps)


async def test_work_done_does_not_grow_with_the_rows(
    store: Store, candidate: Callable[..., Candidate], counting_steps: Any
) -> None:
    slugify = {"tool_name": "slugify", "tool_id": "71d", "session_id": "5e", "status": Status.OK}
    await store.sessions.start("5e")
    await store.tools.accept(candidate(id="71d", request_hash="r"))

    old = {**slugify, "tool_name": "old", "executed_at": "2026-01-01T00:00:00.000Z"}
    await store.commit([ExecutionRow(**old) for _ in range(500)])  # type: ignore[arg-type]

    async def fill(rows: int) -> None:
        runs = [ExecutionRow(**slugify, input_data='"a"') for _ in range(rows)]  # type: ignore[arg-type]
        keys = [f"{number}-{rows}" for number in range(rows)]
        answers = [CacheEntry(key=key, tool_id="71d", result=b"1") for key in keys]
        await store.commit(runs, cache_entries=answers)

    async def steps() -> int:
        async with counting_steps() as counted:
            await store.history.runs(limit=5)
            await store.history.runs(search="a", limit=5)
            await store.history.runs(session_id="5e", tool_name="slugify", limit=5)
            await store.history.runs(since="1h", limit=5)
            await store.history.runs(since="1h", tool_name="old", limit=5)
            await store.history.runs(since="1h", search="a", limit=5)
            await store.history.runs(session_id="5f", search="a", limit=5)
            await store.cache.get("0-50")
            await store.commit(
                [ExecutionRow(tool_name="slugify", status=Status.OK)],
                cache_entries=[CacheEntry(key="k", tool_id="71d", result=b"1")],
            )
            await store.tools.get("slugify")
        return counted[0]

    await fill(50)
    few = await steps()
    await fill(3_000)
    many = await steps()
    assert 0 < many < few * 1.5
