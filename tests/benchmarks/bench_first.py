"""How long the first generation of a kernel takes, with a model that answers at once.

Run it: ``python tests/benchmarks/bench_first.py``. A kernel that was idle after ``%load_ext`` has imported the SDK of
the model by then; in one that got the cell at once, the cell waits for that. At most half of the time is promised.
"""

from __future__ import annotations

import time

from figures import Line, at_most, median, own_home, show
from kernels import kernel

from fact_magics.testing import ModelServer

PROMISED = 0.5
ROUNDS = 5
IDLE_SECONDS = 4.0

SOURCE = 'def inc(n: int) -> int:\n    """Add one."""\n    return n + 1\n'
CELL = "%%fact_generate inc\nAdd one.\n\n>>> inc(1)\n2\n"


def first(idle_seconds: float) -> float:
    """Generate a tool in a new kernel that was idle for a while; milliseconds."""
    with ModelServer() as server, own_home() as env:
        env.pop("PYTHONPYCACHEPREFIX")
        server.writes(SOURCE)
        with kernel({**env, **server.environment()}) as running:
            running.run("%load_ext fact_magics")
            time.sleep(idle_seconds)
            return running.run(CELL)[0]


def measure(rounds: int = ROUNDS) -> list[Line]:
    """Measure both, turn by turn."""
    idle: list[float] = []
    at_once: list[float] = []
    for _ in range(rounds):
        idle.append(first(IDLE_SECONDS))
        at_once.append(first(0.0))
    told = f"median ms: idle {median(idle):.0f}, at once {median(at_once):.0f}, {rounds} rounds"
    ratio = median(idle) / median(at_once)
    return [at_most("the first generation of an idle kernel", PROMISED, ratio, "x", told)]


if __name__ == "__main__":
    raise SystemExit(show(measure()))
