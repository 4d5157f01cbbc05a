"""The parent's side of one zygote: start it, have it prepare a child, run one call at a time, end it."""

from __future__ import annotations

import asyncio
import json
import os
import select
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox import boot, scratch
from fact_magics.sandbox.child.family import kill_descendants
from fact_magics.sandbox.library import LIGHT_MODULES, library_modules
from fact_magics.sandbox.lost import ZygoteLostError, shortage_hint
from fact_magics.sandbox.names import named_hosts, refuse_detour
from fact_magics.sandbox.policy import module_path, sandlock_policy, zygote_environment
from fact_magics.sandbox.running import Prepared, Run
from fact_magics.sandbox.threads import run_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from fact_magics.sandbox.frames import Ending
    from fact_magics.sandbox.outcome import Call
    from fact_magics.sandbox.policy import Grants, Limits

_BOOT_SECONDS = 60.0  # a preload of a large library may take a while
_END_SECONDS = 0.6
_READ_SIZE = 1 << 16
_REPORT_LIMIT = 1 << 16
_STARTING_TAKES = 24  # descriptors, while it lasts


class Warden:
    """Own one zygote process.

    Parameters
    ----------
    grants, limits
        What its calls may reach and take.
    preload : tuple of str
        Modules that it imports before it serves.
    root : Path
        A new directory that is its own.
    spawner : Executor
        Of one thread, which must outlive the zygote: the kernel ends a zygote together with the thread that
        started it.
    files : Executor
        For work on the file system.
    strict : bool
        Refuse a kernel without signal scopes.
    on_lost : callable
        Called once, when the zygote has come to an end.

    Attributes
    ----------
    worked : bool
        Whether a child was ever prepared.
    """

    def __init__(
        self,
        grants: Grants,
        limits: Limits,
        preload: tuple[str, ...],
        root: Path,
        *,
        spawner: Executor,
        files: Executor,
        strict: bool,
        on_lost: Callable[[Warden], None],
    ) -> None:
        self._on_lost = on_lost
        self._grants = grants
        self.limits = limits
        self._preload = preload
        self._root = root
        self._spawner = spawner
        self.files = files
        self._strict = strict
        self._process: Any = None
        self._pid = 0
        self._handle = -1
        self._numbers = 0
        self._buffer = b""
        self._waiting: dict[tuple[str, object], asyncio.Future[dict[str, Any]]] = {}
        self._prepared: Prepared | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._fault: ZygoteLostError | None = None
        self.worked = False
        self.alive = False
        self.busy = False
        self.layers: tuple[str, ...] = ()

    @property
    def pid(self) -> int:
        """Its process; 0 before it was started."""
        return self._pid

    @property
    def is_prepared(self) -> bool:
        """Whether a child waits, so that a call would start at once."""
        return self.alive and self._prepared is not None and self._prepared.pid != 0

    async def start(self) -> None:
        """Start the process, wait until it serves, and have it prepare a child.

        Raises
        ------
        ZygoteLostError
            If it can't be started here.
        IsolationError
            If a granted name leads where it may not.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._spawner, self._spawn)
        except (ImportError, OSError, RuntimeError, ValueError) as cause:
            await self.aclose()
            # Sandlock does not say which call of the system failed.
            reason = (_lack_of_descriptors() if isinstance(cause, RuntimeError) else None) or cause
            raise ZygoteLostError(
                f"sandlock can't start a process here: {reason}", shortage_hint(reason)
            ) from cause
        self.alive = True
        os.set_blocking(self._process.stdout.fileno(), False)
        up = self._expect("up", True)
        loop.add_reader(self._process.stdout.fileno(), self._read_reports)
        try:
            async with asyncio.timeout(_BOOT_SECONDS):
                told = await up
            self.layers = _layers(told)
            _insist_on_walls(self.layers)
            # Sandlock looked the names up by itself, and their owner may have answered otherwise.
            for name, port in named_hosts(self._grants.net):
                refuse_detour(name, port, told["pinned"][name])
        except TimeoutError:
            await self.aclose()
            raise ZygoteLostError("an isolated process did not start within a minute") from None
        except BaseException:
            await self.aclose()
            raise
        self._preparing = asyncio.create_task(self._prepare())

    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> Ending:
        """Run one call to its end: when this returns, or is cancelled, nothing of the call is left.

        Raises
        ------
        ZygoteLostError
            If no child could be prepared; the call has not begun.
        """
        self.busy = True
        try:
            if self._preparing is not None:
                await asyncio.shield(self._preparing)
            prepared, self._prepared = self._prepared, None
            # Systems clear their directory for temporary files of what is old.
            is_whole = prepared is not None and prepared.scratch.is_dir()
            if prepared is None or not is_whole or _has_ended(self._handle) or _has_ended(prepared.handle):
                self._lose()
                if prepared is not None:
                    prepared.close()
                raise self._fault or ZygoteLostError("an isolated process ended before a call began")
            run = Run(self, call, prepared, on_printed)
            try:
                return await run.follow()
            finally:
                if not run.clean:
                    # sandlock 0.9.0 goes on to count, against the cap on processes, some that were killed. So
                    # this zygote has served its last call.
                    self._lose()
                removal = self._remove(prepared)
                self._preparing = asyncio.create_task(self._prepare_after(removal))
                await asyncio.wait((removal,), timeout=_END_SECONDS)
                if not removal.done():  # no other call is to wait for that
                    self._lose()
        finally:
            self.busy = False

    async def aclose(self) -> None:
        """End the zygote and all that descends from it, and remove its directory."""
        task, self._preparing = self._preparing, None
        if task is not None:
            await asyncio.wait((task,), timeout=_END_SECONDS)
        if self.alive:
            self._lose()
        if self._process is not None:
            process, self._process = self._process, None
            await asyncio.shield(run_in(self._spawner, _end, process, self._pid, self._handle))
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None
        await run_in(self.files, scratch.remove, self._root)

    def order(self, **order: object) -> None:
        """Send the zygote one order."""
        try:
            os.write(self._process.stdin.fileno(), json.dumps(order).encode() + b"\n")
        except (OSError, ValueError, AttributeError):
            self._lose()

    def expect_end(self, number: int) -> asyncio.Future[dict[str, Any]]:
        """Wait for the report that nothing of call `number` is left."""
        return self._expect("ended", number)

    def abandon(self) -> None:
        """Give up a zygote that no longer answers: all that it started is killed from outside."""
        kill_descendants(self._pid)
        self._lose()

    def _spawn(self) -> None:
        from sandlock import Sandbox, StdioMode

        self._root.mkdir(mode=0o700)
        root = str(self._root)
        policy = sandlock_policy(self._grants, root, self.limits, strict=self._strict)
        command = boot.scrubbed(boot.command(), zygote_environment(self._grants, root))
        process = Sandbox(**policy).popen(
            command, stdin=StdioMode.PIPED, stdout=StdioMode.PIPED, stderr=StdioMode.NULL
        )
        settings = {
            "parent": os.getpid(),
            "root": root,
            "preload": [*sorted(LIGHT_MODULES), *self._preload],
            "writable": list(self._grants.write),
            "connects": bool(self._grants.net),
            "names": [name for name, _ in named_hosts(self._grants.net)],
            "environment": dict(self._grants.env),  # may be secret, and command lines can be read by anybody
            "path": module_path(),
            "file_bytes": self.limits.file_bytes,
            "open_files": self.limits.open_files,
        }
        self._process, self._pid = process, process.pid
        self._handle = os.pidfd_open(self._pid)
        os.set_blocking(process.stdin.fileno(), False)
        boot.write_in_time(
            process.stdin.fileno(),
            boot.payload("zygote", settings, library_modules(self._preload)),
            _BOOT_SECONDS,
        )

    async def _prepare(self) -> None:
        """Have the zygote fork the next call's child."""
        self._numbers += 1
        number = self._numbers
        prepared = Prepared(number, self._root / str(number))
        try:
            prepared.open()
            ready = self._expect("ready", number)
            self.order(prepare=number)
            async with asyncio.timeout(_BOOT_SECONDS):
                prepared.take_over(int((await ready)["pid"]))
        except (ZygoteLostError, OSError) as cause:
            if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
                self._fault = ZygoteLostError(f"no call can be prepared: {cause}", shortage_hint(cause))
            prepared.close()
            self._lose()
            return
        self._prepared = prepared
        self.worked = True

    def _remove(self, used: Prepared) -> asyncio.Future[None]:
        used.close()
        try:
            used.scratch.rmdir()
        except OSError:
            return asyncio.ensure_future(run_in(self.files, scratch.remove, used.scratch))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def _prepare_after(self, removal: asyncio.Future[None]) -> None:
        await removal  # the next call must not find what this one wrote
        if self.alive:
            await self._prepare()

    def _expect(self, kind: str, value: object) -> asyncio.Future[dict[str, Any]]:
        future = asyncio.get_running_loop().create_future()
        if self.alive:
            self._waiting[kind, value] = future
        else:
            future.set_exception(ZygoteLostError("an isolated process came to an end"))
        return future

    def _read_reports(self) -> None:
        try:
            data = os.read(self._process.stdout.fileno(), _READ_SIZE)
        except BlockingIOError:
            return
        except (OSError, ValueError, AttributeError):
            data = b""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if not data or len(self._buffer) > _REPORT_LIMIT:
            self._lose()
            return
        for line in lines:
            self._take_report(line)

    def _take_report(self, line: bytes) -> None:
        try:
            report = json.loads(line)
            kind = next(iter(report))
            value = report[kind]
        except (ValueError, StopIteration, TypeError, RecursionError):
            self._lose()
            return
        if kind == "left":
            kill_descendants(self._pid)
            return
        refused = kind == "refused"
        future = self._waiting.pop(("ready" if refused else kind, value), None)
        if future is None or future.done():
            return
        if refused:
            future.set_exception(OSError(report.get("errno"), os.strerror(report.get("errno") or 0)))
        else:
            future.set_result(report)

    def _lose(self) -> None:
        if not self.alive:
            return
        self.alive = False
        with suppress(OSError, ValueError, AttributeError):
            asyncio.get_running_loop().remove_reader(self._process.stdout.fileno())
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ZygoteLostError("an isolated process came to an end"))
                future.exception()  # one that nobody waits for any more is no error
        self._waiting.clear()
        self._on_lost(self)


