"""Wait for the event that a test needs, not for a time that suffices on most machines."""

from __future__ import annotations

import asyncio
import glob
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Only a test that fails waits as long as this.
_SECONDS = 120.0
_PAUSE_SECONDS = 0.01

# A line of a tool that says, where nothing that it prints is shown yet, that it runs.
BEGIN = "open('begun', 'w').close()"


def begun_tools(pid: int | None = None) -> set[Path]:
    """Find the tools that the process `pid` (by default this one) runs isolated, and that have come to `BEGIN`.

    The file of a tool that was stopped is there until its directory has been removed.
    """
    pattern = f"{tempfile.gettempdir()}/fact_magics-{pid or os.getpid()}-*/**/begun"
    # `Path.glob` fails if a directory is removed meanwhile.
    return {*map(Path, glob.glob(pattern, recursive=True))}  # noqa: PTH207


def tool_has_begun(pid: int | None = None) -> bool:
    """Tell whether there is such a tool."""
    return bool(begun_tools(pid))


def until(condition: Callable[[], T], seconds: float = _SECONDS) -> T:
    """Call `condition` until its result is true, and return that result.

    Raises
    ------
    TimeoutError
        If the result is still false after `seconds`.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"The condition did not become true in {seconds} s.")
        time.sleep(_PAUSE_SECONDS)
    return found


async def until_async(condition: Callable[[], T], seconds: float = _SECONDS) -> T:
    """Do the same without blocking the running event loop."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):
            await asyncio.sleep(_PAUSE_SECONDS)
    return found
