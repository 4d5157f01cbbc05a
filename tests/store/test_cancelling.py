"""Writes whose caller goes away."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import StoreError
from fact_magics.store import ExecutionRow, GenerationRow, Store
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(name: str, **fields: object) -> ExecutionRow:
    return ExecutionRow(tool_name=name, status=Status.OK, **fields)  # type: ignore[arg-type]


async def in_transaction(store: Store) -> bool:
    return await store._database._worker.run(lambda connection: connection.in_transaction)


@pytest.mark.parametrize("turns", range(6))
async def test_a_commit_cancelled_at_any_turn_leaves_no_transaction_and_takes_no_others_rows(
    store: Store, turns: int
) -> None:
    """Every row that was handed over is there: a run that was interrupted is history too."""
    commits = ([run("cancelled") for _ in range(20)], *([run("other")] for _ in range(5)))
    cancelled, *others = [asyncio.ensure_future(store.commit(rows)) for rows in commits]
    for _ in range(turns):
        await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(*others)
    assert not await in_transaction(store)
    names = [row.tool_name for row in await store.history.runs(limit=None)]
    assert names.count("other") == 5
    # A task that never had a turn handed nothing over.
    assert names.count("cancelled") == (20 if turns else 0)


async def test_a_commit_cancelled_while_it_waits_for_a_lock_is_done_when_the_lock_goes(
    store: Store, path: Path
) -> None:
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    task = asyncio.ensure_future(store.commit([run("cancelled")]))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    blocker.execute("ROLLBACK")
    blocker.close()
    assert [row.tool_name for row in await store.history.runs()] == ["cancelled"]


async def test_rows_handed_over_again_after_a_cancelled_commit_are_kept_once(store: Store) -> None:
    row, attempt = (
        run("t", input_data='"word"'),
        GenerationRow(generation_id="ab", attempt=1, tool_name="t", status=Status.OK),
    )
    task = asyncio.ensure_future(store.commit([row], [attempt]))
    await asyncio.sleep(0)
    task.cancel()
    await store.commit([row], [attempt])
    assert await store.history.runs() == await store.history.runs(search="word") == [row]
    assert await store.history.generations() == [attempt]


async def test_a_row_that_can_not_be_kept_takes_its_whole_transaction_with_it_and_no_other(
    store: Store, candidate: Callable[..., object]
) -> None:
    rows = [run("first"), run("refused", session_id="no such session")]
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        await store.commit(rows)
    assert not await in_transaction(store)
    await store.commit([run("next")])
    assert [row.tool_name for row in await store.history.runs()] == ["next"]


async def test_work_that_raises_rolls_back_and_its_own_error_arrives(store: Store) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO sessions VALUES ('5e', '', '', '', '', NULL)")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await store._database.write(work)
    assert await store.sessions.find("5e") is None


async def test_opening_can_be_cancelled(path: Path) -> None:
    for turns in range(4):
        task = asyncio.ensure_future(Store.open(path))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            await task.result().aclose()
    async with await Store.open(path) as store:
        await store.commit([run("t")])


async def test_closing_waits_for_what_was_asked_before(path: Path) -> None:
    store = await Store.open(path)
    slow = asyncio.ensure_future(store._database.write(lambda _: time.sleep(0.1)))
    tasks = [asyncio.ensure_future(store.commit([run("t")])) for _ in range(20)]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(slow, *tasks)
    async with await Store.open(path) as again:
        assert len(await again.history.runs(limit=None)) == 20
