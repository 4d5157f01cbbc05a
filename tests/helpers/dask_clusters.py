"""A real Dask scheduler, and workers in processes of their own that a test can spoil and kill."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from waiting import until

import fact_magics

if TYPE_CHECKING:
    from types import TracebackType

_MAIN = "from distributed.cli.dask_{} import main; main()"


@dataclass
class DaskCluster:
    """A scheduler. Up to `allowed_failures` workers may die on a task; processes get further `variables`."""

    folder: Path
    allowed_failures: int = 3
    address: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> DaskCluster:
        port = self.folder / "port"
        # The file appears whole, because the link is made last.
        code = (
            "import asyncio, os, sys; from distributed import Scheduler\n"
            "async def main():\n"
            "    async with Scheduler(host='127.0.0.1', port=0, dashboard_address='127.0.0.1:0') as scheduler:\n"
            "        open(sys.argv[1] + '-new', 'w').write(scheduler.address)\n"
            "        os.rename(sys.argv[1] + '-new', sys.argv[1])\n"
            "        await scheduler.finished()\n"
            "asyncio.run(main())"
        )
        self.scheduler = self._start(code, str(port))
        until(port.exists)
        self.address = port.read_text()
        return self

    def add_worker(self, first: str = "") -> subprocess.Popen[bytes]:
        """Start a worker with one thread, which runs the line `first` before all else."""
        code = "\n".join((first, _MAIN.format("worker")))
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder))
        worker = self._start(code, self.address, *options)
        self.workers.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a worker."""
        self.workers.remove(worker)
        worker.kill()
        worker.wait()

    def _start(self, code: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(fact_magics.__file__).parents[1]),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(self.allowed_failures),
            "DASK_TEMPORARY_DIRECTORY": str(self.folder),
            **self.variables,
        }
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.Popen(command, env=environment, cwd=self.folder, stderr=subprocess.DEVNULL)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.kill()
                process.wait()
