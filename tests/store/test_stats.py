"""The numbers of the history: they hold whatever the rows do, and cost the same whatever is stored."""

from __future__ import annotations

import random
import sqlite3
import statistics
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.store import CacheEntry, ExecutionRow, GenerationRow, Store, blocks, stats, totals
from fact_magics.store.database import Database
from fact_magics.store.schema import MIGRATIONS
from fact_magics.store.stats import percentile
from fact_magics.text import utc_text
from fact_magics.tool import HAND, REPLAY, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOW = datetime(2026, 11, 22, 9, 28, 0, 123_000, tzinfo=UTC)
START = NOW - timedelta(days=400)


def rows(number: int, *, seed: int = 1, span: timedelta = timedelta(days=400)) -> list[ExecutionRow]:
    """Runs of a few tools and sessions, some answered by the cache and some that failed, in order of time."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    found = []
    for index in range(number):
        cached = chance.random() < 0.4
        status = (
            Status.OK if cached or chance.random() < 0.8 else chance.choice([Status.ERROR, Status.TIMEOUT])
        )
        took = chance.lognormvariate(2, 2)
        found.append(
            ExecutionRow(
                session_id=f"{chance.randrange(3):032x}",
                tool_name=f"tool_{min(chance.randrange(9), chance.randrange(9))}",
                status=status,
                cached=cached,
                duration_ms=took / 1e4 if cached else took,
                saved_ms=took if cached else None,
                executed_at=utc_text(START + span * index / number),
            )
        )
    return found


async def keep(store: Store, runs: Sequence[ExecutionRow], size: int = 37) -> None:
    for session in {row.session_id for row in runs if row.session_id}:
        await store.sessions.start(session)
    for first in range(0, len(runs), size):
        await store.commit(runs[first : first + size])


def expected(
    runs: Sequence[ExecutionRow],
    *,
    session_id: str | None = None,
    tool_name: str | None = None,
    since: datetime | None = None,
) -> dict[str, Any]:
    """Count as the description of the numbers says, row by row."""
    known = [
        row
        for row in runs
        if (session_id is None or row.session_id == session_id)
        and (tool_name is None or row.tool_name == tool_name)
        and (since is None or row.executed_at >= utc_text(since))
    ]
    failed = [row.status for row in known if row.status is not Status.OK]
    names = {row.tool_name for row in known}
    return {
        "runs": len(known),
        "hits": sum(row.cached for row in known),
        "saved_ms": pytest.approx(sum(row.saved_ms or 0 for row in known)),
        "errors": {status: failed.count(status) for status in set(failed)},
        "tools": {name: sum(row.tool_name == name for row in known) for name in names},
        "run_ms": sorted(row.duration_ms for row in known if row.status is Status.OK and not row.cached),
        "hit_ms": sorted(row.duration_ms for row in known if row.cached),
    }


def agree(data: dict[str, Any], wanted: dict[str, Any], *, within: float) -> None:
    assert {name: data[name] for name in ("runs", "hits", "errors", "saved_ms")} == {
        name: wanted[name] for name in ("runs", "hits", "errors", "saved_ms")
    }
    assert {tool["tool"]: tool["runs"] for tool in data["tools"]} == wanted["tools"]
    for kind in ("run_ms", "hit_ms"):
        if wanted[kind]:
            assert data[kind]["p50"] == pytest.approx(statistics.median(wanted[kind]), rel=within)
            exact = tuple((took, 1) for took in wanted[kind])
            assert data[kind]["p95"] == pytest.approx(percentile(exact, 0.95), rel=within)
        else:
            assert data[kind] == {"p50": None, "p95": None}


SCOPES: list[dict[str, str]] = [
    {},
    {"tool_name": "tool_1"},
    {"session_id": f"{1:032x}"},
    {"session_id": f"{2:032x}", "tool_name": "tool_2"},
    {"tool_name": "nobody"},
]
SPANS = [None, *(timedelta(days=days, minutes=13) for days in (0, 1, 5, 33, 200, 800))]


@pytest.mark.parametrize("number", [0, 1, 60, 300, 2_500])
async def test_every_scope_and_span_is_counted_as_row_by_row(store: Store, number: int) -> None:
    runs = rows(number)
    await keep(store, runs)
    for asked in SCOPES:
        for span in SPANS:
            since = None if span is None else NOW - span
            found = await store.history.stats(**asked, since=since)
            wanted = expected(runs, **asked, since=since)
            exact = wanted["runs"] <= 1_000 and number <= 1_000
            agree(found.data, wanted, within=1e-9 if exact else 0.01)
            assert found.since == (since and utc_text(since))
            assert sum(point.runs for point in found.points) <= wanted["runs"]


async def test_a_span_that_begins_among_many_runs_is_exact(store: Store) -> None:
    runs = rows(3_000, span=timedelta(hours=2))
    await keep(store, runs)
    for minutes in (0, 45, 60, 113):
        asked = START + timedelta(minutes=minutes)
        for scope in SCOPES:
            found = await store.history.stats(**scope, since=asked)
            agree(found.data, expected(runs, **scope, since=asked), within=0.01)


async def test_points_show_when_the_runs_were(store: Store) -> None:
    runs = rows(3_000, span=timedelta(days=30))
    await keep(store, runs)
    for scope in SCOPES[:3]:
        found = await store.history.stats(**scope)
        wanted = expected(runs, **scope)
        assert sum(point.runs for point in found.points) == wanted["runs"]
        assert sum(point.hits for point in found.points) == wanted["hits"]
        for point in found.points:
            day = [row for row in runs if row.executed_at.startswith(point.start)]
            known = expected(day, **scope)
            assert abs(point.runs - known["runs"]) < 32
            assert abs(point.errors - sum(known["errors"].values())) < 32


async def test_a_clock_that_was_ahead_spoils_no_later_span(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [replace(row, executed_at=utc_text(NOW + timedelta(days=999))) for row in rows(1_500)]
    with monkeypatch.context() as clock:
        clock.setattr(blocks, "utc_now", lambda: utc_text(NOW + timedelta(days=1_000)))
        await keep(store, ahead)
    await keep(store, rows(1_500, seed=2, span=timedelta(days=1)))
    asked = datetime.now(UTC)
    await keep(store, [replace(row, executed_at=utc_text(asked)) for row in rows(1_500, seed=3)])
    assert 1_500 <= (await store.history.stats(since=asked)).runs <= 1_500 + 2 * 256


async def test_generations_count_with_all_their_attempts(store: Store) -> None:
    async def generate(number: int, provider: str, *took: float, **usage: Any) -> None:
        known = {"generation_id": f"{number}", "tool_name": "slugify", "provider": provider, **usage}
        began = datetime.now(UTC)
        attempts = [
            GenerationRow(
                **known,
                attempt=at,
                status=Status.OK,
                started_at=utc_text(began + timedelta(milliseconds=sum(took[: at - 1]))),
                duration_ms=ms,
            )
            for at, ms in enumerate(took, start=1)
        ]
        await store.commit(generations=attempts)

    assert (await store.history.stats()).data["cost_usd"] is None
    await generate(1, "anthropic", 100.0, 200.0, input_tokens=10, output_tokens=5, cost_usd=0.25)
    await generate(2, "anthropic", 500.0, input_tokens=1)
    await generate(3, HAND, 7.0)
    found = await store.history.stats()
    assert found.generations == 3
    assert found.data["generation_ms"] == {"p50": 400.0, "p95": pytest.approx(490.0)}
    assert found.data["tokens"] == {
        "input_tokens": 21,
        "output_tokens": 10,
        "cache_read_tokens": None,
        "cache_creation_tokens": None,
    }
    assert found.data["cost_usd"] == 0.5
    assert (await store.history.stats(tool_name="another")).data["tokens"]["input_tokens"] is None
    assert (await store.history.stats(since="1h")).data["cost_usd"] == 0.5


@pytest.mark.parametrize(
    ("attempts", "took_ms"),
    [
        ([(0, 900.0), (100, 700.0), (100, 1_000.0)], 1_100.0),
        ([(0, 900.0), (100, 700.0), (5_000, 300.0)], 1_200.0),  # a repair after the candidates
        ([(100, 700.0), (0, 900.0)], 900.0),
        ([(0, 100.0), (100, 0.0)], 100.0),
    ],
    ids=["together", "repaired", "out of order", "failed at once"],
)
async def test_attempts_at_the_same_time_count_once(
    store: Store, attempts: list[tuple[int, float]], took_ms: float
) -> None:
    known = {"generation_id": "1", "tool_name": "slugify", "provider": "anthropic", "status": Status.OK}
    rows = [
        GenerationRow(
            **known, attempt=number, started_at=utc_text(NOW + timedelta(milliseconds=at)), duration_ms=ms
        )
        for number, (at, ms) in enumerate(attempts, start=1)
    ]
    await store.commit(generations=rows)
    assert (await store.history.stats()).data["generation_ms"]["p50"] == pytest.approx(took_ms, abs=0.01)


async def test_times_that_another_program_wrote_are_added_up(store: Store) -> None:
    known = {"generation_id": "1", "tool_name": "slugify", "provider": "anthropic", "status": Status.OK}
    rows = [GenerationRow(**known, attempt=n, started_at="long ago", duration_ms=100.0) for n in (1, 2)]
    await store.commit(generations=rows)
    assert (await store.history.stats()).data["generation_ms"]["p50"] == 200.0


async def test_replayed_answers_add_no_tokens_and_no_duration_of_a_generation(store: Store) -> None:
    answer = GenerationRow(
        generation_id="1",
        attempt=1,
        tool_name="slugify",
        status=Status.OK,
        provider="anthropic",
        input_tokens=10,
        output_tokens=5,
        cost_usd=0.25,
        duration_ms=900.0,
    )
    replayed = replace(answer, provider=REPLAY, cost_usd=None, duration_ms=7.0)
    paid = (answer, *(replace(replayed, generation_id=f"r{number}") for number in range(200)))
    for row in paid:
        await store.commit(generations=[row])
    found = await store.history.stats()
    assert found.generations == 201
    assert found.data["tokens"]["input_tokens"] == 10
    assert found.data["tokens"]["output_tokens"] == 5
    assert found.data["generation_ms"] == {"p50": 900.0, "p95": 900.0}
    assert (await store.history.stats(tool_name="slugify", since="1h")).data["tokens"]["input_tokens"] == 10


async def test_rows_of_an_older_schema_are_counted_when_they_are_asked_for(path: Path) -> None:
    database = await Database.open(path, migrations=MIGRATIONS[:5])
    await database.aclose()
    runs = [replace(row, session_id=None, saved_ms=None) for row in rows(2_500, span=timedelta(days=30))]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO sessions VALUES ('5e', '', '', '', '2026-01-01', NULL)")
        connection.executemany(
            """INSERT INTO tool_executions (id, tool_name, status, printed, cached, cache_key, isolation, duration_ms,
            executed_at) VALUES (?, ?, ?, '', ?, 'k', '', ?, ?)""",
            (
                (row.id, row.tool_name, row.status, row.cached, row.duration_ms, row.executed_at)
                for row in runs
            ),
        )
        connection.execute(
            """INSERT INTO generations (generation_id, attempt, tool_name, request_hash, description, contract,
            permissions, provider, model, status, reason, text, source, started_at, duration_ms)
            VALUES ('9f', 1, 'slugify', '', '', '', '[]', 'p', 'm', 'ok', '', '', '', '2026-01-01', 12)"""
        )
    for _ in range(2):
        async with await Store.open(path) as store:
            found = await store.history.stats()
            agree(found.data, expected(runs), within=0.01)
            assert found.generations == 1


async def test_a_commit_does_not_add_the_rows_of_an_older_schema(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take seconds."""

    async def uncounted() -> int:
        return await store._database.read(lambda connection: blocks.missing(connection, totals.RUNS))

    monkeypatch.setattr(blocks, "_FAR_BEHIND", -1)
    await keep(store, rows(200))
    monkeypatch.setattr(blocks, "_FAR_BEHIND", 100)
    monkeypatch.setattr(blocks, "_CHUNK", 300)
    await keep(store, rows(400, seed=2))
    assert await uncounted() == 600
    agree((await store.history.stats()).data, expected([*rows(200), *rows(400, seed=2)]), within=1e-9)
    assert await uncounted() <= 64


