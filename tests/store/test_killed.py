"""What a kernel has committed survives it, whenever it is killed; four kernels on one file lose nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fact_magics.store import Candidate, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

# Each child commits row after row, and writes the number of a row when its commit has returned.
KILLED = """
    import asyncio, os, random, select, signal, sys, time
    from pathlib import Path
    from fact_magics.store import ExecutionRow, Store
    from fact_magics.tool import Status

    def work(path, me, out):
        store = asyncio.run(Store.open(path))
        for number in range(100_000):
            row = ExecutionRow(id=f"{me:08x}{number:08x}", tool_name="t", status=Status.OK, input_data="word " * 50)
            store.commit_blocking([row])
            os.write(out, b"%d %d\\n" % (me, number))

    chance = random.Random(12)
    for me in range(50):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            work(Path(sys.argv[1]), me, write)
        os.close(write)
        time.sleep(chance.uniform(0.0, 0.1))
        select.select([read], [], [], chance.choice([0, 60]))  # before the first commit, or after it
        time.sleep(chance.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(read, "rb") as told:
            sys.stdout.write(told.read().decode())
"""

CALLS = """
    import asyncio, sys
    from pathlib import Path
    from fact_magics import FactCore, load_settings
    from fact_magics.tool import ToolInput

    async def main(path, me):
        values = {"isolation": "process", "home": str(Path(path).parent), "database": f"sqlite:///{path}"}
        async with FactCore(load_settings(values, Path(path).parent, {})) as core:
            for first in range(0, 100, 10):
                inputs = [ToolInput("double", {"n": 1000 * int(me) + number // 2}) for number in range(first, first + 10)]
                outputs = await asyncio.gather(*map(core.execute_tool, inputs))
                assert all(output.success and "warning" not in output.metadata for output in outputs), outputs
            print(core.session_id)

    asyncio.run(main(*sys.argv[1:]))
"""


def checked(path: Path) -> list[tuple[object, ...]]:
    """Check the whole file, and return its runs and the words that are indexed."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO execution_search (execution_search) VALUES ('integrity-check')")
        assert not connection.execute("PRAGMA foreign_key_check").fetchall()
        return connection.execute("SELECT id, session_id, cached FROM tool_executions").fetchall()


async def test_a_committed_row_survives_fifty_kills(
    path: Path, start: Callable[..., object], finish: Callable[..., str]
) -> None:
    told = [line.split() for line in finish(start(KILLED), timeout=300).splitlines()]
    assert len({me for me, _ in told}) >= 20
    kept = {str(row[0]) for row in checked(path)}
    assert {f"{int(me):08x}{int(number):08x}" for me, number in told} <= kept
    assert len(kept) <= len(told) + 50  # of each child, the commit that had not returned
    async with await Store.open(path) as store:
        assert (await store.history.stats()).runs == len(kept)


async def test_four_kernels_and_four_hundred_calls_lose_no_row(
    path: Path, start: Callable[..., object], finish: Callable[..., str]
) -> None:
    from fact_magics.signature import read_signature, signature_identity

    source = "def double(n: int) -> int:\n    return 2 * n\n"
    identity = signature_identity(read_signature(source, "double"))
    async with await Store.open(path) as store:
        await store.tools.accept(
            Candidate(name="double", source=source, signature_id=identity, description="", proven=True)
        )
    sessions = finish(*(start(CALLS, str(me)) for me in range(4)), timeout=300).split()
    rows = checked(path)
    assert {session: sum(row[1] == session for row in rows) for session in sessions} == dict.fromkeys(
        sessions, 100
    )
    async with await Store.open(path) as store:
        assert (await store.history.stats()).runs == 400
