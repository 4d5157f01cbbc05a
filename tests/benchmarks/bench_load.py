"""What ``%load_ext fact_magics`` costs, in a fresh interpreter and in a fresh kernel.

Run it: ``python tests/benchmarks/bench_load.py``. Less than 50 ms is promised. Both are timed inside, around the
magic alone, with the bytecode there, as in an installed package. The interpreter's shell has imported less than a
kernel's, asyncio for one, so there the extension pays for it itself.
"""

from __future__ import annotations

import subprocess
import sys

from figures import Line, at_most, median, own_home, show
from kernels import kernel

PROMISED_MILLISECONDS = 50.0
ROUNDS = 9

LOAD = """
import time
get_ipython()
started = time.perf_counter()
get_ipython().run_line_magic("load_ext", "fact_magics")
print((time.perf_counter() - started) * 1e3)
"""
FRESH = f"from IPython.core.interactiveshell import InteractiveShell\nget_ipython = InteractiveShell.instance\n{LOAD}"


def in_interpreter(env: dict[str, str]) -> float:
    """Load in a new interpreter; milliseconds."""
    command = [sys.executable, "-c", FRESH]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def in_kernel(env: dict[str, str]) -> float:
    """Load in a new kernel; milliseconds."""
    with kernel(env) as running:
        return float(running.run(LOAD)[1]["printed"])


def measure(rounds: int = ROUNDS) -> list[Line]:
    """Measure both, turn by turn."""
    places = {"%load_ext in an interpreter": in_interpreter, "%load_ext in a kernel": in_kernel}
    with own_home() as env:
        for load in places.values():
            load(env)
        taken: dict[str, list[float]] = {name: [] for name in places}
        for _ in range(rounds):
            for name, load in places.items():
                taken[name].append(load(env))
    return [
        at_most(name, PROMISED_MILLISECONDS, median(times), "ms", f"{min(times):.1f} to {max(times):.1f} ms")
        for name, times in taken.items()
    ]


if __name__ == "__main__":
    raise SystemExit(show(measure()))
