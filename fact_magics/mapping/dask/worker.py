"""The part of a map that runs in a Dask worker: one sandbox for each map runs the calls that arrive."""

from __future__ import annotations

import asyncio
import platform
import sys
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from fact_magics import packages
from fact_magics._version import __version__
from fact_magics.errors import FactError
from fact_magics.mapping.dask import wire
from fact_magics.sandbox import Sandbox
from fact_magics.sandbox.batch import Batch, RowAnswer
from fact_magics.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributed import Worker

    from fact_magics.sandbox.outcome import Call, Outcome

_LOOK_SECONDS = 0.2
_IDLE_SECONDS = 10.0
_PART = 1 << 20


async def serve(request: bytes, dask_worker: Any = None) -> bytes:
    """Answer a request, in a task or outside of Dask's tasks; Dask then passes the worker itself."""
    asked, worker = wire.read_request(request), dask_worker or get_worker()
    pool = worker.plugins.get(_name(asked.map_id))
    if not isinstance(pool, _Pool):
        pool = worker.plugins[_name(asked.map_id)] = _Pool(worker, asked)
    return await pool.serve(asked)


async def release(map_id: str, dask_worker: Any) -> None:
    """End the sandbox of a map."""
    if (pool := dask_worker.plugins.get(_name(map_id))) is not None:
        await pool.aclose()


def versions(imports: Iterable[str]) -> dict[str, str]:
    """Return the versions on which a tool's answers depend, by name."""
    distributions = packages.versions(packages.from_elsewhere(imports))
    return {
        "Python": platform.python_version(),
        "fact_magics": __version__,
        "the system": f"{sys.platform} {platform.machine()}",
        **dict(text.split("==", 1) for text in distributions if "==" in text),
    }


def digest(path: str) -> bytes:
    """Return the digest of a file's content; empty if it can't be read."""
    found = blake2b(digest_size=20)
    try:
        with Path(path).open("rb") as file:
            while part := file.read(_PART):
                found.update(part)
    except OSError:
        return b""
    return found.digest()


def _name(map_id: str) -> str:
    return f"fact_magics-{map_id}"


class _Pool(WorkerPlugin):
    """The sandbox of one map on one worker. It ends with the worker, or if nobody needs it for a while.

    It is a plugin of this worker alone and the scheduler does not know it, so that a notebook that was killed
    leaves nothing on the cluster.
    """

    def __init__(self, worker: Worker, asked: wire.Request) -> None:
        self._worker = worker
        self._map_id = asked.map_id
        mode: Any = asked.mode
        self._sandbox = Sandbox(mode=mode, size=worker.state.nthreads, limits=Limits(**asked.limits))
        self._running: set[asyncio.Task[bytes]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def serve(self, asked: wire.Request) -> bytes:
        """Answer a request, as long as somebody waits for the answer."""
        running = asyncio.create_task(self._answer(asked))
        self._running.add(running)
        try:
            while not running.done():
                await asyncio.wait((running,), timeout=_LOOK_SECONDS)
                task = self._worker.state.tasks.get(asked.key)
                if asked.key and (task is None or task.state != "executing"):
                    running.cancel()  # Dask itself does not end a task that has begun
            return running.result()
        except asyncio.CancelledError:
            return wire.pack_refusal(FactError("The rows were stopped."))
        finally:
            self._running.discard(running)
            self._end_later()

    def _end_later(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if not self._running:
            self._ending = asyncio.create_task(self.aclose())

    async def _answer(self, asked: wire.Request) -> bytes:
        try:
            _compare_versions(asked)
            await self._sandbox.start()
            await asyncio.to_thread(_compare_files, asked)
            answers: list[RowAnswer] = []
            calls = asked.calls
            if asked.rows:
                more: Any = {"rows": asked.rows, "eager": asked.eager, "on_rows": answers.extend}
                calls = (Batch(**{name: getattr(calls[0], name) for name in wire.CALL_FIELDS}, **more),)
            return wire.pack_reply([await self._run(call) for call in calls], answers)
        except FactError as error:
            return wire.pack_refusal(error)

    async def _run(self, call: Call) -> Outcome:
        if not any(permission.startswith("env:") for permission in call.permissions):
            return await self._sandbox.run(call)
        # The notebook does not know the values that this worker's variables have, so they are masked here.
        from fact_magics.core.masking import MaskedSandbox
        from fact_magics.redaction import Redactor

        return await MaskedSandbox(self._sandbox, Redactor(), results=False).run(call)

    async def aclose(self) -> None:
        """End the sandbox and its calls."""
        self._worker.plugins.pop(_name(self._map_id), None)
        if self._idle is not None:
            self._idle.cancel()
        for running in self._running:
            running.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self._sandbox.aclose()

    async def teardown(self, worker: Worker) -> None:
        """End with the worker."""
        del worker
        await self.aclose()


def _compare_versions(asked: wire.Request) -> None:
    here = versions(asked.imports)
    for name, wanted in asked.versions.items():
        if (version := here.get(name, "not installed")) != wanted:
            raise FactError(
                f"{name} is {version} there, and {wanted} in the notebook.",
                hint="Install the same versions on all workers.",
            )


def _compare_files(asked: wire.Request) -> None:
    for path, wanted in (asked.files or {}).items():
        if digest(path) != wanted:
            raise FactError(
                f"The file {path} is missing there, or is not the same as in the notebook.",
                hint="Give each worker the same file at the same path, or pass its content.",
            )
