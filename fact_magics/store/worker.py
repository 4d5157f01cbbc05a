"""The thread that owns the SQLite connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import aiosqlite

from fact_magics.quiet import begin_work, quieten

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

T = TypeVar("T")

# On some systems an interrupt does not end a wait that has no time limit.
_HEARTBEAT_SECONDS = 0.1


quieten("aiosqlite")  # it logs each piece of work twice


class WorkerClosed(Exception):
    """The connection is closed."""


class Worker(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole transaction as one function.

    aiosqlite queues one statement at a time. A task that is cancelled between two statements leaves its
    transaction open, and the next task's rows become part of that transaction. Here a whole function runs on
    the thread, even if the task that waits for it is cancelled. It costs only one switch between threads.

    aiosqlite itself opens the connection and ends the thread. This class needs three of aiosqlite's private
    attributes (0.22):

    - `_tx`, the queue: each job put there sets a future of its own. aiosqlite's public methods deliver
      results to the caller's loop. If the loop is closed by then, the thread dies and prints a traceback in
      the running cell. A blocking caller has no loop at all.
    - `_thread`: aiosqlite's thread is not a daemon, so an open connection would keep the interpreter from
      exiting. This class makes the thread a daemon.
    - `_connection`, the connection that the functions use.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, iter_chunk_size=64)
        self._thread.daemon = True
        run = self._thread.run

        def run_quietly() -> None:
            begin_work()
            run()

        self._thread.run = run_quietly  # type: ignore[method-assign]
        self._is_ended = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the thread after all earlier work, even if the caller is cancelled meanwhile."""
        return await asyncio.wrap_future(self._queue(work))

    def run_blocking(self, work: Callable[[sqlite3.Connection], T], on_interrupt: Callable[[], None]) -> T:
        """Run `work` as `run` does, but block the calling thread, which must not run an event loop.

        A loop between the two threads would double the number of switches. Switches cost more than the
        commit of a row. An interrupt calls `on_interrupt`, and is raised when the work has ended well.
        """
        future = self._queue(work)
        interrupt: KeyboardInterrupt | None = None
        while not future.done():
            if not self._thread.is_alive():
                raise WorkerClosed
            try:
                with suppress(TimeoutError):
                    future.exception(_HEARTBEAT_SECONDS)
            except KeyboardInterrupt as caught:
                interrupt = caught
                on_interrupt()
        result = future.result()
        if interrupt is not None:
            raise interrupt
        return result

    async def close(self) -> None:
        """Close the file after all earlier work, and end the thread; closing twice is not an error."""
        if not self._is_ended:
            closed = self._queue(lambda connection: connection.close())
            self.stop()
            await asyncio.wrap_future(closed)

    def stop(self) -> None:
        """Close the file and end the thread after all earlier work, without waiting for it."""
        self._is_ended = True
        # On that thread, aiosqlite's own `stop` finds no event loop, and so it reports to none.
        self._tx.put_nowait((None, super().stop))

    def _queue(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        connection = self._connection
        if connection is None or self._is_ended:
            raise WorkerClosed
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # so that a waiting caller can't cancel the job

        def job() -> None:
            try:
                future.set_result(work(connection))
            except Exception as error:  # noqa: BLE001 - the waiting caller receives the error
                future.set_exception(error)

        self._tx.put_nowait((None, job))
        return future
