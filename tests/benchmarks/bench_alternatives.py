"""What a user would write instead, beside a cached and an uncached call: its speed, and what it does not do.

Run it: ``python tests/benchmarks/bench_alternatives.py``. All ways answer the same question in one process, turn by
turn. Promised is that a cached call takes at most as long as `joblib.Memory`; the other ways are shown for comparison.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from figures import Line, at_most, median, own_home, show, shown
from toolbox import REPEAT, core, stock

if TYPE_CHECKING:
    from collections.abc import Callable

PROMISED = 1.0
ROUNDS = 200
BATCH = 20
TEXT = "Some Title"
ANSWER = TEXT * 3


def repeat(text: str, times: int = 3) -> str:
    """Do what the tool does."""
    return text * times


def by_dict() -> Callable[[str], str]:
    """Keep answers in a dict, by their input as JSON."""
    kept: dict[str, str] = {}

    def ask(text: str) -> str:
        key = json.dumps({"text": text}, sort_keys=True)
        if key not in kept:
            kept[key] = repeat(text)
        return kept[key]

    return ask


def by_sqlite(path: Path) -> Callable[[str], str]:
    """Keep answers in a table, by their input as JSON."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, answer TEXT)")

    def ask(text: str) -> str:
        key = json.dumps({"text": text}, sort_keys=True)
        found = connection.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        if found is None:
            found = (json.dumps(repeat(text)),)
            with connection:
                connection.execute("INSERT INTO answers VALUES (?, ?)", (key, *found))
        return str(json.loads(found[0]))

    return ask


def by_joblib(folder: Path) -> Callable[[str], str] | None:
    """Keep answers in files, with joblib if it is installed."""
    try:
        from joblib import Memory
    except ImportError:
        return None
    cached: Callable[[str], str] = Memory(folder, verbose=0).cache(repeat)
    return cached


def by_smolagents() -> Callable[[str], str] | None:
    """Run the source in smolagents' interpreter, which isolates nothing, if it is installed."""
    try:
        from smolagents.local_python_executor import LocalPythonExecutor
    except ImportError:
        return None
    executor = LocalPythonExecutor([])
    executor.send_tools({})

    def ask(text: str) -> str:
        return str(executor(f"{REPEAT}\nrepeat({text!r})").output)

    return ask


def fresh(text: str) -> str:
    """Run the source in a new interpreter, JSON in and out."""
    program = f"{REPEAT}\nimport json, sys\nprint(json.dumps(repeat(**json.load(sys.stdin))))"
    command = [sys.executable, "-I", "-c", program]
    done = subprocess.run(command, input=json.dumps({"text": text}).encode(), capture_output=True, check=True)
    return str(json.loads(done.stdout))


def timed(ask: Callable[[str], str], texts: list[str]) -> float:
    """Ask for each text; microseconds a question."""
    started = time.perf_counter()
    answers = [ask(text) for text in texts]
    elapsed = (time.perf_counter() - started) / len(texts) * 1e6
    if answers != [text * 3 for text in texts]:
        raise SystemExit(f"{ask} gave something else")
    return elapsed


def compared(
    ways: dict[str, Callable[[str], str] | None], rounds: int, texts: Callable[[int], list[str]]
) -> dict[str, float]:
    """Time every way in turn; median microseconds of each that is installed."""
    here = {name: ask for name, ask in ways.items() if ask is not None}
    taken: dict[str, list[float]] = {name: [] for name in here}
    for turn in range(rounds):
        for name, ask in here.items():
            taken[name].append(timed(ask, texts(turn)))
    return {name: median(times) for name, times in taken.items()}


def main(rounds: int) -> list[Line]:
    """Time cached answers, then runs that no cache can answer."""
    with ExitStack() as stack:
        env = stack.enter_context(own_home())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="fact-alternatives-")))
        pool = stack.enter_context(ProcessPoolExecutor(1))
        asyncio.run(stock(env))
        loop = stack.enter_context(asyncio.Runner())
        opened = core(env)
        loop.run(opened.__aenter__())
        stack.callback(lambda: loop.run(opened.aclose()))
        tool = loop.run(opened.tool("repeat"))
        loop.run(tool.acall(TEXT))
        hits = compared(
            {
                "fact_magics": tool,
                "functools.lru_cache": lru_cache(repeat),
                "a dict with JSON keys": by_dict(),
                "sqlite3 by hand": by_sqlite(folder / "answers.db"),
                "joblib.Memory": by_joblib(folder),
            },
            rounds,
            lambda _: [TEXT] * BATCH,
        )
        misses = compared(
            {
                "fact_magics, isolated": lambda text: str(loop.run(tool.acall(text))),
                "a fresh python -I": fresh,
                "ProcessPoolExecutor": lambda text: pool.submit(repeat, text).result(),
                "smolagents' interpreter": by_smolagents(),
            },
            rounds // 5 + 1,
            lambda turn: [f"{TEXT} {turn}"],
        )
    lines: list[Line] = []
    if "joblib.Memory" in hits:
        told = f"median µs: {hits['fact_magics']:.1f}, joblib.Memory {hits['joblib.Memory']:.1f}"
        lines.append(
            at_most(
                "a cached call against joblib.Memory",
                PROMISED,
                hits["fact_magics"] / hits["joblib.Memory"],
                "×",
                told,
            )
        )
    does_not = {
        "functools.lru_cache": "one process; forgets at its end; stale when a helper or file changes",
        "a dict with JSON keys": "one process; forgets at its end; no 1 apart from 1.0 beside NaN; stale as above",
        "sqlite3 by hand": "no history; stale when the code changes",
        "joblib.Memory": "unpickles what it finds; stale when a helper or file changes",
        "a fresh python -I": "no limits, no isolation of files and network",
        "ProcessPoolExecutor": "no isolation; state stays between calls",
        "smolagents' interpreter": "no isolation of the process; a subset of Python",
    }
    for name, figure in {**hits, **misses}.items():
        lines.append(
            shown(name, figure, "µs", does_not.get(name, "validated, recorded, its row committed later"))
        )
    return lines


def measure(rounds: int = ROUNDS) -> list[Line]:
    """Measure every way that is installed."""
    return main(rounds)


if __name__ == "__main__":
    raise SystemExit(show(measure()))
