"""Old runs go, and all that is counted stays."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fact_magics.store import CacheEntry, ExecutionRow, GenerationRow, Pruned, Store
from fact_magics.text import utc_now, utc_text
from fact_magics.tool import Status

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
BEFORE = utc_text(NOW - timedelta(days=90))


def run(days: float, number: int = 0) -> ExecutionRow:
    return ExecutionRow(
        tool_name="slugify",
        status=Status.OK,
        input_data=f'"ü{number}"',
        output_data="1",
        executed_at=utc_text(NOW - timedelta(days=days)),
    )


async def pruned(store: Store, before: str = BEFORE) -> Pruned:
    gone = Pruned(0, 0)
    async for so_far in store.history.prune(before):
        gone = so_far
    return gone


async def test_runs_before_the_time_go_and_everything_else_stays(store: Store, candidate, path: Path) -> None:
    tool = await store.tools.accept(candidate())
    runs = [run(200 - number / 10, number) for number in range(1_500)]
    await store.commit(
        runs,
        [
            GenerationRow(
                generation_id="1", attempt=1, tool_name="slugify", status=Status.OK, started_at="2020-01-01"
            )
        ],
        [CacheEntry(key="k", tool_id=tool.metadata.id, result=b"1", created_at="2020-01-01")],
    )
    before = (await store.history.stats()).data
    old = [row for row in runs if row.executed_at < BEFORE]
    size = sum(len((row.input_data or "").encode()) + 1 for row in old)
    assert await pruned(store) == Pruned(len(old), size)
    assert {row.id for row in await store.history.runs(limit=None)} == {row.id for row in runs[len(old) :]}
    assert await store.history.runs(search="ü7") == []
    assert len(await store.history.runs(search=f"ü{len(old)}")) == 1
    assert (await store.history.stats()).data == before
    assert await store.tools.get("slugify")
    assert await store.cache.get("k")
    assert await store.history.attempts("1")
    assert await pruned(store) == Pruned(0, 0)
    kept = await store.history.runs(since=NOW - timedelta(days=60), limit=None)
    assert {row.id for row in kept} == {
        row.id for row in runs if row.executed_at >= utc_text(NOW - timedelta(days=60))
    }
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_old_rows_after_new_ones_go_too(store: Store) -> None:
    """A clock that was set back."""
    runs = [run(1), run(300), run(1), run(300)]
    await store.commit(runs)
    assert (await pruned(store)).runs == 2
    assert [row.id for row in await store.history.runs()] == [runs[2].id, runs[0].id]
    await store.commit([run(0)])
    assert (await store.history.stats()).runs == 5


async def test_the_latest_row_goes_too_and_its_number_is_not_given_again(store: Store, path: Path) -> None:
    """An old history leaves nothing behind, and the totals know rows by their numbers."""
    await store.commit([run(100, number) for number in range(600)])
    assert (await pruned(store)).runs == 600
    assert await store.history.runs() == []
    assert await pruned(store) == Pruned(0, 0)
    newer = [run(0), run(100)]
    await store.commit(newer)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT seq FROM tool_executions").fetchall() == [(601,), (602,)]
    assert (await store.history.stats()).runs == 602
    assert (await store.history.stats(since=NOW - timedelta(days=1))).runs == 1
    assert (await pruned(store)).runs == 1
    assert (await store.history.stats()).runs == 602
    assert [row.id for row in await store.history.runs()] == [newer[0].id]


async def test_rows_that_are_not_in_the_totals_yet_are_counted_before_they_go(store: Store) -> None:
    await store.commit([run(100, number) for number in range(5)])
    assert (await pruned(store)).runs == 5
    assert (await store.history.stats()).runs == 5
    assert (await store.history.stats(since=NOW - timedelta(days=91))).runs == 0


async def test_whoever_stops_listening_keeps_the_rest(store: Store) -> None:
    await store.commit([run(100, number) for number in range(1_200)])
    removal = store.history.prune(BEFORE)
    assert (await anext(removal)).runs == 500
    await removal.aclose()
    assert len(await store.history.runs(limit=None)) == 700


async def test_another_kernel_writes_meanwhile_and_nothing_of_it_is_lost(path: Path) -> None:
    async with await Store.open(path) as one, await Store.open(path) as other:
        await one.commit([run(100, number) for number in range(3_000)])

        async def write() -> None:
            for number in range(100):
                await other.commit([replace(run(0, number), tool_name="parse")])

        gone, _ = await asyncio.gather(pruned(one), write())
        assert gone.runs == 3_000
        assert len(await other.history.runs(tool_name="parse", limit=None)) == 100
        assert (await other.history.stats()).runs == 3_100


async def test_one_kernel_a_day_may_prune_by_itself(path: Path) -> None:
    async with await Store.open(path) as one, await Store.open(path) as other:
        claims = await asyncio.gather(*(store.history.claim_pruning() for store in (one, other, one)))
        assert sorted(claims) == [False, False, True]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE history_state SET pruned_at = '2020-01-01'")
    async with await Store.open(path) as store:
        assert await store.history.claim_pruning()
        assert not await store.history.claim_pruning()


async def test_a_claim_that_waited_for_another_kernel_s_is_refused(path: Path) -> None:
    async with await Store.open(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            claim = asyncio.create_task(store.history.claim_pruning())
            await asyncio.sleep(0.1)
            connection.execute("UPDATE history_state SET pruned_at = ?", (utc_now(),))
            connection.execute("COMMIT")
            assert not await claim