def _has_ended(handle: int, seconds: float = 0.0) -> bool:
    """Whether the process of a pidfd has ended, or ends within that time."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _lack_of_descriptors() -> OSError | None:
    """See whether as many descriptors as it takes to start a process can be opened here."""
    held: list[int] = []
    try:
        while len(held) < _STARTING_TAKES:
            held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return OSError(error.errno, error.strerror)
    finally:
        for descriptor in held:
            os.close(descriptor)
    return None


def _insist_on_walls(layers: tuple[str, ...]) -> None:
    missing = [layer for layer in ("landlock", "seccomp") if layer not in layers]
    if missing:
        raise ZygoteLostError(f"without {' and '.join(missing)} in force, files and network are open")


def _layers(up: dict[str, Any]) -> tuple[str, ...]:
    layers = ["landlock"] if up.get("landlock") else []
    layers += ["seccomp"] if up.get("seccomp") else []
    layers += ["scopes"] if up.get("scoped") and up.get("nested") else []
    return (*layers, "rlimits", "fork")


def _end(process: Any, pid: int, handle: int) -> None:
    """End a zygote from the thread that started it.

    When its orders end, it kills its descendants and leaves. One that does not is killed after them: with it
    gone first, they would be adopted by nobody who knows them.
    """
    with suppress(OSError):
        process.stdin.close()
    if handle >= 0:
        if not _has_ended(handle, _END_SECONDS):
            kill_descendants(pid)
        os.close(handle)
    with suppress(OSError, RuntimeError):
        process.kill()
    _reap(process)
    with suppress(OSError):
        process.stdout.close()


def _reap(process: Any) -> None:
    """Wait for what sandlock keeps of a process that was killed, but not for long.

    It connects on behalf of those inside, and waits for a host that does not answer even when they are gone:
    for minutes, whatever timeout is given. That host may keep a thread, but not the next zygote.
    """
    try:
        waiting = Thread(target=_wait, args=(process,), name="fact-reaper", daemon=True)
        waiting.start()
        waiting.join(_END_SECONDS)
    except RuntimeError:  # while the interpreter ends, no thread can be started
        _wait(process)


def _wait(process: Any) -> None:
    with suppress(OSError, RuntimeError):
        process.wait(timeout=_END_SECONDS)
