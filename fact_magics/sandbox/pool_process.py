"""The program of a pool's own process: it runs a `ZygotePool` for the notebook's process, which is its owner.

It ends with its owner, and takes everything that its pool holds with it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from fact_magics.errors import IsolationError
from fact_magics.sandbox.channel import Channel
from fact_magics.sandbox.child.family import kill_descendants
from fact_magics.sandbox.limits import Limits
from fact_magics.sandbox.lost import ZygoteLostError
from fact_magics.sandbox.outcome import Call, Surroundings
from fact_magics.sandbox.policy import Grants, ZygoteKind
from fact_magics.sandbox.process import has_ended
from fact_magics.sandbox.zygotes import ZygotePool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The pool may take this long to close, on a busy machine. Then this process ends, and the system ends the
# zygotes with it.
_CLOSE_SECONDS = 20.0
_FLUSH_SECONDS = 0.3


class PoolServer:
    """Serves one owner; the messages are those that `fact_magics.sandbox.remote` sends and expects."""

    def __init__(self) -> None:
        self._channel = Channel(self._handle, self._end)
        self._pool: ZygotePool | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        self._lost = asyncio.Event()

    async def serve(self, connection: socket.socket, owner: int) -> None:
        """Serve until the owner closes the connection or ends."""
        loop = asyncio.get_running_loop()
        handle = os.pidfd_open(owner)
        loop.add_reader(handle, self._ended.set)
        loop.add_signal_handler(signal.SIGTERM, self._ended.set)
        if os.getppid() != owner:
            return
        await loop.create_unix_connection(lambda: self._channel, sock=connection)
        await self._ended.wait()
        if has_ended(handle):
            kill_descendants(os.getpid())  # at once, and then remove what they leave
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self._pool is not None:
                    await self._pool.aclose()
                await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._channel.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lost.wait(), _FLUSH_SECONDS)

    def _end(self) -> None:
        self._ended.set()
        self._lost.set()

    def _handle(self, message: Any) -> None:
        match message:
            case ("run", number, kind, call):
                task = asyncio.create_task(self._run(number, _kind(kind), _call(call)))
                self._tasks[number] = task
                task.add_done_callback(partial(self._forget, number))
            case ("cancel", number):
                if number in self._tasks:
                    self._tasks[number].cancel()
            case ("around", path, variables):
                _adopt(path, variables)
            case ("start", size, limits, strict, kinds):
                self._pool = ZygotePool(size, Limits(*limits), strict=strict)
                self._tasks[0] = asyncio.create_task(self._start(self._pool, map(_kind, kinds)))

    def _forget(self, number: int, task: asyncio.Task[None]) -> None:
        """Reply for a call that was cancelled, perhaps before it began, or that failed unexpectedly."""
        del self._tasks[number]
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self._channel.send("refused", number, (f"The tool can't be isolated: {error!r}", "", ()))

    async def _start(self, pool: ZygotePool, kinds: Iterable[ZygoteKind]) -> None:
        try:
            await pool.start()
            for kind in kinds:
                await pool.add(kind)
        except (IsolationError, ZygoteLostError):
            self._ended.set()
            return
        self._channel.send("up", pool.layers, str(pool.inspect().directory))

    async def _run(self, number: int, kind: ZygoteKind, call: Call) -> None:
        assert self._pool is not None  # noqa: S101 - "start" comes first
        try:
            ending = await self._pool.run_on(
                kind, call, lambda text: self._channel.send("printed", number, text)
            )
        except IsolationError as error:
            self._channel.send("refused", number, (error.message, error.hint, error.details))
        else:
            sent = (
                ending.frame,
                ending.wait_status,
                ending.cpu_seconds,
                ending.stopped,
                ending.printed,
                ending.duration_ms,
            )
            self._channel.send("ended", number, sent)


def _kind(parts: Any) -> ZygoteKind:
    grants, preload, surroundings, installed = parts
    return ZygoteKind(Grants(*grants), preload, Surroundings(*surroundings), installed)


def _call(parts: Any) -> Call:
    every = (*parts[:-1], Surroundings(*parts[-1]))
    return Call(*every)


def _adopt(path: list[str], variables: Mapping[str, str | None]) -> None:
    """Take over what new zygotes read from the owner's process."""
    sys.path[:] = path
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def main() -> None:
    """Run the program; its arguments are the descriptor of the connection, and the owner's process id."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, owner = map(int, sys.argv[1:])
    try:
        asyncio.run(PoolServer().serve(socket.socket(fileno=descriptor), owner))
    finally:
        os._exit(0)  # a thread may still wait for a connection that sandlock makes
