"""A tool that a model writes on request, or a person by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fact_magics.core.accepting import Order
from fact_magics.core.loaded import load
from fact_magics.errors import GenerationFailed, ProviderError, SignatureError
from fact_magics.permissions import normalised
from fact_magics.providers.choose import choose
from fact_magics.tool import HAND, ToolSpec, ToolVersion, tool_name
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import Author, write

if TYPE_CHECKING:
    from fact_magics.config import Settings
    from fact_magics.core.accepting import Acceptor
    from fact_magics.events import Listener
    from fact_magics.store import Store


async def generate(
    spec: ToolSpec, settings: Settings, store: Store, acceptor: Acceptor, emit: Listener
) -> ToolVersion:
    """Give the accepted version of a request: the one it has already, or a new one.

    See `FactCore.generate` for the errors.
    """
    tool_name(spec.name)
    spec = _with_examples(spec)
    spec = replace(spec, permissions=normalised(spec.permissions, acceptor.files.protected.directory))
    order = Order(spec, emit)
    if not spec.fresh and (known := await _known(spec, store)):
        return await acceptor.reuse(order, known)
    await acceptor.refuse_ungrantable(spec)
    refuse_to_guess(spec.model, settings)
    provider = await choose(settings, spec.model)
    order.notice = provider.notice
    order.about = {"provider": provider.name, "model": provider.model}
    try:
        return await acceptor.take(
            order,
            lambda attempts: write(spec, provider, acceptor.sandbox, emit, attempts, acceptor.files),
        )
    finally:
        await provider.aclose()


async def _known(spec: ToolSpec, store: Store) -> ToolVersion | None:
    """Find the accepted version of a request, if this package can still read it."""
    known = await store.tools.by_request(spec.request_hash)
    if known is None:
        return None
    try:
        load(known)
    except SignatureError:
        return None
    return known


async def edit(
    current: ToolVersion, source: str, timeout_seconds: float, acceptor: Acceptor, emit: Listener
) -> ToolVersion:
    """Take a source written by hand as the next version, proven on the contract of the one it follows.

    A source that is a version already makes no new one: that version becomes the current one. See
    `FactCore.edit_tool` for the errors.
    """
    if _trimmed(source) == _trimmed(current.source):
        source = current.source
    spec = _spec_of(current, timeout_seconds)
    # A request is answered by what a model wrote for it, never by an edit of that.
    order = Order(spec, emit, "edit", answers_request=False, about={"provider": HAND})
    if (same := await acceptor.same(spec, source)) is not None:
        notice = f"this source is {same.reference} already, so no new version was made"
        return await acceptor.reuse(order, same, notice)
    await acceptor.refuse_ungrantable(spec)

    def refused(why: str, details: tuple[str, ...]) -> GenerationFailed:
        return GenerationFailed(
            f"This {spec.name} was not accepted: {why}.",
            hint="Correct it, and run the cell again.",
            details=details,
        )

    return await acceptor.take_source(order, source, Author(HAND, HAND), refused, acceptor.files)


def _trimmed(source: str) -> str:
    """Leave out line ends and blank space around the text, which a cell changes on its own."""
    return source.replace("\r\n", "\n").strip()


def _spec_of(version: ToolVersion, timeout_seconds: float) -> ToolSpec:
    """Build the request whose contract a version was proven on."""
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
    """Ask for trust if the key of the model that is meant stands in a file that is not trusted.

    Parameters
    ----------
    model : str or None
        What the cell names.

    Raises
    ------
    ProviderError
        It does.
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
