"""The totals of any history are what counting its rows gives, also after old rows were removed."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fact_magics.store import ExecutionRow, MapRows, blocks, stats, totals
from fact_magics.store.binding import Connection
from fact_magics.store.history import add_runs
from fact_magics.store.pruning import remove_runs
from fact_magics.store.schema import MIGRATIONS
from fact_magics.store.search import add_indexable
from fact_magics.store.stats import Stats, percentile, read_stats
from fact_magics.text import utc_text
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    """Let few rows do what many rows do."""
    with (
        patch.multiple(blocks, BLOCK=4, _LARGE=5, _NUMBERED=6, _FEW=2, is_due=lambda seq: seq % 5 == 0),
        patch.multiple(stats, ROWS_READ=3, _MOST_AT_SINCE=30),
    ):
        yield


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
    add_indexable(connection)
    for statement in [statement for migration in MIGRATIONS for statement in migration]:
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO sessions VALUES (?, '', '', '', '2026-01-01', NULL)", [("1",), ("2",), ("3",)]
    )
    return connection


runs = st.builds(
    lambda session, tool, status, cached, took, saved: ExecutionRow(
        session_id=session,
        tool_name=tool,
        status=Status.OK if cached else status,
        cached=cached,
        duration_ms=took,
        saved_ms=saved if cached else None,
    ),
    st.sampled_from([None, "1", "2", "3"]),
    st.sampled_from("aaabc"),
    st.sampled_from([Status.OK, Status.OK, Status.ERROR, Status.INVALID]),
    st.booleans(),
    st.floats(1e-5, 1e7),
    st.floats(0, 1e6),
)
gaps = st.sampled_from([0.0, 1.0, 600.0, 5_000.0, 200_000.0])
histories = st.lists(st.tuples(gaps, runs), max_size=90)
scopes = st.tuples(st.sampled_from(["", "1", "2"]), st.sampled_from(["", "a", "c", "d"]))


def timed(history: Sequence[tuple[float, ExecutionRow]]) -> list[ExecutionRow]:
    now, found = START, []
    for gap, row in history:
        now += timedelta(seconds=gap)
        found.append(
            ExecutionRow(
                **{name: getattr(row, name) for name in row.__slots__} | {"executed_at": utc_text(now)}
            )
        )
    return found


def agree(found: Stats, rows: Sequence[ExecutionRow], scope: tuple[str, str], since: str | None) -> None:
    session, tool = scope
    known = [
        row
        for row in rows
        if (not session or row.session_id == session)
        and (not tool or row.tool_name == tool)
        and (since is None or row.executed_at >= since)
    ]
    assert found.runs == len(known)
    assert found.hits == sum(row.cached for row in known)
    assert found.saved_ms == pytest.approx(sum(row.saved_ms or 0.0 for row in known))
    failed = [row.status for row in known if row.status is not Status.OK]
    assert found.errors == {status: failed.count(status) for status in failed}
    assert sum(point.runs for point in found.points) == len(known)
    assert {tool.tool: tool[1:4] for tool in found.tools} == {
        name: (
            sum(row.tool_name == name for row in known),
            sum(row.tool_name == name and row.cached for row in known),
            sum(row.tool_name == name and row.status is not Status.OK for row in known),
        )
        for name in {row.tool_name for row in known}
    }
    for outcome, cached in ((Status.OK, False), ("cached", True)):
        took = sorted(row.duration_ms for row in known if row.cached == cached and row.status is Status.OK)
        for share in (0.5, 0.95):
            wanted = percentile(tuple((each, 1) for each in took), share)
            assert percentile(found.durations.get(outcome, ()), share) == (
                wanted and pytest.approx(wanted, rel=0.0101)
            )


def keep(connection: sqlite3.Connection, rows: Sequence[ExecutionRow], size: int) -> None:
    for first in range(0, len(rows), size):
        add_runs(connection, rows[first : first + size])


@settings(max_examples=150, deadline=None)
@given(histories, st.integers(1, 20), scopes, st.integers(0, 90))
def test_numbers_are_those_of_all_rows(
    history: list[tuple[float, ExecutionRow]], size: int, scope: tuple[str, str], at: int
) -> None:
    connection, rows = opened(), timed(history)
    keep(connection, rows, size)
    for since in (None, rows[at].executed_at if at < len(rows) else utc_text(START + timedelta(seconds=at))):
        found = read_stats(connection, session_id=scope[0], tool_name=scope[1], since=since)
        agree(found, rows, scope, since)
    connection.close()


def as_map(rows: Sequence[ExecutionRow]) -> MapRows:
    same = ExecutionRow(
        **{name: getattr(rows[0], name) for name in ("session_id", "tool_name", "status", "cached")}
    )
    return MapRows(
        same=same,
        ids=[row.id for row in rows],
        positions=[*range(len(rows))],
        inputs=["{}"] * len(rows),
        outputs=["1"] * len(rows),
        keys=[row.id for row in rows],
        times=[row.executed_at for row in rows],
        durations_ms=[row.saved_ms or 0.0 if row.cached else row.duration_ms for row in rows],
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(gaps, runs, st.integers(1, 17)), max_size=15), scopes, st.integers(0, 90))
def test_rows_of_maps_are_counted_as_rows_alone_are(
    history: list[tuple[float, ExecutionRow, int]], scope: tuple[str, str], at: int
) -> None:
    connection, rows = opened(), list[ExecutionRow]()
    now = START
    for gap, row, times in history:
        now += timedelta(seconds=gap)
        took = {"executed_at": utc_text(now)} | ({"duration_ms": 0.0} if row.cached else {})
        part = [replace(row, id=f"{len(rows) + place}", **took) for place in range(times)]
        rows += part
        if row.status is Status.OK:
            add_runs(connection, [], [as_map(part)])
        else:
            add_runs(connection, part)
    for since in (None, rows[at].executed_at if at < len(rows) else utc_text(START + timedelta(seconds=at))):
        found = read_stats(connection, session_id=scope[0], tool_name=scope[1], since=since)
        agree(found, rows, scope, since)
    connection.close()


@settings(max_examples=100, deadline=None)
@given(histories, histories, st.integers(1, 20), scopes, st.integers(0, 90))
def test_removed_rows_still_count_and_none_of_them_counts_since_a_later_time(
    history: list[tuple[float, ExecutionRow]],
    later: list[tuple[float, ExecutionRow]],
    size: int,
    scope: tuple[str, str],
    at: int,
) -> None:
    connection, rows = opened(), timed([*history, *later])
    keep(connection, rows[: len(history)], size)
    before = rows[min(at, len(rows) - 1)].executed_at if rows else ""
    remove_runs(connection, after=0, before=before)
    keep(connection, rows[len(history) :], size)
    left = dict(connection.execute("SELECT id, 1 FROM tool_executions"))
    assert all(row.id in left for row in rows if row.executed_at >= before)
    for since in (None, before):
        found = read_stats(connection, session_id=scope[0], tool_name=scope[1], since=since)
        agree(found, rows, scope, since or None)
    connection.close()


@settings(max_examples=50, deadline=None)
@given(histories, st.integers(1, 20), st.sets(st.integers(0, 89)))
def test_stored_numbers_are_those_of_the_rows_also_if_an_older_version_stored_none(
    history: list[tuple[float, ExecutionRow]], size: int, older: set[int]
) -> None:
    connection = opened()
    keep(connection, timed(history), size)
    missing = "UPDATE block_totals SET numbers = NULL WHERE seq = ?"
    connection.executemany(missing, [(seq,) for seq in older])
    for (end,) in connection.execute("SELECT seq FROM blocks").fetchall():
        for scope in (totals.EVERYTHING, ("1", ""), ("", "a"), ("2", "a"), ("", "nobody")):
            rows = totals.events(connection, totals.RUNS, scope, 0, end)
            assert totals.numbers_at(connection, totals.RUNS, scope, end) == totals.numbers_of(rows)
    connection.close()


def test_the_numbers_of_a_block_are_not_read_from_its_rows() -> None:
    connection = opened()
    keep(connection, [ExecutionRow(tool_name="a", status=Status.OK) for _ in range(30)], 10)
    end = totals.last_block(connection, totals.RUNS)
    known = totals.numbers_at(connection, totals.RUNS, totals.EVERYTHING, end)
    connection.execute("UPDATE tool_executions SET status = 'error'")
    assert totals.numbers_at(connection, totals.RUNS, totals.EVERYTHING, end) == known == {"ok -2000": end}
    connection.close()


def test_points_show_the_runs_of_a_tool_that_got_no_total() -> None:
    connection = opened()
    rows = timed([(1.0, ExecutionRow(tool_name=name, status=Status.OK)) for name in "aaaabaaaabaa"])
    keep(connection, rows, 1)
    agree(read_stats(connection, tool_name="a"), rows, ("", "a"), None)
    connection.close()


def test_the_tables_of_totals_stay_small() -> None:
    connection = opened()
    rows = [ExecutionRow(tool_name=f"t{number}", status=Status.OK) for number in range(2_000)]
    with patch.multiple(blocks, BLOCK=64, is_due=lambda seq: seq % 64 == 0):
        keep(connection, rows, 100)
    [stored] = connection.execute("SELECT count(*) FROM block_totals WHERE tool_name <> ''").fetchone()
    assert stored == len(range(64, 1_984, 64))
    [leaders] = connection.execute("SELECT count(*) FROM leaders").fetchone()
    assert leaders <= blocks.LEADERS
    connection.close()
