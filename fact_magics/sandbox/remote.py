"""A pool of zygotes in a process of its own, which leaves the notebook's processor time to the notebook."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fact_magics.errors import IsolationError
from fact_magics.sandbox.channel import Channel
from fact_magics.sandbox.frames import Ending
from fact_magics.sandbox.inspection import Inspection
from fact_magics.sandbox.lost import USE_PROCESS, ZygoteLostError, closed
from fact_magics.sandbox.policy import CERTIFICATE_VARIABLES
from fact_magics.sandbox.process import BOOT_SECONDS
from fact_magics.sandbox.threads import outlast
from fact_magics.sandbox.zygotes import kind_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call
    from fact_magics.sandbox.policy import ZygoteKind

# The process usually takes milliseconds; but after this time, it is killed, and leaves a directory behind.
_CANCEL_SECONDS = 5.0
_CLOSE_SECONDS = 20.0

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from fact_magics.sandbox.pool_process import main
main()
"""


@dataclass(slots=True)
class _Running:
    """A call that the other process runs, and what it printed so far."""

    ended: asyncio.Future[Ending]
    on_printed: Callable[[str], None] | None
    printed: list[str] = field(default_factory=list)


class RemotePool:
    """Runs calls on a `ZygotePool` in another process. The names and results are those of `ZygotePool`.

    Attributes
    ----------
    process : Popen or None
        That process, from its start to its end.
    is_lost : bool
        Whether the process ended unexpectedly, so that a new pool is needed.
    """

    def __init__(self, size: int, limits: Limits, *, strict: bool) -> None:
        self._settings = (size, astuple(limits), strict)
        self._loop = asyncio.get_running_loop()
        self._up: asyncio.Future[tuple[tuple[str, ...], str]] = self._loop.create_future()
        self._channel = Channel(self._handle, self._end)
        self.process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self._running: dict[int, _Running] = {}
        self._around: tuple[list[str], dict[str, str | None]] | None = None
        self._directory: Path | None = None
        self._closed = False
        self.is_lost = False
        self.layers: tuple[str, ...] = ()

    async def start(self, kinds: Iterable[ZygoteKind] = ()) -> None:
        """Start the process and its pool, with bare zygotes and one of each of these kinds.

        Raises
        ------
        ZygoteLostError
            This system can't start it.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:  # until the process has its copy, even if this task is cancelled
                spawning = asyncio.ensure_future(asyncio.to_thread(_spawn, theirs.fileno()))
                try:
                    await outlast(spawning)
                finally:
                    if spawning.done() and spawning.exception() is None:
                        self.process = spawning.result()
                spawning.result()
            await self._loop.create_unix_connection(lambda: self._channel, sock=ours)
        except (OSError, subprocess.SubprocessError) as cause:
            ours.close()
            raise ZygoteLostError(f"no process can be started: {cause}") from cause
        except BaseException:
            ours.close()
            raise
        self._tell_around()
        self._channel.send("start", *self._settings, [_kind(kind) for kind in kinds])
        try:
            async with asyncio.timeout(BOOT_SECONDS):
                self.layers, directory = await self._up
        except TimeoutError:
            raise ZygoteLostError("an isolated process did not start within a minute") from None
        self._directory = Path(directory)

    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> Ending:
        """Run one call; afterwards, even if cancelled, nothing that it started is left."""
        kind = kind_for(call)
        if self._closed:
            raise closed()
        if kind.grants.net or self._around is None or self._around[0] != sys.path:
            self._tell_around()
        number = next(self._numbers)
        running = self._running[number] = _Running(self._loop.create_future(), on_printed)
        self._channel.send("run", number, _kind(kind), _call(call))
        if self.is_lost:
            self._lose(running)
        try:
            return await running.ended
        except asyncio.CancelledError:
            running.ended = self._loop.create_future()
            running.on_printed = None
            await self._stop(number, running)
            raise
        finally:
            del self._running[number]

    async def _stop(self, number: int, running: _Running) -> None:
        """End a call. If the process does not do it in time, end the process."""
        running.ended.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._channel.send("cancel", number)
        try:
            if not self.is_lost:
                await outlast(running.ended, _CANCEL_SECONDS)
        finally:
            if not running.ended.done() and self.process is not None:
                self.process.kill()

    async def aclose(self) -> None:
        """End the process and everything that it started; running calls are lost."""
        self._closed = True
        self._channel.close()
        self._end()
        process, self.process = self.process, None
        if process is not None:
            await asyncio.shield(asyncio.ensure_future(_ended(process)))

    def inspect(self) -> Inspection:
        """Report the directory of the pool; only the other process knows its zygotes."""
        return Inspection(directory=self._directory)

    def _tell_around(self) -> None:
        """Tell the process what its new zygotes need to know of this one, if it has changed."""
        variables = {name: os.environ.get(name) for name in CERTIFICATE_VARIABLES}
        if self._around != (sys.path, variables):
            self._around = (list(sys.path), variables)
            self._channel.send("around", *self._around)

    def _handle(self, message: Any) -> None:
        match message:
            case ("printed", number, text):
                if (running := self._running.get(number)) is not None:
                    running.printed.append(text)
                    if running.on_printed is not None:
                        running.on_printed(text)
            case ("ended", number, parts):
                if (running := self._running.get(number)) is not None and not running.ended.done():
                    running.ended.set_result(Ending(*parts))
            case ("refused", number, (text, hint, details)):
                if (running := self._running.get(number)) is not None and not running.ended.done():
                    running.ended.set_exception(IsolationError(text, hint=hint, details=details))
            case ("up", layers, directory):
                if not self._up.done():
                    self._up.set_result((layers, directory))

    def _end(self) -> None:
        self.is_lost = True
        for running in self._running.values():
            self._lose(running)
        if not self._up.done():
            self._up.set_exception(ZygoteLostError("an isolated process ended unexpectedly", USE_PROCESS))
            self._up.exception()  # asyncio would warn if nobody waits for it any more

    @staticmethod
    def _lose(running: _Running) -> None:
        if not running.ended.done():
            running.ended.set_result(Ending(b"", None, 0.0, None, "".join(running.printed), 0.0))


def _kind(kind: ZygoteKind) -> tuple[object, ...]:
    grants = kind.grants
    granted = (grants.read, grants.write, grants.net, grants.env, grants.things, grants.period)
    return granted, kind.preload, tuple(kind.surroundings), kind.installed


def _call(call: Call) -> tuple[object, ...]:
    return (
        call.source,
        call.function,
        call.arguments,
        call.timeout_seconds,
        call.memory_mb,
        call.permissions,
        call.imports,
        call.verified,
        tuple(call.surroundings),
    )


def _spawn(connection: int) -> subprocess.Popen[bytes]:
    """Start the process, without the variables of this one, which may be secret."""
    path = json.dumps([entry for entry in sys.path if os.path.isabs(entry)])  # noqa: PTH117
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM, path, str(connection), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(connection,),
        env={"PATH": os.defpath, "TMPDIR": tempfile.gettempdir(), "LC_ALL": "C.UTF-8"},
        cwd=os.sep,
        start_new_session=True,  # an interrupt of the notebook is not for this process
    )


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has ended, and kill it if that takes too long."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        handle = os.pidfd_open(process.pid)
        gone = loop.create_future()
        loop.add_reader(handle, gone.cancel)
        try:
            await asyncio.wait((gone,), timeout=_CLOSE_SECONDS)
        finally:
            loop.remove_reader(handle)
            os.close(handle)
    process.kill()  # without effect on a process that has ended
    process.wait()
