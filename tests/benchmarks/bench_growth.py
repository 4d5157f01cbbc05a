"""That nothing takes longer because there is more in the database: a hit, a miss, the history.

Run it: ``python tests/benchmarks/bench_growth.py``. The same is asked of a database with 1,000 runs and of one with
50,000 runs, 15,000 answers and 5,000 tools, turn by turn; ``--rows 1000000 --tools 100000 --entries 300000`` asks a
large one. At most 1.5 times is allowed: what grows with the logarithm is within it, what grows with the number is
far above.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import AsyncExitStack, ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

from bulk import fill
from figures import Line, at_most, median, own_home, show
from toolbox import core, stock

from fact_magics.core.plan import plan_run
from fact_magics.store import ExecutionRow, Store
from fact_magics.tool import Status, ToolInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fact_magics.core import FactCore

ALLOWED = 1.5
SMALL = 1_000
ROWS = 50_000
ROUNDS = 50
OPENINGS = 5
SEARCH_MS = 2.0
COMMIT_US = 100.0
COUNTED_SECONDS = 30.0
_BATCH = 100


class Asked:
    """What is asked of one database; each gives what is awaited."""

    def __init__(self, opened: FactCore) -> None:
        self._core = opened
        self._misses = (f"{opened.session_id} {number}" for number in count())
        self._numbers = count()

    def _run(self, text: str) -> Awaitable[Any]:
        return self._core.execute_tool(ToolInput("repeat", {"text": text}))

    def hit(self) -> Awaitable[Any]:
        """From memory, its row committed."""
        return self._run("known")

    async def stored_hit(self) -> None:
        """From the database, its row committed."""
        self._core._memory.clear()
        await self._run("known")

    def miss(self) -> Awaitable[Any]:
        """From the sandbox; answer and row committed."""
        return self._run(f"new {next(self._misses)}")

    def plan(self) -> Awaitable[Any]:
        """Look for an answer that is not there."""
        tool = self._core.pinned("repeat")
        if tool is None:
            raise SystemExit("the tool is not pinned")
        key = plan_run(tool.loaded, {"text": f"unknown {next(self._misses)}"}).key
        return self._core._store.cache.get(key)

    def history(self) -> Awaitable[Any]:
        """What ``%fact history`` lists."""
        return self._core._store.history.runs(session_id=self._core.session_id, limit=20)

    def all_history(self) -> Awaitable[Any]:
        """What ``%fact history --session all --tool repeat`` lists."""
        return self._core._store.history.runs(tool_name="repeat", limit=20)

    def search(self) -> Awaitable[Any]:
        """What ``%fact history --search known`` lists."""
        return self._core._store.history.runs(search="known", limit=20)

    def stats(self) -> Awaitable[Any]:
        """What ``%fact stats`` shows."""
        return self._core.stats()

    def stats_since(self) -> Awaitable[Any]:
        """What ``%fact stats --since 7d`` shows."""
        return self._core.stats(since="7d")

    def stats_of_a_tool(self) -> Awaitable[Any]:
        """What ``%fact stats --tool repeat --since 7d`` shows."""
        return self._core.stats(tool_name="repeat", since="7d")

    def tools(self) -> Awaitable[Any]:
        """What ``%fact tools`` lists."""
        return self._core._store.tools.latest(limit=1)

    async def commit(self) -> None:
        """Store a hundred rows of a hundred tools in one transaction."""
        first = next(self._numbers)
        names = (f"repeat_{(first * _BATCH + number) * 104_729 % 1_000}" for number in range(_BATCH))
        rows = [
            ExecutionRow(tool_name=name, status=Status.OK, input_data=f'{{"text": "{name}"}}')
            for name in names
        ]
        await self._core._store.commit(rows)


QUESTIONS = {
    "a hit": Asked.hit,
    "a hit in the database": Asked.stored_hit,
    "a miss in the sandbox": Asked.miss,
    "an answer that is not there": Asked.plan,
    "%fact history": Asked.history,
    "%fact history --session all": Asked.all_history,
    "%fact history --search": Asked.search,
    "%fact stats": Asked.stats,
    "%fact stats --since": Asked.stats_since,
    "%fact stats --tool --since": Asked.stats_of_a_tool,
    "%fact tools": Asked.tools,
    "a hundred rows committed": Asked.commit,
}


async def timed(question: Callable[[Asked], Awaitable[Any]], asked: Asked) -> float:
    """Ask; milliseconds."""
    started = time.perf_counter()
    await question(asked)
    return (time.perf_counter() - started) * 1e3


async def main(rounds: int, rows: int, tools: int, entries: int) -> list[Line]:
    """Ask both databases in turn, and open them several times.

    The system may run the threads of one database at a disadvantage for as long as it is open. So the fastest
    opening of each counts: what grows with the rows does so in all of them.
    """
    with ExitStack() as homes:
        small, large = (homes.enter_context(own_home()) for _ in range(2))
        seconds = [
            await filled(small, SMALL, SMALL // 10, SMALL // 3),
            await filled(large, rows, tools, entries),
        ]
        medians = [await opened(small, large, rounds) for _ in range(OPENINGS)]
    lines = [
        at_most("counting the runs", COUNTED_SECONDS, seconds[1], "s", f"{rows:,} rows, in the background")
    ]
    fastest = {name: [min(each[name][at] for each in medians) for at in range(2)] for name in medians[0]}
    for name, (few, many) in fastest.items():
        measured = f"median ms: {SMALL:,} rows {few:.2f}, {rows:,} rows {many:.2f}"
        lines.append(at_most(name, ALLOWED, many / few, "×", measured))
    search, commit = fastest["%fact history --search"][1], fastest["a hundred rows committed"][1]
    told = f"{rows:,} rows, {tools:,} tools"
    return [
        *lines,
        at_most("a search in the store", SEARCH_MS, search, "ms", told),
        at_most("a row committed, of a hundred", COMMIT_US, commit / _BATCH * 1e3, "µs", told),
    ]


async def filled(env: dict[str, str], rows: int, tools: int, entries: int) -> float:
    """Fill a database, and count its runs as ``%fact stats`` does; gives the seconds of the latter."""
    path = await stock(env)
    fill(path, rows, tools, entries)
    async with await Store.open(path) as store:
        started = time.perf_counter()
        await store.history.catch_up()
        return time.perf_counter() - started


async def opening(env: dict[str, str]) -> float:
    """Open a database with nothing else open; gives the milliseconds."""
    started = time.perf_counter()
    async with core(env):
        return (time.perf_counter() - started) * 1e3


async def opened(small: dict[str, str], large: dict[str, str], rounds: int) -> dict[str, tuple[float, float]]:
    """Open both databases, and ask every question in turn; median milliseconds of each."""
    async with AsyncExitStack() as stack:
        # Each is opened alone: a core starts processes in the background, which would delay the next opening.
        times = [await opening(env) for env in (small, large)]
        both = [Asked(await stack.enter_async_context(core(env))) for env in (small, large)]
        for asked in both:
            for _ in range(25):  # so many that both list a full page
                await asked.hit()
                await asked.miss()
        medians = {"opening": (times[0], times[1])}
        for name, question in QUESTIONS.items():
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds):
                for each, asked in zip(taken, both, strict=True):
                    each.append(await timed(question, asked))
            medians[name] = median(taken[0]), median(taken[1])
        return medians


def measure(
    rounds: int = ROUNDS, rows: int = ROWS, tools: int | None = None, entries: int | None = None
) -> list[Line]:
    """Measure every question."""
    return asyncio.run(
        main(rounds, rows, rows // 10 if tools is None else tools, rows // 3 if entries is None else entries)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--tools", type=int, help="the number of tools (a tenth of the rows)")
    parser.add_argument("--entries", type=int, help="the number of answers (a third of the rows)")
    given = parser.parse_args()
    raise SystemExit(show(measure(given.rounds, given.rows, given.tools, given.entries)))
