"""Reserve something for one call at a time, from any thread."""

from __future__ import annotations

import asyncio
import time
from threading import Lock


class Reservation:
    """Whether a call has reserved something; belongs to the running loop.

    `used_at` is the value of `time.monotonic` when it was last reserved.
    """

    def __init__(self) -> None:
        self.used_at = time.monotonic()
        self._lock = Lock()
        self._loop = asyncio.get_running_loop()
        self._released: asyncio.Event | None = None

    def claim(self) -> bool:
        """Reserve it until `release`; False if it is reserved already. Works on any thread."""
        if not self._lock.acquire(blocking=False):
            return False
        self.used_at = time.monotonic()
        return True

    def release(self) -> None:
        """Let other calls have it. Works on any thread."""
        self._lock.release()
        if self._released is not None:
            self._loop.call_soon_threadsafe(self._released.set)

    @property
    def is_claimed(self) -> bool:
        """Whether it is reserved."""
        return self._lock.locked()

    async def settle(self) -> None:
        """Wait until no call has reserved it, and reserve it for good."""
        self._released = asyncio.Event()
        while not self.claim():
            await self._released.wait()
            self._released.clear()
