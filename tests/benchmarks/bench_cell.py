"""What the cell of a cached run costs, its row committed, against a cell that shows a value of the same size.

Run it: ``python tests/benchmarks/bench_cell.py``. Both cells run in one real kernel, turn by turn, and are timed
by the client, from the request to the last message. At most 1.3 times is promised.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from figures import Line, at_most, median, own_home, show
from kernels import kernel
from toolbox import stock

if TYPE_CHECKING:
    from pathlib import Path

PROMISED = 1.3
ROUNDS = 400
SIZES = {"a word": 1, "1 KB": 70}

HIT = "%%fact_run repeat\ntext = given"
SHOWN = """
class Shown:
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {bundle!r}
shown = Shown()
"""


def rows(path: Path) -> int:
    """Count what is committed, as another program sees it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM tool_executions").fetchone()[0])


def measure(rounds: int = ROUNDS) -> list[Line]:
    """Measure both cells for a small value and larger ones."""
    lines = []
    with own_home() as env:
        path = asyncio.run(stock(env))
        with kernel(env) as running:
            running.run("%load_ext fact_magics")
            for size, characters in SIZES.items():
                running.run(f"given = {'fact ' * characters!r}")
                running.run(HIT)
                _, bundle = running.run(HIT)
                if "cached" not in bundle["text/plain"]:
                    raise SystemExit(f"the second run was not cached: {bundle}")
                running.run(SHOWN.format(bundle=bundle))
                for _ in range(20):
                    running.run(HIT)
                    running.run("shown")
                before = rows(path)
                ours: list[float] = []
                theirs: list[float] = []
                for turn in range(rounds):
                    ours.append(running.run(HIT)[0])
                    if turn % 50 == 0 and rows(path) != before + turn + 1:
                        raise SystemExit("a cell ended before its row was committed")
                    theirs.append(running.run("shown")[0])
                measured = f"median ms: hit {median(ours):.2f}, shown {median(theirs):.2f}, {rounds} rounds"
                ratio = median(ours) / median(theirs)
                lines.append(at_most(f"a cached run's cell, {size}", PROMISED, ratio, "×", measured))
    return lines


if __name__ == "__main__":
    raise SystemExit(show(measure()))
