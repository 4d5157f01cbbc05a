"""Answers that are good for a time: of tools that look at the world, kept because the user said for how long."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from waiting import BEGIN, tool_has_begun, until_async

from fact_magics.checked import InvalidValue
from fact_magics.core import FactCore
from fact_magics.core.cache import is_due
from fact_magics.display.record import run_record
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import CacheEntry, Candidate
from fact_magics.text import utc_now
from fact_magics.tool import ToolInput, ToolSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fact_magics.config import Settings
    from fact_magics.core.plan import Plan
    from fact_magics.tool import ToolOutput

pytestmark = pytest.mark.slow

LOOK = "from pathlib import Path\n\n\ndef look(n: int) -> str:\n    return Path({path!r}).read_text() * n\n"
HOUR = 3600.0
DUE = 1e18  # milliseconds: the answer of a run that took so long is always due


class World:
    """A file that tools look at, and cores that run these tools."""

    def __init__(self, file: Path, cores: list[FactCore]) -> None:
        self.file = file
        self.cores = cores
        self.core = cores[0]
        self.show("old")

    def show(self, text: str) -> None:
        self.file.write_text(text)

    async def keep(self, **known: Any) -> None:
        source = LOOK.format(path=str(self.file))
        identity = signature_identity(read_signature(source, "look"))
        fields = {"description": "Look.", "proven": True, "permissions": (f"read:{self.file}",), **known}
        candidate = Candidate(**{"name": "look", "source": source, "signature_id": identity, **fields})
        await self.core._store.tools.accept(candidate)

    async def ask(self, core: FactCore | None = None, **options: Any) -> ToolOutput:
        return await (core or self.core).execute_tool(ToolInput("look", {"n": 1}, **options))

    async def seen(self, **options: Any) -> tuple[str, bool]:
        output = await self.ask(**options)
        return output.result, output.metadata["cached"]

    async def plan(self, core: FactCore, **options: Any) -> Plan:
        return await core.plan(await core.tool("look"), ToolInput("look", {"n": 1}, **options))

    async def entry(self, core: FactCore, **options: Any) -> CacheEntry:
        found = core._memory.get((await self.plan(core, **options)).key)
        assert found is not None
        return found

    def runs(self) -> list[tuple[str, int]]:
        with closing(sqlite3.connect(self.core.database_path)) as connection:
            return connection.execute("SELECT status, cached FROM tool_executions ORDER BY seq").fetchall()


@pytest.fixture
async def world(settings: Settings, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        cores = [await stack.enter_async_context(FactCore(settings)) for _ in range(2)]
        yield World(tmp_path / "world.txt", cores)


async def test_an_answer_with_a_time_is_kept_and_serves_no_run_without_one(world):
    await world.keep()
    assert [await world.seen() for _ in range(2)] == [("old", False)] * 2
    assert await world.seen(ttl_seconds=HOUR) == ("old", False)
    world.show("new")
    assert await world.seen(ttl_seconds=HOUR) == ("old", True)
    world.core._memory.clear()
    assert await world.seen(ttl_seconds=HOUR) == ("old", True)
    assert await world.seen() == ("new", False)


async def test_a_tool_that_varies_or_is_unproven_is_served_until_its_answer_ends(world):
    await world.keep(varies=True, proven=False)
    assert [await world.seen(ttl_seconds=HOUR) for _ in range(2)] == [("old", False), ("old", True)]


async def test_an_answer_that_has_ended_is_served_by_no_tier(world):
    await world.keep()
    assert await world.seen(ttl_seconds=0.4) == ("old", False)
    first = await world.entry(world.core, ttl_seconds=0.4)
    world.show("new")
    await until_async(lambda: first.expired(utc_now()))
    assert world.core._runner._answers.recall(await world.plan(world.core, ttl_seconds=0.4)) is None
    assert await world.core._store.cache.get(first.key) is None
    assert await world.seen(ttl_seconds=0.4) == ("new", False)


async def test_each_time_and_each_set_of_permissions_has_answers_of_its_own(world, tmp_path):
    await world.keep()
    assert (await world.seen(ttl_seconds=HOUR))[1] is False
    assert (await world.seen(ttl_seconds=2 * HOUR))[1] is False
    (tmp_path / "more").mkdir()
    more = {"permissions": (f"read:{tmp_path / 'more'}",), "ttl_seconds": HOUR}
    assert [(await world.seen(**more))[1] for _ in range(2)] == [False, True]
    assert (await world.seen(ttl_seconds=3600))[1] is True


async def test_a_cached_answer_names_what_its_run_was_granted(world, tmp_path):
    await world.keep()
    (tmp_path / "more").mkdir()
    granted = f"read:{tmp_path / 'more'}"
    outputs = [await world.ask(permissions=(granted,), ttl_seconds=HOUR) for _ in range(2)]
    assert [output.metadata["cached"] for output in outputs] == [False, True]
    for output in outputs:
        assert set(output.metadata["permissions"]) == {granted, f"read:{world.file}"}
        assert granted in run_record(output).plain


async def test_another_value_of_a_granted_variable_is_another_input(world, monkeypatch):
    await world.keep()
    options = {"permissions": ("env:PLACE",), "ttl_seconds": HOUR}
    cached = []
    for place in ("here", "there", "here"):
        monkeypatch.setenv("PLACE", place)
        cached.append((await world.seen(**options))[1])
    assert cached == [False, False, True]


async def test_a_fresh_run_replaces_the_answer(world):
    await world.keep()
    await world.seen(ttl_seconds=HOUR)
    world.show("new")
    assert await world.seen(ttl_seconds=HOUR, fresh=True) == ("new", False)
    assert await world.seen(ttl_seconds=HOUR) == ("new", True)


@pytest.mark.parametrize("wrong", [0, -1, 1e12, float("nan"), float("inf"), "soon"])
def test_a_time_that_is_none_is_one_line(wrong):
    with pytest.raises(InvalidValue, match=r"^ToolInput\.ttl_seconds must be .*; got .*\.$"):
        ToolInput("look", {}, ttl_seconds=wrong)


# Kept with a tool


async def test_the_time_of_a_tool_holds_for_runs_and_calls_unless_a_run_gives_its_own(world):
    await world.keep(varies=True, proven=False, ttl_seconds=HOUR)
    tool = await world.core.tool("look")
    assert await tool.acall(1) == "old"
    world.show("new")
    assert await tool.acall(1) == "old"
    assert await world.seen() == ("old", True)
    assert await world.seen(ttl_seconds=HOUR) == ("old", True)
    assert await world.seen(ttl_seconds=1.0) == ("new", False)
    assert await world.seen() == ("old", True)
    assert await world.seen(fresh=True) == ("new", False)


async def test_a_cell_decides_the_time_again_without_a_request_and_a_refinement_keeps_it(settings, server):
    server.writes("def now(n: int) -> int:\n    return n\n")
    server.writes("def now(n: int) -> int:\n    return +n\n")
    wanted = ToolSpec("now", "Give n.\n\n>>> now(1)\n1\n")
    async with FactCore(settings) as core:
        for ttl in (60, 5, 60):
            tool = await core.generate(wanted.model_copy(update={"ttl_seconds": ttl}))
            assert (tool.metadata.ttl_seconds, tool.version) == (ttl, "1.0.0")
            planned = await core.plan(tool, ToolInput("now", {"n": 1}))
            assert planned.ttl_seconds == ttl
        async with FactCore(settings) as elsewhere:  # another notebook, whose cell says nothing about it
            assert (await elsewhere.generate(wanted)).metadata.ttl_seconds == 60
        assert (await core.generate(wanted)).metadata.ttl_seconds == 60
        assert len(server.requests) == 1
        refined = await core.refine(ToolSpec("now", "Write it with a sign."))
        assert (refined.metadata.ttl_seconds, refined.version) == (60, "1.0.1")
        edited = await core.edit_tool("now", "def now(n: int) -> int:\n    return n + 0\n")
        assert edited.metadata.ttl_seconds == 60
    async with FactCore(settings) as core:
        assert (await core.tool("now")).metadata.ttl_seconds == 60


def test_the_time_of_a_tool_is_checked_as_that_of_a_run():
    for wrong in (0, -1, 1e12, float("nan")):
        with pytest.raises(InvalidValue, match=r"^ToolSpec\.ttl_seconds must be .*; got .*\.$"):
            ToolSpec("look", "Look.", ttl_seconds=wrong)


# Before the end


async def make_due(world: World, *cores: FactCore) -> None:
    for core in cores:
        entry = await world.entry(core, ttl_seconds=HOUR)
        core._memory.put(replace(entry, duration_ms=DUE))


async def test_an_answer_that_is_due_is_served_and_refreshed_once_by_all_kernels(world):
    await world.keep()
    for core in world.cores:
        await world.ask(core, ttl_seconds=HOUR)
    await make_due(world, *world.cores)
    world.show("new")
    served = await asyncio.gather(
        *(world.ask(core, ttl_seconds=HOUR) for core in world.cores for _ in range(3))
    )
    assert {output.result for output in served} == {"old"}
    plans = [await world.plan(core, ttl_seconds=HOUR) for core in world.cores]
    await until_async(lambda: world.runs().count(("ok", 0)) == 2)
    for core, planned in zip(world.cores, plans, strict=True):
        core._memory.discard(planned.key)
        assert (await world.ask(core, ttl_seconds=HOUR)).result == "new"
    assert world.runs().count(("ok", 0)) == 2


async def test_a_kernel_takes_over_the_answer_that_another_one_has_refreshed(world):
    await world.keep()
    for core in world.cores:
        await world.ask(core, ttl_seconds=HOUR)
    world.show("new")
    assert (await world.ask(world.cores[1], ttl_seconds=HOUR, fresh=True)).result == "new"
    await make_due(world, world.core)
    assert await world.seen(ttl_seconds=HOUR) == ("old", True)
    planned = await world.plan(world.core, ttl_seconds=HOUR)
    await until_async(lambda: b"new" in world.core._memory.get(planned.key).result)
    assert world.runs().count(("ok", 0)) == 2


async def test_a_refresh_that_fails_is_recorded_leaves_the_answer_and_is_not_repeated(world):
    await world.keep()
    await world.ask(ttl_seconds=HOUR)
    await make_due(world, world.core)
    world.file.unlink()
    assert await world.seen(ttl_seconds=HOUR) == ("old", True)
    await until_async(lambda: ("error", 0) in world.runs())
    assert await world.seen(ttl_seconds=HOUR) == ("old", True)
    await until_async(lambda: not world.core._runner._running)
    assert world.runs().count(("error", 0)) == 1


async def test_closing_stops_and_records_a_refresh(settings, home):
    source = (
        f"import time\n\n\ndef look(n: int) -> float:\n    {BEGIN}\n    time.sleep(600)\n    return 1.0\n"
    )
    async with FactCore(settings) as core:
        world = World(home.parent / "world.txt", [core])
        await world.keep(source=source)
        planned = await world.plan(core, ttl_seconds=HOUR)
        tool = planned.tool.metadata.id
        core._memory.put(
            CacheEntry(
                key=planned.key,
                tool_id=tool,
                result=b"2.0",
                duration_ms=DUE,
                expires_at="2999-01-01T00:00:00.000Z",
            )
        )
        assert await world.seen(ttl_seconds=HOUR) == (2.0, True)
        await until_async(tool_has_begun)
    assert world.runs() == [("ok", 1), ("interrupted", 0)]


def test_an_answer_is_due_the_earlier_the_longer_its_run_took():
    entry = CacheEntry(key="a", tool_id="t", result=b"1", expires_at="2999-01-01T00:00:00.000Z")
    assert not is_due(entry)
    assert not is_due(replace(entry, expires_at=None, duration_ms=DUE))
    assert is_due(replace(entry, duration_ms=1e30))
