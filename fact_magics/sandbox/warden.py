"""The parent's side of one zygote: start it, have it prepare a child, run one call at a time, end it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox import boot, frames, scratch
from fact_magics.sandbox.family import kill_descendants
from fact_magics.sandbox.policy import module_path, sandlock_policy
from fact_magics.sandbox.printed import Printed

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from fact_magics.sandbox.outcome import Call
    from fact_magics.sandbox.policy import Grants, Limits

_BOOT_SECONDS = 60.0  # a preload of a large library may take a while
_END_SECONDS = 1.0
_WATCH_SECONDS = 0.25
_READ_SIZE = 1 << 16
_PIPE_SIZE = 1 << 20
_F_SETPIPE_SZ = 1031
_REPORT_LIMIT = 1 << 16


class ZygoteLost(Exception):
    """The zygote could not be started, or came to an end."""


@dataclass(slots=True)
class _Prepared:
    """A child that waits for its request, and the parent's ends of its pipes."""

    number: int
    requests: int
    results: int
    printed: int
    scratch: Path
    pid: int = 0
    handle: int = -1
    taken: int | None = None

    def close(self) -> None:
        for descriptor in (self.requests, self.results, self.printed, self.handle):
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)
        self.requests = self.results = self.printed = self.handle = -1


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
    ) -> None:
        self._grants = grants
        self._limits = limits
        self._preload = preload
        self._root = root
        self._spawner = spawner
        self._files = files
        self._strict = strict
        self._process: Any = None
        self._pid = 0
        self._numbers = 0
        self._buffer = b""
        self._waiting: dict[tuple[str, object], asyncio.Future[dict[str, Any]]] = {}
        self._prepared: _Prepared | None = None
        self._preparing: asyncio.Task[None] | None = None
        self.alive = False
        self.busy = False
        self.layers: tuple[str, ...] = ()

    @property
    def is_prepared(self) -> bool:
        """Whether a child waits, so that a call would start at once."""
        return self.alive and self._prepared is not None and self._prepared.pid != 0

    async def start(self) -> None:
        """Start the process, wait until it serves, and have it prepare a child.

        Raises
        ------
        ZygoteLost
            If it can't be started here.
        """
        loop = asyncio.get_running_loop()
        try:
            self._process, self._pid = await loop.run_in_executor(self._spawner, self._spawn)
        except (ImportError, OSError, RuntimeError, ValueError) as cause:
            raise ZygoteLost(f"sandlock can't start a process here: {cause}") from cause
        self.alive = True
        os.set_blocking(self._process.stdout.fileno(), False)
        up = self._expect("up", True)
        loop.add_reader(self._process.stdout.fileno(), self._read_reports)
        try:
            async with asyncio.timeout(_BOOT_SECONDS):
                self.layers = _layers(await up)
        except TimeoutError:
            await self.aclose()
            raise ZygoteLost("an isolated process did not start within a minute") from None
        except BaseException:
            await self.aclose()
            raise
        self._preparing = asyncio.create_task(self._prepare())

    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> frames.Ending:
        """Run one call to its end: when this returns, or is cancelled, nothing of the call is left.

        Raises
        ------
        ZygoteLost
            If no child could be prepared; the call has not begun.
        """
        self.busy = True
        try:
            if self._preparing is not None:
                await asyncio.shield(self._preparing)
            prepared, self._prepared = self._prepared, None
            if prepared is None or not self.alive:
                raise ZygoteLost("an isolated process ended before a call began")
            try:
                return await _Run(self, call, prepared, on_printed).follow()
            finally:
                self._preparing = asyncio.create_task(self._tidy(prepared))
        finally:
            self.busy = False

    async def aclose(self) -> None:
        """End the zygote and all that descends from it, and remove its directory."""
        task, self._preparing = self._preparing, None
        if self.alive:
            self._lose()
        if self._process is not None:
            process, self._process = self._process, None
            loop = asyncio.get_running_loop()
            await asyncio.shield(loop.run_in_executor(self._spawner, _end, process, self._pid))
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None
        await asyncio.get_running_loop().run_in_executor(self._files, scratch.remove, self._root)

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

    def _spawn(self) -> tuple[Any, int]:
        from sandlock import Sandbox, StdioMode

        self._root.mkdir(mode=0o700)
        root = str(self._root)
        policy = sandlock_policy(self._grants, root, self._limits, strict=self._strict)
        process = Sandbox(**policy).popen(
            boot.command(), stdin=StdioMode.PIPED, stdout=StdioMode.PIPED, stderr=StdioMode.NULL
        )
        settings = {
            "parent": os.getpid(),
            "root": root,
            "preload": [*sorted(boot.LIGHT_MODULES), *self._preload],
            "writable": list(self._grants.write),
            "path": module_path(),
            "file_bytes": self._limits.file_bytes,
            "open_files": self._limits.open_files,
        }
        try:
            boot.write_all(process.stdin.fileno(), boot.payload("zygote", settings))
        except OSError:
            _end(process, process.pid or 0)
            raise
        os.set_blocking(process.stdin.fileno(), False)
        return process, process.pid

    async def _prepare(self) -> None:
        """Have the zygote fork the next call's child."""
        self._numbers += 1
        number = self._numbers
        prepared = _make_pipes(self._root, number)
        try:
            ready = self._expect("ready", number)
            self.order(prepare=number)
            async with asyncio.timeout(_BOOT_SECONDS):
                report = await ready
            prepared.pid = int(report["pid"])
            prepared.handle = os.pidfd_open(prepared.pid)
            prepared.taken = _address_space(prepared.pid)
        except (ZygoteLost, TimeoutError, OSError):
            prepared.close()
            self._lose()
            return
        for name in ("request", "result", "printed"):
            (self._root / f"{number}.{name}").unlink()
        self._prepared = prepared

    async def _tidy(self, used: _Prepared) -> None:
        used.close()
        try:
            used.scratch.rmdir()
        except OSError:
            await asyncio.get_running_loop().run_in_executor(self._files, scratch.remove, used.scratch)
        if self.alive:
            await self._prepare()

    def _expect(self, kind: str, value: object) -> asyncio.Future[dict[str, Any]]:
        future = asyncio.get_running_loop().create_future()
        if self.alive:
            self._waiting[kind, value] = future
        else:
            future.set_exception(ZygoteLost("an isolated process came to an end"))
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
        future = self._waiting.pop((kind, value), None)
        if future is not None and not future.done():
            future.set_result(report)

    def _lose(self) -> None:
        if not self.alive:
            return
        self.alive = False
        with suppress(OSError, ValueError, AttributeError):
            asyncio.get_running_loop().remove_reader(self._process.stdout.fileno())
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ZygoteLost("an isolated process came to an end"))
                future.exception()  # one that nobody waits for any more is no error
        self._waiting.clear()
        kill_descendants(self._pid)
        with suppress(OSError, AttributeError):
            self._process.kill()

    @property
    def limits(self) -> Limits:
        """The limits of its calls."""
        return self._limits

    @property
    def files(self) -> Executor:
        """Where work on the file system is done."""
        return self._files


