"""From a candidate to a stored version: the one path for what a model, a person or a file offers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fact_magics.errors import FactError, StoreError
from fact_magics.events import GenerationEnded, Listener, Noticed
from fact_magics.permissions import refuse_dangerous, refuse_missing
from fact_magics.signature import signature_identity
from fact_magics.store import Candidate
from fact_magics.tool import Attempt, Status, ToolSpec, ToolVersion
from fact_magics.writing.loop import submit
from fact_magics.writing.proof import shortcomings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fact_magics.core.files import InputFiles
    from fact_magics.core.recording import Recorder
    from fact_magics.logs import Log
    from fact_magics.sandbox import Sandbox
    from fact_magics.store import Store
    from fact_magics.writing.loop import Accepted, Author


@dataclass(slots=True)
class Order:
    """One request for a version, while it is worked on.

    Attributes
    ----------
    spec : ToolSpec
        The contract that a candidate must hold on.
    emit : callable
        Gets the events of the work.
    operation : str
        What the log calls it: ``generate``, ``edit`` or ``import``.
    notice : str
        One line that the provider says about itself.
    answers_request : bool
        Whether the same request may be answered by this version later; not if a person wrote it.
    keeps_failures : bool
        Whether attempts that were not accepted are recorded.
    about : dict
        Further fields of the log lines.
    attempts : list of Attempt
        Filled as the work goes on; each names the provider and the model that wrote it.
    """

    spec: ToolSpec
    emit: Listener
    operation: str = "generate"
    notice: str = ""
    answers_request: bool = True
    keeps_failures: bool = True
    about: dict[str, Any] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    @property
    def took_ms(self) -> float:
        """Milliseconds since the order was made."""
        return (time.perf_counter() - self.started) * 1000

    def end(
        self, status: Status, version: ToolVersion | None, *, reused: bool = False, notice: str = ""
    ) -> None:
        """Tell the listeners how it ended."""
        told = GenerationEnded(
            self.spec.name, status, version, tuple(self.attempts), reused, notice or self.notice, self.took_ms
        )
        self.emit(told)


class Acceptor:
    """Keeps the candidates that were proven, and records the attempts of those that were not.

    Parameters
    ----------
    store, recorder, sandbox, files, log, session_id
        Those of the core that owns this.
    """

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        sandbox: Sandbox,
        files: InputFiles,
        log: Log,
        session_id: str,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._log = log
        self._session_id = session_id
        self.sandbox = sandbox
        self.files = files

    async def refuse_ungrantable(self, spec: ToolSpec) -> None:
        """Refuse what no candidate could be granted, before anything is written or proven.

        Raises
        ------
        CellError
            A permission is dangerous or grants nothing, or an example passes a file that can't be passed.
        IsolationError
            A permission can't be granted here and now.
        """
        refuse_dangerous(spec.permissions, self.files.protected, confirmed=spec.yes_really)
        refuse_missing(spec.permissions)
        self.files.refuse_unfit(spec.examples, spec.permissions)
        await self.sandbox.check(spec.permissions)

    async def same(self, spec: ToolSpec, source: str) -> ToolVersion | None:
        """Find the version that has this very source, contract and permissions."""
        return await self._store.tools.same_version(spec.name, source, spec.contract, spec.permissions)

    async def reuse(self, order: Order, version: ToolVersion, notice: str = "") -> ToolVersion:
        """Make a version that is stored already the current one, instead of a new one."""
        await self._store.tools.set_current(order.spec.name, version.metadata.id, session_id=self._session_id)
        order.end(Status.OK, version, reused=True, notice=notice)
        return version

    async def take(self, order: Order, write: Callable[[list[Attempt]], Awaitable[Accepted]]) -> ToolVersion:
        """Have a candidate written and proven, store it, and record every attempt.

        Parameters
        ----------
        write : callable
            Gets the list of attempts to fill, and gives the accepted candidate or raises a `FactError`.
        """
        spec = order.spec
        log = self._log.bind(operation=order.operation, tool=spec.name, **order.about)
        log.info("generation started", examples=len(spec.examples), characters=len(spec.description))
        version: ToolVersion | None = None
        status = Status.INTERRUPTED
        try:
            accepted = await write(order.attempts)
            keeping = asyncio.ensure_future(self._keep(order, accepted))
            try:
                version = await asyncio.shield(keeping)
            except asyncio.CancelledError:
                # The transaction is on its way, and decides how this ended.
                version = await keeping
            status = Status.OK
        except FactError:
            status = Status.ERROR
            raise
        finally:
            if version is None and order.attempts and order.keeps_failures:
                await self._record_failures(order)
            log.info(
                "generation ended",
                status=status.value,
                attempts=len(order.attempts),
                duration_ms=round(order.took_ms, 1),
            )
            order.end(status, version)
        return version

    async def take_source(
        self,
        order: Order,
        source: str,
        author: Author,
        refused: Callable[[str, tuple[str, ...]], FactError],
        files: InputFiles | None,
    ) -> ToolVersion:
        """Prove a source that is written already, and store it.

        Parameters
        ----------
        refused : callable
            Builds the error of a source that was not accepted, from the reason and its detail lines.
        files : InputFiles, optional
            Finds the files that examples pass as paths; without it, none may be read.
        """

        async def prove(attempts: list[Attempt]) -> Accepted:
            accepted = await submit(source, order.spec, author, self.sandbox, order.emit, attempts, files)
            if accepted is None:
                raise refused(*shortcomings(order.spec, attempts[-1]))
            return accepted

        return await self.take(order, prove)

    async def _record_failures(self, order: Order) -> None:
        try:
            await asyncio.shield(self._recorder.commit_generation(order.spec, order.attempts))
        except StoreError as unkept:
            # What is shown of the attempts must not be lost with their rows.
            order.emit(Noticed(f"Not recorded: {unkept.line}"))

    async def _keep(self, order: Order, accepted: Accepted) -> ToolVersion:
        spec, checked, attempt = order.spec, accepted.candidate, accepted.attempt
        summary = (checked.signature.doc or spec.description).strip().partition("\n")[0]
        candidate = Candidate(
            name=spec.name,
            source=checked.source,
            signature_id=signature_identity(checked.signature),
            description=summary,
            contract=spec.contract,
            permissions=spec.permissions,
            tags=spec.tags,
            provider=attempt.provider,
            model=attempt.model,
            proven=bool(spec.examples),
            varies=checked.varies,
            request_hash=spec.request_hash if order.answers_request else "",
        )
        rows = self._recorder.generation_rows(spec, order.attempts, tool_id=candidate.id)
        return await self._store.tools.accept(candidate, session_id=self._session_id, generations=rows)
