"""Waiting for the end of a call, or for the first limit that it reaches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

_MEASURE_SECONDS = 0.25


async def first_limit(
    ended: asyncio.Future[Any],
    stopped: asyncio.Future[str],
    *,
    seconds: float,
    measure: Callable[[], str | None],
    files: Executor,
) -> str | None:
    """Wait until the call ended, or until it has to be stopped.

    Parameters
    ----------
    ended : Future
        Done when nothing of the call is left.
    stopped : Future of str
        Set to the name of a limit by who reads the call's pipes.
    seconds : float
        Wall time from now.
    measure : callable
        Called a few times a second; names the limit that what the call takes exceeds, or gives None.
    files : Executor
        Where it is called.

    Returns
    -------
    str or None
        ``time``, what `measure` named or what `stopped` was set to; None if the call ended.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    measured = loop.time()
    measuring: asyncio.Future[str | None] | None = None
    while True:
        now = loop.time()
        if ended.done():
            return None
        if stopped.done():
            return stopped.result()
        if now >= deadline:
            return "time"
        if measuring is not None and measuring.done():
            if (limit := measuring.result()) is not None:
                return limit
            measuring, measured = None, now
        if measuring is None and now >= measured + _MEASURE_SECONDS:
            measuring = loop.run_in_executor(files, measure)
        waited = [ended, stopped] if measuring is None else [ended, stopped, measuring]
        pause = (
            deadline - now
            if measuring is not None
            else min(deadline - now, measured + _MEASURE_SECONDS - now)
        )
        await asyncio.wait(waited, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
