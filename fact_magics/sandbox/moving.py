"""A pool of zygotes that moves into a process of its own once there were enough calls to be worth it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from fact_magics.errors import IsolationError
from fact_magics.sandbox.lost import USE_PROCESS, ZygoteLostError, closed
from fact_magics.sandbox.remote import RemotePool
from fact_magics.sandbox.zygotes import ZygotePool

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.sandbox.frames import Ending
    from fact_magics.sandbox.inspection import Inspection
    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call

# A process takes memory, and processor time to start. Few calls can do without it.
_FEW_CALLS = 20


class MovingPool:
    """Run calls here at first, and then in another process, with no pause between.

    If that process can't be started, calls go on here. If it ends unexpectedly, they come back.
    """

    def __init__(self, size: int, limits: Limits, *, strict: bool) -> None:
        self._new_here = partial(ZygotePool, size, limits, strict=strict)
        self._new_there = partial(RemotePool, size, limits, strict=strict)
        self._here: ZygotePool | None = self._new_here()
        self._there: RemotePool | None = None
        self._calls = self._running = 0  # since the pool is here
        self._returning = asyncio.Lock()
        self._moving: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of isolation in force."""
        pool = self._there or self._here
        return pool.layers if pool is not None else ()

    @property
    def is_here(self) -> bool:
        """Whether a pool is in this process, for new calls or for the last ones before the move."""
        return self._here is not None

    @property
    def process(self) -> int | None:
        """The pid of the process to which the pool has moved."""
        return (
            self._there.process.pid if self._there is not None and self._there.process is not None else None
        )

    async def start(self) -> None:
        """Start as `ZygotePool.start` does."""
        assert self._here is not None  # noqa: S101 - it has not moved yet
        await self._here.start()

    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> Ending:
        """Run one call as `ZygotePool.run` does."""
        if self._there is not None and self._there.is_lost and not self._closed:
            await self._return()
        if self._there is not None:
            return await self._there.run(call, on_printed)
        if self._here is None:
            raise closed()
        here = self._here
        self._calls += 1
        if self._calls == _FEW_CALLS and not self._closed:
            self._moving = asyncio.create_task(self._move(here))
        self._running += 1
        try:
            return await here.run(call, on_printed)
        finally:
            self._running -= 1
            self._leave()

    async def aclose(self) -> None:
        """End every process and remove every directory."""
        self._closed = True
        tasks = [task for task in (self._moving, self._leaving) if task is not None]
        if self._moving is not None:
            self._moving.cancel()
        pools = [pool for pool in (self._here, self._there) if pool is not None]
        await asyncio.gather(*tasks, *(pool.aclose() for pool in pools), return_exceptions=True)

    def inspect(self) -> Inspection:
        """Report what the pool holds."""
        pool = self._there or self._here
        assert pool is not None  # noqa: S101 - one of them is always there
        return pool.inspect()

    async def _move(self, here: ZygotePool) -> None:
        there = self._new_there()
        try:
            await there.start(here.kinds())
        except BaseException as error:
            await there.aclose()
            if not isinstance(error, ZygoteLostError):
                raise
            return
        self._there = there
        self._leave()

    def _leave(self) -> None:
        """Close the pool here once its last call has ended after the move."""
        if self._there is not None and self._here is not None and not self._running and not self._closed:
            here, self._here = self._here, None
            self._leaving = asyncio.create_task(here.aclose())

    async def _return(self) -> None:
        async with self._returning:
            lost = self._there
            if lost is None or not lost.is_lost:
                return  # another call has done it
            if self._here is None:
                here = self._new_here()
                try:
                    await here.start()
                except BaseException as error:
                    await here.aclose()
                    if not isinstance(error, ZygoteLostError):
                        raise
                    raise IsolationError(
                        f"Tools can't be isolated: {error}.", hint=error.hint or USE_PROCESS
                    ) from error
                self._here = here
            self._there, self._calls = None, 0
            await lost.aclose()
            if self._closed:
                await self._here.aclose()
