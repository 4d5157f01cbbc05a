"""What runs in a Dask worker: a sandbox for each map, which answers the requests of the notebook.

The notebook calls these functions by name, so only workers with the same fact_magics can run them.
"""

from __future__ import annotations

import asyncio
import platform
import sys
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from fact_magics import __version__, packages
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


async def prepare(setup: bytes, dask_worker: Any) -> bytes:
    """Compare versions, and start the sandbox of a map; the reply has no outcome if all is well."""
    try:
        await _pool(dask_worker, wire.read_setup(setup)).start()
    except FactError as error:
        return wire.pack_refusal(error)
    return wire.pack_answers([])


async def run_rows(request: bytes) -> bytes:
    """Run the rows of a request, unless nobody waits for the answer any more."""
    asked = wire.read_request(request)
    return await _pool(get_worker(), asked.setup).answer(asked)


async def release(map_id: str, dask_worker: Any) -> None:
    """End the sandbox of a map."""
    if (pool := dask_worker.plugins.get(_name(map_id))) is not None:
        await pool.aclose()


def versions(imports: Iterable[str]) -> dict[str, str]:
    """Return the versions on which the answers of a tool depend, by what they are versions of."""
    distributions = packages.versions(packages.from_elsewhere(imports))
    return {
        "Python": platform.python_version(),
        "fact_magics": __version__,
        "the system": f"{sys.platform} {platform.machine()}",
        **{name: version for name, _, version in (text.partition("==") for text in distributions)},
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


class _Pool(WorkerPlugin):
    """The sandbox of one map on one worker. It ends with the worker, or when nothing was asked of it for long.

    It is a plugin of this worker alone and the scheduler does not know it, so that a notebook that was killed
    leaves nothing on the cluster.
    """

    def __init__(self, worker: Worker, setup: wire.Setup) -> None:
        self._worker = worker
        self._setup = setup
        mode: Any = setup.mode
        self._sandbox = Sandbox(mode=mode, size=worker.state.nthreads, limits=Limits(**setup.limits))
        self._running: set[asyncio.Task[bytes]] = set()
        self._used = 0.0
        self._closing = asyncio.create_task(self._close_when_idle())

    async def _close_when_idle(self) -> None:
        clock = asyncio.get_running_loop().time
        self._used = clock()
        while self._running or clock() - self._used < _IDLE_SECONDS:
            await asyncio.sleep(1.0)
        await self._end()

    async def start(self) -> None:
        """Start the sandbox; raises `FactError` if a version differs, or if this system can't isolate."""
        here = versions(self._setup.imports)
        for name, wanted in self._setup.versions.items():
            version = here.get(name, "not installed")
            if version != wanted:
                raise FactError(
                    f"{name} is {version} there, and {wanted} in the notebook",
                    hint="Install the same versions on all workers.",
                )
        await self._sandbox.start()

    async def answer(self, asked: wire.Request) -> bytes:
        """Run the rows of a request as long as somebody waits for them."""
        running = asyncio.create_task(self._answer(asked))
        self._running.add(running)
        try:
            while not running.done():
                await asyncio.wait((running,), timeout=_LOOK_SECONDS)
                known = self._worker.state.tasks.get(asked.key)
                if known is None or known.state != "executing":  # Dask does not end a task that has begun
                    running.cancel()
            return running.result()
        except asyncio.CancelledError:
            return wire.pack_refusal(FactError("the rows were stopped"))
        finally:
            self._running.discard(running)
            self._used = asyncio.get_running_loop().time()

    async def _answer(self, asked: wire.Request) -> bytes:
        answers: list[RowAnswer] = []
        try:
            await self.start()
            for path, wanted in asked.files.items():
                if await asyncio.to_thread(digest, path) != wanted:
                    raise FactError(
                        f"the file {path} is missing there, or is not the same as in the notebook",
                        hint="Give each worker the same file at the same path, or pass its content.",
                    )
            if not asked.rows:
                return wire.pack_answers([await self._run(call) for call in asked.calls])
            common = {name: getattr(asked.calls[0], name) for name in wire.CALL_FIELDS}
            batch = Batch(**common, rows=tuple(asked.rows), eager=asked.eager, on_rows=answers.extend)
            return wire.pack_answers([await self._run(batch)], answers)
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
        self._closing.cancel()
        await self._end()

    async def _end(self) -> None:
        self._worker.plugins.pop(_name(self._setup.map_id), None)
        for running in self._running:
            running.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self._sandbox.aclose()

    async def teardown(self, worker: Worker) -> None:
        """End with the worker."""
        del worker
        await self.aclose()


def _name(map_id: str) -> str:
    return f"fact_magics-{map_id}"


def _pool(worker: Worker, setup: wire.Setup) -> _Pool:
    name = _name(setup.map_id)
    pool = worker.plugins.get(name)
    if not isinstance(pool, _Pool):
        pool = worker.plugins[name] = _Pool(worker, setup)
    return pool
