from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fact_magics
from fact_magics.store import Candidate, Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

ROOT = Path(fact_magics.__file__).parents[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "facts.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    async with await Store.open(path) as opened:
        yield opened


@pytest.fixture
def counting_steps(store: Store) -> Callable[[], AbstractAsyncContextManager[list[int]]]:
    """Count SQLite's own steps in a block, in tens; no other load on the machine changes them."""

    @asynccontextmanager
    async def counting() -> AsyncIterator[list[int]]:
        counted = [0]

        def count() -> int:
            counted[0] += 1
            return 0

        await store._database.read(lambda connection: connection.set_progress_handler(count, 10))
        yield counted
        await store._database.read(lambda connection: connection.set_progress_handler(None, 0))

    return counting


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    def make(name: str = "slugify", **fields: object) -> Candidate:
        known = {"source": f"def {name}(): ...", "signature_id": "s1", "description": f"What {name} does."}
        return Candidate(name=name, **{**known, **fields})  # type: ignore[arg-type]

    return make


@pytest.fixture
def start(path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a script in a new interpreter; its first argument is the database's path."""

    def run(script: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(path), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.fixture
def finish() -> Callable[..., str]:
    """Wait for scripts; whatever they wrote to stderr fails the test. Gives what they printed."""

    def wait(*processes: subprocess.Popen[str], timeout: float = 100) -> str:
        outputs = []
        for process in processes:
            try:
                out, err = process.communicate(timeout=timeout)
            finally:
                process.kill()
            assert (err, process.returncode) == ("", 0)
            outputs.append(out)
        return "".join(outputs)

    return wait
