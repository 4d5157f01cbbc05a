"""A process starts with an environment of its own, whatever the notebook does with its own meanwhile."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from threading import Event, Thread

import pytest

from fact_magics import values
from fact_magics.sandbox import Call, Sandbox, boot
from fact_magics.tool import Status

NOTHING = b'{"args":[],"kwargs":{}}'
VARIABLES = "import os\n\ndef tool():\n    return dict(os.environ)\n"


@pytest.fixture(params=["env", "python", "python with an = in its path"])
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Systems where `env` starts the interpreter, and where it can't."""
    if request.param == "python":
        monkeypatch.setattr(boot, "ENV_PROGRAM", None)
    elif request.param != "env":
        link = tmp_path / "a=b"
        link.symlink_to(os.path.realpath(boot.sys.executable))
        monkeypatch.setattr(boot.sys, "executable", str(link))


def below(pid: int) -> list[int]:
    """List the living processes that descend from `pid`."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = [int(child) for child in (task / "children").read_text().split()]
        found += [*children, *(grandchild for child in children for grandchild in below(child))]
    return found


@pytest.mark.usefixtures("launcher")
async def test_a_tool_sees_what_it_was_granted_and_no_process_of_it_holds_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the notebook's variables get there, nor does a granted value stand on a command line."""
    monkeypatch.setenv("FACT_TEST_SECRET", "not-for-tools")
    monkeypatch.setenv("FACT_TEST_GRANTED", "for-this-tool")
    sandbox = Sandbox(mode="require", size=1)
    try:
        call = Call(VARIABLES, "tool", NOTHING, permissions=("env:FACT_TEST_GRANTED",))
        outcome = await sandbox.run(call)
        held = [Path(f"/proc/{pid}/environ").read_text() for pid in below(os.getpid())]
        told = [Path(f"/proc/{pid}/cmdline").read_text() for pid in below(os.getpid())]
    finally:
        await sandbox.aclose()
    assert outcome.status is Status.OK, outcome
    assert outcome.result is not None
    seen = values.decode(outcome.result)
    assert seen["FACT_TEST_GRANTED"] == "for-this-tool"
    assert not {"FACT_TEST_SECRET", "PYTEST_CURRENT_TEST", "VIRTUAL_ENV"} & set(seen)
    assert held
    assert "not-for-tools" not in "".join([*held, *told])
    assert "for-this-tool" not in "".join(told)


async def test_processes_start_while_the_notebook_changes_its_environment() -> None:
    """A fork in that moment copies a lock that nobody in the child would ever give back."""
    over = Event()

    def change() -> None:
        while not over.is_set():
            os.environ["FACT_TEST_CHANGING"] = "1"
            del os.environ["FACT_TEST_CHANGING"]

    changing = Thread(target=change)
    changing.start()
    sandbox = Sandbox(mode="require", size=1)
    try:
        for imports in ((), ("hashlib",), ("sqlite3", "asyncio")):
            call = Call("def tool():\n    return 1\n", "tool", NOTHING, imports=imports)
            outcome = await asyncio.wait_for(sandbox.run(call), 30)
            assert outcome.status is Status.OK, outcome
    finally:
        over.set()
        changing.join()
        await sandbox.aclose()
