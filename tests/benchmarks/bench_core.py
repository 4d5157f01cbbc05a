"""What a cached run costs in the core above validation, on the thread that calls it.

Run it: ``python tests/benchmarks/bench_core.py``. Two ways lead to an answer from memory: a tool called as a
function, which gives the value, and a plan that is recalled, which gives the `ToolOutput` of a cell. Each is timed
turn by turn with validation alone, which is then taken off. At most 10 µs is promised.

A promise in microseconds is about this code, not about what else a machine does: a round's time is that of its
fastest batch, as `timeit` has it, and the median of the rounds counts. The median of all batches stands beside it.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING

from figures import Line, at_most, median, own_home, show
from toolbox import core, stock

from fact_magics.tool import ToolInput, ToolOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool

PROMISED_MICROSECONDS = 10.0
ROUNDS = 100
BATCHES = 7
CALLS = 30
INPUT = {"text": "Some Title", "times": 3}


class Timed:
    """Something that is called in short batches; times are microseconds a call."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._rounds: list[list[float]] = [[]]

    def batch(self) -> None:
        """Time one batch."""
        call = self._call
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        self._rounds[-1].append((time.perf_counter() - started) / CALLS * 1e6)

    def end_round(self) -> None:
        """Begin another round."""
        self._rounds.append([])

    @property
    def fastest(self) -> float:
        """The median of the rounds' fastest batches."""
        return median([min(batches) for batches in self._rounds if batches])

    @property
    def usual(self) -> float:
        """The median of all batches."""
        return median([time for batches in self._rounds for time in batches])


async def compare(opened: FactCore, tool: Tool, rounds: int) -> list[Line]:
    """Time both ways and validation, turn by turn; the rows are committed between the batches."""
    signature = tool.loaded.signature
    request = ToolInput(tool.name, INPUT)
    bound = signature.bind((INPUT["text"],), {"times": INPUT["times"]})
    # The first call runs; the others are answered from memory.
    if await tool.acall(**INPUT) != "Some Title" * 3:
        raise SystemExit("the tool gave something else")

    def validate() -> object:
        return signature.validate(bound)

    def call() -> object:
        return tool(INPUT["text"], times=INPUT["times"])

    def recall() -> object:
        output = opened.begin(tool, request)
        if not isinstance(output, ToolOutput):
            raise SystemExit("an answer was not in memory")
        return output

    ways = {"a cached call in the core": Timed(call), "a cached plan in the core": Timed(recall)}
    alone = Timed(validate)
    gc.collect()
    for _ in range(rounds):
        for _ in range(BATCHES):
            for timed in (alone, *ways.values()):
                timed.batch()
        if len(opened._recorder._pending) != len(ways) * BATCHES * CALLS:
            raise SystemExit("a cached run left no row")
        await opened._recorder.flush()
        for timed in (alone, *ways.values()):
            timed.end_round()
    return [
        at_most(
            name,
            PROMISED_MICROSECONDS,
            timed.fastest - alone.fastest,
            "µs",
            f"µs: run {timed.fastest:.2f}, validation alone {alone.fastest:.2f}, {rounds} rounds; "
            f"median of all batches {timed.usual:.2f} and {alone.usual:.2f}",
        )
        for name, timed in ways.items()
    ]


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
