"""`Tool.map` on a real core: answers, failures, processes, and how it goes on after it was stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pytest
from waiting import until_async

import fact_magics
from fact_magics.errors import FactError, InvalidInput, ToolFailed
from fact_magics.mapping.calls import planned
from fact_magics.mapping.executor import LocalPool
from fact_magics.mapping.options import MapOptions
from fact_magics.mapping.running import RowMap
from fact_magics.mapping.table import PART_SECONDS, read_table
from fact_magics.tool import Status

pytestmark = pytest.mark.slow

PLUS = "def f(n: int, k: int = 0) -> int:\n    return n + k\n"
NAP = "import time\n\ndef f(n: int) -> int:\n    time.sleep(0.02)\n    return n\n"
# The check of the source does not see this; the sample does.
SNEAKY = """
import json

def f(n: int) -> int:
    table = json.encoder.ESCAPE_DCT
    found = len(table)
    table[f"key {n}"] = "x"
    return found - len(dict(table)) + 1
"""
LATE = SNEAKY.replace('table[f"key {n}"]', 'table[f"key {max(n, 50)}"]')
BAD = """
def f(n: int) -> int:
    if n == 37:
        raise ValueError("no 37")
    if n == 57:
        while True:
            pass
    if n == 61:
        return len("x" * (1 << 40))
    return n
"""


# Row 50 writes the answers of the rows behind it, and ends the process.
FORGING = """
import collections

def f(n: int) -> int:
    frame = collections._sys._getframe() if n == 50 else None
    while frame is not None and "held" not in frame.f_locals:
        frame = frame.f_back
    if frame is not None:
        here, module = frame.f_locals, frame.f_globals
        for _ in range(3):
            here["held"].add(b"r", b"66666", b"", 1.0)
        block = here["held"].block(here["number"] + 2)
        module["_send"](here["results"], block + b"R" + (2).to_bytes(8, "big") + b"{}")
        module["_leave"](0)
    return n
