"""What a cached run costs in the core above validation, on the thread that calls it.

Run it: ``python tests/benchmarks/bench_core.py``. Two ways lead to an answer from memory: a tool called as a
function, which gives the value, and a plan that is recalled, which gives the `ToolOutput` of a cell. Each is timed
in short batches, turn by turn with validation alone, which is then taken off. At most 10 µs is promised.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING

from figures import Line, at_most, median, own_home, show
from toolbox import core, stock

from fact_magics import execution

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.core import FactCore
    from fact_magics.handle import Tool

PROMISED_MICROSECONDS = 10.0
ROUNDS = 300
CALLS = 100
INPUT = {"text": "Some Title", "times": 3}


def batch(call: Callable[[], object]) -> float:
    """Time one call, in microseconds, as the mean of a short batch."""
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS * 1e6


async def compare(opened: FactCore, tool: Tool, rounds: int) -> list[Line]:
    """Time both ways and validation, turn by turn; the rows are committed between the batches."""
    signature, loaded = tool.loaded.signature, tool.loaded
    bound = signature.bind((INPUT["text"],), {"times": INPUT["times"]})
    # The first call runs; the others are answered from memory.
    if await tool.acall(**INPUT) != "Some Title" * 3:
        raise SystemExit("the tool gave something else")

    def validate() -> object:
        return signature.validate(bound)

    def call() -> object:
        return tool(INPUT["text"], times=INPUT["times"])

    def recall() -> object:
        output = opened.runner.recall(execution.plan(loaded, INPUT))
        if output is None:
            raise SystemExit("an answer was not in memory")
        return output

    ways = {"a cached call in the core": call, "a cached plan in the core": recall}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    alone: list[float] = []
    gc.collect()
    for _ in range(rounds):
        alone.append(batch(validate))
        for name, way in ways.items():
            taken[name].append(batch(way))
        if opened.history.pending != len(ways) * CALLS:
            raise SystemExit("a cached run left no row")
        await opened.history.flush()
    lines = []
    for name, times in taken.items():
        above = median(times) - median(alone)
        measured = f"median µs: run {median(times):.2f}, validation alone {median(alone):.2f}, {rounds} rounds"
        lines.append(at_most(name, PROMISED_MICROSECONDS, above, "µs", measured))
    return lines


async def main(rounds: int) -> list[Line]:
    """Open a core on a database of its own and measure there."""
    with own_home() as env:
        await stock(env)
        async with core(env) as opened:
            return await compare(opened, await opened.tool("repeat"), rounds)


def measure(rounds: int = ROUNDS) -> list[Line]:
    """Measure a small input."""
    return asyncio.run(main(rounds))


if __name__ == "__main__":
    raise SystemExit(show(measure()))
