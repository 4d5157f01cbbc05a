"""What many calls at once cost, from a loop that is not the core's, as in a notebook: ``gather`` over ``acall``.

Run it: ``python tests/benchmarks/bench_gather.py``. Two cores give at least 800 calls a second, and 1.8 times what one
core gives, and each call takes at most 0.5 ms of the notebook's own processor time, of all its threads. These are of
distinct calls of the shelf's ``slugify``. The time grows with the number of calls, not faster. And a call that repeats another one costs a
look-up: five times as many calls with the same inputs take hardly longer. The calls run in processes of their own, so
that the cores can be chosen; the ratios are of medians of several rounds, turn by turn.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

from figures import Line, at_least, at_most, median, own_home, show
from toolbox import from_shelf, stock

PROMISED_RATE = 800.0
PROMISED_OWN_MILLISECONDS = 0.5
PROMISED_CORES = 1.8
PROMISED_GROWTH = 1.25
PROMISED_REPEATS = 1.3
CALLS = 500
ROUNDS = 3
GROWTH = 4
REPEATS = 5

WORK = """
import asyncio, json, os, sys, time
cores, calls, growth, repeats = json.loads(sys.argv[1])
if cores:
    os.sched_setaffinity(0, cores)
from fact_magics.tools import slugify

async def gather(numbers):
    started = time.perf_counter()
    answers = await asyncio.gather(*(slugify.acall(f"Some Title {n}") for n in numbers))
    assert answers == [f"some-title-{n}" for n in numbers]
    return time.perf_counter() - started

def distinct(count):
    global last
    last += count
    return range(last - count, last)

last = 0
asyncio.run(gather(distinct(50)))
before = time.process_time()
few = asyncio.run(gather(distinct(calls)))
own = (time.process_time() - before) / calls
many = asyncio.run(gather(distinct(calls * growth))) if growth else 0.0
again = asyncio.run(gather(list(distinct(calls)) * repeats)) if repeats else 0.0
print(json.dumps([few, many, again, own]))
"""


def timed(cores: list[int], calls: int, growth: int, repeats: int) -> list[float]:
    """Run calls in a new process with a home of its own.

    Gives the seconds for few calls, for many, and for repeated ones, and the process's own seconds for each of the few.
    """
    with own_home() as env:
        asyncio.run(stock(env, from_shelf("slugify")))
        env.pop("PYTHONPYCACHEPREFIX")
        task = json.dumps([cores, calls, growth, repeats])
        command = [sys.executable, "-c", WORK, task]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def measure(rounds: int = ROUNDS, calls: int = CALLS) -> list[Line]:
    """Measure one core, two cores and more calls, turn by turn."""
    cores = sorted(os.sched_getaffinity(0))
    one: list[float] = []
    few: list[float] = []
    growths: list[float] = []
    repeats: list[float] = []
    owns: list[float] = []
    for _ in range(rounds):
        one.append(timed(cores[:1], calls, 0, 0)[0])
        first, many, again, own = timed(cores[:2], calls, GROWTH, REPEATS)
        few.append(first)
        growths.append(many / first / GROWTH)
        repeats.append(again / first)
        owns.append(own * 1e3)
    told = f"median s for {calls} calls: one core {median(one):.2f}, two {median(few):.2f}, {rounds} rounds"
    lines = [
        at_most("calls at once, the notebook's CPU", PROMISED_OWN_MILLISECONDS, median(owns), "ms", told),
        at_most("calls at once, 4 times as many", PROMISED_GROWTH, median(growths), "x", told),
        at_most("calls at once, 5 times the same", PROMISED_REPEATS, median(repeats), "x", told),
    ]
    if len(cores) > 1:
        ratio = median(one) / median(few)
        lines.insert(0, at_least("calls at once, two cores", PROMISED_CORES, ratio, "x", told))
        lines.insert(0, at_least("calls at once, a second", PROMISED_RATE, calls / median(few), "", told))
    return lines


if __name__ == "__main__":
    raise SystemExit(show(measure()))