"""


async def rows_of(core, result) -> list:
    return await core.list_runs(parent_id=result.map_id, limit=None)


async def executed(core, **chosen) -> int:
    runs = await core.list_runs(limit=None, **chosen)
    return sum(not run.cached and run.status is Status.OK for run in runs)


async def test_a_row_can_not_write_the_answers_of_other_rows(core, keep):
    tool = await keep(FORGING)
    assert await tool.amap(range(60)) == [*range(60)]


async def test_a_map_that_goes_on_reads_files_that_have_changed(core, keep, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("1")
    second.write_text("x")
    source = "from pathlib import Path\n\ndef f(p: Path) -> int:\n    return int(p.read_text())\n"
    tool = await keep(source, proven=False)
    assert (await tool.amap([first, second])).counts["failed"] == 1
    first.write_text("7")
    second.write_text("2")
    assert await tool.amap([first, second]) == [7, 2]


@pytest.mark.parametrize(
    "option",
    [
        {"timeout_seconds": -1},
        {"memory_mb": "a"},
        {"permissions": "net:x"},
        {"ttl_seconds": 0},
        {"stop_on_error": "no"},
    ],
)
async def test_an_option_that_does_not_fit_is_refused_before_a_row_runs(core, keep, option):
    tool = await keep(PLUS)
    with pytest.raises(FactError, match=f"{next(iter(option))} must be"):
        await tool.amap([1], **option)
    assert not await core.list_runs()


async def test_rows_share_processes_and_each_is_a_run_of_the_map(core, keep):
    tool = await keep(PLUS)
    result = await tool.amap(range(300), k=1)
    assert list(result) == [n + 1 for n in range(300)]
    assert result.counts == {"ok": 300, "cached": 0, "failed": 0, "skipped": 0}
    assert result.notes == ()  # no reason to give each row a process
    rows = await rows_of(core, result)
    assert [(row.position, row.input_data) for row in rows] == [(n, f'{{"n":{n},"k":1}}') for n in range(300)]
    assert await core.list_runs(parent_id="") == []
    (line,) = await core.list_maps()
    assert (line.id, line.status, line.ok, line.total) == (result.map_id, Status.OK, 300, 300)
    again = await tool.amap(range(300), k=1)
    assert again.counts["cached"] == 300
    assert again.values == result.values


@pytest.mark.parametrize("source", ["return n", "print(n); return n"])
async def test_each_row_is_one_hit_or_one_miss_of_the_memory(core, keep, source):
    tool = await keep(f"def f(n: int) -> int:\n    {source}\n")
    await tool.amap([*range(20)])
    await tool.amap([*range(30)])
    tiers = await core.cache_tiers()
    assert (tiers["memory"].hits, tiers["memory"].misses) == (20, 30)
    assert (tiers["database"].hits, tiers["database"].misses) == (0, 30)


async def test_equal_rows_run_once(core, keep):
    tool = await keep(PLUS)
    result = await tool.amap([1, 2, 1, 1], isolate="row")
    assert list(result) == [1, 2, 1, 1]
    assert (result.counts["ok"], result.counts["cached"]) == (2, 2)


async def test_failures_stay_beside_results_and_hanging_rows_are_found(core, keep):
    tool = await keep(BAD)
    result = await tool.amap([*range(80), "x"], timeout_seconds=2.5)
    assert [row for row, value in enumerate(result) if value is None] == [37, 57, 61, 80]
    assert sorted(result.errors) == [37, 57, 61, 80]
    assert "no 37" in result.errors[37]
    assert "time 2.5 s" in result.errors[57]
    assert "memory" in result.errors[61]
    assert "valid integer" in result.errors[80]
    assert result.counts == {"ok": 77, "cached": 0, "failed": 4, "skipped": 0}
    statuses = {row.input_data: row.status for row in await rows_of(core, result)}
    assert statuses['{"n":57}'] is Status.TIMEOUT


async def test_it_ends_at_the_first_failure_if_asked(core, keep):
    tool = await keep(BAD)
    with pytest.raises(
        ToolFailed, match=r"Row 7 failed: f raised ValueError: no 37\. 3,9\d\d rows were not run\."
    ) as raised:
        await tool.amap(range(30, 4000), stop_on_error=True, isolate="row")
    assert raised.value.result.errors[7] == "f raised ValueError: no 37"
    assert raised.value.result.counts["skipped"] > 3000


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([1, 2, 37, 4, 5, 6, 7, 8, 9, 10], {"ok": 2, "failed": 1, "skipped": 7}),
        ([1, 2, "x", 4], {"ok": 2, "failed": 1, "skipped": 1}),
        ([1, 37, 2, "x", 4], {"ok": 1, "failed": 1, "skipped": 3}),
        (["x", 1], {"ok": 0, "failed": 1, "skipped": 1}),
    ],
)
async def test_no_row_after_the_failure_runs_in_a_small_map(core, keep, rows, counts):
    """Rows before it are run, also before a row whose input is not valid."""
    tool = await keep(BAD)
    with pytest.raises(ToolFailed) as raised:
        await tool.amap(rows, stop_on_error=True)
    result = raised.value.result
    assert result.counts == {"cached": 0, **counts}
    failing = counts["ok"]
    assert [*result.errors] == [failing]
    assert result.values == [*rows[:failing], *[None] * (len(rows) - failing)]
    statuses = [row.status for row in await rows_of(core, result)]
    assert len(statuses) == failing + 1


async def test_few_rows_after_the_failure_run_where_rows_share_processes(core, keep):
    """A process answers far more rows than these in a moment."""
    tool = await keep(BAD)
    rows = [*range(100, 200), 37, *range(200, 1000)]
    with pytest.raises(ToolFailed) as raised:
        await tool.amap(rows, stop_on_error=True)
    assert raised.value.result.counts["ok"] in range(100, 150)
    assert not raised.value.result.notes


async def test_the_rows_before_the_failure_end_although_they_take_longer(core, keep):
    tool = await keep(
        "import time\n\ndef f(n: int) -> int:\n    time.sleep(0.3 * (n == 50))\n    return 1 // (n != 51)\n"
    )
    with pytest.raises(ToolFailed, match="Row 51 failed") as raised:
        await tool.amap(range(400), stop_on_error=True, isolate="row")
    assert raised.value.result.values[:51] == [1] * 51
    assert raised.value.result.counts["ok"] < 80


@pytest.mark.parametrize("source", [SNEAKY, LATE])
async def test_a_tool_that_changes_a_module_gets_a_process_for_each_row(core, keep, source):
    tool = await keep(source)
    result = await tool.amap(range(90))
    assert set(result) == {0}
    assert "Each row had a process of its own: a row changed json.encoder" in result.notes[0]


async def test_a_tool_that_keeps_a_counter_gets_a_process_for_each_row(core, keep):
    tool = await keep(
        "count = 0\n\ndef f(n: int) -> int:\n    global count\n    count += 1\n    return count\n"
    )
    result = await tool.amap(range(30))
    assert set(result) == {1}
    assert result.notes == ("Each row had a process of its own: it assigns count outside its function.",)


async def stop_once(condition, mapping):
    """Cancel a map as soon as a condition holds."""
    task = asyncio.create_task(mapping)
    await until_async(condition)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_map_that_was_stopped_goes_on_from_the_cache(core, keep):
    tool = await keep(NAP)
    await stop_once(lambda: core.rows.waiting > 3, tool.amap(range(40), isolate="row"))
    (line,) = await core.list_maps()
    assert line.status is Status.INTERRUPTED
    assert line.skipped > 0
    result = await tool.amap(range(40), isolate="row")
    assert list(result) == [*range(40)]
    assert result.counts["cached"] >= line.ok > 0
    assert await executed(core) == 40


async def test_answers_that_are_not_cached_are_kept_until_the_map_ends(core, keep):
    source = "import random, time\n\ndef f(n: int) -> float:\n    time.sleep(0.02)\n    return n + random.random()\n"
    tool = await keep(source, varies=True)
    await stop_once(lambda: core.rows.waiting > 3, tool.amap(range(30)))
    result = await tool.amap(range(30))
    assert result.counts["cached"] > 0
    assert sum(result.counts.values()) == 30
    assert await executed(core) == 30
    once_more = await tool.amap(range(30))
    assert once_more.counts["ok"] == 30
    assert set(once_more).isdisjoint(result)


async def test_a_map_of_other_rows_leaves_a_stopped_map_as_it_is(core, keep):
    tool = await keep(NAP, proven=False)
    await stop_once(lambda: core.rows.waiting > 3, tool.amap(range(30)))
    other = await tool.amap(range(100, 130))
    assert {run.position for run in await rows_of(core, other)} == {*range(30)}
    assert len(await rows_of(core, other)) == 30
    assert (await tool.amap(range(30))).counts["cached"] > 0


async def test_the_numbers_of_a_map_that_goes_on_are_those_of_its_stored_rows(core, keep, monkeypatch):
    monkeypatch.setattr("fact_magics.mapping.running._SAVE_SECONDS", 0.001)
    tool = await keep(PLUS)
    running = asyncio.create_task(tool.amap(range(300), isolate="row"))
    seen = []
    with closing(sqlite3.connect(core._store.path)) as connection:
        while not running.done():
            query = "SELECT ok, (SELECT count(*) FROM tool_executions WHERE parent_id = maps.id) FROM maps"
            seen += [row for row in connection.execute(query) if row[0]]
            await asyncio.sleep(0.002)
    assert (await running).counts["ok"] == 300
    assert seen
    assert all(told <= stored for told, stored in seen)


async def test_a_generator_that_waits_holds_nothing_up_after_a_stop(core, keep):
    tool = await keep(PLUS)
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def rows():
        yield 1
        begun.set()
        go_on.wait(20)
        ended.set()

    await stop_once(begun.is_set, tool.amap(rows()))
    assert await tool.acall(2) == 2
    assert not ended.is_set()
    go_on.set()
    await until_async(ended.is_set)


async def test_a_generator_is_read_in_parts(core, keep):
    tool = await keep(PLUS)

    def rows():
        yield from range(1200)
        raise LookupError("the source is gone")

    with pytest.raises(InvalidInput, match="LookupError: the source is gone") as raised:
        await tool.amap(rows())
    assert raised.value.result.values == [*range(1200)]


async def test_a_cursor_that_another_thread_can_t_read_says_what_to_pass(core, keep):
    tool = await keep(PLUS)
    with closing(sqlite3.connect(":memory:")) as connection:
        cursor = connection.execute("SELECT 1 AS n")
        with pytest.raises(InvalidInput, match=r"ProgrammingError.*\n.*Pass list\(…\) of it"):
            await tool.amap(row[0] for row in cursor)


async def test_the_rows_of_a_slow_generator_run_as_they_come(core, keep):
    tool = await keep(PLUS)
    go_on = threading.Event()

    def rows():
        for number in range(3):
            yield number
            time.sleep(PART_SECONDS)
        go_on.wait(20)
        yield from range(3, 40)

    mapping = planned(tool, core.rows, [rows()], {})
    running = asyncio.create_task(mapping.run())
    await until_async(lambda: mapping.result().counts["ok"] == 3)
    assert list(mapping.result()) == [0, 1, 2]
    assert not running.done()
    go_on.set()
    assert list(await running) == [*range(40)]


async def test_equal_rows_run_once_although_their_parts_wait_for_a_slow_sample(core, keep):
    tool = await keep("import time\n\ndef f(n: int) -> int:\n    time.sleep(0.1 * (n < 8))\n    return n\n")
    result = await tool.amap([*range(64)] * 3, ttl_seconds=60)
    assert result.counts == {"ok": 64, "cached": 128, "failed": 0, "skipped": 0}


async def test_a_map_of_many_rows_is_stored_whole_after_it_has_returned(core, keep):
    tool = await keep(PLUS)
    result = await tool.amap(range(6_000))
    [shown] = await core.list_maps()
    stored = await rows_of(core, result)
    assert (shown.id, shown.ok, shown.status, shown.total) == (result.map_id, 6_000, Status.OK, 6_000)
    assert shown.ended_at is not None
    assert {run.position for run in stored} == {*range(6_000)}
    assert (await tool.amap(range(6_000))).counts == {"ok": 0, "cached": 6_000, "failed": 0, "skipped": 0}


async def test_a_map_of_many_rows_returns_while_another_program_locks_the_database(core, keep, monkeypatch):
    monkeypatch.setattr("fact_magics.mapping.running._SAVE_SECONDS", 60)
    tool = await keep(PLUS)
    await tool.amap(range(100))
    opened = sqlite3.connect(core._store.path, isolation_level=None, check_same_thread=False)
    with closing(opened) as other:

        def rows():
            yield from range(100, 5_100)
            other.execute("BEGIN IMMEDIATE")

        result = await tool.amap(rows())
        assert result.values == [*range(100, 5_100)]
        stored = "SELECT ok, ended_at FROM maps WHERE id = ?"
        assert other.execute(stored, (result.map_id,)).fetchall() == [(0, None)]
        other.execute("ROLLBACK")
    await core.flush()
    ended = await core.find_map(result.map_id)
    assert (ended.ok, ended.status) == (5_000, Status.OK)
    assert len(await rows_of(core, result)) == 5_000


async def test_a_map_can_be_called_from_another_thread(core, keep):
    tool = await keep(PLUS)
    result = await asyncio.to_thread(tool.map, [1, 2], k=3)
    assert list(result) == [4, 5]
    with pytest.raises(FactError, match="amap"):
        tool.map([1])


KILLED = """
    import asyncio, sys
    from pathlib import Path
    from fact_magics import FactCore, load_settings
    from fact_magics.store import Candidate
    from fact_magics.signature import read_signature, signature_identity

    async def main(home):
        async with FactCore(load_settings({}, Path(home), {"FACT_HOME": home})) as core:
            source = Path(home, "f.py").read_text()
            if "f" not in await core.tool_names():
                identity = signature_identity(read_signature(source, "f"))
                await core._store.tools.accept(Candidate(
                    name="f", source=source, signature_id=identity, description="", proven=True, contract=">>> f(1)"
                ))
            tool = await core.tool("f")
            print("begun", flush=True)
            result = await tool.amap(range(int(sys.argv[2])))
            print(*result.counts.values(), flush=True)

    asyncio.run(main(sys.argv[1]))
