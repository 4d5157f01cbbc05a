"""Run blocking work on threads, even while the interpreter exits, and wait for work that must end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

T = TypeVar("T")


async def run_in(executor: Executor, work: Callable[..., T], *arguments: object) -> T:
    """Run `work` on a thread of `executor`; on this one if the exiting interpreter accepts no more work."""
    try:
        future = asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    except RuntimeError:
        return work(*arguments)
    return await future


async def outlast(work: asyncio.Future[Any], seconds: float | None = None) -> None:
    """Wait until `work` is done or the time is over. Cancelling this task takes effect only after that."""
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        left = None if deadline is None else deadline - loop.time()
        if left is not None and left <= 0:
            break
        try:
            await asyncio.wait((work,), timeout=left)
        except asyncio.CancelledError as request:
            cancelled = request
    if cancelled is not None:
        raise cancelled
