"""Rows of runs that end together are committed together, and no row is lost."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from waiting import until_async

from fact_magics.core.loaded import load
from fact_magics.core.plan import plan_run
from fact_magics.core.recording import Recorder
from fact_magics.errors import StoreError
from fact_magics.store import CacheEntry, Candidate, ExecutionRow, MapRow, MapRows, Store, new_id
from fact_magics.text import utc_now
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOURCE = "def double(n: int) -> int:\n    return 2 * n\n"
CANDIDATE = Candidate(name="double", source=SOURCE, signature_id="s", description="", proven=True)

WORDS = Candidate(
    name="words", source="def words(text: str) -> int: ...\n", signature_id="s", description="", proven=True
)


class Desk:
    """A recorder on a database, and the transactions that the database has committed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.session_id = new_id()
        self.recorder = Recorder(store, self.session_id)
        self.tool = load(CANDIDATE.numbered("1.0.0"))
        self.commits = 0

    def add(self, n: int) -> None:
        self.recorder.add_ended(plan_run(self.tool, {"n": n}), Status.INTERRUPTED, "interrupted", 0.0)

    async def count_commits(self) -> None:
        def note(statement: str) -> None:
            self.commits += statement == "COMMIT"

        await self.store._database.read(lambda connection: connection.set_trace_callback(note))

    async def rows(self) -> int:
        return len(await self.store.history.runs(limit=1_000))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with await Store.open(tmp_path / "facts.db") as store:
        made = Desk(store)
        await store.sessions.start(made.session_id)
        made.tool = load(await store.tools.accept(CANDIDATE))
        await made.count_commits()
        yield made


async def test_runs_that_end_together_share_one_commit(desk):
    async def end(n: int) -> None:
        desk.add(n)
        await desk.recorder.flush_soon()

    await asyncio.gather(*(end(n) for n in range(50)))
    assert (desk.commits, await desk.rows()) == (1, 50)


async def test_a_commit_that_may_wait_goes_with_the_first_that_may_not(desk):
    desk.add(1)
    waits = asyncio.create_task(desk.recorder.flush_soon())
    await asyncio.sleep(0)
    desk.add(2)
    await desk.recorder.flush()
    await waits
    assert (desk.commits, await desk.rows()) == (1, 2)


async def test_rows_that_come_during_a_commit_are_in_the_next_one(desk):
    async def end(n: int) -> None:
        desk.add(n)
        await desk.recorder.flush()
        assert await desk.rows() > 0

    first = asyncio.create_task(end(0))
    await asyncio.sleep(0)
    await asyncio.gather(first, *(end(n) for n in range(1, 30)))
    assert await desk.rows() == 30
    assert desk.commits <= 3


async def test_a_caller_that_is_cancelled_loses_no_row(desk):
    desk.add(1)
    caller = asyncio.create_task(desk.recorder.flush_soon())
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await desk.recorder.flush()
    assert await desk.rows() == 1


