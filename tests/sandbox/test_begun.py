"""Calls that a thread sends to the prepared process itself, and whose answer it takes before the process ends."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fact_magics import values
from fact_magics.sandbox import Call, Limits, Sandbox
from fact_magics.sandbox.child.family import descendants
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fact_magics.sandbox.begun import Begun
    from fact_magics.sandbox.outcome import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ECHO = "def tool(text):\n    print('printed')\n    return text\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.start()
    yield sandbox
    await sandbox.aclose()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a thread wait longer for an answer than a busy machine needs."""
    monkeypatch.setattr("fact_magics.sandbox.begun.QUICK_SECONDS", 2.0)


def call(source: str, *args: object) -> Call:
    return Call(source, "tool", values.encode({"args": list(args), "kwargs": {}}))


async def at_rest(sandbox: Sandbox) -> None:
    while not (sandbox.inspect().at_rest and sandbox.inspect().zygotes):
        await asyncio.sleep(0.01)


async def begin(sandbox: Sandbox, asked: Call) -> Begun:
    await at_rest(sandbox)
    begun = await asyncio.to_thread(sandbox.begin, asked)
    assert begun is not None
    return begun


async def answered(sandbox: Sandbox, asked: Call) -> Outcome | None:
    """Let a thread take the answer, or let the loop go on with the call; None if the thread got no answer.

    A thread that waits for a core may find that the process has ended, but not yet that it left nothing.
    """
    begun = await begin(sandbox, asked)
    outcome = await asyncio.to_thread(begun.answer)
    if outcome is not None:
        begun.finish()
    else:
        await sandbox.run(asked, begun=begun)
    return outcome


async def test_a_thread_gets_the_result_and_what_was_printed(sandbox: Sandbox) -> None:
    outcomes = [await answered(sandbox, call(ECHO, "text")) for _ in range(20)]
    for outcome in filter(None, outcomes):
        assert (outcome.status, outcome.result, outcome.printed) == (Status.OK, b'"text"', "printed\n")
        assert "landlock" in outcome.isolation
    assert any(outcomes)


async def test_a_request_that_does_not_fit_into_a_pipe_is_left_to_the_loop(sandbox: Sandbox) -> None:
    assert await answered(sandbox, call(ECHO, "x" * 200_000)) is None


async def test_a_thread_gets_a_result_that_does_not_fit_into_a_pipe(sandbox: Sandbox) -> None:
    outcomes = [await answered(sandbox, call("def tool():\n    return 'x' * 3_000_000\n")) for _ in range(5)]
    assert [len(outcome.result or b"") for outcome in outcomes if outcome] in [
        [3_000_002] * n for n in range(1, 6)
    ]


async def test_processes_that_were_answered_end_and_the_zygote_stays(sandbox: Sandbox) -> None:
    await at_rest(sandbox)
    before = [zygote.pid for zygote in sandbox.inspect().zygotes]
    for number in range(70):  # more than the limit of processes
        await answered(sandbox, call(ECHO, str(number)))
    await at_rest(sandbox)
    assert [zygote.pid for zygote in sandbox.inspect().zygotes] == before
    for pid in before:
        assert len(descendants(pid)) == 1  # the one that waits for the next call


FILE = "def tool():\n    open('file', 'w').close()\n    return 1\n"
PROCESS = "import os\ndef tool():\n    if not os.fork():\n        os.kill(os.getpid(), 19)\n    return 1\n"
ORPHAN = """
import os
def tool():
    if not os.fork():
        if not os.fork():
            os.kill(os.getpid(), 19)
        os._exit(0)
    os.wait()
    return 1
"""
THREAD = """
import threading, time
def tool():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return 1
"""


@pytest.mark.parametrize(
    "source", [FILE, PROCESS, ORPHAN, THREAD], ids=["file", "process", "orphan", "thread"]
)
async def test_a_call_that_leaves_something_is_not_answered_before_that_is_gone(
    sandbox: Sandbox, source: str
) -> None:
    begun = await begin(sandbox, call(source))
    outcome = await asyncio.to_thread(begun.answer)
    if outcome is None:
        outcome = await sandbox.run(begun.call, begun=begun)
    else:
        assert source is THREAD  # its process has begun to end, which ended the thread
        begun.finish()
        await at_rest(sandbox)
    assert (outcome.status, outcome.result) == (Status.OK, b"1")
    assert begun.prepared.pid not in descendants(os.getpid())
    assert not begun.prepared.scratch.is_dir() or not list(begun.prepared.scratch.iterdir())


