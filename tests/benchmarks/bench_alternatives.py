"""What a user would write instead, beside a cached and an uncached call: its speed, and what it does not do.

Run it: ``python tests/benchmarks/bench_alternatives.py``. All ways answer the same question in one process, turn by
turn. Promised is that a cached call takes at most as long as with `joblib.Memory`, and an isolated run at most as long
as a new interpreter; the other ways are shown for comparison. The figures go to ``ALTERNATIVES.md`` beside this file,
with the machine and the versions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
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
RESULTS = Path(__file__).with_name("ALTERNATIVES.md")
PACKAGES = ("fact_magics", "joblib", "smolagents")


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
                "no cache": repeat,
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
    lines = [
        at_most(
            f"{what} against {other}",
            PROMISED,
            taken[own] / taken[other],
            "×",
            f"median µs: {taken[own]:.1f}, {other} {taken[other]:.1f}",
        )
        for what, own, other, taken in (
            ("a cached call", "fact_magics", "joblib.Memory", hits),
            ("an isolated run", "fact_magics, isolated", "a fresh python -I", misses),
        )
        if other in taken
    ]
    does_not = {
        "no cache": "computes again; worth it only for what takes less than a look-up",
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


def report(lines: list[Line]) -> str:
    """Write the figures as Markdown, with the machine and the versions."""
    judged, compared_ = (
        [line for line in lines if bool(line.promised) is wanted] for wanted in (True, False)
    )
    rows = [
        f"| {line.name} | {line.promised} | {line.figure:.2f} {line.unit} | {_verdict(line)} |"
        for line in judged
    ]
    others = [f"| {line.name} | {line.figure:,.1f} | {line.measured} |" for line in compared_]
    return "\n".join(
        [
            "# What a user would write instead",
            "",
            f"Measured on {datetime.now(UTC):%Y-%m-%d} by `python tests/benchmarks/bench_alternatives.py`: {_machine()}.",
            "",
            "| Promise | Limit | Measured | |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            "| Way | Median, µs a call | What it is and does not |",
            "| --- | --- | --- |",
            *others,
            "",
        ]
    )


def _verdict(line: Line) -> str:
    return "pass" if line.holds else "fail"


def _machine() -> str:
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        processor = f"{len(names)} × {names[0]}" if names else processor
    known = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for name in PACKAGES:
        try:
            known.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            known.append(f"{name} not installed")
    return f"{processor}, {platform.system()}; {', '.join(known)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--to", type=Path, default=RESULTS, help=f"the file for the figures ({RESULTS.name})")
    given = parser.parse_args()
    measured = measure(given.rounds)
    given.to.write_text(report(measured))
    raise SystemExit(show(measured))
