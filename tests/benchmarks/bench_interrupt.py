"""How soon a cell ends when its run is interrupted.

Run it: ``python tests/benchmarks/bench_interrupt.py``. At most two seconds are promised, from the interrupt to the
cell's end, its row committed and everything that the tool started gone.
"""

from __future__ import annotations

import asyncio
import glob
import tempfile
import time

from figures import Line, at_most, median, own_home, show
from kernels import Kernel, kernel
from toolbox import candidate, stock

PROMISED_SECONDS = 2.0
ROUNDS = 5
PATIENCE_SECONDS = 60.0

TOOLS = {
    "sleeps": "import time\n\ndef sleeps(n: int) -> int:\n    open('begun', 'w').close()\n    time.sleep(n)\n    return n\n",
    "computes": "def computes(n: int) -> int:\n    open('begun', 'w').close()\n    while n:\n        pass\n    return n\n",
}


def interrupted(running: Kernel, tool: str) -> float:
    """Interrupt a run once its tool works; gives the seconds from then to the end of the cell."""
    request = running.client.execute(f"%%fact_run {tool} --timeout 300\nn = 300")
    scratch = f"{tempfile.gettempdir()}/fact_magics-{running.manager.provisioner.process.pid}-*/**/begun"
    end = time.perf_counter() + PATIENCE_SECONDS
    while not glob.glob(scratch, recursive=True):  # noqa: PTH207 - `Path.glob` fails if a directory is removed
        if time.perf_counter() > end:
            raise SystemExit("The tool did not begin.")
        time.sleep(0.01)
    running.manager.interrupt_kernel()
    started = time.perf_counter()
    while running.client.get_shell_msg(timeout=PATIENCE_SECONDS)["parent_header"].get("msg_id") != request:
        pass
    return time.perf_counter() - started


def measure(rounds: int = ROUNDS) -> list[Line]:
    """Interrupt each kind of tool some times, in one kernel."""
    taken: dict[str, list[float]] = {tool: [] for tool in TOOLS}
    with own_home() as env:
        asyncio.run(stock(env, *(candidate(tool, source) for tool, source in TOOLS.items())))
        with kernel(env) as running:
            running.run("%load_ext fact_magics")
            for _ in range(rounds):
                for tool, times in taken.items():
                    times.append(interrupted(running, tool))
    return [
        at_most(
            f"an interrupted run that {tool}",
            PROMISED_SECONDS,
            median(times),
            "s",
            f"{min(times):.2f} to {max(times):.2f} s",
        )
        for tool, times in taken.items()
    ]


if __name__ == "__main__":
    raise SystemExit(show(measure()))
