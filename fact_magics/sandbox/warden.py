"""Manage one zygote: start it, have it prepare a child, run one call at a time, end it."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox import scratch
from fact_magics.sandbox.begun import Begun
from fact_magics.sandbox.calling import Calling
from fact_magics.sandbox.child.family import kill_descendants
from fact_magics.sandbox.inspection import ZygoteState
from fact_magics.sandbox.lost import ZygoteLostError, shortage_hint
from fact_magics.sandbox.policy import ZygoteKind, named_hosts, refuse_detour
from fact_magics.sandbox.prepared import Prepared
from fact_magics.sandbox.process import BOOT_SECONDS, ZygoteProcess, has_ended, lack_of_descriptors
from fact_magics.sandbox.reservation import Reservation
from fact_magics.sandbox.threads import run_in

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor
    from pathlib import Path

    from fact_magics.sandbox.frames import Ending
    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call

END_SECONDS = 0.6
"""How many seconds the end of a zygote waits for unfinished work."""

_READ_SIZE = 1 << 16
_SHORT_SOURCE = 8_000  # characters that surely fit into the pipe for orders
_REPORT_LIMIT = 1 << 16


class Warden:
    """Manage one zygote. Calls with the same `kind` may share it.

    `worked` is true once the zygote has prepared a child. `use` tells whether a call has it. The only
    thread of `spawner` starts the process (see `ZygoteProcess`), and must outlive it. The threads of `files`
    work on the file system. `on_lost` is called once, when the zygote has ended.
    """

    def __init__(
        self,
        kind: ZygoteKind,
        limits: Limits,
        root: Path,
        *,
        spawner: Executor,
        files: Executor,
        strict: bool,
        on_lost: Callable[[Warden], None],
    ) -> None:
        self._on_lost = on_lost
        self.kind = kind
        self.limits = limits
        self._root = root
        self._spawner = spawner
        self.files = files
        self._strict = strict
        self._process: ZygoteProcess | None = None
        self.pid = 0
        self._numbers = 0
        self._buffer = b""
        self._waiting: dict[tuple[str, object], asyncio.Future[dict[str, Any]]] = {}
        self._prepared: Prepared | None = None
        self._scratch: scratch.Scratch | None = None
        self._compiled: set[str] = set()  # the sources that the zygote has compiled ahead
        self._taken: int | None = None  # address space of a new child
        self._expected = 0  # the number of the child that will be used
        self._goes_on = True  # the zygote prepares the next child by itself after a clean call
        self._coming: asyncio.Future[dict[str, Any]] | None = None  # that child
        self._preparing: asyncio.Future[Any] | None = None  # done once a child is prepared, or can't be
        self._fault: ZygoteLostError | None = None
        self.worked = False
        self.alive = False
        self.use = Reservation()
        self._loop = asyncio.get_running_loop()
        self.layers: tuple[str, ...] = ()

    @property
    def is_prepared(self) -> bool:
        """Tell whether a child waits, so that a call would start at once."""
        is_ready = self._preparing is None or self._preparing.done()
        return self.alive and self._prepared is not None and is_ready

    def inspect(self) -> ZygoteState:
        """Report the zygote's state."""
        return ZygoteState(self.pid, self.is_prepared, bare=self.kind == ZygoteKind())

    async def start(self) -> None:
        """Start the process, wait until it serves, and have it prepare a child.

        Raises
        ------
        ZygoteLostError
            If it can't be started here.
        IsolationError
            If a granted host name resolves to an address that is dangerous to grant.
        """
        loop = self._loop
        try:
            process = await loop.run_in_executor(self._spawner, self._spawn)
            self.alive = True
            up = self.expect("up", True)
            loop.add_reader(process.reports, self._read_reports)
            async with asyncio.timeout(BOOT_SECONDS):
                report = await up
            self.layers = _layers(report)
            # Sandlock resolved the names again, and may have received other addresses.
            for name, port in named_hosts(self.kind.grants.net):
                refuse_detour(name, port, report["pinned"][name])
        except TimeoutError:
            await self.aclose()
            raise ZygoteLostError("an isolated process did not start within a minute") from None
        except (ImportError, OSError, RuntimeError, ValueError) as cause:
            await self.aclose()
            # Sandlock does not say which system call failed.
            reason = (lack_of_descriptors() if isinstance(cause, RuntimeError) else None) or cause
            raise ZygoteLostError(
                f"sandlock can't start a process here: {reason}", shortage_hint(reason)
            ) from cause
        except BaseException:
            await self.aclose()
            raise
        self._preparing = asyncio.create_task(self._prepare())

    def _spawn(self) -> ZygoteProcess:
        self._process = ZygoteProcess(self.kind, self.limits, self._root, strict=self._strict)
        self.pid = self._process.pid
        return self._process

    async def run(
        self, call: Call, on_printed: Callable[[str], None] | None, begun: Begun | None = None
    ) -> Ending:
        """Run one call to its end; afterwards, even if cancelled, nothing of the call is left.

        The warden must have been claimed. If `begun`, the call may have its request already.

        Raises `ZygoteLostError` if no child could be prepared; the call has not begun then.
        """
        try:
            begun = begun or await self._take(call)
            begun.is_followed = True
            try:
                ending = await Calling(begun, on_printed).follow()
                self._compile_ahead(call)
                return ending
            finally:
                removal = self._conclude(begun)
                if removal is not None:
                    await asyncio.wait((removal,), timeout=END_SECONDS)
                    if not removal.done():  # the next call must not wait for the removal
                        self._lose()
        finally:
            self.use.release()

    async def _take(self, call: Call) -> Begun:
        """Wait for the child that is being prepared, and take it for a call."""
        while self._preparing is not None and not self._preparing.done():
            await asyncio.wait((self._preparing,), timeout=BOOT_SECONDS)
        begun = self.begin(call)
        if begun is None:
            self._lose()
            if self._prepared is not None:
                self._prepared.close()
                self._prepared = None
            raise self._fault or ZygoteLostError("an isolated process ended before a call began")
        return begun

    def begin(self, call: Call, *, is_quick: bool = False) -> Begun | None:
        """Take the prepared child for a call, if there is one, on any thread that claimed the warden.

        If `is_quick`, `Begun.answer` must follow.
        """
        prepared = self._prepared
        if prepared is None or not self._can_serve(prepared):
            return None
        self._prepared = None
        if self._goes_on:
            self._coming = self._expect_child(prepared.number + 1)
        return Begun(self, call, prepared, is_quick=is_quick)

    def finish(self, begun: Begun, end: Coroutine[Any, Any, None]) -> None:
        """Await the end of a call that nobody follows, and release the warden."""
        begun.is_followed = True
        self._compile_ahead(begun.call)
        self._preparing = self._loop.create_task(self._end(begun, end))
        self.use.release()

    async def _end(self, begun: Begun, end: Coroutine[Any, Any, None]) -> None:
        try:
            await end
        finally:
            self._conclude(begun)

    def _conclude(self, begun: Begun) -> asyncio.Future[None] | None:
        """Let the next child be prepared; return the removal of what the call wrote, if there is any."""
        prepared = begun.prepared
        prepared.close()
        if not begun.clean:
            # sandlock 0.9.0 still counts some killed processes against the limit of processes, so
            # this zygote can't serve another call.
            self._lose()
        if self._scratch is not None and self._scratch.renew():
            if self._goes_on:
                self._preparing = self._coming
            else:
                self._go_on(True)
                self._preparing = asyncio.create_task(self._prepare())
            return None
        # The next call must not find what this one wrote.
        if self._goes_on:
            self._go_on(False)
            self._drop_child(prepared.number + 1)
        self._scratch = None
        removal = asyncio.ensure_future(run_in(self.files, scratch.remove, prepared.scratch))
        self._preparing = asyncio.create_task(self._prepare_after(removal))
        return removal

    def _go_on(self, goes_on: bool) -> None:
        """Tell the zygote whether to prepare a child after each clean call by itself."""
        self._goes_on = goes_on
        self.order(goes_on=goes_on)

    def is_unused(self) -> bool:
        """Tell whether nobody wrote to the scratch directory."""
        return self._scratch is not None and self._scratch.is_unused()

    def _compile_ahead(self, call: Call) -> None:
        """Let the zygote compile a tool that it will probably run again.

        All calls of a zygote can look at its memory, so this is only for tools whose source is public.
        """
        if call.verified and call.source not in self._compiled and len(call.source) <= _SHORT_SOURCE:
            self._compiled.add(call.source)
            self.order(compile=[call.source, call.function])

    def _can_serve(self, prepared: Prepared) -> bool:
        # The directory may be missing, because systems remove old temporary files.
        process = self._process
        if process is None or not self.alive or not self.is_unused():
            return False
        return not has_ended(process.handle, prepared.handle)

    async def aclose(self) -> None:
        """End the zygote and all that descends from it, and remove its directory."""
        preparing, self._preparing = self._preparing, None
        if preparing is not None:
            await asyncio.wait((preparing,), timeout=END_SECONDS)
        self._lose()
        process, self._process = self._process, None
        if process is not None:
            await asyncio.shield(run_in(self._spawner, process.end))
        while preparing is not None:
            await asyncio.gather(preparing, return_exceptions=True)
            preparing, self._preparing = self._preparing, None
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None
        await run_in(self.files, scratch.remove, self._root)

    def order(self, **order: object) -> None:
        """Send the zygote one order."""
        try:
            if self._process is not None:
                self._process.order(**order)
        except (OSError, ValueError):
            self._lose()

    def expect(self, kind: str, value: object) -> asyncio.Future[dict[str, Any]]:
        """Return a future for the report ``up``, or for the report ``ready`` or ``ended`` of call `value`."""
        future = self._loop.create_future()
        if self.alive:
            self._waiting[kind, value] = future
        else:
            _fail_quietly(future)
        return future

    def abandon(self) -> None:
        """Give up a zygote that does not answer, and kill its descendants."""
        kill_descendants(self.pid)
        self._lose()

    async def _prepare(self) -> None:
        """Have the zygote fork the next call's child."""
        number = self._numbers + 2  # the number after the last one belongs to a child that comes by itself
        try:
            if self._scratch is None:
                self._scratch = scratch.Scratch(self._root / str(number))
            coming = self._expect_child(number)
            self.order(prepare=number, scratch=str(self._scratch.path))
            async with asyncio.timeout(BOOT_SECONDS):
                await asyncio.wait((coming,))
        except OSError as cause:
            self._fail(cause)

    def _expect_child(self, number: int) -> asyncio.Future[dict[str, Any]]:
        """Return a future that is done once a child was taken over."""
        self._expected = number
        return self.expect("ready", number)

    def _take_over(self, report: dict[str, Any]) -> None:
        """Take the pipes of a child that is ready, unless it is not expected any more."""
        number = report["ready"]
        if number != self._expected or self._scratch is None or self._process is None:
            return
        self._numbers = number
        prepared = Prepared(number, self._scratch.path, self._taken)
        try:
            prepared.take_over(self.pid, self._process.handle, report)
        except OSError as cause:
            prepared.close()
            self._fail(cause)
            return
        except (KeyError, TypeError, ValueError):
            prepared.close()
            self._lose()
            return
        self._taken = prepared.taken
        self._prepared = prepared
        self.worked = True

    def _fail(self, cause: OSError) -> None:
        """Give up a zygote that can't prepare a child."""
        if not isinstance(cause, TimeoutError):
            self._fault = ZygoteLostError(f"no call can be prepared: {cause}", shortage_hint(cause))
        self._lose()

    def _drop_child(self, number: int) -> None:
        """Do not use the child that the zygote prepares by itself; it ends with the next order."""
        self._waiting.pop(("ready", number), None)
        self._expected = 0
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None

    async def _prepare_after(self, removal: asyncio.Future[None]) -> None:
        await removal
        if self.alive:
            await self._prepare()

    def _read_reports(self) -> None:
        try:
            data = os.read(self._process.reports, _READ_SIZE) if self._process is not None else b""
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if not data or len(self._buffer) > _REPORT_LIMIT:
            self._lose()
            return
        for line in lines:
            self._handle(line)

    def _handle(self, line: bytes) -> None:
        try:
            report = json.loads(line)
            kind, value = next(iter(report.items()))
        except (ValueError, StopIteration, AttributeError, RecursionError):
            self._lose()
            return
        if kind == "left":
            kill_descendants(self.pid)
            return
        if kind == "refused":
            code = report.get("errno") or 0
            self._fail(OSError(code, os.strerror(code)))
            return
        if kind == "ready":
            self._take_over(report)  # before those who wait go on
        future = self._waiting.pop((kind, value), None)
        if future is not None and not future.done():
            future.set_result(report)

    def _lose(self) -> None:
        if not self.alive:
            return
        self.alive = False
        if self._process is not None:
            with suppress(OSError, ValueError):
                asyncio.get_running_loop().remove_reader(self._process.reports)
        while self._waiting:  # a thread may add one meanwhile
            _, future = self._waiting.popitem()
            if not future.done():
                _fail_quietly(future)
        self._on_lost(self)


def _fail_quietly(future: asyncio.Future[dict[str, Any]]) -> None:
    future.set_exception(ZygoteLostError("an isolated process ended unexpectedly"))
    future.exception()  # asyncio would warn if nobody waits for the future any more


def _layers(up: dict[str, Any]) -> tuple[str, ...]:
    """List the layers in force in a zygote; raises `ZygoteLostError` if a necessary one is missing."""
    walls = tuple(layer for layer in ("landlock", "seccomp") if up.get(layer))
    if missing := [layer for layer in ("landlock", "seccomp") if layer not in walls]:
        raise ZygoteLostError(
            f"{' and '.join(missing)} can't be used here, so tools could reach files and the network"
        )
    scopes = ("scopes",) if up.get("scoped") and up.get("nested") else ()
    return (*walls, *scopes, "rlimits", "fork")
