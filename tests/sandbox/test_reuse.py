"""What calls in one zygote share, and that no call can tell what an earlier one did with it."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from fact_magics import values
from fact_magics.sandbox import Call, Sandbox, prepared
from fact_magics.sandbox.warden import Warden
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# Runs a statement, and returns how the process found its directory, descriptors and streams before that.
LOOK = """
import fcntl, json, os, sys

def tool(statement):
    directory = os.stat(".")
    found = {
        "path": os.getcwd(), "home": os.environ["HOME"], "inode": directory.st_ino, "mode": directory.st_mode,
        "times": [directory.st_atime_ns, directory.st_mtime_ns], "entries": os.listdir("."),
        "descriptors": [], "pipes": [], "flags": [],
    }
    for number in range(300):
        try:
            status = os.fstat(number)
        except OSError:
            continue
        found["descriptors"].append(number)
        found["pipes"].append(status.st_ino)
        found["flags"].append(fcntl.fcntl(number, fcntl.F_GETFL))
    exec(statement)
    return json.dumps(found)
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox that runs one call at a time; all calls of this file go to one zygote, or to a spare one."""
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.start()
    yield sandbox
    await sandbox.aclose()


async def run(sandbox: Sandbox, source: str, *args: object) -> Any:
    """Run `tool` of a source, and decode what it returned."""
    wire = values.encode({"args": list(args), "kwargs": {}})
    outcome = await sandbox.run(Call(source, "tool", wire))
    assert outcome.status is Status.OK, outcome
    assert outcome.result is not None
    return values.decode(outcome.result)


async def look(sandbox: Sandbox, statement: str = "pass") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await run(sandbox, LOOK, statement))
    return found


async def test_a_directory_that_no_call_wrote_to_is_used_again_and_looks_new(sandbox: Sandbox) -> None:
    """Even that an earlier call listed it can't be seen in its times."""
    first, second = await look(sandbox), await look(sandbox)
    assert (first["path"], first["inode"]) == (second["path"], second["inode"])
    assert first["times"] == second["times"] == [0, 0]
    assert first["entries"] == second["entries"] == []
    assert second["home"] == second["path"]


@pytest.mark.parametrize(
    "statement",
    [
        "open('f', 'w').close()",
        "open('f', 'w').close(); os.remove('f')",
        "os.mkdir('d'); os.rmdir('d'); os.utime('.', ns=(0, 0))",
        "os.symlink('x', 'l'); os.remove('l'); os.chmod('.', 0o500); os.utime(os.open('.', os.O_RDONLY), ns=(0, 0))",
    ],
    ids=["leaves", "removes", "hides", "hides by descriptor"],
)
async def test_a_directory_that_a_call_wrote_to_is_not_used_again(sandbox: Sandbox, statement: str) -> None:
    """Also not if the call removed all that it made, and tried to set the directory's times back."""
    before = await look(sandbox, statement)
    after = await look(sandbox)
    assert after["path"] != before["path"]
    assert after["home"] == after["path"]
    assert (after["entries"], after["times"], after["mode"]) == ([], [0, 0], before["mode"])


async def test_a_directory_of_its_own_can_be_written_to_every_time(sandbox: Sandbox) -> None:
    """The rules for writing follow the directory."""
    writes = "open('f', 'w').write('x'); assert open('f').read() == 'x'"
    for statement in (writes, writes, "pass", writes):
        await look(sandbox, statement)


async def test_a_call_has_its_own_pipes_and_nothing_else_open(sandbox: Sandbox) -> None:
    """What a call does to a pipe, such as making it non-blocking, is not found by the next one."""
    unblock = "[fcntl.fcntl(n, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC) for n in found['descriptors']]"
    looks = [await look(sandbox, unblock) for _ in range(3)]
    assert [found["descriptors"] for found in looks] == [[0, 1, 2, 10, 11]] * 3
    assert looks[0]["flags"] == looks[1]["flags"] == looks[2]["flags"]
    pipes = [set(found["pipes"]) for found in looks]
    assert [len(inodes) for inodes in pipes] == [4, 4, 4]
    assert len(set.union(*pipes)) == 12


AHEAD = """
import re, sys
def tool(text):
    worker = sys.modules["_fact_worker"]
    words = re.findall("[a-c]+|AHEAD", text)
    return [words, len(worker.compiled), sum("AHEAD" in str(key) for key in re._cache)]
"""

CHECK = """
import re, sys
def tool():
    compiled = sys.modules["_fact_worker"].compiled
    return [len(compiled), len(re._cache)]
"""


