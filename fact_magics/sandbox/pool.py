"""The sandbox that the core uses: it has a mode and a queue, and runs a few calls at a time."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

from fact_magics.errors import IsolationError
from fact_magics.sandbox import frames
from fact_magics.sandbox.fallback import ProcessRunner
from fact_magics.sandbox.inspection import Inspection
from fact_magics.sandbox.limits import Limits
from fact_magics.sandbox.lost import USE_PROCESS, ZygoteLostError
from fact_magics.sandbox.policy import Grants, check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fact_magics.sandbox.begun import Begun
    from fact_magics.sandbox.outcome import Call, Outcome

Mode = Literal["auto", "require", "process"]


class _Engine(Protocol):
    layers: tuple[str, ...]

    async def start(self) -> None: ...
    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> frames.Ending: ...
    def begin(self, call: Call) -> Begun | None: ...
    async def settle(self) -> None: ...
    def inspect(self) -> Inspection: ...
    async def aclose(self) -> None: ...


class Sandbox:
    """Run calls of tools in isolation. A sandbox belongs to the event loop that first uses it.

    Parameters
    ----------
    mode : {"auto", "require", "process"}
        ``auto`` lets the kernel enforce files and network. If the kernel can't do this, only tools that
        ship with fact_magics run. ``require`` refuses a kernel that lacks any layer. ``process`` uses fresh
        processes with limits only.
    size : int, optional
        Number of calls at a time; the default is the number of cores.
    limits : Limits, optional
        Limits of every call besides its wall time and memory.
    """

    def __init__(self, *, mode: Mode = "auto", size: int | None = None, limits: Limits | None = None) -> None:
        self._size = max(1, size or _cores())
        self._engines = _Engines(mode, self._size, limits or Limits())
        self._retiring: dict[asyncio.Task[None], _Engines] = {}

    async def start(self) -> None:
        """Start the processes that calls need. A second start does nothing.

        Raises
        ------
        IsolationError
            If this system can't isolate as the mode requires.
        """
        await self._engines.start()

    async def reconfigure(self, mode: Mode, limits: Limits) -> None:
        """Use another mode or other limits from the next call on.

        Calls that already run or wait keep the old settings.
        """
        retired, self._engines = self._engines, _Engines(mode, self._size, limits)
        retiring = asyncio.create_task(retired.retire())
        self._retiring[retiring] = retired
        retiring.add_done_callback(self._retiring.pop)

    @property
    def settings(self) -> tuple[Mode, Limits]:
        """The mode and the limits of the next call."""
        return self._engines.mode, self._engines.limits

    def layers(self) -> tuple[str, ...]:
        """List the layers in force: ``landlock``, ``seccomp``, ``rlimits``, …; empty before the start."""
        return self._engines.main.layers if self._engines.main is not None else ()

    def inspect(self) -> Inspection:
        """Report the current processes and directories of the sandbox."""
        main = self._engines.main
        return replace(main.inspect() if main is not None else Inspection(), retiring=len(self._retiring))

    async def check(self, permissions: Iterable[str]) -> None:
        """Check that permissions can be granted now, before a request to a model costs money.

        Raises
        ------
        IsolationError
            A path to write is missing, or a host has no address.
        """
        grants = Grants.parse(permissions)
        if self._engines.mode != "process":
            await check_names(grants.net)

    async def run(
        self,
        call: Call,
        on_printed: Callable[[str], None] | None = None,
        on_turn: Callable[[], None] | None = None,
        begun: Begun | None = None,
    ) -> Outcome:
        """Run one call and report how it ended; exceptions of the tool are reported, not raised.

        Afterwards, even if this is cancelled, nothing that the call started is left.

        Parameters
        ----------
        call : Call
            The call to run.
        on_printed : callable, optional
            Called on this loop with text as the tool prints it.
        on_turn : callable, optional
            Called on this loop when the call leaves the queue.
        begun : Begun, optional
            The same call, if it has begun; then it does not wait in the queue.

        Raises
        ------
        IsolationError
            This system can't isolate as the mode requires, or can't grant a permission.
        CellError
            A permission is malformed.
        """
        if begun is None:
            return await self._engines.run(call, on_printed, on_turn)
        if on_turn is not None:
            on_turn()
        return await self._engines.go_on(begun, on_printed)

    def begin(self, call: Call) -> Begun | None:
        """Give a call the process that is prepared for it, on any thread; its `answer` may come at once.

        None if no process is prepared or other calls wait. What has begun must be finished, dropped or run.
        """
        return self._engines.begin(call)

    async def aclose(self) -> None:
        """End every process and remove every directory. The sandbox can be started again."""
        await asyncio.gather(*(engines.aclose() for engines in (self._engines, *self._retiring.values())))
        await asyncio.gather(*self._retiring)


class _Engines:
    """The engine for one mode and one set of limits, and the queue in front of it."""

    def __init__(self, mode: Mode, size: int, limits: Limits) -> None:
        self.mode: Mode = mode
        self.main: _Engine | None = None
        self._size = size
        self.limits = limits
        self._turns = asyncio.Semaphore(size)
        self._plain: _Engine | None = None
        self._starting: asyncio.Task[_Engine] | None = None

    async def run(
        self, call: Call, on_printed: Callable[[str], None] | None, on_turn: Callable[[], None] | None
    ) -> Outcome:
        async with self._turns:
            if on_turn is not None:
                on_turn()
            engine = await self._engine_for(call)
            ending = await engine.run(call, on_printed)
        return frames.judge(call, ending, self.limits, engine.layers)

    async def go_on(self, begun: Begun, on_printed: Callable[[str], None] | None) -> Outcome:
        """Run a call that has begun; it counts as one of the calls at a time if another one may run now."""
        call, zygote = begun.call, begun.zygote
        if self._turns.locked():
            ending = await zygote.run(call, on_printed, begun)
        else:
            async with self._turns:
                ending = await zygote.run(call, on_printed, begun)
        return frames.judge(call, ending, zygote.limits, zygote.layers)

    def begin(self, call: Call) -> Begun | None:
        return None if self.main is None or self._turns.locked() else self.main.begin(call)

    async def retire(self) -> None:
        """Close once every call that runs or waits for its turn has ended."""
        for _ in range(self._size):
            await self._turns.acquire()
        if self.main is not None:
            await self.main.settle()
        await self.aclose()

    async def aclose(self) -> None:
        starting, self._starting = self._starting, None
        if starting is not None:
            await asyncio.gather(starting, return_exceptions=True)
        engines = (self.main, self._plain)
        self.main = self._plain = None
        for engine in filter(None, engines):
            await engine.aclose()

    async def start(self) -> _Engine:
        if self.main is not None:
            return self.main
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            self._starting = asyncio.create_task(self._start_main())
        return await asyncio.shield(self._starting)

    async def _engine_for(self, call: Call) -> _Engine:
        if call.verified and self._plain is not None:
            return self._plain
        try:
            return await self.start()
        except IsolationError:
            if not call.verified or self.mode != "auto":
                raise
            self._plain = ProcessRunner(self.limits)
            return self._plain

    async def _start_main(self) -> _Engine:
        engine: _Engine
        if self.mode == "process":
            engine = ProcessRunner(self.limits)
        elif sys.platform == "linux":
            from fact_magics.sandbox.zygotes import ZygotePool

            engine = ZygotePool(self._size, self.limits, strict=self.mode == "require")
        else:
            raise IsolationError(
                "Only Linux can enforce which files and hosts a tool reaches, and this system is not Linux.",
                hint=USE_PROCESS,
            )
        try:
            await engine.start()
        except BaseException as error:
            await engine.aclose()
            if not isinstance(error, ZygoteLostError):
                raise
            message = f"This system can't enforce which files and hosts a tool reaches ({error})."
            if error.hint:
                message = f"Tools can't be isolated: {error}."
            raise IsolationError(message, hint=error.hint or USE_PROCESS) from error
        self.main = engine
        return engine


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
