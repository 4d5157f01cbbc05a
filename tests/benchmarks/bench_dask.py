"""What a map takes on two Dask workers of this machine, beside the notebook's own sandbox on two cores.

Run it: ``python tests/benchmarks/bench_dask.py``. A tool that waits for 50 ms runs on rows that share processes, and
on rows that do not; each round runs the map here and there in turn, connecting included, and the median of the
rounds' ratios counts. The time that ``--on dask`` takes to start a cluster for a map is shown.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from figures import REPOSITORY, Line, at_least, median, own_home, show, shown
from toolbox import candidate, core, stock

sys.path.insert(0, str(REPOSITORY / "tests" / "helpers"))

from dask_clusters import DaskCluster

if TYPE_CHECKING:
    from fact_magics.core.handle import Tool

PROMISED = 0.9
ROWS = 200
ROUNDS = 3
WORKERS = 2

TOGETHER = """
def work(n: int) -> int:
    from time import sleep

    sleep(0.05)
    return n
"""


async def mapped(tool: Tool, rows: int, on: str | None, isolate: str) -> float:
    """Run all rows again; gives the seconds."""
    began = time.perf_counter()
    result = await tool.amap(range(rows), on=on, isolate=isolate, fresh=True)
    took = time.perf_counter() - began
    if result != [*range(rows)]:
        raise SystemExit(f"the map gave something else: {result!r}")
    return took


async def compare(tool: Tool, address: str, rounds: int, rows: int) -> list[Line]:
    """Run the map here and there in turn."""
    lines = []
    for name, isolate in (("in chunks", "auto"), ("a process a row", "row")):
        await mapped(tool, rows // 4, address, isolate)
        here, there = [], []
        for _ in range(rounds):
            here.append(await mapped(tool, rows, None, isolate))
            there.append(await mapped(tool, rows, address, isolate))
        ratio = median([one / other for one, other in zip(here, there, strict=True)])
        told = f"median s of {rows} rows: here {median(here):.2f}, there {median(there):.2f}"
        lines.append(at_least(f"two Dask workers, {name}", PROMISED, ratio, "x", told))
    return lines


async def main(rounds: int, rows: int) -> list[Line]:
    """Measure in a home of its own, on two cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:WORKERS])
    with own_home() as env, TemporaryDirectory() as folder:
        await stock(env, candidate("work", TOGETHER))
        async with core(env) as opened:
            tool = await opened.tool("work")
            with DaskCluster(Path(folder)) as cluster:
                for _ in range(WORKERS):
                    cluster.add_worker()
                lines = await compare(tool, cluster.address, rounds, rows)
            few = [await mapped(tool, 1, "dask", "auto") for _ in range(min(rounds, 3))]
        return [*lines, shown("a local Dask cluster, for one row", median(few), "s", f"{len(few)} rounds")]


def measure(rounds: int = ROUNDS, rows: int = ROWS) -> list[Line]:
    """Measure the map here, on a cluster, and on one that is started for it."""
    return asyncio.run(main(rounds, rows))


if __name__ == "__main__":
    raise SystemExit(show(measure()))
