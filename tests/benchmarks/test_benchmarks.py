"""The benchmarks work; what they measure is for whoever runs them, on a machine that does nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.thorough]

PROMISES = (
    "%load_ext in an interpreter",
    "%load_ext in a kernel",
    "a cached call in the core",
    "a cached plan in the core",
    "a cached run's cell",
    "a whole plain call, uncached",
    "its share of the notebook's CPU",
    "an isolated run, bare",
    "a table in and out",
    "calls at once, a second",
    "calls at once, the notebook's CPU",
    "calls at once, 4 times as many",
    "calls at once, 5 times the same",
    "rows in chunks, than a process a row",
    "rows in chunks, beside a process pool",
    "a generator of",
    "two Dask workers, in chunks",
    "two Dask workers, a process a row",
    "the first generation of an idle kernel",
    "a hit",
    "a miss in the sandbox",
    "%fact history",
    "%fact stats",
    "counting the runs",
    "stale answers",
    "missed answers",
    "an isolated run against a fresh python -I",
    "receiving a stream, CPU over the SDK",
    "from the first byte to the first text",
    "showing a stream, kernel CPU",
    "showing a stream, bytes sent",
    "an interrupted run that sleeps",
    "memory of 100 cached answers",
    "kernel exit, database open",
)


@pytest.fixture(scope="module")
def printed() -> str:
    script = Path(__file__).with_name("run.py")
    done = subprocess.run(
        [sys.executable, str(script), "--quick"], capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_gets_a_line_with_a_figure_and_a_verdict(printed: str, promise: str) -> None:
    lines = [line for line in printed.splitlines() if line.startswith(promise)]
    assert lines, printed
    assert all("holds" in line or "DOES NOT HOLD" in line for line in lines)
