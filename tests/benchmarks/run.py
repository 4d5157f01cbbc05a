"""Every ratio of the speed that is promised, measured in one go.

Run it by hand: ``python tests/benchmarks/run.py``; some minutes, on a machine that does nothing else. Each line says
what is promised, what was measured, and whether the promise holds; the exit code is 1 if one does not. ``--quick``
measures so little that only the benchmarks themselves are tried, and judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import bench_alternatives
import bench_cell
import bench_core
import bench_dask
import bench_first
import bench_gather
import bench_gauntlet
import bench_growth
import bench_interrupt
import bench_isolation
import bench_load
import bench_map
import bench_remains
import bench_stream
import bench_tables
from figures import show


def main() -> int:
    """Measure everything, a section at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="try the benchmarks themselves; judge nothing")
    quick = parser.parse_args().quick
    sections = {
        "Loading": lambda: bench_load.measure(*([1] if quick else [])),
        "A cached run": lambda: bench_core.measure(*([2] if quick else [])),
        "Its cell, row committed": lambda: bench_cell.measure(*([3] if quick else [])),
        "An isolated run": lambda: asyncio.run(bench_isolation.measure(*([2] if quick else []))),
        "Tables": lambda: asyncio.run(bench_tables.measure(*([1, 1_000] if quick else []))),
        "Many calls at once": lambda: bench_gather.measure(*([1, 20] if quick else [])),
        "Rows of a map": lambda: bench_map.measure(*([1, 300, 2_000] if quick else [])),
        "Rows on Dask workers": lambda: bench_dask.measure(*([1, 40] if quick else [])),
        "The first generation": lambda: bench_first.measure(*([1] if quick else [])),
        "A full database": lambda: bench_growth.measure(*([2, 1_000] if quick else [])),
        "A live view": lambda: bench_stream.measure(*([1, 100] if quick else [])),
        "An interrupt": lambda: bench_interrupt.measure(*([1] if quick else [])),
        "Changes of tools and inputs": lambda: bench_gauntlet.measure(30 if quick else 500),
        "Instead of it": lambda: bench_alternatives.measure(*([2] if quick else [])),
        "What is left behind": lambda: bench_remains.measure(*([5, 100, 1] if quick else [])),
    }
    code = 0
    for title, measure in sections.items():
        print(f"\n{title}", flush=True)
        code |= show(measure())
    return 0 if quick else code


if __name__ == "__main__":
    sys.exit(main())
