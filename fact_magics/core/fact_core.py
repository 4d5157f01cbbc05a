"""`FactCore`, the async core: generates tools, runs them and keeps their history, without a notebook."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fact_magics.config import Settings, load_settings
from fact_magics.core.accepting import Acceptor
from fact_magics.core.cache import AnswerCache, DatabaseTier
from fact_magics.core.caching import Caching
from fact_magics.core.calls import Caller
from fact_magics.core.counters import Counters
from fact_magics.core.files import InputFiles
from fact_magics.core.generating import edit, generate
from fact_magics.core.growing import Growing
from fact_magics.core.leases import Leases
from fact_magics.core.masking import MaskedSandbox, masked_row
from fact_magics.core.quick import QuickRuns
from fact_magics.core.reading import Reading
from fact_magics.core.recording import Recorder
from fact_magics.core.refining import plan_refinement, refine
from fact_magics.core.refreshing import Refresher
from fact_magics.core.rows import RowRunner
from fact_magics.core.running import Runner
from fact_magics.core.taping import Taping
from fact_magics.core.toolbox import Toolbox
from fact_magics.core.upkeep import Upkeep
from fact_magics.errors import FactError, InvalidInput
from fact_magics.logs import open_log
from fact_magics.permissions import Protected
from fact_magics.providers.fallbacks import Breaker
from fact_magics.providers.recorded import Tape
from fact_magics.providers.spending import Ledger, exact
from fact_magics.sandbox import Sandbox
from fact_magics.sandbox.limits import read_limits
from fact_magics.store import MemoryCache, Store, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from fact_magics.core.cache import Tier
    from fact_magics.core.handle import Tool
    from fact_magics.core.plan import Plan
    from fact_magics.core.refining import Refinement
    from fact_magics.events import Event, Listener
    from fact_magics.providers.spending import Account, Purse
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.tool import ToolInput, ToolOutput, ToolSpec


# The attributes that methods use and `FactCore.__aenter__` sets.
_OPENED = frozenset(
    {"_acceptor", "_answers", "_caller", "_files", "_leases", "_recorder", "_runner", "_sandbox", "_store"}
    | {"_tape", "_toolbox", "_upkeep", "_warming", "log", "rows"}
)


class FactCore(Reading, Caching, Taping, Growing):
    """Generate, run and record tools without a notebook.

    Parameters
    ----------
    settings : Settings, optional
        By default, the settings from the environment and the config file.
    notebook, kernel : str, optional
        The names of the notebook and the kernel, for the session's row in the database.
    directory : Path, optional
        Relative paths in permissions and inputs are resolved against it. The default is the working directory
        at the time of each call.

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
        self._directory = directory and directory.absolute()
        self.settings = settings or load_settings({}, self._directory or Path.cwd(), os.environ)
        self.session_id = new_id()
        self._memory = MemoryCache()
        self._counters = Counters()
        self._ledger = Ledger()
        self._ledger.session.limit = exact(self.settings.budget)
        self._about = {"notebook": notebook, "kernel": kernel, "python": sys.version.split()[0]}
        self._listeners: list[Listener] = []

    if not TYPE_CHECKING:  # type checkers should report attributes that don't exist

        def __getattr__(self, name: str) -> None:
            if name in _OPENED:
                raise FactError(
                    "This FactCore is not open.", hint="Use it inside: async with FactCore() as core: …"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    async def __aenter__(self) -> Self:
        settings = self.settings
        self._store = await Store.open(
            settings.database_path, masked=lambda row: masked_row(row, self.log.redactor)
        )
        try:
            self.log = open_log(settings.log_directory, settings.log_level, settings.secrets)
            self._sandbox = Sandbox(mode=settings.isolation, limits=read_limits(settings.limits))
            self._recorder = Recorder(
                self._store,
                self.session_id,
                lambda: self.settings.history == "best-effort",
                self._counters.add,
            )
            self._files = InputFiles(self._protected(settings))
            proving = MaskedSandbox(self._sandbox, self.log.redactor, results=True)
            running = MaskedSandbox(self._sandbox, self.log.redactor, results=False)
            tiers: list[Tier] = [DatabaseTier(self._store, self._recorder)]
            if settings.cache_url:
                from fact_magics.core.shared_cache import open_shared

                tiers.append(open_shared(settings.cache_url, settings.secret_key, self.log.redactor))
            answers = AnswerCache(self._memory, tiers)
            self._answers = answers
            database = self._store.path.resolve()
            self._leases = Leases(database.with_name(f"{database.name}-leases"))
            self._runner = Runner(answers, self._recorder, running, self._files, self._leases, self.log)
            answers.on_due = Refresher(self._runner, answers, self._leases).refresh
            self.rows = RowRunner(
                self._runner, answers, self._recorder, running, self._files, self._store, self.session_id
            )
            emit = self._emitter(None)
            quick = QuickRuns(self._runner, answers, self._store, self._recorder, running, self._leases, emit)
            self._caller = Caller(self._runner, answers, self._recorder, emit, self.rows, quick)
            self._toolbox = Toolbox(self._store, self.session_id, self._caller)
            self._tape = Tape(self.log.redactor.mask)
            self._acceptor = Acceptor(
                self._store,
                self._recorder,
                proving,
                self._files,
                self.log,
                self.session_id,
                self._about["notebook"],
                self._toolbox,
                self._tape,
                Breaker(),
                self._ledger,
            )
            await self._store.sessions.start(self.session_id, **self._about)
            # If this system can't isolate tools, the first run raises the error.
            self._warming = asyncio.create_task(self._warm())
            history = self._store.history
            self._upkeep = Upkeep(history.catch_up, self.prune, history.claim_pruning, self.log)
            self._upkeep.configure(settings)
            self._serve_if_wanted(settings)
        except BaseException:
            await self._store.aclose()
            raise
        return self

    async def _warm(self) -> None:
        with suppress(FactError):
            await self._sandbox.start()

    async def configure(self, settings: Settings) -> None:
        """Apply changed settings. The locations of the database and the logs stay the same."""
        known = self.settings
        if (settings.isolation, settings.limits) != (known.isolation, known.limits):
            await self._warming
            await self._sandbox.reconfigure(settings.isolation, read_limits(settings.limits))
            self._warming = asyncio.create_task(self._warm())
        for secret in settings.secrets:
            self.log.add_secret(secret)
        self.log.keep(settings.log_level)
        self._files.protected = self._protected(settings)
        self._ledger.session.limit = exact(settings.budget)
        self.settings = settings
        self._upkeep.configure(settings)
        self._serve_if_wanted(settings)

    def _protected(self, settings: Settings) -> Protected:
        return Protected(self._directory, settings.home, self._store.path, settings.trust_home)

    @property
    def spending(self) -> Account:
        """What this session's requests to models cost, and its budget."""
        return self._ledger.session

    def purse(self, max_tokens: int) -> Purse:
        """Return the money for requests with short answers, which the session's budget limits."""
        return self._ledger.purse(max_tokens=max_tokens)

    async def layers(self) -> tuple[str, ...]:
        """List the isolation layers in use; empty if tools written by a model can't be run."""
        await self._warming
        return self._sandbox.layers()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the runs, commit the waiting rows, end every process and close the database."""
        try:
            await self._stop_serving()
            await self._upkeep.aclose()
            await self._runner.aclose()
            await self._recorder.aclose()
            with suppress(FactError):
                await self._store.sessions.end(self.session_id)
            await asyncio.wait((self._warming,))
            await self._sandbox.aclose()
        finally:
            self._leases.close()
            await self._answers.aclose()
            await self._store.aclose()
            self.log.close()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event, on the core's loop, until the returned function is called."""
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

    # Tools. A name or version that does not exist raises `UnknownName`.

    async def tool(self, reference: str) -> Tool:
        """Find ``NAME``, ``NAME@1`` or ``NAME@1.2.3``; pin a name without a version to the current one."""
        return await self._toolbox.resolve(reference)

    async def roll_back(self, name: str, version: str) -> Tool:
        """Make another version the current one, in the toolbox and in this session."""
        return await self._toolbox.roll_back(name, version)

    async def remove_tool(self, name: str) -> int:
        """Remove a tool from the toolbox and return the number of its versions; its history stays."""
        return await self._toolbox.remove(name)

    async def generate(self, spec: ToolSpec, listener: Listener | None = None) -> Tool:
        """Generate and prove a tool, or return the tool that an equal request produced before.

        Parameters
        ----------
        spec : ToolSpec
            The request. If it has no examples, they are read from its description.
        listener : callable, optional
            Called with the events of this generation, on the core's loop.

        Raises
        ------
        GenerationFailed, ProviderError
            No candidate was accepted. Every attempt is recorded; nothing else changes.
        BudgetReached
            A request to the model could cost more than the budget allows, so it was not sent.
        BindingRefused
            The request has no examples, and would replace a proven version; `ToolSpec.replace` allows that.
        CellError
            The name or an example can't be read, or a permission is malformed, dangerous, or grants nothing.
        """
        emit = self._emitter(listener)
        return self._toolbox.hold(await generate(spec, self.settings, self._acceptor, emit))

    async def refine(self, spec: ToolSpec, listener: Listener | None = None) -> Tool:
        """Let a model change a tool, and store the result as the next version.

        The model gets the version that this session uses: its source, its examples and its description. If
        an equal request made that version, the model gets the version from which it was made instead, also
        with ``fresh``. The tool keeps its examples and permissions.

        Parameters
        ----------
        spec : ToolSpec
            The name of the tool, the wish as the description, and further examples. An example of a call
            that the tool has an example of already replaces that example. Permissions and tags are added to
            those of the tool. If there are no examples, they are read from the description.
        listener : callable, optional
            Called with the events of this generation, on the core's loop.

        Raises
        ------
        UnknownName
            There is no such tool.
        ProviderError
            No model is available, or the request failed.
        GenerationFailed, BindingRefused, CellError
            As for `generate`.
        """
        return await self.refine_planned(await self.plan_refinement(spec), listener)

    async def plan_refinement(self, spec: ToolSpec) -> Refinement:
        """Build the whole request that `refine` makes of a wish, with all examples and permissions."""
        current = await self._toolbox.stored(spec.name)
        return await plan_refinement(spec, current, self.settings, self._acceptor)

    async def refine_planned(self, planned: Refinement, listener: Listener | None = None) -> Tool:
        """Do the request of `plan_refinement` as `refine` does."""
        emit = self._emitter(listener)
        return self._toolbox.hold(await refine(planned, self.settings, self._acceptor, emit))

    async def edit_tool(
        self,
        name: str,
        source: str,
        *,
        timeout_seconds: float = 30.0,
        replace: bool = False,
        listener: Listener | None = None,
    ) -> Tool:
        """Prove an edited source on the tool's contract, and store it as the next version.

        Parameters
        ----------
        timeout_seconds : float
            Wall-clock limit of each example.
        replace : bool
            Replace even a proven version by one without examples.

        Raises
        ------
        GenerationFailed
            The source was not accepted. The attempt is recorded; nothing else changes.
        UnknownName
            There is no such tool.
        BindingRefused
            This session uses a version without examples, and the current version is proven.
        """
        current = await self._toolbox.stored(name)
        emit = self._emitter(listener)
        version = await edit(current, source, timeout_seconds, self._acceptor, emit, replace=replace)
        return self._toolbox.hold(version)

    async def export_tool(self, reference: str) -> str:
        """Return the text of a file that `import_tool` can read, signed if a ``SECRET_KEY`` is set."""
        from fact_magics.core import portable

        found = await self._toolbox.stored(reference)
        stored = await self._store.tools.by_id(found.metadata.id)
        return portable.write(stored or found, self.settings.secret_key)

    async def import_tool(
        self,
        source: str | Path,
        *,
        permissions: Sequence[str] = (),
        yes_really: bool = False,
        unsigned: bool = False,
        replace: bool = False,
        command: str = "",
        timeout_seconds: float = 30.0,
        listener: Listener | None = None,
    ) -> Tool:
        """Prove the tool in an exported file on the contract in that file, and store it as the next version.

        Parameters
        ----------
        source : str or Path
            The path of the file, or its text.
        permissions : sequence of str
            The permissions to grant: exactly those that the file asks for.
        yes_really : bool
            Grant dangerous permissions too.
        unsigned : bool
            Accept a file without a signature even if a ``SECRET_KEY`` is set.
        replace : bool
            Replace even a proven version by one without examples.
        command : str
            The notebook's import command, which the hint about missing permissions repeats.
        timeout_seconds : float
            Wall-clock limit of each example.

        Raises
        ------
        TransferRefused
            The text is not an exported tool, is from a newer version of fact_magics, was changed, or is not
            signed with the ``SECRET_KEY``; or the tool fails its own examples here. Nothing is stored.
        BindingRefused
            The file's tool has no examples, and the current version is proven.
        CellError
            There is no such file; or the permissions differ from those that the file asks for, or one of them
            can't be granted.
        """
        from fact_magics.core import portable
        from fact_magics.core.importing import Consent, take_in

        text = await asyncio.to_thread(portable.text_of, source, self._files.protected.directory)
        version = await take_in(
            portable.read(text),
            Consent(tuple(permissions), yes_really, unsigned, replace, command),
            self.settings.secret_key,
            timeout_seconds,
            self._acceptor,
            self._emitter(listener),
        )
        return self._toolbox.hold(version)

    # Runs

    async def execute_tool(self, request: ToolInput, listener: Listener | None = None) -> ToolOutput:
        """Run a tool. A failure, or an input that does not fit, is reported in the output.

        Raises
        ------
        CellError
            A permission is malformed, dangerous, or grants nothing.
        IsolationError
            The run can't be isolated as the settings require, or a permission can't be granted.
        """
        tool = await self.tool(request.operation)
        return await self._runner.answer(tool.loaded, request, self._emitter(listener))

    def begin(self, tool: Tool, request: ToolInput) -> Plan | ToolOutput:
        """Plan a run for `execute`, or return the run's output if it is known already. Works on any thread.

        The output is known if the input is refused or the answer is in memory. The next `flush` commits the
        run's row.
        """
        return self._runner.begin(tool.loaded, request)

    async def execute(self, planned: Plan, listener: Listener | None = None) -> ToolOutput:
        """Execute a planned run; its row is committed when this returns."""
        return await self._runner.execute(planned, self._emitter(listener))

    async def plan(self, tool: Tool, request: ToolInput) -> Plan:
        """Plan a run for `execute`, or raise `InvalidInput`; nothing is recorded."""
        if tool.loaded.takes_paths:
            return await asyncio.to_thread(self._runner.plan, tool.loaded, request)
        return self._runner.plan(tool.loaded, request)

    def refuse(self, tool: Tool, parameters: Mapping[str, Any], refused: InvalidInput) -> ToolOutput:
        """Record a run whose input does not fit, and build its output."""
        return self._runner.refuse(tool.loaded, parameters, refused)

    def conclude(self, planned: Plan, outcome: Outcome) -> ToolOutput:
        """Build the output of a run in the notebook's process. The next `flush` commits the run's row."""
        return self._runner.conclude(planned, outcome)

    @property
    def database_path(self) -> Path:
        """The path of the database file."""
        return self._store.path