"""


def test_what_was_answered_before_a_kill_is_not_run_again(home):
    home.mkdir()
    count = 8_000
    # Rows that take long enough for some commits before the last row, also on a fast machine.
    (home / "f.py").write_text("def f(n: int) -> int:\n    return n + 0 * sum(range(60_000))\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(fact_magics.__file__).parents[1])}
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(home), str(count)]

    def stored() -> int:
        with closing(sqlite3.connect(home / "fact_magics.db")) as connection:
            query = "SELECT count(*) FROM tool_executions WHERE status = 'ok' AND NOT cached"
            return connection.execute(query).fetchone()[0]

    before = 0
    for _ in range(2):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        while stored() < before + 100 and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = stored()
    assert 200 <= before < count
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    ok, cached, failed, skipped = map(int, ended.stdout.split()[1:])
    assert (cached, failed, skipped) == (before, 0, 0)
    assert stored() == ok + cached == count


async def test_a_map_with_permissions_gives_each_row_a_process_that_has_them(core, keep, monkeypatch):
    """The rows of the sample don't need the permission, so the sample does not show that it is missing."""
    monkeypatch.setenv("PLACE", "here")
    tool = await keep(
        "import os\n\ndef f(n: int) -> str:\n    return os.environ['PLACE'] if n > 20 else 'early'\n"
    )
    found = await tool.amap(range(24), permissions=("env:PLACE",))
    assert found.values == ["early"] * 21 + ["here"] * 3
    assert found.notes == ("Each row had a process of its own: the map has permissions.",)


