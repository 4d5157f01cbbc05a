"""What a map costs a row, beside a process a row and beside a process pool that keeps and checks nothing.

A map of many rows returns its values while its last rows are being committed, within half a second. So the time
until the values are there is compared with that of the pool, and the time until all rows are committed is shown
beside it. The next measurement begins after the commit.

Run it: ``python tests/benchmarks/bench_map.py``. A tool of about ten microseconds runs on 20,000 rows, whose answers
are validated, recorded and kept. The same function, without isolation, runs by `ProcessPoolExecutor.map` in chunks,
its start included, as one would write it instead. A process a row is measured on fewer rows. Each round does all
three in turn, and the median of the rounds' ratios counts. ``--million`` maps a generator of a million rows in a
process of its own, and measures how much memory this adds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import timeit
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Line, at_least, at_most, median, own_home, show, shown
from toolbox import candidate, core, stock

from fact_magics.mapping.executor import LocalPool

if TYPE_CHECKING:
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool

ROWS = 20_000
FEW_ROWS = 5_000
ROWS_ALONE = 200
ROUNDS = 5
TOOL_SECONDS = 10e-6
FASTER, SLOWER, SECONDS, MEGABYTES = 20.0, 3.0, 0.5, 500.0
_CHUNK = 500


def work(n: int, times: int = 100) -> int:
    """Keep a core busy; the pool runs this, and the tool has its text."""
    total = 0
    for number in range(times):
        total += number * n % 7
    return total


SOURCE = '''def work(n: int, times: int) -> int:
    """Keep a core busy."""
    total = 0
    for number in range(times):
        total += number * n % 7
    return total
'''


def calibrate() -> int:
    """Find how often the loop turns in ten microseconds here."""
    fastest = min(timeit.repeat(lambda: work(12_345, 1_000), number=20, repeat=20)) / 20
    return max(1, round(1_000 * TOOL_SECONDS / fastest))


def pooled(rows: range, times: int) -> float:
    """Run the bare function in a process pool; gives the seconds."""
    began = time.perf_counter()
    with ProcessPoolExecutor(LocalPool.cores(), mp_context=get_context()) as pool:
        results = [*pool.map(work, rows, [times] * len(rows), chunksize=_CHUNK)]
    took = time.perf_counter() - began
    if results[1] != work(rows[1], times):
        raise SystemExit("the pool gave something else")
    return took


async def mapped(opened: FactCore, tool: Tool, rows: range, times: int, isolate: str = "auto") -> float:
    """Map the tool over rows that no map had before; gives the seconds."""
    took, _ = await mapped_and_committed(opened, tool, rows, times, isolate)
    return took


async def mapped_and_committed(
    opened: FactCore, tool: Tool, rows: range, times: int, isolate: str = "auto"
) -> tuple[float, float]:
    """Map the tool as `mapped` does; gives the seconds until the values were there, and the rows were stored."""
    began = time.perf_counter()
    result = await tool.amap(rows, times=times, isolate=isolate)
    took = time.perf_counter() - began
    await opened.flush()
    stored = time.perf_counter() - began
    if result.counts["ok"] != len(rows) or result[1] != work(rows[1], times) or result.notes:
        raise SystemExit(f"the map gave something else: {result!r}")
    return took, stored


async def compare(opened: FactCore, rounds: int, rows: int) -> list[Line]:
    """Run all in turn, on other rows each time."""
    tool = await opened.tool("work")
    await mapped(opened, tool, range(-400, 0), 1)
    chunks, stored, pools, alone, few = [], [], [], [], []
    for number in range(rounds):
        start, times = number * 4 * ROWS, calibrate()  # the speed of a machine may change
        pools.append(pooled(range(start, start + rows), times) / rows)
        took = await mapped_and_committed(opened, tool, range(start, start + rows), times)
        chunks.append(took[0] / rows)
        stored.append(took[1] / rows)
        part = range(start + ROWS, start + ROWS + ROWS_ALONE)
        alone.append(await mapped(opened, tool, part, times, "row") / ROWS_ALONE)
        few.append(await mapped(opened, tool, range(start + 2 * ROWS, start + 2 * ROWS + FEW_ROWS), times))
    faster = median([one / many for one, many in zip(alone, chunks, strict=True)])
    slower = median([many / bare for many, bare in zip(chunks, pools, strict=True)])
    told = ", ".join(
        f"{name} {median(seconds) * 1e6:.0f}"
        for name, seconds in (
            ("a process each", alone),
            ("in chunks", chunks),
            ("in chunks and committed", stored),
            ("the pool", pools),
        )
    )
    measured = f"µs a row: {told}; {rows:,} rows"
    return [
        at_least("rows in chunks, than a process a row", FASTER, faster, "×", measured),
        at_most("rows in chunks, beside a process pool", SLOWER, slower, "×", measured),
        at_most(f"a map of {FEW_ROWS:,} rows", SECONDS, median(few), "s", "median"),
    ]


async def main(rounds: int, rows: int) -> list[Line]:
    """Measure in a home of its own."""
    with own_home() as env:
        await stock(env, candidate("work", SOURCE))
        async with core(env) as opened:
            return await compare(opened, rounds, rows)


async def map_generator(rows: int) -> None:
    """Map a generator, and print what it took: the part of a process of its own."""
    with own_home() as env:
        await stock(env, candidate("work", SOURCE))
        async with core(env) as opened:
            tool = await opened.tool("work")
            await tool.amap(range(-400, 0), times=1)
            before, began = _most_megabytes(), time.perf_counter()
            result = await tool.amap((number for number in range(rows)), times=1)
            took = time.perf_counter() - began
            if result.counts["ok"] != rows:
                raise SystemExit(f"the map gave something else: {result!r}")
            print(json.dumps({"added": _most_megabytes() - before, "before": before, "seconds": took}))


def _most_megabytes() -> float:
    """Read the most memory that this process had since it started; `getrusage` may give that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure_generator(rows: int) -> list[Line]:
    """Map a generator in a fresh interpreter."""
    script = [sys.executable, __file__, "--generator", str(rows)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout)
    most = found["before"] + found["added"]
    measured = f"the most memory of the process; {found['before']:.0f} MB before"
    return [
        at_most(f"a generator of {rows:,} rows", MEGABYTES, most, "MB", measured),
        shown("its rows a second", rows / found["seconds"], "", f"{found['seconds']:.0f} s"),
    ]


def measure(rounds: int = ROUNDS, rows: int = ROWS, generated: int = 60_000) -> list[Line]:
    """Measure all."""
    return [*asyncio.run(main(rounds, rows)), *measure_generator(generated)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--million", action="store_true", help="map a generator of a million rows")
    parser.add_argument("--generator", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.generator:
        asyncio.run(map_generator(given.generator))
        raise SystemExit
    raise SystemExit(show(measure(given.rounds, generated=1_000_000 if given.million else 60_000)))
