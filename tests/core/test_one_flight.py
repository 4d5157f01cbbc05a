"""One question asked at once by several kernels on one database: one of them executes the tool."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, closing
from typing import TYPE_CHECKING

import pytest
from waiting import BEGIN, tool_has_begun, until_async

from fact_magics.core import FactCore
from fact_magics.core.leases import Leases
from fact_magics.events import PhaseChanged
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate
from fact_magics.tool import ToolInput

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the locks"),
]


@pytest.fixture(autouse=True)
def reserve() -> None:
    """Calls run at once here: start as many processes in advance as a notebook does."""


NAP = f"import time\n\n\ndef nap(n: int) -> int:\n    {BEGIN}\n    time.sleep(0.7)\n    return n\n"

ASK = """
import asyncio, sys
from pathlib import Path
from fact_magics import FactCore, load_settings
from fact_magics.events import PhaseChanged
from fact_magics.tool import ToolInput

def tell(event):
    if isinstance(event, PhaseChanged):
        print(event.name, flush=True)

async def main(home):
    async with FactCore(load_settings({}, Path(home).parent, {"FACT_HOME": home})) as core:
        await core.tool("nap")
        await core.layers()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        output = await core.execute_tool(ToolInput("nap", {"n": 7}), tell)
        print(output.result, output.metadata["cached"], flush=True)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
async def cores(settings):
    """Two cores on one database, as two kernels have them."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(FactCore(settings)) for _ in range(2)]


async def keep(core: FactCore, *, proven: bool = True) -> None:
    identity = signature_identity(read_signature(NAP, "nap"))
    candidate = Candidate(name="nap", source=NAP, signature_id=identity, description="Nap.", proven=proven)
    await core._store.tools.accept(candidate)


def executions(home: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(home / "fact_magics.db")) as connection:
        return connection.execute("SELECT status, cached FROM tool_executions ORDER BY seq").fetchall()


def ask(core: FactCore, phases: list[str] | None = None, **options: object) -> asyncio.Task:
    def tell(event: object) -> None:
        if isinstance(event, PhaseChanged) and phases is not None:
            phases.append(event.name)

    return asyncio.create_task(core.execute_tool(ToolInput("nap", {"n": 7}, **options), tell))


async def first_runs_second_waits(cores, **options: object) -> tuple[asyncio.Task, asyncio.Task]:
    first = ask(cores[0], **options)
    await until_async(tool_has_begun)
    phases: list[str] = []
    second = ask(cores[1], phases)
    await until_async(lambda: "queued" in phases)
    return first, second


@pytest.fixture
def start(home: Path, plain_environment):
    started = []

    def run() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", ASK, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=plain_environment,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


async def test_four_processes_that_ask_at_once_execute_once(home, settings, start):
    async with FactCore(settings) as core:
        await keep(core)
    processes = [await asyncio.to_thread(start) for _ in range(4)]
    for process in processes:
        go(process)
    answers = [(await asyncio.to_thread(process.communicate))[0].split()[-2:] for process in processes]
    assert sorted(answers) == [["7", "False"], ["7", "True"], ["7", "True"], ["7", "True"]]
    assert sorted(executions(home)) == [("ok", 0), ("ok", 1), ("ok", 1), ("ok", 1)]


async def test_a_killed_kernel_is_replaced_by_one_that_waits(home, settings, start):
    async with FactCore(settings) as core:
        await keep(core)
    first, second = [await asyncio.to_thread(start) for _ in range(2)]
    go(first)
    await until_async(lambda: tool_has_begun(first.pid))
    go(second)
    assert await asyncio.to_thread(second.stdout.readline) == "queued\n"
    first.kill()
    assert (await asyncio.to_thread(second.communicate))[0] == "running\n7 False\n"
    assert executions(home) == [("ok", 0)]


async def test_who_waited_gets_the_answer_of_the_other_kernel(cores, home):
    await keep(cores[0])
    first, second = await first_runs_second_waits(cores)
    assert [(await run).metadata["cached"] for run in (first, second)] == [False, True]
    assert executions(home) == [("ok", 0), ("ok", 1)]


async def test_an_unproven_answer_made_while_one_waited_is_shared_and_confirmed_once(cores, home):
    await keep(cores[0], proven=False)
    first, second = await first_runs_second_waits(cores)
    assert [(await run).metadata["cached"] for run in (first, second)] == [False, True]
    assert [(await ask(core)).metadata["cached"] for core in (cores[1], cores[0])] == [False, True]


async def test_a_failure_is_not_shared(cores, home):
    await keep(cores[0])
    first, second = await first_runs_second_waits(cores, timeout_seconds=0.4)
    assert (await first).metadata["status"] == "timeout"
    assert (await second).metadata["cached"] is False
    assert executions(home) == [("timeout", 0), ("ok", 0)]


async def test_the_place_of_a_stopped_run_is_taken(cores, home):
    await keep(cores[0])
    first, second = await first_runs_second_waits(cores)
    first.cancel()
    assert (await second).metadata["cached"] is False
    assert executions(home) == [("interrupted", 0), ("ok", 0)]


async def test_an_interrupt_ends_the_wait_and_not_the_run_of_the_other_kernel(cores, home):
    await keep(cores[0])
    first, second = await first_runs_second_waits(cores)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert not first.done()
    assert executions(home) == [("interrupted", 0)]
    assert (await first).success


async def test_a_fresh_run_waits_for_nobody(cores, home):
    await keep(cores[0])
    first = ask(cores[0])
    await until_async(tool_has_begun)
    assert (await ask(cores[1], fresh=True)).metadata["cached"] is False
    assert (await first).metadata["cached"] is False


async def test_a_run_that_waits_far_beyond_its_own_limit_executes_by_itself(cores, home):
    """A kernel that a debugger has halted keeps its leases."""
    await keep(cores[0])
    stored = await cores[0].tool("nap")
    key = (await cores[0].plan(stored, ToolInput("nap", {"n": 7}))).key
    with cores[0]._leases.ask(key):
        output = await ask(cores[1], timeout_seconds=2)
    assert (output.success, output.metadata["cached"]) == (True, False)


async def test_stored_answers_are_given_while_another_kernel_runs_the_tool_again(cores, home):
    await keep(cores[0])
    assert (await ask(cores[0])).success
    fresh = ask(cores[0], fresh=True)
    await until_async(tool_has_begun)
    assert (await ask(cores[1])).metadata["cached"] is True
    assert not fresh.done()
    await fresh


async def test_the_lock_file_is_beside_the_database_and_closed_with_the_core(home, settings):
    async with FactCore(settings) as core:
        place = home / "fact_magics.db-leases"
        await keep(core)
        await ask(core)
        assert place.exists()
    with core._leases.ask("a" * 40) as free, Leases(place).ask("a" * 40) as other:
        assert free.is_held
        assert other.is_held
