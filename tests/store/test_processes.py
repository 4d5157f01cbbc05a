"""Several kernels on one file, kernels that are killed, and kernels that just end."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import StoreError
from fact_magics.store import ExecutionRow, Store, database
from fact_magics.tool import Status

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., subprocess.Popen[str]]

pytestmark = pytest.mark.slow

HAMMER = """
    import asyncio, sys
    from pathlib import Path
    from fact_magics.store import CacheEntry, Candidate, ExecutionRow, Store
    from fact_magics.tool import Status

    async def main(path, me):
        sys.stdin.readline()
        for opened in range(5):
            async with await Store.open(Path(path)) as store:
                await store.sessions.start(me)
                for number in range(6):
                    tool = await store.tools.accept(Candidate(
                        name="shared", source=f"# {me} {opened} {number}", signature_id="s", description="d",
                    ), session_id=me)
                    rows = [ExecutionRow(
                        session_id=me, tool_id=tool.metadata.id, tool_name="shared", status=Status.OK,
                        input_data=f"w{me} x{opened} y{number} z{i}",
                    ) for i in range(5)]
                    entry = CacheEntry(key="shared", tool_id=tool.metadata.id, result=b"1")
                    await store.commit(rows, cache_entries=[entry])
                    await store.history.runs(search=me, limit=3)
                    print(tool.metadata.version)

    asyncio.run(main(*sys.argv[1:]))
"""


async def test_four_processes_at_once_lose_no_row_and_never_meet_a_lock(
    path: Path, start: Start, finish: Callable[..., str]
) -> None:
    """They also race to make the file, to be its last user, and to give out version numbers."""
    processes = [start(HAMMER, f"a{me}") for me in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    versions = await asyncio.to_thread(finish, *processes)
    assert sorted(map(int, (line.split(".")[2] for line in versions.split()))) == [0, *range(1, 120)]
    async with await Store.open(path) as store:
        rows = await store.history.runs(limit=None)
        assert {row.input_data for row in rows} == {
            f"wa{me} x{opened} y{number} z{i}"
            for me in range(4)
            for opened in range(5)
            for number in range(6)
            for i in range(5)
        }
        assert len(rows) == len(await store.history.runs(search="wa", limit=None)) == 600
        assert len(await store.tools.versions("shared")) == 120
        entry = await store.cache.get("shared")
        assert entry is not None
        assert entry.confirmations == 120
        counted = await store._database.read(
            lambda it: it.execute("SELECT entries FROM cache_total").fetchone()
        )
        assert counted == (1,)
        checked = await store._database.read(lambda it: it.execute("PRAGMA integrity_check").fetchall())
    assert checked == [("ok",)]


async def test_two_stores_in_one_process_share_a_file(path: Path) -> None:
    async with await Store.open(path) as one, await Store.open(path) as other:
        await asyncio.gather(
            *(
                store.commit([ExecutionRow(tool_name="t", status=Status.OK)])
                for _ in range(50)
                for store in (one, other)
            )
        )
        assert len(await one.history.runs(limit=None)) == len(await other.history.runs(limit=None)) == 100


async def test_a_process_killed_inside_a_transaction_leaves_a_usable_database_without_its_half(
    path: Path, start: Start
) -> None:
    async with await Store.open(path) as store:
        await store.commit([ExecutionRow(tool_name="before", status=Status.OK)])
    killed = start("""
        import asyncio, sys, time
        from pathlib import Path
        from fact_magics.store import ExecutionRow, Store, history
        from fact_magics.tool import Status

        def half(connection):
            for _ in range(500):
                row = ExecutionRow(tool_name="half", status=Status.OK, printed="x" * 10_000)
                history.add_runs(connection, [row])
            print("inside", flush=True)
            time.sleep(600)

        async def main():
            store = await Store.open(Path(sys.argv[1]))
            await store.commit([ExecutionRow(tool_name="whole", status=Status.OK)])
            await store._database.write(half)

        asyncio.run(main())
    """)
    assert await asyncio.to_thread(killed.stdout.readline) == "inside\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    async with await Store.open(path) as store:
        await store.commit([ExecutionRow(tool_name="after", status=Status.OK)])
        assert {row.tool_name for row in await store.history.runs(limit=None)} == {"before", "whole", "after"}
        checked = await store._database.read(lambda it: it.execute("PRAGMA integrity_check").fetchall())
    assert checked == [("ok",)]


def test_an_interpreter_ends_with_a_store_that_nobody_closed(
    start: Start, finish: Callable[..., str]
) -> None:
    """aiosqlite's own thread would keep it for ever."""
    output = finish(
        start("""
        import asyncio, sys
        from pathlib import Path
        from fact_magics.store import ExecutionRow, Store
        from fact_magics.tool import Status

        async def main():
            global store
            store = await Store.open(Path(sys.argv[1]))
            await store.commit([ExecutionRow(tool_name="t", status=Status.OK)])
            print(len(await store.history.runs()))

        asyncio.run(main())
        """),
        timeout=20,
    )
    assert output == "1\n"


