"""What an isolated, uncached call costs against a fresh ``python -I``.

Run it: ``python tests/benchmarks/bench_isolation.py``. First a whole plain call of the shelf's ``slugify``, from the
caller back to the caller, against a ``python -I`` that only prints; then a call of the sandbox
alone against a ``python -I`` that imports and does the same. Both are measured in one run, turn by turn, so that a
busy machine slows both; the ratio of the medians is what counts. At least 5 is promised. The notebook's own processor
time for each plain call, of all its threads, is promised to be at most 0.5 ms.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec

from figures import Line, at_least, at_most, median, own_home, show
from toolbox import from_shelf, stock

from fact_magics import values
from fact_magics.sandbox import Call, Sandbox
from fact_magics.tool import Status

PROMISED = 5.0
PROMISED_OWN_MILLISECONDS = 0.5
ROUNDS = 40

TOOLS = {
    "bare": ("def work(n: int) -> int:\n    return sum(range(n))\n", (), 100, 4950),
    "numpy": (
        "import numpy as np\n\ndef work(n: int) -> int:\n    return int(np.arange(n).sum())\n",
        ("numpy",),
        100,
        4950,
    ),
    "pandas": (
        "import pandas as pd\n\ndef work(n: int) -> int:\n    return int(pd.Series(range(n)).sum())\n",
        ("pandas",),
        100,
        4950,
    ),
}

PLAIN = """
import json, subprocess, sys, time
from fact_magics.tools import slugify

calls, others, own = [], [], 0.0
for number in range(int(sys.argv[1]) + 5):
    before = time.process_time()
    started = time.perf_counter()
    slug = slugify(f"Some Title {number}")
    called = time.perf_counter()
    own += time.process_time() - before
    assert slug == f"some-title-{number}"
    time.sleep(0.02)  # the next call is prepared
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", "print(1)"], capture_output=True, check=True)
    ended = time.perf_counter()
    if number >= 5:
        calls.append(called - started)
        others.append(ended - began)
    else:
        own = 0.0
print(json.dumps([calls, others, own / len(calls)]))
"""

FRESH = "\nimport json, sys\nprint(json.dumps(work(**json.load(sys.stdin))))\n"


def fresh(source: str, argument: int) -> tuple[float, object]:
    """Run the tool in a new interpreter, JSON in and out; milliseconds and the answer."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-I", "-c", source + FRESH],
        input=json.dumps({"n": argument}).encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    return (time.perf_counter() - started) * 1e3, json.loads(done.stdout)


async def isolated(sandbox: Sandbox, call: Call) -> tuple[float, object]:
    """Run the tool in the sandbox; milliseconds and the answer."""
    started = time.perf_counter()
    outcome = await sandbox.run(call)
    elapsed = (time.perf_counter() - started) * 1e3
    if outcome.status is not Status.OK or outcome.result is None:
        raise SystemExit(f"an isolated call failed: {outcome}")
    return elapsed, values.decode(outcome.result)


async def plain(rounds: int) -> list[Line]:
    """Measure whole calls of ``slugify`` in a process with a home of its own."""
    with own_home() as env:
        await stock(env, from_shelf("slugify"))
        env.pop("PYTHONPYCACHEPREFIX")
        command = [sys.executable, "-c", PLAIN, str(rounds)]
        done = await asyncio.to_thread(
            subprocess.run, command, env=env, capture_output=True, text=True, check=True
        )
    calls, others, own = json.loads(done.stdout)
    ours, theirs = median(calls) * 1e3, median(others) * 1e3
    told = f"median ms: slugify {ours:.2f}, python -I {theirs:.2f}, {rounds} rounds"
    return [
        at_least("a whole plain call, uncached", PROMISED, theirs / ours, "x", told),
        at_most("its share of the notebook's CPU", PROMISED_OWN_MILLISECONDS, own * 1e3, "ms", told),
    ]


async def measure(rounds: int = ROUNDS) -> list[Line]:
    """Measure both, turn by turn, with nothing imported and with the libraries that are installed."""
    lines = await plain(rounds)
    sandbox = Sandbox(size=2)
    await sandbox.start()
    layers = ", ".join(sandbox.layers())
    try:
        for name, (source, imports, argument, expected) in TOOLS.items():
            if imports and find_spec(imports[0]) is None:
                print(f"{name} is not installed")
                continue
            wire = values.encode({"args": [], "kwargs": {"n": argument}})
            call = Call(source, "work", wire, imports=imports)
            for _ in range(3):
                await isolated(sandbox, call)
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(rounds):
                for measured, (elapsed, answer) in (
                    (ours, await isolated(sandbox, call)),
                    (theirs, await asyncio.to_thread(fresh, source, argument)),
                ):
                    if answer != expected:
                        raise SystemExit(f"{name}: {answer!r} is not {expected!r}")
                    measured.append(elapsed)
            told = f"median ms: isolated {median(ours):.2f}, python -I {median(theirs):.2f}, {rounds} rounds; {layers}"
            ratio = median(theirs) / median(ours)
            lines.append(at_least(f"an isolated run, {name}", PROMISED, ratio, "×", told))
    finally:
        await sandbox.aclose()
    return lines


if __name__ == "__main__":
    raise SystemExit(show(asyncio.run(measure())))