class _Run:
    """One call on a prepared child, from its request to its end."""

    def __init__(
        self, warden: Warden, call: Call, prepared: _Prepared, on_printed: Callable[[str], None] | None
    ) -> None:
        self._warden = warden
        self._call = call
        self._prepared = prepared
        self._limits = warden.limits
        self._printed = Printed(self._limits.printed_kept, on_printed)
        self._frame = bytearray()
        self._unsent = memoryview(b"")
        self._stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()

    async def follow(self) -> frames.Ending:
        prepared = self._prepared
        started = time.perf_counter()
        ended = self._warden.expect_end(prepared.number)
        self._unsent = memoryview(frames.request(self._call, self._limits, prepared.taken))
        self._loop.add_reader(prepared.results, self._read_results)
        self._loop.add_reader(prepared.printed, self._read_printed)
        self._send()
        report: dict[str, Any] | None = None
        stopped: str | None = None
        try:
            stopped = await self._watch(ended, started)
            if stopped is None:
                report = ended.result()
        except ZygoteLost:
            pass
        finally:
            if report is None:
                report = await self._kill(ended)
            self._forget()
        duration = (time.perf_counter() - started) * 1e3
        while self._read_results():
            pass
        while self._read_printed():
            pass
        if stopped is None and self._stopped.done():
            stopped = self._stopped.result()
        return frames.Ending(
            frame=bytes(self._frame),
            wait_status=None if report is None else int(report["status"]),
            cpu_seconds=0.0 if report is None else float(report["cpu"]),
            stopped=stopped,
            printed=self._printed.close(),
            duration_ms=duration,
        )

    async def _watch(self, ended: asyncio.Future[dict[str, Any]], started: float) -> str | None:
        """Wait for the end or for a limit, and name the limit."""
        deadline = started + self._call.timeout_seconds
        while True:
            left = deadline - time.perf_counter()
            if left <= 0:
                return "time"
            await asyncio.wait(
                (ended, self._stopped),
                timeout=min(left, _WATCH_SECONDS),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if ended.done():
                ended.result()
                return None
            if self._stopped.done():
                return self._stopped.result()
            most = self._limits.scratch_bytes
            if await self._loop.run_in_executor(self._warden.files, scratch.size, self._prepared.scratch, most) >= most:
                return "scratch"

    async def _kill(self, ended: asyncio.Future[dict[str, Any]]) -> dict[str, Any] | None:
        """End all that the call started, even while this task is being cancelled again and again."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._prepared.handle, signal.SIGKILL)
        self._warden.order(kill=self._prepared.number)
        deadline = self._loop.time() + _END_SECONDS
        cancelled: asyncio.CancelledError | None = None
        while not ended.done() and self._loop.time() < deadline:
            try:
                await asyncio.wait((ended,), timeout=deadline - self._loop.time())
            except asyncio.CancelledError as request:
                cancelled = request
        if not ended.done():
            self._warden.abandon()
        if cancelled is not None:
            raise cancelled
        return ended.result() if ended.done() and ended.exception() is None else None

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._prepared.requests, self._unsent) :]
        except BlockingIOError:
            self._loop.add_writer(self._prepared.requests, self._send)
            return
        except OSError:
            self._unsent = memoryview(b"")
        self._loop.remove_writer(self._prepared.requests)

    def _read_results(self) -> bool:
        data = _read_some(self._prepared.results)
        if data is None:
            return False
        if not data:
            self._loop.remove_reader(self._prepared.results)
            return False
        if len(self._frame) <= self._limits.result_bytes + frames.PREFIX:
            self._frame += data
        elif not self._stopped.done():
            self._stopped.set_result("result")
        return True

    def _read_printed(self) -> bool:
        data = _read_some(self._prepared.printed)
        if data is None:
            return False
        if not data:
            self._loop.remove_reader(self._prepared.printed)
            return False
        self._printed.feed(data)
        if self._printed.total > self._limits.printed_bytes and not self._stopped.done():
            self._stopped.set_result("printed")
        return True

    def _forget(self) -> None:
        for descriptor in (self._prepared.results, self._prepared.printed):
            self._loop.remove_reader(descriptor)
        self._loop.remove_writer(self._prepared.requests)


def _make_pipes(root: Path, number: int) -> _Prepared:
    directory = root / str(number)
    directory.mkdir(mode=0o700)
    ends: list[int] = []
    # Opened for both, the request's end needs no reader yet. The other two find no writer yet, and don't wait.
    for name, mode in (("request", os.O_RDWR), ("result", os.O_RDONLY), ("printed", os.O_RDONLY)):
        path = root / f"{number}.{name}"
        os.mkfifo(path, 0o600)
        ends.append(os.open(path, mode | os.O_NONBLOCK | os.O_CLOEXEC))
    if sys.platform == "linux":
        import fcntl

        for end in ends:
            with suppress(OSError):
                fcntl.fcntl(end, _F_SETPIPE_SZ, _PIPE_SIZE)
    return _Prepared(number, *ends, scratch=directory)


def _read_some(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, _READ_SIZE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _address_space(pid: int) -> int | None:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _layers(up: dict[str, Any]) -> tuple[str, ...]:
    layers = ["landlock"] if up.get("landlock") else []
    layers += ["seccomp"] if up.get("seccomp") else []
    layers += ["scopes"] if up.get("scoped") and up.get("nested") else []
    return (*layers, "rlimits", "fork")


def _end(process: Any, pid: int) -> None:
    """End a zygote from the thread that started it: it kills its descendants when its orders end."""
    with suppress(OSError):
        process.stdin.close()
    with suppress(OSError, RuntimeError):
        process.wait(timeout=_END_SECONDS)
    if pid:
        kill_descendants(pid)
    with suppress(OSError):
        process.stdout.close()
