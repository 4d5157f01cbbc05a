"""Ask a model for a tool, or accept a source that a person edited."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from fact_magics.core.accepting import Order
from fact_magics.core.loaded import load
from fact_magics.errors import CellError, GenerationFailed, ProviderError, SignatureError, StoreError
from fact_magics.events import Noticed
from fact_magics.names import tool_name
from fact_magics.permissions import normalised
from fact_magics.providers.fallbacks import Team
from fact_magics.providers.route import key_names
from fact_magics.tool import HAND, SHELF, ToolMetadata, ToolSpec, ToolVersion
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import Author, write
from fact_magics.writing.prompt import request_text
from fact_magics.writing.proof import Prover
from fact_magics.writing.refining import refuse_two_values
from fact_magics.writing.variables import with_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.config import Settings
    from fact_magics.core.accepting import Acceptor
    from fact_magics.events import Listener
    from fact_magics.providers.base import Provider
    from fact_magics.writing.proof import Accepted


async def generate(spec: ToolSpec, settings: Settings, acceptor: Acceptor, emit: Listener) -> ToolVersion:
    """Return the version that an equal request produced, or generate a new one; see `FactCore.generate`."""
    spec = prepared(spec, settings, acceptor)
    return await ask(Order(spec, emit), settings, acceptor, request_text)


def prepared(spec: ToolSpec, settings: Settings, acceptor: Acceptor) -> ToolSpec:
    """Mask keys in a request, read its examples, fill in its variables, write its permissions canonically."""
    for secret in settings.secrets:  # the notebook may have set a variable since the core was opened
        acceptor.log.add_secret(secret)
    mask = acceptor.log.redactor.mask
    spec = spec.model_copy(update={"name": tool_name(spec.name)})
    if not (spec.examples or spec.examples_read) and ">>>" in spec.description:
        # First without keys, because an error quotes a line.
        body = read_body(mask(spec.description), spec.name)
        with suppress(CellError):
            body = read_body(spec.description, spec.name)
        spec = spec.model_copy(update={"description": body.description, "examples": body.examples})
    refuse_keys(spec, mask, "Write another value in its place.")
    refuse_two_values(spec.examples, None)
    if spec.variables:
        spec = with_variables(spec, spec.variables)
    masked = {"description": mask(spec.description), "fenced": mask(spec.fenced)}
    permissions = normalised(spec.permissions, acceptor.files.protected.directory)
    return spec.model_copy(update={**masked, "permissions": permissions})


def refuse_keys(spec: ToolSpec, mask: Callable[[str], str], hint: str) -> None:
    """Raise `CellError` if an example contains a key."""
    if mask(spec.contract) != spec.contract:
        raise CellError(
            f"An example of {spec.name} contains a key, which would be sent to the model and stored.",
            hint=hint,
        )


async def ask(
    order: Order, settings: Settings, acceptor: Acceptor, request: Callable[[ToolSpec], str]
) -> ToolVersion:
    """Return the version that an equal request produced, or ask a model for a new one.

    Parameters
    ----------
    request : callable
        Writes the first message to the model. The shelf only answers `request_text`.
    """
    spec = order.spec
    await acceptor.refuse_loss(order)
    if known := await known_version(spec, settings, acceptor):
        version = await acceptor.reuse(order, known)
        with suppress(StoreError):  # it only counts for the statistics
            await acceptor.store.history.add_reuse(acceptor.session_id, version.metadata)
        return version
    await acceptor.refuse_ungrantable(spec)
    purse = acceptor.ledger.purse(spec.budget_usd, spec.max_tokens)

    async def provider_of(model: str | None) -> Provider:
        if acceptor.tape.replayed(settings) is None:
            refuse_withheld(model, settings)
        return await acceptor.tape.choose(settings, model)

    is_new = request is request_text
    team = Team(provider_of, settings.fallbacks, acceptor.breaker, spec.attempts, may_be_shelf=is_new)
    try:
        provider, changes = await team.open(spec.model or settings.model, spec.escalate)
        if provider.name == SHELF and not is_new:
            raise ProviderError(
                f"Changing {spec.name} needs a model, and the shelf only has finished tools.",
                hint="Set ANTHROPIC_API_KEY, or name a model with --model provider/model.",
            )
        for change in changes:
            order.emit(Noticed(change))
        order.notice = " · ".join(filter(None, (*changes, provider.notice)))
        order.about = {"provider": provider.name, "model": provider.model}
        from fact_magics.probing.agreement import choose
        from fact_magics.probing.overfitting import is_table

        prover = Prover(
            acceptor.sandbox,
            order.emit,
            acceptor.files,
            lambda source, asked: is_table(source, asked, acceptor.sandbox),
        )

        async def chosen(accepted: Sequence[Accepted], asked: int) -> Accepted:
            return await choose(accepted, asked, spec, acceptor.sandbox)

        return await acceptor.take(
            order,
            lambda attempts: write(spec, team.of, prover, attempts, request, team.instead, purse, chosen),
        )
    finally:
        await team.aclose()


async def known_version(spec: ToolSpec, settings: Settings, acceptor: Acceptor) -> ToolVersion | None:
    """Find the version of an equal request, if it may be reused and this package can still read it."""
    if spec.fresh or not settings.reuse:
        return None
    known = await acceptor.store.tools.by_request(spec.request_hash)
    if known is None or not _answers(known.metadata, spec):
        return None
    try:
        load(known)
    except SignatureError:
        return None
    return known


def _answers(found: ToolMetadata, spec: ToolSpec) -> bool:
    """Tell whether a version still fits the request; its row may have been changed."""
    asked = (spec.name, spec.contract, spec.permissions, bool(spec.examples))
    return (found.name, found.contract, found.permissions, found.proven) == asked


async def edit(
    current: ToolVersion,
    source: str,
    timeout_seconds: float,
    acceptor: Acceptor,
    emit: Listener,
    *,
    replace: bool = False,
) -> ToolVersion:
    """Prove an edited source on the contract of `current`, and store it as the next version.

    If a version with this source exists, it becomes the current one instead. See `FactCore.edit_tool` for
    the errors.
    """
    if _trimmed(source) == _trimmed(current.source):
        source = current.source
    spec = _spec_of(current, timeout_seconds, replace=replace)
    # A repeated request must return the version that the model wrote, not a later edit.
    order = Order(spec, emit, "edit", answers_request=False, about={"provider": HAND})
    await acceptor.refuse_loss(order)
    if (same := await acceptor.reuse_same(order, source)) is not None:
        return same
    await acceptor.refuse_ungrantable(spec)

    def refused(why: str, details: tuple[str, ...]) -> GenerationFailed:
        hint = "Correct the source, and run the cell again."
        if "--allow" in "\n".join((why, *details)):
            hint = f"%%fact_edit takes no --allow: correct the source, or generate {spec.name} again with it."
        return GenerationFailed(
            f"The edited source of {spec.name} was not accepted: {why}.", hint=hint, details=details
        )

    return await acceptor.take_source(order, source, Author(HAND, HAND), refused, acceptor.files)


def _trimmed(source: str) -> str:
    """Remove differences that a cell introduces: line endings, and blank space around the text."""
    return source.replace("\r\n", "\n").strip()


def _spec_of(version: ToolVersion, timeout_seconds: float, *, replace: bool) -> ToolSpec:
    """Build a request with the contract that the version was proven on."""
    metadata = version.metadata
    return ToolSpec(
        metadata.name,
        metadata.description,
        read_body(metadata.contract, metadata.name).examples,
        permissions=metadata.permissions,
        timeout_seconds=timeout_seconds,
        tags=metadata.tags,
        replace=replace,
        yes_really=True,  # confirmed when the version was accepted
        ttl_seconds=metadata.ttl_seconds,
    )


def refuse_withheld(model: str | None, settings: Settings) -> None:
    """Raise `ProviderError` if the model, or its key, comes from a file that is not trusted."""
    model = model or settings.model
    if model is None and settings.anthropic_api_key is None and "FACT_MODEL" in settings.withheld:
        wanted: tuple[str, ...] = ("FACT_MODEL",)
    elif model is None or model.startswith("claude-"):
        wanted = ("ANTHROPIC_API_KEY",)
    else:
        wanted = key_names(model.partition("/")[0])
    name = next((name for name in wanted if name in settings.withheld), "")
    if name and settings.providers.keys().isdisjoint(wanted):
        note = next((note for note in settings.notes if name in note), "")
        raise ProviderError(
            f"{name} can't be used yet.", hint=f"{note}; or add --model shelf to use no model."
        )
