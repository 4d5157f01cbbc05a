"""FactCore: generate, run, remember. The async execution core; it knows nothing of notebooks."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fact_magics.config import Settings, load_settings, own_home
from fact_magics.core.files import InputFiles
from fact_magics.core.generating import Generator
from fact_magics.core.recording import History
from fact_magics.core.running import Runner
from fact_magics.core.toolbox import Toolbox
from fact_magics.errors import FactError, InvalidInput
from fact_magics.logs import open_log
from fact_magics.permissions import Protected
from fact_magics.sandbox import Sandbox
from fact_magics.sandbox.limits import read_limits
from fact_magics.store import MemoryCache, Store, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from fact_magics.core.execution import Plan
    from fact_magics.core.handle import Tool
    from fact_magics.events import Event, Listener
    from fact_magics.store import ExecutionRow
    from fact_magics.tool import ToolInput, ToolOutput, ToolSpec


class FactCore:
    """The workshop without a notebook.

    Parameters
    ----------
    settings : Settings, optional
        Where things are and which model is asked; read from the environment where none are given.
        A later assignment to `settings` counts from the next generation on.
    notebook, kernel : str, optional
        What the session's row says it belongs to.
    directory : Path, optional
        Where relative paths in permissions and inputs start; the working directory of now if none is given.

    Examples
    --------
    ::

        async with FactCore() as core:
            tool = await core.generate(ToolSpec("slugify", "Turn a title into a URL slug."))
            output = await core.execute_tool(ToolInput("slugify", {"text": "Some Title"}))
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        notebook: str = "",
        kernel: str = "",
        directory: Path | None = None,
    ) -> None:
        self.directory = (directory or Path.cwd()).absolute()
        self.settings = settings or load_settings({}, self.directory, os.environ)
        self.session_id = new_id()
        self.memory = MemoryCache()
        self._about = {"notebook": notebook, "kernel": kernel, "python": sys.version.split()[0]}
        self._listeners: list[Listener] = []

    async def __aenter__(self) -> Self:
        settings = self.settings
        self.store = await Store.open(settings.database_path)
        try:
            self.log = open_log(settings.home / "logs", settings.log_level, settings.secrets)
            self.sandbox = Sandbox(mode=settings.isolation, limits=read_limits(settings.limits))
            self.history = History(self.store, self.session_id)
            self.files = InputFiles(self._protected(settings))
            self.generator = Generator(
                self.store, self.history, self.sandbox, self.files, self.log, self.session_id
            )
            self.runner = Runner(
                self.store,
                self.memory,
                self.history,
                self.sandbox,
                self.files,
                self.log,
                asyncio.get_running_loop(),
                self._emitter(None),
            )
            self.toolbox = Toolbox(self.store, self.session_id, self.runner)
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
        known = self.settings
        if (settings.isolation, settings.limits) != (known.isolation, known.limits):
            await self._warming
            await self.sandbox.reconfigure(settings.isolation, read_limits(settings.limits))
            self._warming = asyncio.create_task(self._warm())
        for secret in settings.secrets:
            self.log.add_secret(secret)
        self.log.keep(settings.log_level)
        self.files.protected = self._protected(settings)
        self.settings = settings

    def _protected(self, settings: Settings) -> Protected:
        return Protected(self.directory, settings.home, self.store.path, own_home({}, os.environ))

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
            The name or an example can't be read; a permission is malformed, dangerous, or grants nothing.
        """
        version = await self.generator.generate(spec, self.settings, self._emitter(listener))
        return self.toolbox.hold(version)

    async def edit_tool(
        self, name: str, source: str, *, timeout_seconds: float = 30.0, listener: Listener | None = None
    ) -> Tool:
        """Take a source written by hand as a tool's next version, proven on the contract that it has.

        Parameters
        ----------
        timeout_seconds : float
            Wall-clock limit of each example.

        Raises
        ------
        GenerationFailed
            It was not accepted; the attempt is recorded, and nothing else changed.
        UnknownName
            There is no such tool.
        """
        current = await self.toolbox.stored(name)
        version = await self.generator.edit(current, source, timeout_seconds, self._emitter(listener))
        return self.toolbox.hold(version)

    async def export_tool(self, reference: str) -> str:
        """Write a tool as the text of a file that `import_tool` reads, signed if a ``SECRET_KEY`` is set.

        Raises
        ------
        UnknownName
            There is no such tool, or no such version of it.
        TransferRefused
            It is too large for a file, or no text.
        """
        from fact_magics.core import portable

        found = await self.toolbox.stored(reference)
        stored = await self.store.tool_by_id(found.metadata.id)
        return portable.write(stored or found, self.settings.secret_key)

    async def import_tool(
        self,
        text: str,
        *,
        permissions: Sequence[str] = (),
        yes_really: bool = False,
        unsigned: bool = False,
        timeout_seconds: float = 30.0,
        listener: Listener | None = None,
    ) -> Tool:
        """Take a tool in from a file's text, proven here on its own contract, as its name's next version.

        Parameters
        ----------
        permissions : sequence of str
            What it is granted: all that it asks for, and nothing else.
        yes_really : bool
            Dangerous ones among them are meant.
        unsigned : bool
            Where a ``SECRET_KEY`` is set, a file without a signature will do.
        timeout_seconds : float
            Wall-clock limit of each example.

        Raises
        ------
        TransferRefused
            It is no tool's file, from a newer version, changed, not signed with this key, or does not do here
            what it promises; nothing has changed.
        CellError
            A permission that it asks for was not granted, or can't be.
        """
        from fact_magics.core import portable
        from fact_magics.core.importing import Consent, Importer

        importer = Importer(self.store, self.sandbox, self.files, self.log, self.session_id)
        version = await importer.take_in(
            portable.read(text),
            Consent(tuple(permissions), yes_really, unsigned),
            self.settings.secret_key,
            timeout_seconds,
            self._emitter(listener),
        )
        return self.toolbox.hold(version)

    async def execute_tool(self, request: ToolInput, listener: Listener | None = None) -> ToolOutput:
        """Run a tool; never raises for what the tool does, nor for input that does not fit.

        Raises
        ------
        UnknownName
            There is no such tool.
        CellError
            A permission is malformed, dangerous, or grants nothing.
        IsolationError
            The run can't be isolated as the settings require, or be granted what it is permitted.
        """
        tool = (await self.tool(request.operation)).loaded
        plan = partial(
            self.runner.plan,
            tool,
            request.parameters,
            timeout_seconds=request.timeout_seconds,
            memory_mb=request.memory_mb,
            fresh=request.fresh,
            permissions=request.permissions,
            yes_really=request.yes_really,
        )
        try:
            planned = await asyncio.to_thread(plan) if tool.takes_paths else plan()
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
        return await self.toolbox.use(reference)

    async def look_up(self, reference: str) -> Tool:
        """Find a tool as `tool` does, without pinning it."""
        return await self.toolbox.look_up(reference)

    def pinned(self, name: str) -> Tool | None:
        """Give what this session runs under a bare name, if it has run or bound it; waits for nothing."""
        return self.toolbox.pinned(name)
