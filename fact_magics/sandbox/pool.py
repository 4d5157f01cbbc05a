"""The sandbox: zygotes started ahead, chosen by what a call may reach and imports, a few calls at a time."""

from __future__ import annotations

import asyncio
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from fact_magics.errors import IsolationError
from fact_magics.sandbox import boot, frames, scratch
from fact_magics.sandbox.fallback import ProcessRunner
from fact_magics.sandbox.policy import Grants, Limits
from fact_magics.sandbox.warden import Warden, ZygoteLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.sandbox.outcome import Call, Outcome

Mode = Literal["auto", "require", "process"]

_WARM = 2
_USE_PROCESS = (
    'Write %config FactMagics.isolation = "process" to run tools in processes of their own, with limits, but with '
    "your files and the network within their reach."
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
        ``auto`` enforces files and network by the kernel, and refuses where it can't; ``require`` refuses a
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
        self._starting: asyncio.Task[_Engine] | None = None

    async def start(self) -> None:
        """Start what calls need ahead of them; a second time it does nothing.

        Raises
        ------
        IsolationError
            If this system can't isolate as the mode requires.
        """
        await self._started()

    def layers(self) -> tuple[str, ...]:
        """Name the layers in force, such as ``landlock``, ``seccomp``, ``scopes``, ``rlimits``, ``fork``.

        Returns
        -------
        tuple of str
            Empty before the sandbox has started.
        """
        return self._engine.layers if self._engine is not None else ()

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
            If this system can't isolate as the mode requires.
        CellError
            If a permission is malformed.
        """
        engine = await self._started()
        async with self._turns:
            ending = await engine.run(call, on_printed)
        return frames.judge(call, ending, self._limits, engine.layers)

    async def aclose(self) -> None:
        """End every process and remove every directory; the sandbox can be started again."""
        starting, self._starting = self._starting, None
        if starting is not None:
            await asyncio.gather(starting, return_exceptions=True)
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.aclose()

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
            engine = _ZygotePool(self._size, self._limits, strict=self._mode == "require")
        try:
            await engine.start()
        except BaseException:
            await engine.aclose()
            raise
        self._engine = engine
        return engine


class _ZygotePool:
    """Zygotes by permissions and preloaded modules; the least recently used ones are closed."""

    def __init__(self, size: int, limits: Limits, *, strict: bool) -> None:
        self._warm = min(_WARM, size)
        self._most = 2 * size + self._warm
        self._limits = limits
        self._strict = strict
        self._wardens: dict[Warden, tuple[Grants, tuple[str, ...]]] = {}  # least recently used first
        self._numbers = count(1)
        self._base: Path | None = None
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="fact-zygotes")
        self._files = ThreadPoolExecutor(1, thread_name_prefix="fact-scratch")
        self._tasks: set[asyncio.Task[object]] = set()
        self._closed = False
        self.layers: tuple[str, ...] = ()

    async def start(self) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="fact_magics-"))
        first = await self._spawn(Grants(), ())
        self.layers = first.layers
        if self._strict and "scopes" not in self.layers:
            raise IsolationError(
                "isolation is set to 'require', and this kernel lacks Landlock's signal scopes (Linux 6.12).",
                hint='Write %config FactMagics.isolation = "auto" to go without.',
            )
        self._top_up()

    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> frames.Ending:
        grants = Grants.parse(call.permissions)
        preload = boot.preload_for(call.imports, call.source)
        while True:
            warden = await self._take(grants, preload)
            try:
                return await warden.run(call, on_printed)
            except ZygoteLost:
                continue  # it had not begun
            finally:
                warden.busy = False
                self._put_back(warden)

    async def aclose(self) -> None:
        self._closed = True
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        wardens, self._wardens = list(self._wardens), {}
        await asyncio.gather(*(warden.aclose() for warden in wardens), return_exceptions=True)
        loop = asyncio.get_running_loop()
        if self._base is not None:
            await loop.run_in_executor(self._files, scratch.remove, self._base)
        self._spawner.shutdown(wait=False)
        self._files.shutdown(wait=False)

    async def _take(self, grants: Grants, preload: tuple[str, ...]) -> Warden:
        key = (grants, preload)
        idle = [warden for warden, its in self._wardens.items() if its == key and warden.alive and not warden.busy]
        idle.sort(key=lambda warden: warden.is_prepared)
        if idle:
            warden = idle[-1]
            warden.busy = True
            self._wardens[warden] = self._wardens.pop(warden)
            return warden
        self._make_room()
        warden = await self._spawn(grants, preload, busy=True)
        return warden

    async def _spawn(self, grants: Grants, preload: tuple[str, ...], *, busy: bool = False) -> Warden:
        assert self._base is not None  # noqa: S101 - set by start(), which comes first
        warden = Warden(
            grants,
            self._limits,
            preload,
            self._base / str(next(self._numbers)),
            spawner=self._spawner,
            files=self._files,
            strict=self._strict,
        )
        warden.busy = True
        try:
            await warden.start()
        except ZygoteLost as lost:
            raise IsolationError(
                f"This system can't enforce which files and hosts a tool reaches ({lost}).", hint=_USE_PROCESS
            ) from lost
        warden.busy = busy
        self._wardens[warden] = (grants, preload)
        return warden

    def _put_back(self, warden: Warden) -> None:
        if warden.alive or warden not in self._wardens:
            return
        del self._wardens[warden]
        self._later(warden.aclose())
        self._top_up()

    def _make_room(self) -> None:
        dead = [warden for warden in self._wardens if not warden.alive and not warden.busy]
        idle = [warden for warden in self._wardens if warden.alive and not warden.busy]
        surplus = max(0, len(self._wardens) - len(dead) + 1 - self._most)
        for warden in (*dead, *idle[:surplus]):
            del self._wardens[warden]
            self._later(warden.aclose())

    def _top_up(self) -> None:
        if self._closed:
            return
        bare = sum(1 for warden, key in self._wardens.items() if key == (Grants(), ()) and warden.alive)
        for _ in range(self._warm - bare):
            self._later(self._spawn(Grants(), ()))

    def _later(self, work: object) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a zygote that was started ahead and failed is started again when it is needed


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
