"""Plain calls that run on the thread that calls them: they keep the promises of all other runs."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.bridge import LoopThread
from fact_magics.core import FactCore
from fact_magics.core.leases import Leases
from fact_magics.core.quick import QuickRuns
from fact_magics.core.recording import Recorder
from fact_magics.core.running import Runner
from fact_magics.errors import FactError, Interrupted, ToolFailed
from fact_magics.events import Printed, RunEnded
from fact_magics.sandbox.begun import Begun
from fact_magics.sandbox.warden import Warden
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate
from fact_magics.tool import ToolInput

if TYPE_CHECKING:
    from fact_magics.core.handle import Tool
    from fact_magics.events import Event
    from fact_magics.sandbox.outcome import Outcome

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is prepared"),
]


@pytest.fixture(autouse=True)
def reserve() -> None:
    """Calls run at once here: start as many processes in advance as a notebook does."""


TWICE = "def twice(n: int) -> int:\n    print('n is', n)\n    return 2 * n\n"


async def tool_of(core: FactCore, source: str = TWICE, name: str = "twice") -> Tool:
    identity = signature_identity(read_signature(source, name))
    candidate = Candidate(name=name, source=source, signature_id=identity, description="A tool.", proven=True)
    await core._store.tools.accept(candidate)
    return await core.tool(name)


async def prepared(core: FactCore) -> None:
    await core.layers()
    while not (core._sandbox.inspect().at_rest and core._sandbox.inspect().zygotes):
        await asyncio.sleep(0.01)


async def test_each_run_is_one_hit_or_one_miss_of_a_tier(settings):
    async with FactCore(settings) as core:
        twice = await tool_of(core)
        await prepared(core)
        for n in (1, 2):
            await core.execute_tool(ToolInput("twice", {"n": n}))
        for n in (2, 3):
            await asyncio.to_thread(twice, n)
        for n in (3, 4):
            await twice.acall(n)
        for n in range(10, 30):  # some of which find no prepared process
            await asyncio.to_thread(twice, n)
        tiers = await core.cache_tiers()
    assert [(tier.hits, tier.misses) for tier in tiers.values()] == [(2, 24), (0, 24)]


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a thread wait as long as it takes; gives the keys of the runs that the loop leads all the same."""
    monkeypatch.setattr("fact_magics.sandbox.begun.QUICK_SECONDS", 5.0)
    monkeypatch.setattr("fact_magics.sandbox.begun.Begun._has_left_nothing", lambda _: True)
    return note_led(monkeypatch)


def note_led(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    keys: list[str] = []
    real = Runner.lead

    async def lead(runner, planned, *rest):
        keys.append(planned.key)
        return await real(runner, planned, *rest)

    monkeypatch.setattr(Runner, "lead", lead)
    return keys


async def statuses(core: FactCore, name: str = "twice") -> list[tuple[str, bool]]:
    await core._recorder.flush()
    rows = await core.get_tool_history(name, 100)
    return [(row.status, row.cached) for row in reversed(rows)]


async def test_a_call_that_the_loop_does_not_lead_is_recorded_like_any_other(core, led, capsys) -> None:
    tool = await tool_of(core)
    events: list[Event] = []
    core.subscribe(events.append)
    await prepared(core)
    for _ in range(2):
        assert await asyncio.to_thread(tool, 21) == 42
        assert capsys.readouterr().out == "n is 21\n"
    assert not led
    assert await statuses(core) == [("ok", False), ("ok", True)]
    row = (await core.get_tool_history("twice", 10))[-1]
    assert (row.input_data, row.output_data, row.printed) == ('{"n": 21}', "42", "n is 21\n")
    assert "landlock" in row.isolation
    assert Printed("n is 21\n") in events
    while not any(isinstance(event, RunEnded) for event in events):
        await asyncio.sleep(0.01)
    assert core.settings.log_directory.joinpath("fact_magics.log").read_text().count('"run ended"') == 1


async def test_the_same_question_on_many_threads_runs_once(core, led) -> None:
    tool = await tool_of(core)
    for n in range(5):
        await prepared(core)
        assert await asyncio.gather(*(asyncio.to_thread(tool, n) for _ in range(8))) == [2 * n] * 8
    rows = await statuses(core)
    assert (len(rows), [cached for _, cached in rows].count(False)) == (40, 5)


async def test_different_questions_on_many_threads_are_all_answered(core, led) -> None:
    tool = await tool_of(core)
    await prepared(core)
    assert await asyncio.gather(*(asyncio.to_thread(tool, n) for n in range(40))) == [
        2 * n for n in range(40)
    ]
    assert await statuses(core) == [("ok", False)] * 40


async def test_an_answer_in_the_database_is_not_made_again(settings, led) -> None:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(FactCore(settings)) for _ in range(2)]
        await tool_of(first)
        for core in (first, second):
            await prepared(core)
        assert await asyncio.to_thread(await first.tool("twice"), 4) == 8
        await first._recorder.flush()
        assert await asyncio.to_thread(await second.tool("twice"), 4) == 8
        assert await statuses(second) == [("ok", False), ("ok", True)]