class AtTheEnd(LocalPool):
    """An executor that delivers a chunk's answers only at its end, as one on another machine may do."""

    rows_alone = 4

    def __init__(self, rows) -> None:
        super().__init__(rows)
        self.told: list[object] = []

    async def start(self) -> None:
        self.told.append("start")

    async def together(self, chunk, take):
        held = []
        outcome = await super().together(chunk, held.extend)
        self.told.append(len(chunk.rows))
        take(held)
        return outcome

    async def alone(self, calls):
        self.told.append(len(calls))
        return await super().alone(calls)

    async def aclose(self) -> None:
        self.told.append("end")


async def test_rows_run_wherever_the_executor_of_the_map_runs_them(core, keep):
    tool = await keep(PLUS)
    executor = AtTheEnd(core.rows)
    mapping = RowMap(
        core.rows,
        tool.loaded,
        read_table(tool.loaded.signature, {"n": range(100)}, {}),
        MapOptions(),
        executor,
    )
    assert list(await mapping.run()) == [*range(100)]
    first, *numbers, last = executor.told
    assert (first, last) == ("start", "end")
    assert numbers[:3] == [4, 4, 16]  # the sample, alone and then together
    assert sum(numbers[3:]) == 92


MIXED = """
from datetime import date

def f(n: int, at: date | None = None, more: list[int] | None = None, big: float = 0.5) -> dict[str, object]:
    if n == 40:
        print("forty")
    if n == 41:
        raise LookupError(n)
    return {"n": n, "$at": at, "more": more, "big": big * n if n % 3 else date(2026, 1, 1)}
"""


