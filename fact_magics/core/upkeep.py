"""`Upkeep` works on the history in the background: it counts rows, and removes old ones once a day."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from fact_magics.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fact_magics.config import Settings
    from fact_magics.logs import Log
    from fact_magics.store import Pruned

# How often a kernel asks whether a day has passed since any kernel removed old runs.
_HOUR = 3_600.0


class Upkeep:
    """Counts rows and removes old runs in the background; of all kernels, one removes runs each day."""

    def __init__(
        self,
        count: Callable[[], Awaitable[None]],
        prune: Callable[[str], Awaitable[Pruned]],
        claim: Callable[[], Awaitable[bool]],
        log: Log,
    ) -> None:
        self._prune, self._claim, self._log = prune, claim, log
        self._older_than: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._counting = asyncio.create_task(self._count(count))

    async def _count(self, count: Callable[[], Awaitable[None]]) -> None:
        with suppress(StoreError):  # `%fact stats` counts the rest
            await count()

    def configure(self, settings: Settings) -> None:
        """Begin, change or end the removal; the work of a day that has begun goes on."""
        self._older_than = settings.prune_older_than
        if self._older_than and self._task is None:
            self._task = asyncio.create_task(self._daily())

    async def _daily(self) -> None:
        while self._older_than:
            with suppress(StoreError):  # the next cell reports it
                if await self._claim():
                    gone = await self._prune(self._older_than)
                    self._log.info("history pruned", older_than=self._older_than, runs=gone.runs)
            await asyncio.sleep(_HOUR)
        self._task = None

    async def aclose(self) -> None:
        """End the work; what was removed stays removed."""
        tasks = [task for task in (self._task, self._counting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
