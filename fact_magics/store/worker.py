"""The thread that owns the SQLite connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import aiosqlite
from aiosqlite.core import _STOP_RUNNING_SENTINEL

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

T = TypeVar("T")

# A lock's wait should see signals everywhere.
_HEARTBEAT_SECONDS = 0.1


class Worker(aiosqlite.Connection):
    """An aiosqlite connection that takes a whole transaction as one function.

    aiosqlite queues one statement at a time: a task that is cancelled between two of them leaves a
    transaction open, into which the next task's rows fall. Here a function runs from beginning to end on the
    thread, whatever becomes of the task that waits for it, and costs one hop between the threads.

    Its thread is a daemon: aiosqlite's own (0.22) keeps the interpreter from exiting while a connection
    is open.

    Parameters
    ----------
    connect : callable
        Makes the `sqlite3.Connection`; called on the thread.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, iter_chunk_size=64)
        self._thread.daemon = True

    @property
    def is_open(self) -> bool:
        """Whether it takes work."""
        return self._running and self._connection is not None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the thread, after what was queued before it.

        A cancelled caller stops waiting; `work` is done all the same.

        Raises
        ------
        ValueError
            The connection is closed.
        """
        if not self.is_open:
            raise ValueError("Connection closed")
        connection = self._conn
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                result = work(connection)
            except Exception as error:  # noqa: BLE001 - carried to whoever waits, as a future does
                tell(future.set_exception, error)
            else:
                tell(future.set_result, result)

        def tell(settle: Callable[..., None], outcome: object) -> None:
            # The loop may have closed meanwhile. aiosqlite's own delivery dies of that, with a traceback
            # into whatever cell is running.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_unless_done, future, settle, outcome)

        self._tx.put_nowait((None, job))
        return await future

    def run_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` as `run` does, and block the calling thread, which is no loop's, meanwhile.

        A loop between the two threads would double the hops, which for one row cost more than its commit.

        Raises
        ------
        ValueError
            The connection is closed.
        """
        if not self.is_open:
            raise ValueError("Connection closed")
        connection = self._conn
        future: Future[T] = Future()

        def job() -> None:
            try:
                future.set_result(work(connection))
            except Exception as error:  # noqa: BLE001 - carried to whoever waits, as a future does
                future.set_exception(error)

        self._tx.put_nowait((None, job))
        while self._thread.is_alive() and not future.done():
            with suppress(TimeoutError):
                future.exception(_HEARTBEAT_SECONDS)
        if not future.done():
            raise ValueError("Connection closed")
        return future.result()

    async def close(self) -> None:
        """Close the file after what was queued, and end the thread; closing twice is no error."""
        if self.is_open:
            try:
                await self.run(lambda connection: connection.close())
            finally:
                self.stop()

    def stop(self) -> None:
        """End the thread after what was queued; nobody has to wait, or to have a loop."""
        self._running = False

        def close_and_stop() -> object:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            return _STOP_RUNNING_SENTINEL

        self._tx.put_nowait((None, close_and_stop))


def _unless_done(future: asyncio.Future[T], settle: Callable[..., None], outcome: object) -> None:
    if not future.done():
        settle(outcome)
