"""What an isolated, uncached call costs against a fresh ``python -I`` that imports and does the same.

Run it: ``python tests/benchmarks/bench_isolation.py``. Both are measured in one run, turn by turn, so that a
busy machine slows both; the ratio of the medians is what counts. At least 5 is promised.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec

from figures import Line, at_least, median, show

from fact_magics import values
from fact_magics.sandbox import Call, Sandbox
from fact_magics.tool import Status

PROMISED = 5.0
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


async def measure(rounds: int = ROUNDS) -> list[Line]:
    """Measure both, turn by turn, with nothing imported and with the libraries that are installed."""
    sandbox = Sandbox(size=2)
    await sandbox.start()
    layers = ", ".join(sandbox.layers())
    lines = []
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