@pytest.mark.parametrize(
    ("source", "status", "shown"),
    [
        ("def tool():\n    raise KeyError('key')\n", Status.ERROR, "KeyError"),
        ("import os\ndef tool():\n    os._exit(3)\n", Status.ERROR, "exit code 3"),
        (
            "import os\ndef tool():\n    os.write(11, b'R' + bytes(7) + b'\\x01xy')\n",
            Status.ERROR,
            "not a result",
        ),
    ],
    ids=["raises", "exits", "forges too much"],
)
async def test_a_call_without_a_result_is_judged_by_its_end(
    sandbox: Sandbox, source: str, status: Status, shown: str
) -> None:
    begun = await begin(sandbox, call(source))
    assert await asyncio.to_thread(begun.answer) is None
    outcome = await sandbox.run(begun.call, begun=begun)
    assert outcome.status is status
    assert outcome.error is not None
    assert shown in f"{outcome.error.type_name} {outcome.error.message}"


async def test_a_slow_call_goes_on_where_it_is(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not run again, its limits hold, and what it prints arrives."""
    monkeypatch.setattr("fact_magics.sandbox.begun.QUICK_SECONDS", 0.001)
    source = "import os, time\ndef tool():\n    print('begun')\n    time.sleep(0.1)\n    return os.getpid()\n"
    begun = await begin(sandbox, call(source))
    pid = begun.prepared.pid
    assert await asyncio.to_thread(begun.answer) is None
    pieces: list[str] = []
    outcome = await sandbox.run(begun.call, pieces.append, begun=begun)
    assert outcome.result == values.encode(pid)
    assert "".join(pieces) == outcome.printed == "begun\n"
    for_ever = Call(
        "def tool():\n    while True:\n        pass\n", "tool", call("").arguments, timeout_seconds=0.2
    )
    begun = await begin(sandbox, for_ever)
    assert await asyncio.to_thread(begun.answer) is None
    assert (await sandbox.run(for_ever, begun=begun)).status is Status.TIMEOUT


async def test_a_call_that_is_dropped_is_killed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fact_magics.sandbox.begun.QUICK_SECONDS", 0.001)
    begun = await begin(sandbox, call("import time\ndef tool():\n    time.sleep(60)\n"))
    pid = begun.prepared.pid
    assert await asyncio.to_thread(begun.answer) is None
    begun.drop()
    begun.drop()
    await at_rest(sandbox)
    assert pid not in descendants(os.getpid())
    assert (await sandbox.run(call(ECHO, "next"))).result == b'"next"'


async def test_a_process_is_given_to_one_call_only(sandbox: Sandbox) -> None:
    begun = await begin(sandbox, call(ECHO, "first"))
    assert sandbox.begin(call(ECHO, "second")) is None
    assert (await sandbox.run(begun.call, begun=begun)).result == b'"first"'
    assert (await sandbox.run(call(ECHO, "second"))).result == b'"second"'


async def test_only_a_prepared_process_of_the_kind_is_given(sandbox: Sandbox, tmp_path: Path) -> None:
    await at_rest(sandbox)
    asked = call(ECHO, "text")
    permitted = Call(asked.source, "tool", asked.arguments, permissions=(f"read:{tmp_path}",))
    assert sandbox.begin(permitted) is None
    assert Sandbox(mode="require").begin(asked) is None  # it has not started


async def test_a_call_that_has_begun_outlives_a_change_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fact_magics.sandbox.begun.QUICK_SECONDS", 0.001)
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.start()
    try:
        begun = await begin(sandbox, call("import time\ndef tool():\n    time.sleep(0.2)\n    return 1\n"))
        await sandbox.reconfigure("require", Limits(threads=8))
        assert await asyncio.to_thread(begun.answer) is None
        assert sandbox.inspect().retiring == 1
        assert (await sandbox.run(begun.call, begun=begun)).result == b"1"
        while sandbox.inspect().retiring:
            await asyncio.sleep(0.01)
    finally:
        await sandbox.aclose()
