"""A generation, from a request to a stored version: reuse, write, keep, remember."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from fact_magics import execution
from fact_magics.arguments import tool_name
from fact_magics.errors import FactError, ProviderError, SignatureError, StoreError
from fact_magics.events import GenerationEnded, Listener, Noticed
from fact_magics.providers.choose import choose
from fact_magics.signature import signature_identity
from fact_magics.store import Candidate
from fact_magics.tool import Status, ToolSpec, ToolVersion
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import write

if TYPE_CHECKING:
    from fact_magics.config import Settings
    from fact_magics.history import History
    from fact_magics.logs import Log
    from fact_magics.providers.base import Provider
    from fact_magics.sandbox import Sandbox
    from fact_magics.store import Store
    from fact_magics.writing.attempt import Attempt
    from fact_magics.writing.loop import Accepted


class Generator:
    """Has tools written, and keeps those that are accepted.

    Parameters
    ----------
    store, history, sandbox, log, session_id
        Those of the core that owns this.
    """

    def __init__(self, store: Store, history: History, sandbox: Sandbox, log: Log, session_id: str) -> None:
        self._session_id = session_id
        self._store = store
        self._history = history
        self._sandbox = sandbox
        self._log = log

    async def generate(self, spec: ToolSpec, settings: Settings, emit: Listener) -> ToolVersion:
        """Give the accepted version of a request: the one it has already, or a new one.

        Raises
        ------
        GenerationFailed, ProviderError
            Nothing was accepted; every attempt is recorded, and nothing else changed.
        CellError
            The name, or an example in the description, can't be read.
        """
        tool_name(spec.name)
        spec = _with_examples(spec)
        started = time.perf_counter()
        if not spec.fresh and (known := await self._known(spec)):
            await self._store.set_current(spec.name, known.metadata.id, session_id=self._session_id)
            took = (time.perf_counter() - started) * 1000
            emit(GenerationEnded(spec.name, Status.OK, known, (), True, "", took))
            return known
        _refuse_to_guess(spec, settings)
        provider = await choose(settings, spec.model)
        try:
            return await self._ask(spec, provider, emit, started)
        finally:
            await provider.aclose()

    async def _known(self, spec: ToolSpec) -> ToolVersion | None:
        """Find the accepted version of a request, if this package can still read it."""
        known = await self._store.by_request(spec.request_hash)
        if known is None:
            return None
        try:
            execution.load(known)
        except SignatureError:
            return None
        return known

    async def _ask(self, spec: ToolSpec, provider: Provider, emit: Listener, started: float) -> ToolVersion:
        log = self._log.bind(
            operation="generate", tool=spec.name, provider=provider.name, model=provider.model
        )
        log.info("generation started", examples=len(spec.examples), characters=len(spec.description))
        attempts: list[Attempt] = []
        version: ToolVersion | None = None
        status = Status.INTERRUPTED
        try:
            accepted = await write(spec, provider, self._sandbox, emit, attempts)
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
            emit(GenerationEnded(spec.name, status, version, tuple(attempts), False, provider.notice, took))
        return version

    async def _remember(self, spec: ToolSpec, attempts: list[Attempt], emit: Listener) -> None:
        try:
            await asyncio.shield(self._history.commit_generation(spec, attempts))
        except StoreError as unkept:
            # What is shown of the attempts must not be lost with their rows.
            emit(Noticed(f"Not recorded: {unkept.line}"))

    async def _keep(self, spec: ToolSpec, accepted: Accepted, attempts: list[Attempt]) -> ToolVersion:
        checked, attempt = accepted.candidate, accepted.attempt
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
            request_hash=spec.request_hash,
        )
        rows = self._history.generation_rows(spec, attempts, tool_id=candidate.id)
        return await self._store.accept(candidate, session_id=self._session_id, generations=rows)


def _refuse_to_guess(spec: ToolSpec, settings: Settings) -> None:
    """Ask for trust where the model that is meant has a key in a file that is not trusted."""
    model = spec.model or settings.model or "claude-"
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
