"""The executor that runs the rows of a map on the workers of a Dask cluster."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fact_magics.errors import FactError, InvalidInput
from fact_magics.mapping.dask.local import LocalCluster
from fact_magics.sandbox.batch import RowAnswer
from fact_magics.sandbox.child.batch import ALONE
from fact_magics.sandbox.outcome import Outcome, ToolError
from fact_magics.text import one_line, plural
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.rows import RowRunner
    from fact_magics.mapping.dask.wire import Reply
    from fact_magics.mapping.executor import Take
    from fact_magics.sandbox.batch import Batch
    from fact_magics.sandbox.outcome import Call

_LOCAL = "dask"
_PACKAGES = ("distributed", "cryptography")
_ADDRESS = re.compile(r"(?:tcp|tls)://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):\d{1,5}")
_AHEAD = 2  # tasks for each thread of a worker, so that the next one is there when one ends
_TARGET_MS = 250.0
_MOST_ALONE = 64


def read_place(on: object) -> str:
    """Check where rows are to run; raises `InvalidInput`."""
    if isinstance(on, str) and (on == _LOCAL or _ADDRESS.fullmatch(on)):
        return on
    raise InvalidInput(
        f"Rows can't run on {one_line(on if isinstance(on, str) else repr(on), 80)!r}.",
        hint="Write dask for a cluster on this machine, or the address of a Dask scheduler: tcp://HOST:PORT.",
    )


class DaskExecutor:
    """Runs rows on a Dask cluster, in sandboxes with the notebook's isolation mode and limits.

    Parameters
    ----------
    on : str
        ``dask`` for a cluster on this machine that exists as long as the map runs; or the address of a
        scheduler, ``tcp://HOST:PORT``. For ``tls://HOST:PORT``, Dask's own configuration names the keys.

    Raises
    ------
    InvalidInput
        `on` is neither.
    """

    def __init__(self, on: str, rows: RowRunner, tool: LoadedTool) -> None:
        self._address = "" if read_place(on) == _LOCAL else on
        self._rows = rows
        self._tool = tool
        self._cluster: Any = None
        self._starting: asyncio.Task[LocalCluster] | None = None
        self.slots = self.rows_alone = 1
        self.note = ""
        self.where = f"connecting to {self._address}" if self._address else "starting a local Dask cluster"

    async def start(self) -> None:
        """Start or find the cluster, and start the sandboxes of its workers.

        Raises
        ------
        FactError
            Dask is not installed, nothing answers, there are no workers, or one of them can't run the rows.
        """
        if missing := next((name for name in _PACKAGES if find_spec(name) is None), ""):
            raise FactError(
                f"The package {missing} is not installed.", hint='Run %pip install "fact_magics[dask]".'
            )
        if not self._address:
            self._starting = asyncio.create_task(LocalCluster.start())
        dask = await asyncio.to_thread(import_module, "fact_magics.mapping.dask.cluster")
        self._cluster = dask.Cluster(self._address, self._tool.imports, *self._rows.isolation)
        threads = await self._cluster.start(self._starting and await self._starting)
        self.slots = _AHEAD * sum(threads.values())
        self.where = f"on {plural(len(threads), 'Dask worker')}"
        self.note = f"The rows ran {self.where}."
        if self._cluster.dashboard:
            self.where += f" · dashboard: {self._cluster.dashboard}"

    async def together(self, chunk: Batch, take: Take) -> Outcome:
        """Run the rows of a chunk in one process of a worker."""
        reply: Reply | None = await self._cluster.ask([chunk], rows=chunk.rows, eager=chunk.eager)
        if reply is not None:
            take(reply.answers)
            return reply.outcomes[0]
        # One of the rows may be the cause of the workers' deaths, so each runs by itself.
        take([RowAnswer(row, ALONE, b"", "", 0.0) for row in range(len(chunk.rows))])
        return Outcome(Status.OK, b'{"changed": ""}', None, "", 0.0, None, ())

    async def alone(self, calls: Sequence[Call]) -> list[Outcome]:
        """Run each call in a process of its own, one after the other on one worker."""
        files: dict[str, bytes] = {}
        if self._address and self._tool.takes_paths:
            files = await asyncio.to_thread(_digests, calls)
        reply: Reply | None = await self._cluster.ask(calls, files=files)
        if reply is None and len(calls) == 1:
            message = "every Dask worker that ran this row died."
            error = ToolError("ProcessBroke", message, "", ("ProcessBroke",))
            return [Outcome(Status.ERROR, None, error, "", 0.0, None, ())]
        if reply is None:
            return [outcome for call in calls for outcome in await self.alone([call])]
        outcomes = reply.outcomes
        mean_ms = sum(outcome.duration_ms for outcome in outcomes) / len(outcomes)
        self.rows_alone = max(1, min(_MOST_ALONE, int(_TARGET_MS / max(mean_ms, 1.0))))
        return outcomes

    async def aclose(self) -> None:
        """End the sandboxes on the workers, and the cluster if it is local."""
        if self._cluster is not None:
            await self._cluster.aclose()
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError, FactError):
                await (await self._starting).aclose()


def _digests(calls: Sequence[Call]) -> dict[str, bytes]:
    """Digest the files that calls may read, so that workers can refuse files with other content."""
    digest = import_module("fact_magics.mapping.dask.worker").digest
    granted = {text for call in calls for text in call.permissions if text.startswith("read:")}
    found = {path: digest(path) for path in (text.removeprefix("read:") for text in sorted(granted))}
    return {path: known for path, known in found.items() if known}
