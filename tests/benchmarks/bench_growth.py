"""That nothing takes longer because there is more in the database: a hit, a miss, the history.

Run it: ``python tests/benchmarks/bench_growth.py``. The same is asked of an empty database and of one with 50,000
runs, answers and, of the toolbox, a tenth as many tools, turn by turn. At most 1.5 times is allowed: what grows with
the logarithm is within it, what grows with the number is far above.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import Line, at_most, median, own_home, show
from toolbox import candidate, core, stock

from fact_magics.config import load_settings
from fact_magics.core.plan import plan_run
from fact_magics.store import CacheEntry, ExecutionRow, Store
from fact_magics.tool import Status, ToolInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fact_magics.core import FactCore

ALLOWED = 1.5
ROWS = 50_000
ROUNDS = 50
OPENINGS = 5
_BATCH = 1_000


async def fill(env: dict[str, str], rows: int) -> None:
    """Put runs, answers and tools into a database, as many sessions before would have left them."""
    path = load_settings({}, Path(env["FACT_HOME"]), env).database_path
    async with await Store.open(path) as store:
        tool = await store.tools.get("repeat")
        if tool is None:
            raise SystemExit("the tool is not in the database")
        made = candidate()
        for number in range(rows // 10):
            await store.tools.accept(replace(made, id=f"{number:016x}", name=f"repeat_{number}"))
        for first in range(0, rows, _BATCH):
            numbers = range(first, first + _BATCH)
            session = f"{first:016x}"
            await store.sessions.start(session)
            await store.commit(
                [
                    ExecutionRow(
                        session_id=session,
                        tool_id=tool.metadata.id,
                        tool_name="repeat",
                        tool_version="1.0.0",
                        input_data=f'{{"text": "word{number}", "times": 3}}',
                        output_data=f'"word{number}"',
                        status=Status.OK,
                    )
                    for number in numbers
                ],
                cache_entries=[
                    CacheEntry(key=f"{number:040x}", tool_id=tool.metadata.id, result=b'"word"')
                    for number in numbers
                ],
            )


class Asked:
    """What is asked of one database; each gives what is awaited."""

    def __init__(self, opened: FactCore) -> None:
        self._core = opened
        self._misses = (f"{opened.session_id} {number}" for number in count())

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

    def stats_of_a_tool(self) -> Awaitable[Any]:
        """What ``%fact stats --tool repeat --since 7d`` shows."""
        return self._core.stats(tool_name="repeat", since="7d")

    def tools(self) -> Awaitable[Any]:
        """What ``%fact tools`` lists."""
        return self._core._store.tools.latest(limit=1)


QUESTIONS = {
    "a hit": Asked.hit,
    "a hit in the database": Asked.stored_hit,
    "a miss in the sandbox": Asked.miss,
    "an answer that is not there": Asked.plan,
    "%fact history": Asked.history,
    "%fact history --session all": Asked.all_history,
    "%fact history --search": Asked.search,
    "%fact stats": Asked.stats,
    "%fact stats --tool --since": Asked.stats_of_a_tool,
    "%fact tools": Asked.tools,
}


async def timed(question: Callable[[Asked], Awaitable[Any]], asked: Asked) -> float:
    """Ask; milliseconds."""
    started = time.perf_counter()
    await question(asked)
    return (time.perf_counter() - started) * 1e3


async def main(rounds: int, rows: int) -> list[Line]:
    """Ask both databases in turn, and open them several times.

    The system may run the threads of one database at a disadvantage for as long as it is open. So the fastest
    opening of each counts: what grows with the rows does so in all of them.
    """
    with ExitStack() as homes:
        empty, full = (homes.enter_context(own_home()) for _ in range(2))
        for env in (empty, full):
            await stock(env)
        await fill(full, rows)
        medians = [await opened(empty, full, rounds) for _ in range(OPENINGS)]
    lines = []
    for name in QUESTIONS:
        small, large = (min(each[name][database] for each in medians) for database in range(2))
        measured = f"median ms: empty {small:.2f}, {rows:,} rows {large:.2f}"
        lines.append(at_most(name, ALLOWED, large / small, "×", measured))
    return lines


async def opened(empty: dict[str, str], full: dict[str, str], rounds: int) -> dict[str, tuple[float, float]]:
    """Open both databases, and ask every question in turn; median milliseconds of each."""
    async with AsyncExitStack() as stack:
        both = [Asked(await stack.enter_async_context(core(env))) for env in (empty, full)]
        for asked in both:
            for _ in range(25):  # so many that both list a full page
                await asked.hit()
                await asked.miss()
        medians = {}
        for name, question in QUESTIONS.items():
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds):
                for times, asked in zip(taken, both, strict=True):
                    times.append(await timed(question, asked))
            medians[name] = median(taken[0]), median(taken[1])
        return medians


def measure(rounds: int = ROUNDS, rows: int = ROWS) -> list[Line]:
    """Measure every question."""
    return asyncio.run(main(rounds, rows))


if __name__ == "__main__":
    raise SystemExit(show(measure()))
