"""Many calls at once: each gets its own answer, identical ones share one run, and each can be stopped."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from waiting import BEGIN, tool_has_begun, until_async

from fact_magics.bridge import LoopThread
from fact_magics.core import FactCore
from fact_magics.errors import FactError, ToolFailed
from fact_magics.tool import Status, ToolInput, ToolSpec

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def reserve() -> None:
    """Calls run at once here: start as many processes in advance as a notebook does."""


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

HALF = "def half(n: int) -> int:\n    if n % 2:\n        raise ValueError('odd')\n    return n // 2\n"
NAP = f"import time\n\n\ndef nap(n: int, seconds: float) -> int:\n    {BEGIN}\n    time.sleep(seconds)\n    return n\n"
CALLS = 40


@pytest.fixture
def thread():
    """The loop of a core that is not the loop of its callers, as in a notebook."""
    owned = LoopThread()
    yield owned
    owned.close()


@pytest.fixture
def away(thread, settings):
    """A core on the loop of another thread."""
    core = FactCore(settings)
    on(thread, core.__aenter__())
    yield core
    thread.close(core.aclose())


def on(thread, coroutine):
    return thread.submit(coroutine).wait(lambda: None)


def make(thread, core, server, source: str, example: str):
    server.writes(source)
    name = source.partition("def ")[2].partition("(")[0]
    return on(thread, core.generate(ToolSpec(name, f"Do it.\n\n{example}")))


@pytest.fixture
def half(thread, away, server):
    return make(thread, away, server, HALF, ">>> half(4)\n2\n")


@pytest.fixture
def nap(thread, away, server):
    return make(thread, away, server, NAP, ">>> nap(1, 0.0)\n1\n")


def rows(thread, core, tool):
    async def read():
        await core.flush()
        return await core.get_tool_history(tool.name, 1_000)

    return on(thread, read())


async def test_answers_and_errors_come_in_the_order_of_the_calls(thread, away, half):
    answers = await asyncio.gather(*(half.acall(n) for n in range(CALLS)), return_exceptions=True)
    assert answers[::2] == list(range(CALLS // 2))
    assert {type(answer) for answer in answers[1::2]} == {ToolFailed}
    assert sorted(row.status for row in rows(thread, away, half)) == ["error"] * 20 + ["ok"] * 20


async def test_identical_calls_are_one_run_and_the_others_count_as_cached(thread, away, nap):
    answers = await asyncio.gather(*(nap.acall(n, 0.2) for n in [7, 8] * 10))
    assert answers == [7, 8] * 10
    kept = rows(thread, away, nap)
    assert sorted(row.cached for row in kept) == [False] * 2 + [True] * 18
    assert max(row.duration_ms for row in kept if row.cached) < min(
        row.duration_ms for row in kept if not row.cached
    )


async def test_a_plain_call_does_not_wait_until_its_row_is_committed(thread, away, nap):
    with closing(sqlite3.connect(away.database_path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        assert await asyncio.to_thread(nap, 5, 0.0) == 5
        assert not away._recorder.is_locked  # nobody has waited in vain
    assert [row.status for row in rows(thread, away, nap)] == ["ok"]


@pytest.mark.timeout(120)
async def test_a_blocking_call_does_not_wait_for_the_queue_of_the_loop_that_it_blocks(nap):
    calls = [asyncio.ensure_future(nap.acall(n, 0.0)) for n in range(200)]
    await asyncio.sleep(0)
    assert nap(199, 0.0) == 199
    assert await asyncio.gather(*calls) == list(range(200))


async def test_the_output_of_a_run_that_joined_another_says_so(core, server):
    server.writes(NAP)
    await core.generate(ToolSpec("nap", "Sleep.\n\n>>> nap(1, 0.0)\n1\n"))
    runs = (core.execute_tool(ToolInput("nap", {"n": 1, "seconds": 0.3})) for _ in range(5))
    outputs = await asyncio.gather(*runs)
    assert sorted(output.metadata["cached"] for output in outputs) == [False] + [True] * 4
    assert {output.metadata.get("saved_ms", 0) >= 300 for output in outputs if output.metadata["cached"]} == {
        True
    }


async def test_identical_calls_on_several_loops_are_one_run(thread, away, nap):
    answers = []

    def call():
        answers.append(asyncio.run(nap.acall(3, 0.5)))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        await asyncio.to_thread(caller.join)
    assert answers == [3] * 4
    assert sorted(row.cached for row in rows(thread, away, nap)) == [False, True, True, True]


async def test_calls_that_wait_for_an_identical_one_keep_no_other_call_waiting(thread, away, nap):
    """However many they are: only runs take turns."""
    many = [asyncio.create_task(nap.acall(1, 60.0)) for _ in range(300)]
    await until_async(tool_has_begun)
    if CORES > 1:
        assert await nap.acall(2, 0.0) == 2
    for task in many:
        task.cancel()
    assert {type(end) for end in await asyncio.gather(*many, return_exceptions=True)} == {
        asyncio.CancelledError
    }


async def test_the_time_in_the_queue_is_no_part_of_a_duration(thread, away, nap):
    started = time.perf_counter()
    await asyncio.gather(*(nap.acall(n, 0.3) for n in range(10 * CORES)))
    waited = (time.perf_counter() - started) * 1000
    assert max(row.duration_ms for row in rows(thread, away, nap)) < waited / 2


async def test_of_many_calls_only_some_have_begun(thread, away, nap):
    """The others have no task on the core's loop, and cost next to nothing."""

    async def tasks():
        return len(asyncio.all_tasks())

    before = on(thread, tasks())
    many = [asyncio.create_task(nap.acall(n, 60.0)) for n in range(1_000)]
    await until_async(tool_has_begun)
    assert on(thread, tasks()) - before < 500
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)


