"""The suite itself: its result does not depend on how it was started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parent.parent


@pytest.mark.parametrize("workers", ["--numprocesses=0", "--numprocesses=1"])
def test_what_interrupts_passes_in_a_background_job_too(workers):
    """A script's background jobs ignore SIGINT, as does whatever they start."""
    command = [sys.executable, "-m", "pytest", workers, "-p", "no:cacheprovider", "tests/test_bridge.py"]
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    done = subprocess.run(ignoring, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
