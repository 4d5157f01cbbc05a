"""A minute of everything at once, with kernels that are killed: nothing is lost, wrong or left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "soak.py"


def test_a_minute_of_everything_loses_nothing() -> None:
    """With one seed, though the kernels' timing differs each time."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--seconds", "60", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
