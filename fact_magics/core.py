"""FactCore: generate, run, remember. The async execution core; it knows nothing of notebooks."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fact_magics import execution
from fact_magics.arguments import split_reference
from fact_magics.config import Settings, load_settings
from fact_magics.errors import FactError, InvalidInput, UnknownName, did_you_mean
from fact_magics.generating import Generator
from fact_magics.handle import Tool
from fact_magics.history import History
from fact_magics.logs import open_log
from fact_magics.running import Runner
from fact_magics.sandbox import Sandbox
from fact_magics.store import MemoryCache, Store, new_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from fact_magics.events import Event, Listener
    from fact_magics.execution import LoadedTool, Plan
    from fact_magics.store import ExecutionRow
    from fact_magics.tool import ToolInput, ToolOutput, ToolSpec, ToolVersion

# Signatures and validators of the versions used last; each is some kilobytes.
_LOADED_LIMIT = 512


class FactCore:
    """The workshop without a notebook.

    Parameters
    ----------
    settings : Settings, optional
        Where things are and which model is asked; read from the environment where none are given.
        A later assignment to `settings` counts from the next generation on.
    notebook, kernel : str, optional
        What the session's row says it belongs to.

    Examples
    --------
    ::

        async with FactCore() as core:
            tool = await core.generate(ToolSpec("slugify", "Turn a title into a URL slug."))
            output = await core.execute_tool(ToolInput("slugify", {"text": "Some Title"}))
    """

    def __init__(self, settings: Settings | None = None, *, notebook: str = "", kernel: str = "") -> None:
        self.settings = settings or load_settings({}, Path.cwd(), os.environ)
        self.session_id = new_id()
        self.memory = MemoryCache()
        self._about = {"notebook": notebook, "kernel": kernel, "python": sys.version.split()[0]}
        self._listeners: list[Listener] = []
        self._loaded: OrderedDict[str, LoadedTool] = OrderedDict()
        self._pinned: dict[str, LoadedTool] = {}

    async def __aenter__(self) -> Self:
        settings = self.settings
        self.store = await Store.open(settings.database_path)
        try:
            self.log = open_log(settings.home / "logs", settings.log_level, settings.secrets)
            self.sandbox = Sandbox(mode=settings.isolation)
            self.history = History(self.store, self.session_id)
            self.generator = Generator(self.store, self.history, self.sandbox, self.log, self.session_id)
            self.runner = Runner(
                self.store,
                self.memory,
                self.history,
                self.sandbox,
                self.log,
                asyncio.get_running_loop(),
                self._emitter(None),
            )
            await self.store.start_session(self.session_id, **self._about)
            # Ahead of the first run, which is told if this system can't isolate.
            self._warming = asyncio.create_task(self._warm())
        except BaseException:
            await self.store.aclose()
            raise
        return self

    async def _warm(self) -> None:
        with suppress(FactError):
            await self.sandbox.start()

    async def configure(self, settings: Settings) -> None:
        """Take over changed settings; where data are kept stays as it was when the core was opened."""
        if settings.isolation != self.settings.isolation:
            await self._warming
            await self.sandbox.use(settings.isolation)
            self._warming = asyncio.create_task(self._warm())
        for secret in settings.secrets:
            self.log.add_secret(secret)
        self.log.keep(settings.log_level)
        self.settings = settings

    async def layers(self) -> tuple[str, ...]:
        """Name the isolation layers in force; empty where a tool that a model wrote can't be run."""
        await self._warming
        return self.sandbox.layers()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Commit what is pending, end every process, close the database."""
        try:
            await self.runner.aclose()
            with suppress(FactError):
                await self.history.flush()
                await self.store.end_session(self.session_id)
            await self._warming
            await self.sandbox.aclose()
        finally:
            await self.store.aclose()
            self.log.close()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event, on the core's loop; gives the function that ends it."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def _emitter(self, listener: Listener | None) -> Listener:
        def emit(event: Event) -> None:
            for listens in (listener, *self._listeners):
                if listens is not None:
                    listens(event)

        return emit

    async def generate(self, spec: ToolSpec, listener: Listener | None = None) -> Tool:
        """Have a tool written and proven, or give the accepted one that this request has already.

        Parameters
        ----------
        spec : ToolSpec
            The request. Where it has no examples, those in its description are read.
        listener : callable, optional
            Gets this generation's events, on the core's loop.

        Raises
        ------
        GenerationFailed, ProviderError
            Nothing was accepted; every attempt is recorded, and nothing else changed.
        CellError
            The name or an example can't be read.
        """
        version = await self.generator.generate(spec, self.settings, self._emitter(listener))
        return self._hold(version)

    async def execute_tool(self, request: ToolInput, listener: Listener | None = None) -> ToolOutput:
        """Run a tool; never raises for what the tool does, nor for input that does not fit.

        Raises
        ------
        UnknownName
            There is no such tool.
        """
        tool = (await self.tool(request.operation)).loaded
        try:
            planned = execution.plan(
                tool,
                request.parameters,
                timeout_seconds=request.timeout_seconds,
                memory_mb=request.memory_mb,
                fresh=request.fresh,
            )
        except InvalidInput as refused:
            output = self.runner.refuse(tool, request.parameters, refused)
        else:
            recalled = self.runner.recall(planned)
            if recalled is None:
                return await self.execute(planned, listener)
            output = recalled
        await self.runner.settle(output)
        return output

    async def execute(self, planned: Plan, listener: Listener | None = None) -> ToolOutput:
        """Make a run that was planned; its row is committed when this returns."""
        return await self.runner.execute(planned, self._emitter(listener))

    async def get_tool_history(self, tool_id: str, limit: int = 20) -> list[ExecutionRow]:
        """List a tool's latest runs, newest first.

        Parameters
        ----------
        tool_id : str
            A version's id; or a tool's name, for the runs of all its versions.
        limit : int
            At most so many rows.
        """
        await self.history.flush()
        rows = await self.store.history(tool_id=tool_id, limit=limit)
        return rows or await self.store.history(tool_name=tool_id, limit=limit)

    async def tool(self, reference: str) -> Tool:
        """Find ``NAME``, ``NAME@1`` or ``NAME@1.2.3``; the first use of a bare name pins its version.

        Raises
        ------
        UnknownName
            There is no such tool, or no such version of it.
        """
        tool = await self.look_up(reference)
        if reference != tool.name or self.pinned(reference):
            return tool
        await self.store.pin(self.session_id, tool.name, tool.id)
        return self._hold(tool.stored)

    async def look_up(self, reference: str) -> Tool:
        """Find a tool as `tool` does, without pinning it."""
        if (pinned := self.pinned(reference)) is not None:
            return pinned
        name, wanted = split_reference(reference)
        stored = await self.store.get_tool(name, wanted)
        if stored is None:
            raise await self._unknown(name, wanted)
        return Tool(self._load(stored), self.runner)

    def pinned(self, name: str) -> Tool | None:
        """Give what this session runs under a bare name, if it has run or bound it; waits for nothing."""
        loaded = self._pinned.get(name)
        return Tool(loaded, self.runner) if loaded else None

    def _hold(self, version: ToolVersion) -> Tool:
        loaded = self._load(version)
        self._pinned[version.metadata.name] = loaded
        return Tool(loaded, self.runner)

    def _load(self, stored: ToolVersion) -> LoadedTool:
        key = stored.metadata.id
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._loaded[key] = execution.load(stored)
            if len(self._loaded) > _LOADED_LIMIT:
                self._loaded.popitem(last=False)
        return loaded

    async def _unknown(self, name: str, wanted: str | None) -> UnknownName:
        if wanted is not None and (versions := await self.store.versions(name)):
            listed = ", ".join(known.metadata.version for known in versions[:8])
            return UnknownName(f"{name} has no version {wanted}.", hint=f"It has {listed}.")
        names = await self.store.tool_names()
        if not names:
            hint = f"Nothing is stored yet: write it with %%fact_generate {name}."
        else:
            hint = (
                did_you_mean(name, names)
                or f"%fact tools lists what there is; %%fact_generate {name} writes it."
            )
        return UnknownName(f"There is no tool named {name!r}.", hint=hint)