async def test_one_cancelled_call_is_recorded_and_leaves_the_others(thread, away, nap):
    many = [asyncio.create_task(nap.acall(n, 0.2)) for n in range(8 * CORES)]
    await until_async(tool_has_begun)
    many[0].cancel()
    many[-1].cancel()
    ends = await asyncio.gather(*many, return_exceptions=True)
    assert {type(ends[0]), type(ends[-1])} == {asyncio.CancelledError}
    assert ends[1:-1] == list(range(1, 8 * CORES - 1))
    stopped = [row for row in rows(thread, away, nap) if row.status == Status.INTERRUPTED]
    assert len(stopped) == 2
    assert min(row.duration_ms for row in stopped) == 0.0  # the last call had not begun


async def test_after_all_were_cancelled_the_next_call_works(thread, away, nap):
    many = [asyncio.create_task(nap.acall(n, 60.0)) for n in range(300)]
    await until_async(tool_has_begun)
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)
    assert await nap.acall(1, 0.0) == 1
    statuses = [row.status for row in rows(thread, away, nap)]
    assert sorted(statuses) == ["interrupted"] * 300 + ["ok"]


async def test_what_is_printed_arrives_while_the_call_waits(thread, away, server, tmp_path, capsys):
    source = (
        "import time\nfrom pathlib import Path\n\n\ndef say(stop: Path) -> int:\n    print('hello')\n"
        "    while not stop.read_text():\n        time.sleep(0.01)\n    return 1\n"
    )
    server.writes(source)
    stop = tmp_path / "stop"
    stop.write_text("")
    tool = await asyncio.to_thread(on, thread, away.generate(ToolSpec("say", "Say hello.")))
    call = asyncio.create_task(tool.acall(stop))
    await until_async(lambda: "hello" in capsys.readouterr().out)
    stop.write_text("now")
    assert await call == 1


async def test_a_session_that_closes_ends_the_calls_that_wait_with_a_clear_error(thread, away, nap):
    many = [asyncio.create_task(nap.acall(n, 60.0)) for n in range(300)]
    blocking = asyncio.create_task(asyncio.to_thread(nap, 300, 60.0))
    await until_async(tool_has_begun)
    await asyncio.to_thread(thread.close, away.aclose())
    ends = await asyncio.gather(*many, blocking, return_exceptions=True)
    assert {type(end) for end in ends} == {FactError}
    assert {end.line.partition(". ")[0] for end in ends} == {
        "nap was stopped, because its session was closed",
        "nap belongs to a session that was closed",
    }
    assert all(end.hint == "Import it again: from fact_magics.tools import nap" for end in ends)


async def test_a_session_that_closes_while_nothing_can_be_stored_ends_the_calls_that_wait(thread, away, nap):
    calls = [asyncio.create_task(nap.acall(n, 60.0)) for n in range(3)]
    calls.append(asyncio.create_task(asyncio.to_thread(nap, 3, 60.0)))
    await until_async(tool_has_begun)
    with closing(sqlite3.connect(away.database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await asyncio.to_thread(thread.close, away.aclose())
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end) for end in ends} == {FactError}


async def test_a_cancelled_call_says_what_was_stopped(thread, away, nap):
    gathered = asyncio.gather(*(nap.acall(n, 60.0) for n in range(3)))
    await until_async(tool_has_begun)
    gathered.cancel()
    with pytest.raises(asyncio.CancelledError, match=r"^nap was stopped and recorded as interrupted\.$"):
        await gathered


async def test_a_call_that_takes_too_long_can_be_timed_by_asyncio(thread, away, nap):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await nap.acall(1, 60.0)


async def test_a_cancelled_run_says_what_was_stopped(core, server):
    server.writes(NAP)
    await core.generate(ToolSpec("nap", "Sleep.\n\n>>> nap(1, 0.0)\n1\n"))
    run = asyncio.create_task(core.execute_tool(ToolInput("nap", {"n": 1, "seconds": 60.0})))
    await until_async(tool_has_begun)
    await core.aclose()
    with pytest.raises(asyncio.CancelledError, match="nap was stopped, because its session was closed"):
        await run
