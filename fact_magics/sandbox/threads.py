"""Blocking work on a thread, as long as threads can be started."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

T = TypeVar("T")


async def run_in(executor: Executor, work: Callable[..., T], *arguments: object) -> T:
    """Run `work` on a thread of `executor`.

    While the interpreter ends, executors take nothing new; `work` is then done here, because what is left
    to do by then is cleaning up.
    """
    try:
        future = asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    except RuntimeError:
        return work(*arguments)
    return await future