async def test_rows_in_chunks_are_recorded_and_kept_as_rows_alone_are(core, keep):
    tool = await keep(MIXED)
    rows = [
        *({"n": n, "more": [n], "big": 1} for n in range(20)),
        *({"n": n, "at": date(2026, 1, 2) if n % 2 else None} for n in range(20, 60)),
        {"n": "x"},
        *({"n": n, "big": float("nan"), "more": None} for n in range(60, 70)),
    ]
    together = await tool.amap(rows)
    alone = await tool.amap(rows, isolate="row", fresh=True)
    assert together.notes == ()
    assert repr(together.values) == repr(alone.values)
    assert together.errors == alone.errors
    for one, other in zip(await rows_of(core, together), await rows_of(core, alone), strict=True):
        differing = {"id", "parent_id", "duration_ms", "executed_at"}
        told = [
            {name: each[name] for name in each.keys() - differing} for each in (asdict(one), asdict(other))
        ]
        told = [{**each, "input_data": json.loads(each["input_data"])} for each in told]
        told = [{**each, "output_data": json.loads(each["output_data"] or "0")} for each in told]
        assert repr(sorted(told[0].items())) == repr(sorted(told[1].items()))
    again = await tool.amap(rows)
    assert again.counts == {"ok": 0, "cached": 69, "failed": 2, "skipped": 0}
    assert repr(again.values) == repr(together.values)


async def test_equal_rows_of_a_long_table_run_once(core, keep):
    tool = await keep(PLUS)
    result = await tool.amap([*range(1_500), *range(1_500), *range(1_500)])
    assert list(result) == [*range(1_500)] * 3
    assert (result.counts["ok"], result.counts["cached"]) == (1_500, 3_000)
    assert await executed(core) == 1_500


@pytest.mark.parametrize("others", [0, 100])
async def test_a_table_of_more_equal_rows_than_may_wait_is_read_to_its_end(core, keep, others):
    tool = await keep(PLUS)
    async with asyncio.timeout(120):
        result = await tool.amap([*[5] * 20_000, *range(others)])
    assert list(result) == [*[5] * 20_000, *range(others)]
    assert result.counts["ok"] == max(1, others)
    assert not result.notes


async def test_rows_are_committed_while_the_map_goes_on(core, keep):
    tool = await keep("def f(n: int) -> int:\n    return n + 0 * sum(range(20_000))\n")
    mapping = asyncio.create_task(tool.amap(range(5_000)))
    async with asyncio.timeout(120):
        while not await executed(core):
            await asyncio.sleep(0.01)
    assert not mapping.done()
    mapping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await mapping
    (line,) = await core.list_maps()
    assert await executed(core) == line.ok > 0