async def test_rows_of_a_cancelled_commit_wait_again(desk):
    with closing(sqlite3.connect(desk.store.path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        desk.add(1)
        caller = asyncio.create_task(desk.recorder.flush())
        await until_async(lambda: desk.recorder._current)
        desk.recorder._current.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await desk.rows() == 0  # the wait has ended
    await desk.recorder.flush()
    assert await desk.rows() == 1


@asynccontextmanager
async def both_committing(desk):
    """The loop and a thread commit a row, while another program has locked the database."""
    desk.add(1)
    with closing(sqlite3.connect(desk.store.path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        commit = asyncio.create_task(desk.recorder.flush())
        await until_async(lambda: not desk.recorder._pending)
        flushed = asyncio.create_task(asyncio.to_thread(desk.recorder.flush_blocking))
        yield commit, flushed
    await flushed
    assert await desk.rows() == 1


async def test_a_thread_that_commits_waits_for_the_rows_that_the_loop_commits(desk):
    async with both_committing(desk) as (commit, flushed):
        assert await asyncio.wait((flushed,), timeout=0.2) == (set(), {flushed})
    await commit


async def test_a_thread_that_commits_takes_the_rows_that_the_loop_could_not_commit(desk):
    async with both_committing(desk) as (commit, _):
        desk.recorder._current.cancel()
        await asyncio.wait((commit,))


async def test_a_commit_that_fails_after_its_caller_was_cancelled_is_no_error_of_asyncio(desk, caplog):
    with closing(sqlite3.connect(desk.store.path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        desk.add(1)
        caller = asyncio.create_task(desk.recorder.flush())
        await until_async(lambda: desk.recorder._current)
        caller.cancel()
        await asyncio.wait((caller, desk.recorder._current))
        del caller
        desk.recorder._current = None
        gc.collect()
    assert "never retrieved" not in caplog.text


async def test_all_that_share_a_commit_that_fails_get_its_error_and_the_rows_wait(tmp_path):
    store = await Store.open(tmp_path / "facts.db")
    desk = Desk(store)
    await store.aclose()

    async def end(n: int) -> None:
        desk.add(n)
        await desk.recorder.flush_soon()

    ends = await asyncio.gather(*(end(n) for n in range(5)), return_exceptions=True)
    assert {type(error) for error in ends} == {StoreError}
    assert len(desk.recorder._pending) == 5


async def test_what_waits_while_nothing_can_be_stored_is_bounded_and_what_is_lost_is_said_once(
    tmp_path, capsys
):
    store = await Store.open(tmp_path / "facts.db")
    desk = Desk(store)
    await store.aclose()
    planned = plan_run(desk.tool, {"n": 1})
    for _ in range(30):
        text = "x" * 5_000_000
        answer = CacheEntry(key=planned.key, tool_id="71d", result=f'"{text}"'.encode(), printed=text)
        desk.recorder.add_entry(answer)
        desk.recorder.add_ended(planned, Status.ERROR, text, 0.0)
        desk.recorder.add_cached(planned, answer, 0.0)
        with pytest.raises(StoreError):
            await desk.recorder.flush()
    assert len(desk.recorder._entries) == 6
    assert len(desk.recorder._pending) == 13
    assert capsys.readouterr().err.count("The oldest rows of the history are dropped") == 1
    await desk.recorder.aclose()
    assert "60 rows of the history could not be stored. The database" in capsys.readouterr().err


def of_map(tool_id: str, number: int) -> MapRows:
    """Make many rows of a map."""
    return MapRows(
        same=ExecutionRow(tool_name="double", status=Status.OK, tool_id=tool_id, parent_id="m"),
        ids=[f"{place:08x}" for place in range(number)],
        positions=[*range(number)],
        inputs=['{"n":1}'] * number,
        outputs=["2"] * number,
        keys=[f"{place:064x}" for place in range(number)],
        times=[utc_now()] * number,
        durations_ms=[0.1] * number,
    )


async def test_rows_of_a_map_whose_commit_fails_wait_for_the_next_one(desk, capsys):
    desk.recorder.add_of_map(of_map(desk.tool.metadata.id, 24_000))
    with closing(sqlite3.connect(desk.store.path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        commit = asyncio.create_task(desk.recorder.flush())
        await until_async(lambda: desk.recorder._current and not desk.recorder._of_map)
        commit.cancel()
        await asyncio.wait((desk.recorder._current,))
    await desk.recorder.flush()
    assert len(await desk.store.history.runs(parent_id="m", limit=None)) == 24_000
    assert (await desk.store.cache.stats()).entries == 24_000
    assert capsys.readouterr().err == ""


async def test_what_was_noted_of_a_map_later_stays_if_an_earlier_commit_fails(desk):
    row = MapRow(tool_name="double", tool_version="1.0.0", content_key="k")
    ended = replace(row, ok=9, status=Status.OK, ended_at=utc_now())
    desk.recorder.note_map(row)
    with closing(sqlite3.connect(desk.store.path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        commit = asyncio.create_task(desk.recorder.flush())
        await until_async(lambda: desk.recorder._current and not desk.recorder._maps)
        desk.recorder.note_map(ended)
        with desk.recorder._taken() as rows:  # as the end of a cell does meanwhile
            assert rows[-1] == [ended]
            commit.cancel()
            await asyncio.wait((desk.recorder._current,))
            blocker.execute("ROLLBACK")
            await desk.store.commit(*rows)
    await desk.recorder.flush()
    assert await desk.store.maps.find(row.id) == ended


async def test_of_a_long_input_the_row_has_the_beginning_the_size_and_the_hash(desk):
    words = load(await desk.store.tools.accept(WORDS))
    planned = plan_run(words, {"text": "ü" * 300_000})
    desk.recorder.add_ended(planned, Status.ERROR, "no", 0.0)
    await desk.recorder.flush()
    [row] = await desk.store.history.runs()
    whole = json.dumps({"text": "ü" * 300_000}, ensure_ascii=False)
    digest = hashlib.sha256(whole.encode()).hexdigest()
    assert row.input_data == f"{whole[:200_000]}… (600,012 bytes in all; SHA-256 {digest})"
