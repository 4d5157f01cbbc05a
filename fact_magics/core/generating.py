"""A generation, from a request to a stored version: reuse, write, keep, remember."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fact_magics.core.loaded import load
from fact_magics.errors import FactError, GenerationFailed, ProviderError, SignatureError, StoreError
from fact_magics.events import GenerationEnded, Listener, Noticed
from fact_magics.permissions import normalised, refuse_dangerous, refuse_missing
from fact_magics.providers.choose import choose
from fact_magics.signature import signature_identity
from fact_magics.store import Candidate
from fact_magics.tool import HAND, Status, ToolSpec, ToolVersion, tool_name
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import Author, submit, write
from fact_magics.writing.proof import Prover, shortcomings

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from fact_magics.config import Settings
    from fact_magics.core.files import InputFiles
    from fact_magics.core.recording import History
    from fact_magics.logs import Log
    from fact_magics.providers.base import Provider
    from fact_magics.sandbox import Sandbox
    from fact_magics.store import Store
    from fact_magics.tool import Attempt
    from fact_magics.writing.proof import Accepted


class Generator:
    """Has tools written, and keeps those that are accepted.

    Parameters
    ----------
    store, history, sandbox, files, log, session_id
        Those of the core that owns this.
    """

    def __init__(
        self,
        store: Store,
        history: History,
        sandbox: Sandbox,
        files: InputFiles,
        log: Log,
        session_id: str,
    ) -> None:
        self._session_id = session_id
        self._store = store
        self._history = history
        self._sandbox = sandbox
        self._files = files
        self._log = log

    async def generate(self, spec: ToolSpec, settings: Settings, emit: Listener) -> ToolVersion:
        """Give the accepted version of a request: the one it has already, or a new one.

        Raises
        ------
        GenerationFailed, ProviderError
            Nothing was accepted; every attempt is recorded, and nothing else changed.
        CellError
            The name, or an example in the description, can't be read; a permission is malformed, dangerous,
            or grants nothing.
        IsolationError
            A permission can't be granted here and now.
        """
        tool_name(spec.name)
        spec = _with_examples(spec)
        permissions = normalised(spec.permissions, self._files.protected.directory)
        spec = replace(spec, permissions=permissions)
        started = time.perf_counter()
        if not spec.fresh and (known := await self._known(spec)):
            await self._store.set_current(spec.name, known.metadata.id, session_id=self._session_id)
            took = (time.perf_counter() - started) * 1000
            emit(GenerationEnded(spec.name, Status.OK, known, (), True, "", took))
            return known
        await self._refuse_ungrantable(spec)
        refuse_to_guess(spec.model, settings)
        provider = await choose(settings, spec.model)
        try:
            return await self._ask(spec, provider, emit, started)
        finally:
            await provider.aclose()

    async def _refuse_ungrantable(self, spec: ToolSpec) -> None:
        """Refuse what no candidate could be granted, before a model is paid for one."""
        refuse_dangerous(spec.permissions, self._files.protected, confirmed=spec.yes_really)
        refuse_missing(spec.permissions)
        self._files.refuse_unfit(spec.examples, spec.permissions)
        await self._sandbox.check(spec.permissions)

    async def _known(self, spec: ToolSpec) -> ToolVersion | None:
        """Find the accepted version of a request, if this package can still read it."""
        known = await self._store.by_request(spec.request_hash)
        if known is None:
            return None
        try:
            load(known)
        except SignatureError:
            return None
        return known

    async def edit(
        self, current: ToolVersion, source: str, timeout_seconds: float, emit: Listener
    ) -> ToolVersion:
        """Take a source written by hand as the next version, proven on the contract of the one it follows.

        A source that is a version already makes no new one: that version becomes the current one.

        Raises
        ------
        GenerationFailed
            It was not accepted; the attempt is recorded, and nothing else changed.
        CellError, IsolationError
            What the tool is permitted can't be granted any more.
        """
        known = current.metadata
        started = time.perf_counter()
        if _trimmed(source) == _trimmed(current.source):
            source = current.source
        same = await self._store.same_version(known.name, source, known.contract, known.permissions)
        if same is not None:
            await self._store.set_current(known.name, same.metadata.id, session_id=self._session_id)
            notice = f"this source is {same.reference} already, so no new version was made"
            took = (time.perf_counter() - started) * 1000
            emit(GenerationEnded(known.name, Status.OK, same, (), True, notice, took))
            return same
        spec = _spec_of(current, timeout_seconds)
        await self._refuse_ungrantable(spec)
        attempts: list[Attempt] = []
        writing = self._take(source, spec, emit, attempts)
        return await self._settle(spec, writing, attempts, emit, started)

    async def _take(self, source: str, spec: ToolSpec, emit: Listener, attempts: list[Attempt]) -> Accepted:
        prover = Prover(self._sandbox, emit, self._files)
        accepted = await submit(source, spec, Author(HAND, HAND), prover, attempts)
        if accepted is None:
            why, details = shortcomings(spec, attempts[-1])
            raise GenerationFailed(
                f"This {spec.name} was not accepted: {why}.",
                hint="Correct it, and run the cell again.",
                details=details,
            )
        return accepted

    async def _ask(self, spec: ToolSpec, provider: Provider, emit: Listener, started: float) -> ToolVersion:
        attempts: list[Attempt] = []
        prover = Prover(self._sandbox, emit, self._files)
        writing = write(spec, lambda _: provider, prover, attempts)
        return await self._settle(spec, writing, attempts, emit, started, provider)

    async def _settle(
        self,
        spec: ToolSpec,
        writing: Coroutine[Any, Any, Accepted],
        attempts: list[Attempt],
        emit: Listener,
        started: float,
        provider: Provider | None = None,
    ) -> ToolVersion:
        """Keep what is accepted, remember every attempt, and tell how it ended."""
        by = {"provider": provider.name, "model": provider.model} if provider else {"provider": HAND}
        log = self._log.bind(operation="generate", tool=spec.name, **by)
        log.info("generation started", examples=len(spec.examples), characters=len(spec.description))
        version: ToolVersion | None = None
        status = Status.INTERRUPTED
        try:
            accepted = await writing
            keeping = asyncio.ensure_future(self._keep(spec, accepted, attempts))
            try:
                version = await asyncio.shield(keeping)
            except asyncio.CancelledError:
                # The transaction is on its way: what it leaves in the database is what is told.
                version = await keeping
            status = Status.OK
        except FactError:
            status = Status.ERROR
            raise
        finally:
            if version is None and attempts:
                await self._remember(spec, attempts, emit)
            took = (time.perf_counter() - started) * 1000
            log.info(
                "generation ended", status=status.value, attempts=len(attempts), duration_ms=round(took, 1)
            )
            notice = provider.notice if provider else ""
            emit(GenerationEnded(spec.name, status, version, tuple(attempts), False, notice, took))
        return version

    async def _remember(self, spec: ToolSpec, attempts: list[Attempt], emit: Listener) -> None:
        try:
            await asyncio.shield(self._history.commit_generation(spec, attempts))
        except StoreError as unkept:
            # What is shown of the attempts must not be lost with their rows.
            emit(Noticed(f"Not recorded: {unkept.line}"))

    async def _keep(self, spec: ToolSpec, accepted: Accepted, attempts: list[Attempt]) -> ToolVersion:
        # What was written by hand answers no request: the model is asked again, should the request return.
        request = spec.request_hash if accepted.attempt.provider != HAND else ""
        candidate = candidate_of(spec, accepted, request)
        rows = self._history.generation_rows(spec, attempts, tool_id=candidate.id)
        return await self._store.accept(candidate, session_id=self._session_id, generations=rows)


def candidate_of(spec: ToolSpec, accepted: Accepted, request_hash: str = "") -> Candidate:
    """Make a proven source ready to be stored as the next version."""
    source = accepted.source
    summary = (source.signature.doc or spec.description).strip().partition("\n")[0]
    return Candidate(
        name=spec.name,
        source=source.text,
        signature_id=signature_identity(source.signature),
        description=summary,
        contract=spec.contract,
        permissions=spec.permissions,
        tags=spec.tags,
        provider=accepted.attempt.provider,
        model=accepted.attempt.model,
        proven=bool(spec.examples),
        varies=accepted.varies,
        request_hash=request_hash,
    )


def _trimmed(source: str) -> str:
    """Leave out what tells nothing: a cell has line ends of its own, around its text and in it."""
    return source.replace("\r\n", "\n").strip()


def _spec_of(version: ToolVersion, timeout_seconds: float) -> ToolSpec:
    """Ask again for what a version was proven on."""
    metadata = version.metadata
    return ToolSpec(
        metadata.name,
        metadata.description,
        read_body(metadata.contract, metadata.name).examples,
        permissions=metadata.permissions,
        timeout_seconds=timeout_seconds,
        tags=metadata.tags,
        yes_really=True,  # confirmed when it was accepted
    )


def refuse_to_guess(model: str | None, settings: Settings) -> None:
    """Ask for trust where the model that is meant has a key in a file that is not trusted.

    Raises
    ------
    ProviderError
        It has; `model` is what the cell names.
    """
    model = model or settings.model or "claude-"
    meant = model.startswith(("claude-", "anthropic/"))
    if meant and "ANTHROPIC_API_KEY" in settings.withheld:
        raise ProviderError(
            "The Anthropic key was found in a file that also says where to send it.",
            hint=f"{settings.notes[0]}; or write --model shelf to go on without a model.",
        )


def _with_examples(spec: ToolSpec) -> ToolSpec:
    """Read the examples that a script left in its description, as a cell's are read."""
    if spec.examples or spec.examples_read or ">>>" not in spec.description:
        return spec
    body = read_body(spec.description, spec.name)
    return replace(spec, description=body.description, examples=body.examples)