async def test_the_time_saved_by_older_rows_is_that_of_their_answer(path: Path, candidate: Any) -> None:
    async with await Store.open(path) as store:
        tool = await store.tools.accept(candidate())
        row = ExecutionRow(tool_name="slugify", status=Status.OK, cached=True, cache_key="k")
        answer = {"key": "k", "tool_id": tool.metadata.id, "result": b"1", "duration_ms": 70.0}
        await store.commit([row], cache_entries=[CacheEntry(**answer)])
        assert (await store.history.stats()).saved_ms == 70.0


async def test_totals_outlive_the_rows_and_new_rows_count_when_their_numbers_are_given_again(
    path: Path,
) -> None:
    async with await Store.open(path) as store:
        await keep(store, rows(1_280, span=timedelta(days=1)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM tool_executions WHERE seq > 100")
    async with await Store.open(path) as store:
        counted = (await store.history.stats()).runs  # without the latest runs, which no total includes
        assert 1_000 < counted <= 1_280
        await keep(store, rows(200, seed=2))
        assert (await store.history.stats()).runs == counted + 200
        assert len(await store.history.runs(limit=None)) == 300
        assert len(await store.history.runs(limit=None, since=START)) == 300


HOSTILE = [
    "UPDATE tool_executions SET duration_ms = 'long', executed_at = 'then', status = x'ff', cached = 'no'",
    "UPDATE tool_executions SET duration_ms = 9e999, saved_ms = -1, cached = 1, tool_name = x'00'",
    "UPDATE tool_executions SET executed_at = x'80', session_id = NULL",
    "UPDATE generations SET input_tokens = 9223372036854775807, output_tokens = 'x', cost_usd = 9e999",
    "UPDATE block_totals SET runs = 9223372036854775807, hits = 'x', errors = x'80', saved_ms = 'y'",
    "UPDATE block_totals SET runs = -1, hits = 2.5, saved_ms = 9e999",
    "UPDATE block_totals SET hits = 'x' WHERE tool_name <> ''",
    "UPDATE block_totals SET seq = seq * 1000",
    "UPDATE block_totals SET numbers = x'80'",
    'UPDATE block_totals SET numbers = \'{"ok --5": 1, "ok 9e9": 2, "ok": 1e999, " ": 3, " 7": 1}\'',
    "DELETE FROM block_totals WHERE seq % 2",
    'UPDATE distributions SET numbers = \'{"ok": {"1": 1e999}, "x": 7, "a b c": 2, "ok -99999": 3}\'',
    "UPDATE distributions SET numbers = x'80', seq = -9223372036854775808 + seq",
    "UPDATE distributions SET numbers = '[]'",
    "UPDATE blocks SET reached_at = x'80'",
    "UPDATE blocks SET reached_at = 'z'",
    "UPDATE blocks SET seq = 4611686018427387904 - seq",
    "UPDATE leaders SET tool_name = CAST(tool_name AS BLOB), runs = 'x'",
    "UPDATE history_state SET removed_at = 7",
    "UPDATE history_state SET tool_executions_seq = 'x'",
    "DELETE FROM history_state",
]


@pytest.mark.parametrize("statement", HOSTILE)
async def test_whatever_another_program_writes_rows_are_stored_and_numbers_read(
    path: Path, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = GenerationRow(
        generation_id="1", attempt=1, tool_name="tool_1", status=Status.OK, input_tokens=1
    )
    async with await Store.open(path) as store:
        await keep(store, rows(200, span=timedelta(hours=1)))
        await store.commit(generations=[attempt, replace(attempt, generation_id="2")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement)
    async with await Store.open(path) as store:
        await keep(store, rows(200, span=timedelta(hours=1)))
        await store.commit(generations=[replace(attempt, generation_id="3")])
        for few in (stats.ROWS_READ, 50):
            monkeypatch.setattr(stats, "ROWS_READ", few)
            for asked in SCOPES:
                for since in (None, START, START + timedelta(minutes=20)):
                    assert (await store.history.stats(**asked, since=since)).data


def test_a_bucket_is_at_most_one_percent_off() -> None:
    chance = random.Random(7)  # noqa: S311 - nothing secret
    for _ in range(10_000):
        took = 10 ** chance.uniform(-5, 9)
        assert totals.middle_of(totals.bucket(took)) == pytest.approx(took, rel=0.01)
    assert totals.middle_of(totals.bucket(0.0)) == 0.0


async def test_reading_costs_no_more_steps_with_more_rows_tools_and_sessions(
    store: Store, counting_steps: Any
) -> None:
    async def steps() -> int:
        async with counting_steps() as counted:
            for asked in SCOPES:
                await store.history.stats(**asked)
                await store.history.stats(**asked, since=NOW - timedelta(days=3))
        return counted[0]

    async def more(number: int, span: timedelta, seed: int) -> None:
        added = rows(number, seed=seed, span=span)
        renamed = [
            row if index % 2 else replace(row, tool_name=f"{seed}_{index}") for index, row in enumerate(added)
        ]
        await keep(store, renamed, 2_000)

    await more(2_500, timedelta(days=200), 1)
    few = await steps()
    await more(7_500, timedelta(days=397), 2)
    assert 0 < await steps() < few * 1.5


async def test_most_commits_do_nothing_for_the_totals(store: Store) -> None:
    statements: list[str] = []
    await keep(store, rows(10))
    await store._database.read(lambda connection: connection.set_trace_callback(statements.append))
    await keep(store, rows(50, seed=2), 1)
    assert not [statement for statement in statements if "block_totals" in statement]
    await keep(store, rows(10, seed=3), 1)
    assert [statement for statement in statements if "INTO block_totals" in statement]


async def test_few_tools_are_all_listed_and_many_with_the_most_runs(store: Store) -> None:
    runs = rows(1_500)
    runs[700] = replace(runs[700], tool_name="rare")
    await keep(store, runs)
    listed = (await store.history.stats()).tools
    assert listed[-1] == ("rare", 1, *listed[-1][2:])
    await keep(
        store, [replace(row, tool_name=f"t{at % 40:02}") for at, row in enumerate(rows(1_000, seed=2))]
    )
    again = (await store.history.stats()).tools
    assert len(again) == 20
    assert [tool[:4] for tool in again[:8]] == [tool[:4] for tool in listed[:8]]
    assert {tool.runs for tool in again[8:]} == {25}


async def test_generations_are_counted_once_however_many_rows_a_transaction_adds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit would part the attempts of a generation."""
    attempts = [
        GenerationRow(
            generation_id=f"{number:02}",
            attempt=attempt,
            tool_name="slugify",
            status=Status.OK,
            input_tokens=1,
        )
        for number in range(10)
        for attempt in (1, 2, 3)
    ]
    monkeypatch.setattr(blocks, "_FAR_BEHIND", -1)
    async with await Store.open(path) as store:
        await store.commit(generations=attempts)
        monkeypatch.setattr(blocks, "BLOCK", 8)
        monkeypatch.setattr(blocks, "_CHUNK", 10)
        monkeypatch.setattr("fact_magics.store.history.BLOCK", 8)
        found = await store.history.stats()
        assert found.generations == 10
        assert found.data["tokens"]["input_tokens"] == 30
        total = await store._database.read(
            lambda connection: totals.stored_total(
                connection, totals.GENERATIONS, totals.EVERYTHING, totals.LAST
            )
        )
        assert 2 <= total.runs < 10
