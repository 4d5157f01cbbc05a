"""A Dask cluster on this machine, in processes of its own.

Run as a module, this file is the scheduler's process, which starts the workers. The workers end with it, and
it ends with the notebook's process. The scheduler is not in the notebook's process, because multiprocessing
would then run the user's script again in each worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import threading
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fact_magics.errors import FactError
from fact_magics.text import one_line

if TYPE_CHECKING:
    from asyncio.subprocess import Process

_START_SECONDS = 60.0
_END_SECONDS = 1.5
_LOOK_SECONDS = 0.25
_DASHBOARD = "127.0.0.1:8787"  # Dask takes another port if this one is in use
_PEM = ("tls_ca_file", "tls_client_cert", "tls_client_key")


class LocalCluster:
    """The notebook's side of a local cluster.

    Attributes
    ----------
    address : str
        The scheduler's address on the loopback interface.
    tls : dict of str to str
        The fields of `distributed.Security` without which nobody, no other user of this machine, can connect.
    """

    def __init__(self, process: Process, directory: Path, told: dict[str, Any]) -> None:
        self._process = process
        self._directory = directory
        self.address = str(told["address"])
        self.tls = {name: str(told[name]) for name in _PEM}

    @classmethod
    async def start(cls) -> LocalCluster:
        """Start the processes, and wait until the workers serve.

        Raises
        ------
        FactError
            Dask can't start here.
        """
        # The next sandbox removes a directory of this name whose process was killed.
        directory = Path(tempfile.mkdtemp(prefix=f"fact_magics-{os.getpid()}-dask-"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            __name__,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(
                    filter(None, sys.path)
                ),  # they import what the notebook imports
                "DASK_TEMPORARY_DIRECTORY": str(directory),
            },
            start_new_session=True,  # an interrupt in a terminal is for the notebook
            limit=1 << 20,
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = await process.stdout.readline()  # type: ignore[union-attr]
            told = json.loads(line or '{"error": "its process ended"}')
        except TimeoutError:
            told = {"error": f"it was not ready within {_START_SECONDS:g} s"}
        except BaseException:
            await _end(process, directory)
            raise
        if "error" in told:
            await _end(process, directory)
            raise FactError(f"The local Dask cluster did not start: {one_line(told['error'], 300)}.")
        return cls(process, directory, told)

    async def aclose(self) -> None:
        """End the cluster."""
        await _end(self._process, self._directory)


async def _end(process: Process, directory: Path) -> None:
    with suppress(ProcessLookupError):
        process.kill()  # saying goodbye takes Dask a second, and no worker has anything to lose
    await process.wait()
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def _serve(reports: Any) -> None:
    from distributed import LocalCluster as Cluster
    from distributed.security import Security

    parent, unwanted, loop = os.getppid(), asyncio.Event(), asyncio.get_running_loop()

    def watch_input() -> None:
        sys.stdin.buffer.read()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(unwanted.set)

    threading.Thread(target=watch_input, daemon=True).start()
    security = Security.temporary()
    # The tools run in processes with limits of their own, so the workers need none.
    async with Cluster(
        asynchronous=True,
        security=security,
        dashboard_address=_DASHBOARD,
        memory_limit=0,
    ) as cluster:
        told = {"address": cluster.scheduler_address, **{name: getattr(security, name) for name in _PEM}}
        print(json.dumps(told), file=reports, flush=True)
        while not unwanted.is_set() and os.getppid() == parent:
            with suppress(TimeoutError):
                await asyncio.wait_for(unwanted.wait(), _LOOK_SECONDS)
        # The notebook was killed. The workers end their sandboxes if there is time, and with this process.
        deadline = threading.Timer(_END_SECONDS, os._exit, (0,))
        deadline.daemon = True
        deadline.start()


def _main() -> None:
    # The workers inherit the standard output, and nobody would read what they write there.
    with os.fdopen(os.dup(1), "w") as reports, Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)
        try:
            asyncio.run(_serve(reports))
        except Exception as error:  # noqa: BLE001 - the notebook gets any error
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=reports, flush=True)


if __name__ == "__main__":
    _main()
