"""Start zygotes in advance, and choose one for each call by what the call needs."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics import packages
from fact_magics.errors import IsolationError
from fact_magics.sandbox import scratch
from fact_magics.sandbox.inspection import Inspection
from fact_magics.sandbox.library import preload_for
from fact_magics.sandbox.lost import USE_PROCESS, ZygoteLostError, closed
from fact_magics.sandbox.outcome import USUAL
from fact_magics.sandbox.policy import Grants, ZygoteKind, check_names
from fact_magics.sandbox.threads import run_in
from fact_magics.sandbox.warden import Warden

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fact_magics.sandbox.begun import Begun
    from fact_magics.sandbox.frames import Ending
    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call

_PREFIX = "fact_magics-"
_WARM = 2
_TRIES = 3
_BARE = ZygoteKind()


class ZygotePool:
    """Keep zygotes of several kinds, and close the least recently used ones."""

    def __init__(self, size: int, limits: Limits, *, strict: bool) -> None:
        self._size = size
        self._warm = min(_WARM, size)
        self._most = 2 * size + self._warm
        self._limits = limits
        self._strict = strict
        self._wardens: list[Warden] = []
        self._numbers = count(1)
        self._base: Path | None = None
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="fact-zygotes")
        # Enough threads to measure every call (two for each call) while others remove large directories.
        self._files = ThreadPoolExecutor(self._most + 2 * size, thread_name_prefix="fact-scratch")
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._coming = 0
        self._spares: set[ZygoteKind] = set()  # the kinds whose spare zygote is starting
        self._left: dict[asyncio.Task[Warden], ZygoteKind] = {}  # starting for calls that were cancelled
        self.layers: tuple[str, ...] = ()

    async def start(self) -> None:
        """Start one zygote, which reports the layers in force, and begin to start more."""
        self._base = self._make_base()
        self._files.submit(_remove_abandoned, self._base.parent)
        first = await self._spawn(_BARE, busy=False)
        self.layers = first.layers
        if self._strict and "scopes" not in self.layers:
            raise IsolationError(
                "isolation is set to 'require', and this kernel lacks Landlock's signal scopes (Linux 6.12).",
                hint='Write %config FactMagics.isolation = "auto" to run without them.',
            )
        self._top_up()

    def _make_base(self) -> Path:
        """Make the directory that holds the directory of each zygote."""
        try:
            base = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        except OSError as cause:
            raise IsolationError(
                f"Tools can't be isolated without a directory for temporary files: {cause}.",
                hint="Free disk space, or name another directory in the environment variable TMPDIR.",
            ) from cause
        # This removes the directory if nobody calls aclose(). After SIGKILL, the next process removes it.
        self._removal = weakref.finalize(self, _remove_own, base, os.getpid())
        return base

    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> Ending:
        """Run one call on a zygote of its kind."""
        kind = _kind_of(call)
        tries = _TRIES
        while True:
            try:
                warden = await self._take(kind)
                return await warden.run(call, on_printed)
            except ZygoteLostError as lost:  # the call had not begun
                tries -= 1
                if not tries:
                    hint = lost.hint or USE_PROCESS
                    raise IsolationError(f"The tool can't be isolated: {lost}.", hint=hint) from lost

    def begin(self, call: Call) -> Begun | None:
        """Take a prepared child for a call, if there is one; works on any thread."""
        kind = _kind_of(call)
        for warden in self._wardens.copy():
            if warden.kind == kind and warden.is_prepared and warden.use.claim():
                try:
                    begun = warden.begin(call, is_quick=True)
                except BaseException:
                    warden.use.release()
                    raise
                if begun is not None:
                    return begun
                warden.use.release()
        return None

    async def settle(self) -> None:
        """Wait until the calls that threads began have ended."""
        for warden in self._wardens.copy():
            await warden.use.settle()

    async def aclose(self) -> None:
        """End every zygote and remove every directory."""
        self._closed = True
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        wardens, self._wardens = self._wardens, []
        await asyncio.gather(*(warden.aclose() for warden in wardens), return_exceptions=True)
        if self._base is not None:
            await run_in(self._files, self._removal)
        self._spawner.shutdown(wait=False)
        self._files.shutdown(wait=False)

    def inspect(self) -> Inspection:
        """Report what the pool holds."""
        wardens = sorted(self._wardens, key=lambda warden: warden.use.used_at)
        zygotes = tuple(warden.inspect() for warden in wardens)
        return Inspection(zygotes, self._base, len(self._tasks))

    async def _take(self, kind: ZygoteKind) -> Warden:
        idle = [
            warden
            for warden in self._wardens
            if warden.kind == kind and warden.alive and not warden.use.is_claimed
        ]
        if idle:
            warden = max(idle, key=lambda warden: (warden.is_prepared, warden.use.used_at))
            if not warden.use.claim():  # a thread has just taken it
                return await self._take(kind)
            if not warden.is_prepared:
                self._add_spare(kind)
            return warden
        spawning = next((task for task, its_kind in self._left.items() if its_kind == kind), None)
        if spawning is None:
            self._make_room()
            spawning = asyncio.create_task(self._spawn(kind, busy=True))
        self._left.pop(spawning, None)
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            self._left[spawning] = kind
            self._later(self._keep(spawning))
            raise

    def _add_spare(self, kind: ZygoteKind) -> None:
        """Start a spare zygote if several calls of a kind run at a time.

        While one zygote prepares its next child, a call can use the spare one, so no core waits.
        """
        alike = [warden for warden in self._wardens if warden.kind == kind]
        several = sum(warden.use.is_claimed for warden in alike) > 1
        if several and len(alike) <= self._size and not self._closed and kind not in self._spares:
            self._spares.add(kind)
            self._make_room()
            self._later(self._spawn_spare(kind))

    async def _spawn_spare(self, kind: ZygoteKind) -> None:
        try:
            await self._spawn(kind, busy=False)
        finally:
            self._spares.discard(kind)

    async def _keep(self, spawning: asyncio.Task[Warden]) -> None:
        """Keep a zygote whose call was cancelled before it had started, unless another call has taken it."""
        await asyncio.wait((spawning,))
        if self._left.pop(spawning, None) is not None:
            spawning.result().use.release()

    async def _spawn(self, kind: ZygoteKind, *, busy: bool) -> Warden:
        assert self._base is not None  # noqa: S101 - set by start(), which comes first
        self._refuse_if_closed()
        if not self._base.is_dir():  # systems remove old temporary files
            self._removal.detach()
            self._base = self._make_base()
        await check_names(kind.grants.net)
        warden = Warden(
            kind,
            self._limits,
            self._base / str(next(self._numbers)),
            spawner=self._spawner,
            files=self._files,
            strict=self._strict,
            on_lost=self._replace,
        )
        await warden.start()
        if self._closed:  # nobody else would end this zygote
            await warden.aclose()
            self._refuse_if_closed()
        if busy:
            warden.use.claim()
        self._wardens.append(warden)
        return warden

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise closed()

    def _replace(self, warden: Warden) -> None:
        """Remove a zygote that was lost, and start another one."""
        if warden in self._wardens:
            self._wardens.remove(warden)
            self._later(warden.aclose())
            if warden.worked:  # otherwise a new zygote would probably fail too
                self._top_up()

    def _make_room(self) -> None:
        idle = [warden for warden in self._wardens if not warden.use.is_claimed]
        # Most tools use bare zygotes, and only proofs use other surroundings.
        idle.sort(key=lambda one: (one.kind == _BARE, one.kind.surroundings == USUAL, one.use.used_at))
        for warden in idle[: max(0, len(self._wardens) + 1 - self._most)]:
            if warden.use.claim():  # else a thread has just taken it
                self._wardens.remove(warden)
                self._later(warden.aclose())

    def _top_up(self) -> None:
        """Start zygotes without grants and preloads until enough are ready."""
        bare = sum(warden.kind == _BARE for warden in self._wardens)
        for _ in range(0 if self._closed else self._warm - bare - self._coming):
            self._coming += 1
            self._later(self._add_bare())

    async def _add_bare(self) -> None:
        try:
            await self._spawn(_BARE, busy=False)
        finally:
            self._coming -= 1

    def _later(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a failed start is repeated when a call needs the zygote


def _kind_of(call: Call) -> ZygoteKind:
    grants = Grants.parse(call.permissions) if call.permissions else _BARE.grants
    preload = preload_for(call.imports, call.source)
    installed = packages.installed() if packages.from_elsewhere(preload) else ()
    return ZygoteKind(grants, preload, call.surroundings, installed)


def _remove_own(directory: Path, owner: int) -> None:
    """Remove the directory of this process, but not when a fork of it ends."""
    if os.getpid() == owner:
        scratch.remove(directory)


def _remove_abandoned(directory: Path) -> None:
    for path in directory.glob(f"{_PREFIX}*-*"):
        owner = path.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            status = path.lstat()
            if (
                owner.isdigit()
                and stat.S_ISDIR(status.st_mode)
                and status.st_uid == os.getuid()
                and not Path(f"/proc/{owner}").exists()
            ):
                scratch.remove(path)
