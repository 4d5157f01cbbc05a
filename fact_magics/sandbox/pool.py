"""The sandbox as the core sees it: the mode, a queue, and a few calls at a time."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Literal, Protocol

from fact_magics.errors import IsolationError
from fact_magics.sandbox import frames
from fact_magics.sandbox.fallback import ProcessRunner
from fact_magics.sandbox.lost import ZygoteLostError
from fact_magics.sandbox.names import check_names
from fact_magics.sandbox.policy import Grants, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fact_magics.sandbox.outcome import Call, Outcome

Mode = Literal["auto", "require", "process"]

_USE_PROCESS = (
    'Write %config FactMagics.isolation = "process" to run tools in processes of their own: with limits, but '
    "with your files and the network within their reach."
)


class _Engine(Protocol):
    layers: tuple[str, ...]

    async def start(self) -> None: ...
    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> frames.Ending: ...
    async def aclose(self) -> None: ...


class Sandbox:
    """Run calls of tools where they can hurt nothing.

    All of it belongs to the event loop that first uses it.

    Parameters
    ----------
    mode : {"auto", "require", "process"}
        ``auto`` enforces files and network by the kernel, and refuses where it can't, all but the tools that
        ship with fact_magics; ``require`` refuses a
        kernel that lacks any layer; ``process`` settles for fresh processes with limits.
    size : int, optional
        Calls at a time; the default is the number of cores.
    limits : Limits, optional
        Limits of every call besides its wall time and memory.
    """

    def __init__(self, *, mode: Mode = "auto", size: int | None = None, limits: Limits | None = None) -> None:
        self._mode: Mode = mode
        self._size = max(1, size or _cores())
        self._limits = limits or Limits()
        self._turns = asyncio.Semaphore(self._size)
        self._engine: _Engine | None = None
        self._plain: _Engine | None = None
        self._starting: asyncio.Task[_Engine] | None = None

    async def start(self) -> None:
        """Start what calls need ahead of them; a second time it does nothing.

        Raises
        ------
        IsolationError
            If this system can't isolate as the mode requires.
        """
        await self._started()

    async def use(self, mode: Mode, limits: Limits) -> None:
        """Isolate by another mode or within other limits, from the next call on."""
        await self.aclose()
        self._mode, self._limits = mode, limits

    def layers(self) -> tuple[str, ...]:
        """Name the layers in force, such as ``landlock``, ``seccomp``, ``scopes``, ``rlimits``, ``fork``.

        Returns
        -------
        tuple of str
            Empty before the sandbox has started.
        """
        return self._engine.layers if self._engine is not None else ()

    async def check(self, permissions: Iterable[str]) -> None:
        """See, before anything is paid for, whether permissions can be granted here and now.

        Raises
        ------
        IsolationError
            What may be written is not there, or a host has no address.
        """
        grants = Grants.parse(permissions)
        if self._mode != "process":
            await check_names(grants.net)

    async def run(self, call: Call, on_printed: Callable[[str], None] | None = None) -> Outcome:
        """Run one call and tell how it ended; what the tool does is never raised.

        When this returns, everything that the call started is gone. A cancelled run kills all of it first.

        Parameters
        ----------
        call : Call
            What to run.
        on_printed : callable, optional
            Called on this loop with text as the tool prints it.

        Raises
        ------
        IsolationError
            If this system can't isolate as the mode requires, or grant what is permitted.
        CellError
            If a permission is malformed.
        """
        engine, limits = await self._engine_for(call), self._limits
        async with self._turns:
            ending = await engine.run(call, on_printed)
        return frames.judge(call, ending, limits, engine.layers)

    async def aclose(self) -> None:
        """End every process and remove every directory; the sandbox can be started again."""
        starting, self._starting = self._starting, None
        if starting is not None:
            await asyncio.gather(starting, return_exceptions=True)
        engines = (self._engine, self._plain)
        self._engine = self._plain = None
        for engine in engines:
            if engine is not None:
                await engine.aclose()

    async def _engine_for(self, call: Call) -> _Engine:
        if call.verified and self._plain is not None:
            return self._plain
        try:
            return await self._started()
        except IsolationError:
            if not call.verified or self._mode != "auto":
                raise
            self._plain = ProcessRunner(self._limits)
            return self._plain

    async def _started(self) -> _Engine:
        if self._engine is not None:
            return self._engine
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            self._starting = asyncio.create_task(self._start_engine())
        return await asyncio.shield(self._starting)

    async def _start_engine(self) -> _Engine:
        engine: _Engine
        if self._mode == "process":
            engine = ProcessRunner(self._limits)
        else:
            engine = _zygote_pool(self._size, self._limits, strict=self._mode == "require")
        try:
            await engine.start()
        except ZygoteLostError as lost:
            await engine.aclose()
            raise IsolationError(
                f"This system can't enforce which files and hosts a tool reaches ({lost}).", hint=_USE_PROCESS
            ) from lost
        except BaseException:
            await engine.aclose()
            raise
        self._engine = engine
        return engine


def _zygote_pool(size: int, limits: Limits, *, strict: bool) -> _Engine:
    if sys.platform != "linux":
        raise IsolationError(
            "Only Linux can enforce which files and hosts a tool reaches, and this system is not Linux.",
            hint=_USE_PROCESS,
        )
    from fact_magics.sandbox.zygotes import ZygotePool

    return ZygotePool(size, limits, strict=strict)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
