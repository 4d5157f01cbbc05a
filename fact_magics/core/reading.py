"""The methods of `FactCore` that look at the stored tools and at the history, and commit waiting rows."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fact_magics.core.running import NOT_RECORDED
from fact_magics.errors import CellError, StoreError
from fact_magics.store import Pruned
from fact_magics.store.since import age, read_since

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.config import Settings
    from fact_magics.core.counters import Counters
    from fact_magics.core.handle import Tool
    from fact_magics.core.recording import Recorder
    from fact_magics.core.toolbox import Toolbox
    from fact_magics.store import ExecutionRow, GenerationRow, MapRow, Rows, SessionRow, Stats, Store
    from fact_magics.tool import ToolVersion


class Reading:
    """Finds and lists tools, versions, runs and generations.

    A name or version that does not exist raises `UnknownName`.
    """

    _store: Store
    _toolbox: Toolbox
    _recorder: Recorder
    _counters: Counters
    _serving: asyncio.Task[None] | None = None

    async def look_up(self, reference: str) -> Tool:
        """Find a tool as `tool` does, without pinning it."""
        return await self._toolbox.look_up(reference)

    def pinned(self, name: str) -> Tool | None:
        """Return the version to which this session has pinned a name; None if the name is not pinned."""
        return self._toolbox.pinned(name)

    async def stored(self, reference: str) -> ToolVersion:
        """Find a stored version, even if it can't be run any more."""
        return await self._toolbox.stored(reference)

    async def current(self, name: str) -> ToolVersion | None:
        """Find the version that a new session uses for a name."""
        return await self._toolbox.current(name)

    async def versions(self, name: str) -> list[ToolVersion]:
        """List the versions of a name, highest first."""
        return await self._toolbox.versions(name)

    async def version_by_id(self, tool_id: str) -> Tool | None:
        """Find a version by its id, even if it was removed from the toolbox."""
        version = await self._store.tools.by_id(tool_id)
        return self._toolbox.give(version) if version is not None else None

    async def notebooks(self, name: str) -> dict[str, str]:
        """Map the ids of a name's versions to the paths of the notebooks that made them, where known."""
        return await self._store.tools.notebooks(name)

    async def list_tools(self, search: str = "", limit: int = 100) -> Rows[ToolVersion]:
        """List current versions, newest first; with `search`, only those that match it, best match first."""
        return await self._toolbox.listed(search, limit)

    async def tool_names(self) -> list[str]:
        """List the names in the toolbox, sorted."""
        return await self._store.tools.names()

    async def get_tool_history(self, tool_id: str, limit: int = 20) -> list[ExecutionRow]:
        """List a tool's latest runs, newest first.

        Parameters
        ----------
        tool_id : str
            The id of a version, or the name of a tool to list the runs of all its versions.
        limit : int
            The largest number of rows.
        """
        rows = await self.list_runs(tool_id=tool_id, limit=limit)
        return rows or await self.list_runs(tool_name=tool_id, limit=limit)

    async def list_runs(self, **chosen: Any) -> Rows[ExecutionRow]:
        """List runs, the latest first; `store.history.runs` describes the filters."""
        await self._flush_for_reading()
        return await self._store.history.runs(**chosen)

    async def list_generations(self, **chosen: Any) -> Rows[GenerationRow]:
        """List attempts, the latest first; `store.history.generations` describes the filters."""
        await self._flush_for_reading()
        return await self._store.history.generations(**chosen)

    async def stats(self, **chosen: Any) -> Stats:
        """Read the numbers of runs and generations; `store.history.stats` describes the filters."""
        await self._flush_for_reading()
        return await self._store.history.stats(**chosen)

    async def cost_of(self, tool_id: str) -> float | None:
        """Return the known cost of the generation of a version, in US dollars."""
        return await self._store.history.cost_of(tool_id)

    async def prune(self, older_than: str, on_progress: Callable[[Pruned], None] = lambda _: None) -> Pruned:
        """Remove runs that are older than a duration such as ``90d``; see `store.history.prune`.

        What was removed stays removed if this is cancelled.
        """
        try:
            before = read_since(age(older_than))
        except ValueError as error:
            raise CellError(f"older_than {error}.") from None
        await self._flush_for_reading()
        gone = Pruned(0, 0)
        async for gone in self._store.history.prune(before):
            on_progress(gone)
        return gone

    def metrics(self) -> str:
        """Write the counters of this kernel in Prometheus's text format; needs ``prometheus-client``."""
        return self._counters.text()

    def _serve_if_wanted(self, settings: Settings) -> None:
        """Serve the metrics if a ``config.yaml`` says so; in the background, because it takes time."""
        if settings.metrics and self._serving is None:
            self._serving = asyncio.create_task(asyncio.to_thread(self._counters.start))

    async def _stop_serving(self) -> None:
        if self._serving is not None:
            await asyncio.wait((self._serving,))
        self._counters.close()

    @property
    def metrics_state(self) -> str:
        """The address at which the metrics are served, or why they can't be; empty if they are off."""
        return self._counters.state

    def serve_metrics(self, port: int) -> str:
        """Serve the counters to this machine until the core is closed; returns the address."""
        return self._counters.serve(port)

    async def find_row(self, row_id: str) -> ExecutionRow | list[GenerationRow] | None:
        """Find a run, or the attempts of a generation, by id or an unambiguous beginning of the id."""
        await self._flush_for_reading()
        return await self._store.history.find(row_id)

    async def list_maps(self, **chosen: Any) -> Rows[MapRow]:
        """List maps, the latest first; `store.maps.listed` describes the filters."""
        await self._flush_for_reading()
        return await self._store.maps.listed(**chosen)

    async def find_map(self, map_id: str) -> MapRow | None:
        """Find a map by id or an unambiguous beginning of the id."""
        await self._flush_for_reading()
        return await self._store.maps.find(map_id)

    async def find_session(self, session_id: str) -> SessionRow | None:
        """Find a session by id or an unambiguous beginning of the id."""
        return await self._store.sessions.find(session_id)

    async def _flush_for_reading(self) -> None:
        with suppress(StoreError):  # what is stored can be read even if nothing can be written
            await self.flush()

    async def flush(self) -> None:
        """Commit the waiting rows; raises `StoreError` if the database can't be written."""
        await self._recorder.flush()

    def flush_blocking(self) -> str:
        """Commit the waiting rows from a thread without a loop.

        Returns
        -------
        str
            A warning if that fails; empty if the user knows it already, for no other rows wait since then.
        """
        try:
            self._recorder.flush_blocking()
        except StoreError as error:
            return f"{NOT_RECORDED}{error.line}" if self._recorder.has_news() else ""
        return ""

    def has_news(self) -> bool:
        """Tell whether rows wait that the user does not know about; from now on, they count as known."""
        return self._recorder.has_news()
