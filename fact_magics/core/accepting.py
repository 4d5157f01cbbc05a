"""Prove candidates and store them as versions, whether they come from a model, a person or a file."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fact_magics.complexity import complexity_of
from fact_magics.core.loaded import attested
from fact_magics.core.replacing import Replacement, origin_of, refuse_unknown_loss
from fact_magics.errors import BindingRefused, FactError, StoreError
from fact_magics.events import GenerationEnded, Listener
from fact_magics.permissions import refuse_dangerous, refuse_missing
from fact_magics.signature import signature_identity
from fact_magics.store import LOCK_SECONDS, Candidate
from fact_magics.tool import Status, ToolSpec, ToolVersion
from fact_magics.writing.loop import submit
from fact_magics.writing.proof import Prover, reject, shortcomings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fact_magics.attempt import Attempt
    from fact_magics.core.files import InputFiles
    from fact_magics.core.masking import MaskedSandbox
    from fact_magics.core.recording import Recorder
    from fact_magics.core.toolbox import Toolbox
    from fact_magics.logs import Log
    from fact_magics.providers.fallbacks import Breaker
    from fact_magics.providers.recorded import Tape
    from fact_magics.providers.spending import Ledger
    from fact_magics.store import LockWait, Store
    from fact_magics.writing.loop import Author
    from fact_magics.writing.proof import Accepted

# How long the rows of an interrupted generation may take; the cell waits 1.5 s for the generation to end.
_STOPPED_SECONDS = 1.0


@dataclass(slots=True)
class Order:
    """A request for a new version, while it is being worked on.

    Attributes
    ----------
    answers_request : bool
        Whether a later equal request may reuse this version; False if a person or a file gave the source.
    keeps_failures : bool
        Whether attempts that were not accepted are recorded.
    about : dict
        Further fields of the log lines.
    changed : tuple of str
        Earlier examples that this request changes, a line for each.
    replaced : tuple of str
        The version that this one replaces, in a line; set when the version is stored or reused.
    request_hash : str
        The request that this version answers, if that is not `spec`.
    warning : str
        Why the rows of the attempts wait; empty if they are committed.
    """

    spec: ToolSpec
    emit: Listener
    operation: str = "generate"
    notice: str = ""
    answers_request: bool = True
    keeps_failures: bool = True
    about: dict[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    warning: str = ""
    request_hash: str = ""
    started: float = field(default_factory=time.perf_counter)

    @property
    def took_ms(self) -> float:
        """Milliseconds since the request arrived."""
        return (time.perf_counter() - self.started) * 1000

    def end(
        self, status: Status, version: ToolVersion | None, *, reused: bool = False, notice: str = ""
    ) -> None:
        """Tell the listeners how the work ended."""
        attempts, notice, spec = tuple(self.attempts), notice or self.notice, self.spec
        changes = (*self.changed, *self.replaced) if version is not None else ()
        self.emit(
            GenerationEnded(
                spec.name,
                status,
                version,
                attempts,
                reused,
                notice,
                self.took_ms,
                spec.examples,
                changes,
                self.warning,
            )
        )

    @property
    def hint(self) -> str:
        """How to replace a proven version by one without examples."""
        examples = "" if self.operation in ("edit", "import") else "Write >>> examples for it, or "
        return f"{examples}{'a' if examples else 'A'}dd --replace (in Python replace=True) to replace it."


@dataclass(frozen=True, slots=True)
class Acceptor:
    """Stores the candidates that were proven, and records the attempts that failed."""

    store: Store
    recorder: Recorder
    sandbox: MaskedSandbox
    files: InputFiles
    log: Log
    session_id: str
    notebook: str
    toolbox: Toolbox
    tape: Tape
    breaker: Breaker
    ledger: Ledger

    async def refuse_loss(self, order: Order) -> None:
        """Raise `BindingRefused`, before any work starts, if a proven version would be lost."""
        if not order.spec.examples:
            name = order.spec.name
            current = await self.toolbox.current(name)
            origin = ""
            if current is not None:
                notebooks = await self.store.tools.notebooks(name)
                origin = origin_of(notebooks.get(current.metadata.id, ""), self.notebook)
            elif name in await self.store.tools.names(name, 1):
                refuse_unknown_loss(order.spec, order.hint)
            self._replacement(name, current, origin).refuse_loss(order.spec, order.hint)

    def _replacement(self, name: str, current: ToolVersion | None, origin: str) -> Replacement:
        held = self.toolbox.pinned(name)
        return Replacement(current, origin, held.stored if held is not None else None)

    def _replacing(self, order: Order, tool_id: str) -> Callable[[ToolVersion | None, str], None]:
        """Return the function that looks at the current version within the transaction."""
        order.replaced = self._replacement(order.spec.name, None, "").lines(tool_id)

        def look(current: ToolVersion | None, notebook: str) -> None:
            if current is None:
                refuse_unknown_loss(order.spec, order.hint)
                return
            origin = origin_of(notebook, self.notebook)
            found = self._replacement(order.spec.name, current, origin)
            if current.metadata.id != tool_id:
                found.refuse_loss(order.spec, order.hint)
            order.replaced = found.lines(tool_id)

        return look

    async def refuse_ungrantable(self, spec: ToolSpec) -> None:
        """Refuse permissions and example files that can't be granted, before any work starts."""
        refuse_dangerous(spec.permissions, self.files.protected, confirmed=spec.yes_really)
        refuse_missing(spec.permissions)
        self.files.refuse_unfit(spec.examples, spec.permissions)
        await self.sandbox.check(spec.permissions)

    async def reuse_same(self, order: Order, source: str) -> ToolVersion | None:
        """Reuse the stored version with the same source, contract and permissions, if there is one."""
        spec = order.spec
        same = await self.store.tools.same_version(spec.name, source, spec.contract, spec.permissions)
        if same is None:
            return None
        notice = f"{same.reference} already has this source, so no new version was made"
        return await self.reuse(order, same, notice)

    async def reuse(self, order: Order, version: ToolVersion, notice: str = "") -> ToolVersion:
        """Make a stored version the current one, instead of storing a new version."""
        version = attested(version)
        # A request without a time says nothing about the time that another notebook may have given.
        if order.spec.ttl_seconds not in (None, version.metadata.ttl_seconds):
            version = await self.store.tools.set_ttl(version, order.spec.ttl_seconds)
        tool_id = version.metadata.id
        name = order.spec.name
        current, held = await self.toolbox.current(name), self.toolbox.pinned(name)
        if current is None or held is None or {current.metadata.id, held.id} != {tool_id}:
            await self.store.tools.set_current(
                name, tool_id, session_id=self.session_id, replacing=self._replacing(order, tool_id)
            )
        order.end(Status.OK, version, reused=True, notice=notice)
        return version

    async def take(self, order: Order, write: Callable[[list[Attempt]], Awaitable[Accepted]]) -> ToolVersion:
        """Call `write` for a proven candidate, store the candidate, and record every attempt.

        Parameters
        ----------
        write : callable
            Adds its attempts to the given list; returns the accepted candidate or raises a `FactError`.
        """
        spec = order.spec
        log = self.log.bind(operation=order.operation, tool=spec.name, **order.about)
        log.info("generation started", examples=len(spec.examples), characters=len(spec.description))
        version: ToolVersion | None = None
        status = Status.INTERRUPTED
        try:
            accepted = await write(order.attempts)
            order.notice = " · ".join(filter(None, (order.notice, *accepted.notes)))
            wait = self.store.lock_wait(LOCK_SECONDS)
            keeping = asyncio.ensure_future(self._keep(order, accepted, wait))
            # The transaction can't be stopped any more, unless it waits for another program's lock. If it
            # succeeds, the version is stored.
            is_cancelled = await _ended(keeping, wait)
            if is_cancelled and (error := keeping.exception()):
                accepted.attempt.status = Status.INTERRUPTED
                raise asyncio.CancelledError from error
            version = keeping.result()
            status = Status.OK
        except FactError:
            status = Status.ERROR
            raise
        finally:
            try:
                if version is None and order.attempts and order.keeps_failures:
                    await self._record_failures(order, status)
            finally:
                took = round(order.took_ms, 1)
                attempts = len(order.attempts)
                log.info("generation ended", status=status.value, attempts=attempts, duration_ms=took)
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
        """Prove an existing source, and store it.

        Parameters
        ----------
        refused : callable
            Builds the error for a source that was not accepted, from a reason and detail lines.
        files : InputFiles, optional
            Finds the files that examples pass as paths. If None, examples can't read these files.
        """

        async def prove(attempts: list[Attempt]) -> Accepted:
            prover = Prover(self.sandbox, order.emit, files)
            accepted = await submit(source, order.spec, author, prover, attempts)
            if accepted is None:
                raise refused(*shortcomings(order.spec, attempts[-1]))
            return accepted

        return await self.take(order, prove)

    async def _record_failures(self, order: Order, status: Status) -> None:
        self.recorder.add_attempts(order.spec, order.attempts)
        order.warning = "Not recorded yet: the wait for the database was ended."
        try:
            async with asyncio.timeout(_STOPPED_SECONDS if status is Status.INTERRUPTED else None):
                await self.recorder.flush()
            order.warning = ""
        except TimeoutError:
            pass
        except StoreError as error:
            order.warning = f"Not recorded yet: {error.line}"

    async def _keep(self, order: Order, accepted: Accepted, wait: LockWait) -> ToolVersion:
        spec, source, attempt = order.spec, accepted.source, accepted.attempt
        summary = (source.signature.doc or spec.description).strip().partition("\n")[0]
        candidate = Candidate(
            name=spec.name,
            source=source.text,
            signature_id=signature_identity(source.signature),
            description=summary,
            contract=spec.contract,
            permissions=spec.permissions,
            tags=spec.tags,
            ttl_seconds=spec.ttl_seconds,
            provider=attempt.provider,
            model=attempt.model,
            proven=bool(spec.examples),
            varies=accepted.varies,
            complexity_score=complexity_of(source.nodes),
            strength=f"{accepted.others} open" if accepted.others else "",
            request_hash=(order.request_hash or spec.request_hash) if order.answers_request else "",
        )
        rows = self.recorder.generation_rows(spec, order.attempts, stored=attempt, tool_id=candidate.id)
        try:
            version = await self.store.tools.accept(
                candidate,
                session_id=self.session_id,
                generations=rows,
                replacing=self._replacing(order, candidate.id),
                wait=wait,
            )
        except BindingRefused as error:
            # Another notebook has stored a proven version since this work began.
            reject(attempt, (error.message,))
            raise
        except StoreError as error:
            raise StoreError(
                f"{spec.name} was accepted, but it could not be stored: {error.message}", hint=error.hint
            ) from error
        self.recorder.on_stored((), rows, ())
        return version


async def _ended(work: asyncio.Future[Any], wait: LockWait) -> bool:
    """Wait until work has ended, and tell whether this was cancelled; a cancel ends the work's wait."""
    is_cancelled = False
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError:
            is_cancelled = True
            wait.stop()
    return is_cancelled
