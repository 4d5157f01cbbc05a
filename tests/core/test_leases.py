"""The locks by which the kernels on one database agree on who executes a run."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

from fact_magics.core.leases import Leases

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these locks")

ONE, OTHER = "a" * 40, "b" * 40
HOLD = """
import sys, time
from pathlib import Path
from fact_magics.core.leases import Leases

with Leases(Path(sys.argv[1])).ask(sys.argv[2]) as lease:
    print(lease.is_held, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facts.db-leases"


@pytest.fixture
def two(path):
    """The leases of two cores on one database."""
    both = Leases(path), Leases(path)
    yield both
    for leases in both:
        leases.close()


def test_one_core_alone_holds_a_lease_until_it_gives_it_back(two):
    one, other = two
    with one.ask(ONE) as held:
        assert held.is_held
        with other.ask(ONE) as refused, other.ask(OTHER) as another:
            assert (refused.is_held, another.is_held) == (False, True)
    with other.ask(ONE) as held:
        assert held.is_held


def test_runs_of_one_core_share_a_lease_and_the_last_one_gives_it_back(two):
    one, other = two
    with one.ask(ONE) as first:
        with one.ask(ONE) as second:
            assert first.is_held
            assert second.is_held
        with other.ask(ONE) as refused:
            assert not refused.is_held
    with other.ask(ONE) as held:
        assert held.is_held


def test_a_run_without_a_key_needs_no_lease(two):
    with two[0].ask("") as one, two[1].ask("") as other:
        assert one.is_held
        assert other.is_held


async def test_who_waits_gets_the_lease_when_it_is_given_back(two):
    one, other = two
    with other.ask(ONE) as waiting:
        with one.ask(ONE):
            await waiting.wait(0)
        assert waiting.is_held  # `one` asked second
    with one.ask(ONE), other.ask(ONE) as waiting:
        await waiting.wait(0.01)
        assert not waiting.is_held
        asked = asyncio.create_task(waiting.wait(600))
        await asyncio.sleep(0)
        one.close()
        await asked
        assert waiting.is_held


def test_a_killed_process_holds_no_lease(two, path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), ONE],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with holder:
        assert holder.stdout.readline() == "True\n"
        with two[0].ask(ONE) as refused:
            assert not refused.is_held
        holder.kill()
        holder.wait()

    def is_free() -> bool:
        with two[0].ask(ONE) as lease:
            return lease.is_held

    until(is_free)


def test_the_file_is_made_at_the_first_use_and_only_the_user_can_open_it(two, path):
    assert not path.exists()
    with two[0].ask(ONE):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == 0


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "no folder"])
def test_without_a_lock_file_every_core_executes_its_runs(path, kind):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(path.parent / "elsewhere")
    else:
        path = path.parent / "missing" / path.name
    one, other = Leases(path), Leases(path)
    with one.ask(ONE) as first, other.ask(ONE) as second:
        assert first.is_held
        assert second.is_held
    one.close()
    one.close()
    other.close()
    assert not (path.parent / "elsewhere").exists()