async def test_a_result_that_does_not_fit_the_annotation_fails(core, led) -> None:
    tool = await tool_of(core, "def wrong(n: int) -> int:\n    return 'text'\n", "wrong")
    await prepared(core)
    with pytest.raises(ToolFailed, match="wrong"):
        await asyncio.to_thread(tool, 1)
    assert await statuses(core, "wrong") == [("error", False)]


async def test_a_call_that_takes_longer_runs_once(core, monkeypatch) -> None:
    monkeypatch.setattr("fact_magics.sandbox.begun.QUICK_SECONDS", 0.0)
    keys = note_led(monkeypatch)
    tool = await tool_of(core)
    await prepared(core)
    assert await asyncio.to_thread(tool, 21) == 42
    assert len(keys) == 1
    assert await statuses(core) == [("ok", False)]


@pytest.mark.parametrize("place", [(Begun, "answer"), (Runner, "finish"), (QuickRuns, "_may_be_answered")])
async def test_an_interrupt_at_any_place_is_recorded_and_leaves_nothing(
    core, led, monkeypatch, place
) -> None:
    tool = await tool_of(core)
    await prepared(core)

    def interrupt(*_: object) -> Outcome | None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*place, interrupt)
        with pytest.raises(Interrupted, match="recorded as interrupted"):
            await asyncio.to_thread(tool, 3)
    await prepared(core)
    assert await asyncio.to_thread(tool, 3) == 6
    assert await statuses(core) == [("interrupted", False), ("ok", False)]
    assert not core._leases._users


@pytest.mark.parametrize(
    "place",
    [
        (Runner, "claim"),
        (Leases, "ask"),
        (Warden, "begin"),
        (Begun, "answer"),
        (Recorder, "add_run"),
        (Runner, "end"),
        (Runner, "job"),
    ],
    ids=lambda place: place[1],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("seconds", [5.0, 0.0], ids=["answered", "followed"])
def test_an_interrupt_never_falls_between_two_steps(
    settings, monkeypatch, place, after: bool, seconds: float
) -> None:
    """Else an identical call would wait for ever, and a run could have no row, or two."""
    monkeypatch.setattr("fact_magics.sandbox.begun.QUICK_SECONDS", seconds)
    monkeypatch.setattr("fact_magics.sandbox.begun.Begun._has_left_nothing", lambda _: True)
    thread = LoopThread()

    async def start() -> tuple[FactCore, Tool]:
        core = await FactCore(settings).__aenter__()
        tool = await tool_of(core)
        await prepared(core)
        return core, tool

    core, tool = thread.submit(start()).wait(lambda: None)
    owner, name = place
    real, interrupted = getattr(owner, name), []

    def interrupt() -> None:
        if not interrupted and threading.current_thread() is threading.main_thread():
            interrupted.append(name)
            signal.raise_signal(signal.SIGINT)

    def step(*given: Any, **named: Any) -> Any:
        if not after:
            interrupt()
        result = real(*given, **named)
        interrupt()
        return result

    try:
        with monkeypatch.context() as patch, suppress(Interrupted):
            patch.setattr(owner, name, step)
            assert tool(3) == 6
        assert thread.submit(asyncio.to_thread(tool, 3)).wait(lambda: None) == 6
        rows = thread.submit(statuses(core)).wait(lambda: None)
        assert rows in ([("interrupted", False), ("ok", False)], [("ok", False), ("ok", True)])
        thread.submit(prepared(core)).wait(lambda: None)
        assert not core._leases._users
        assert not core._runner._in_progress._leading
        assert not any(warden.use.is_claimed for warden in core._sandbox._engines.main._wardens)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        thread.close(core.aclose())


async def test_a_run_that_is_stopped_before_the_loop_follows_its_call_leaves_nothing(
    core, monkeypatch
) -> None:
    """The call has begun on the thread that called the tool."""
    monkeypatch.setattr("fact_magics.sandbox.begun.QUICK_SECONDS", 0.0)
    source = "import time\n\n\ndef nap(n: int) -> int:\n    time.sleep(60)\n    return n\n"
    tool = await tool_of(core, source, "nap")
    await prepared(core)

    async def stop(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "_led", stop)
        with pytest.raises(FactError):
            await asyncio.to_thread(tool, 3)
    await prepared(core)
    inspection = core._sandbox.inspect()
    assert len(inspection.processes()) == 2 * len(inspection.zygotes)
    assert await statuses(core, "nap") == [("interrupted", False)]
    assert not core._leases._users