async def test_a_tool_that_ships_is_compiled_ahead_and_works_the_same(sandbox: Sandbox) -> None:
    wire = values.encode({"args": ["abcd"], "kwargs": {}})
    call = Call(AHEAD, "tool", wire, verified=True)
    outcomes = [await sandbox.run(call) for _ in range(4)]
    assert [outcome.result for outcome in outcomes] == [b'[["abc"],0,1]'] * 4


async def test_other_tools_can_t_tell_what_was_compiled_ahead(sandbox: Sandbox) -> None:
    """Not even that there was something: an answer may not depend on what ran before."""
    assert await run(sandbox, CHECK) == [0, 0]


async def test_only_tools_that_ship_are_compiled_ahead(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zygote knows nothing of the tools that a model wrote, whose sources may be secrets of their user."""
    orders: list[dict[str, object]] = []
    real = Warden.order

    def note(warden: Warden, **order: object) -> None:
        orders.append(order)
        real(warden, **order)

    monkeypatch.setattr(Warden, "order", note)
    ships = "def tool():\n    return 'this one ships'\n"
    for verified in (False, True, False, True):
        wire = values.encode({"args": [], "kwargs": {}})
        source = ships if verified else ships.replace("this one", "another")
        assert (await sandbox.run(Call(source, "tool", wire, verified=verified))).status is Status.OK
    compiled = [order["compile"] for order in orders if "compile" in order]
    assert compiled == [[ships, "tool"]]


@pytest.mark.parametrize(
    ("expression", "warning"),
    [("text is 'a'", "SyntaxWarning"), ("re.findall('[[a]', text)", "FutureWarning")],
    ids=["source", "pattern"],
)
async def test_a_warning_of_the_compiler_is_printed_by_every_call(
    sandbox: Sandbox, expression: str, warning: str
) -> None:
    """So that printed text does not depend on what ran before."""
    source = f"import re\ndef tool(text):\n    return bool({expression})"
    call = Call(source, "tool", values.encode({"args": ["a"], "kwargs": {}}))
    printed = [(await sandbox.run(call)).printed for _ in range(3)]
    assert warning in printed[0]
    assert printed[0] == printed[1] == printed[2]


async def test_nothing_is_left_of_the_streams_of_the_zygote(sandbox: Sandbox) -> None:
    """A call's streams are those of its own pipes, with nothing in their buffers."""
    source = """
import sys
def tool():
    print("out")
    print("error", file=sys.stderr)
    sys.stdout.write("half a line")
    return [sys.stdin.read(), sys.stdin.isatty(), sys.stdout.isatty(), sys.stdout.seekable(), sys.stdout.encoding]
"""
    call = Call(source, "tool", b'{"args":[],"kwargs":{}}')
    for _ in range(3):
        outcome = await sandbox.run(call)
        assert outcome.printed == "out\nerror\nhalf a line"
        assert outcome.result == b'["",false,false,false,"utf-8"]'


class TestDescriptors:
    """Many containers don't let a process copy the descriptors of its children; then pipes are opened again."""

    @pytest.fixture
    def refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(handle: int, number: int) -> int:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(prepared, "take_descriptor", refuse)

    @pytest.mark.usefixtures("refused")
    async def test_calls_run_with_pipes_that_are_opened_again(self) -> None:
        sandbox = Sandbox(mode="require", size=1)
        try:
            source = "def tool(text):\n    print(text)\n    return text * 100_000\n"
            wire = values.encode({"args": ["some text"], "kwargs": {}})
            for _ in range(3):
                outcome = await sandbox.run(Call(source, "tool", wire))
                assert outcome.status is Status.OK, outcome
                assert outcome.result is not None
                assert values.decode(outcome.result) == "some text" * 100_000
                assert outcome.printed == "some text\n"
        finally:
            await sandbox.aclose()

    @pytest.mark.usefixtures("refused")
    async def test_only_pipes_are_opened_again(self, tmp_path: Path) -> None:
        """The zygote could report a file that it may only read, and have the parent write the request into it."""
        path = tmp_path / "file"
        path.write_text("as it was")
        with path.open() as file, pytest.raises(OSError, match="something other than a pipe"):
            prepared._taken(os.getpid(), -1, file.fileno(), os.O_WRONLY)
        assert path.read_text() == "as it was"
        reading, writing = os.pipe()
        again = prepared._taken(os.getpid(), -1, writing, os.O_WRONLY)
        os.write(again, b"x")
        assert os.read(reading, 2) == b"x"
        for descriptor in (reading, writing, again):
            os.close(descriptor)