def test_an_interpreter_ends_while_a_write_waits_for_a_lock(
    path: Path, start: Start, finish: Callable[..., str]
) -> None:
    """The write would wait a minute; the loop that asked for it is closed long before."""
    asyncio.run(_make(path))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        output = finish(
            start("""
            import asyncio, sys
            from pathlib import Path
            from fact_magics.store import ExecutionRow, Store
            from fact_magics.tool import Status

            async def main():
                global store
                store = await Store.open(Path(sys.argv[1]))
                try:
                    async with asyncio.timeout(0.2):
                        await store.commit([ExecutionRow(tool_name="t", status=Status.OK)])
                except TimeoutError:
                    print("gave up")

            asyncio.run(main())
            """),
            timeout=30,
        )
    finally:
        blocker.close()
    assert output == "gave up\n"


def test_a_loop_that_closes_before_a_write_is_done_leaves_no_traceback(
    path: Path, start: Start, finish: Callable[..., str]
) -> None:
    output = finish(
        start("""
        import asyncio, sys, threading
        from pathlib import Path
        from fact_magics.store import Store

        begun, release = threading.Event(), threading.Event()

        def work(connection):
            begun.set()
            release.wait()

        async def main():
            global task
            store = await Store.open(Path(sys.argv[1]))
            task = asyncio.ensure_future(store._database.write(work))
            await asyncio.to_thread(begun.wait)
            return store

        store = asyncio.run(main())
        release.set()
        print(asyncio.run(store._database.read(lambda connection: connection.execute("SELECT 7").fetchone())))
        """)
    )
    assert output == "(7,)\n"


@pytest.mark.parametrize("seconds", [0.0, 5.0])
async def test_a_write_waits_for_a_program_that_holds_the_lock(
    path: Path, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where SQLite itself does not wait, as in the switch to WAL."""
    monkeypatch.setattr(database, "BUSY_SECONDS", seconds)
    async with await Store.open(path) as store:
        blocker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        blocker.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(store.commit([ExecutionRow(tool_name="t", status=Status.OK)]))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        blocker.execute("ROLLBACK")
        blocker.close()
        await waiting
        assert len(await store.history.runs()) == 1


async def test_readers_do_not_wait_for_a_writer(path: Path) -> None:
    async with await Store.open(path) as store:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        blocker.execute("UPDATE cache_total SET entries = 3")
        assert await store.history.runs() == []
        counted = await store._database.read(
            lambda it: it.execute("SELECT entries FROM cache_total").fetchone()
        )
        assert counted == (0,)
        blocker.close()


async def _make(path: Path) -> None:
    async with await Store.open(path):
        pass


async def test_the_thread_ends_with_the_store_and_with_a_refusal(path: Path) -> None:
    before = set(threading.enumerate())
    async with await Store.open(path):
        (thread,) = set(threading.enumerate()) - before
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()
    with pytest.raises(StoreError):
        await Store.open(path.parent)
    for left in set(threading.enumerate()) - before:
        if "connection_worker" in left.name:
            await asyncio.to_thread(left.join, 30)
            assert not left.is_alive()


def test_importing_the_store_imports_no_notebook_and_no_model(
    start: Start, finish: Callable[..., str]
) -> None:
    heavy = {"IPython", "ipywidgets", "anthropic", "litellm"}
    output = finish(start("import json, sys, fact_magics.store; print(json.dumps(list(sys.modules)))"))
    assert heavy.isdisjoint(json.loads(output))
