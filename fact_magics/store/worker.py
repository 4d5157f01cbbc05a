"""The thread that owns the SQLite connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import aiosqlite

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

T = TypeVar("T")

# A wait for a lock without a limit does not see an interrupt on every system.
_HEARTBEAT_SECONDS = 0.1


class WorkerClosed(Exception):
    """The connection takes no more work."""


class Worker(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole transaction as one function.

    aiosqlite queues one statement at a time: a task that is cancelled between two of them leaves a
    transaction open, into which the next task's rows fall. Here a function runs from beginning to end on the
    thread, whatever becomes of the task that waits for it, and costs one hop between the threads.

    Connecting and stopping are aiosqlite's own. Three of its private attributes (0.22) are needed:

    - `_tx`, its queue: a job put there brings a future of its own. aiosqlite's public methods deliver their
      results to the loop of the caller; if that is closed by then, their thread dies with a traceback in
      whatever cell is running. And a caller that blocks has no loop.
    - `_thread`, which is not a daemon: while a connection is open, the interpreter would not exit.
    - `_connection`, which the functions work on.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, iter_chunk_size=64)
        self._thread.daemon = True
        self._is_ended = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the thread, after what was queued before it.

        If the caller is cancelled, it stops waiting; `work` is done all the same.
        """
        return await asyncio.wrap_future(self._queue(work))

    def run_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` as `run` does, and block the calling thread, which runs no loop, meanwhile.

        A loop between the two threads would double the hops, which for one row cost more than its commit.
        """
        future = self._queue(work)
        while not future.done():
            if not self._thread.is_alive():
                raise WorkerClosed
            with suppress(TimeoutError):
                future.exception(_HEARTBEAT_SECONDS)
        return future.result()

    async def close(self) -> None:
        """Close the file after what was queued, and end the thread; closing twice is not an error."""
        if not self._is_ended:
            closed = self._queue(lambda connection: connection.close())
            self.stop()
            await asyncio.wrap_future(closed)

    def stop(self) -> None:
        """Close the file and end the thread after what was queued, without waiting."""
        self._is_ended = True
        # Called on the thread, aiosqlite's own finds no loop to which it would have to report.
        self._tx.put_nowait((None, super().stop))

    def _queue(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        connection = self._connection
        if connection is None or self._is_ended:
            raise WorkerClosed
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from now on it can't be cancelled

        def job() -> None:
            try:
                future.set_result(work(connection))
            except Exception as error:  # noqa: BLE001 - whoever waits for the future receives it
                future.set_exception(error)

        self._tx.put_nowait((None, job))
        return future
