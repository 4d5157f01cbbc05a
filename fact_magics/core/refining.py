"""Let a model change a stored tool: find the version to change, and build the whole request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fact_magics.core.accepting import Order
from fact_magics.core.generating import ask, prepared, refuse_keys
from fact_magics.core.loaded import load
from fact_magics.errors import CellError, SignatureError
from fact_magics.permissions import granted
from fact_magics.writing.examples import read_body
from fact_magics.writing.refining import change_text, merged_examples, wish_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.config import Settings
    from fact_magics.core.accepting import Acceptor
    from fact_magics.events import Listener
    from fact_magics.tool import ToolSpec, ToolVersion


class Refinement(NamedTuple):
    """A wish as a whole request, and a line for each earlier example that it gives another value."""

    spec: ToolSpec
    changes: tuple[str, ...]


async def refine(planned: Refinement, settings: Settings, acceptor: Acceptor, emit: Listener) -> ToolVersion:
    """Return the version that an equal request made, or ask for a new one; see `FactCore.refine`."""
    order = Order(planned.spec, emit, "refine", changed=planned.changes)
    return await ask(order, settings, acceptor, change_text)


async def plan_refinement(
    spec: ToolSpec, current: ToolVersion, settings: Settings, acceptor: Acceptor
) -> Refinement:
    """Build the request of a wish.

    The request changes `current`. But if the same wish made `current` out of an earlier version, it changes
    that version again, and so is a known request.
    """
    spec = prepared(spec, settings, acceptor)
    if not (spec.description.strip() or spec.examples):
        raise CellError(
            f"The request to change {spec.name} is empty.", hint="Say what to change, or add >>> examples."
        )
    permissions = granted(spec.permissions, acceptor.files.protected, confirmed=spec.yes_really)
    # The tool's own permissions were confirmed when it was accepted.
    spec = spec.model_copy(update={"permissions": permissions, "yes_really": True})
    mask = acceptor.log.redactor.mask
    planned = _changed(spec, current, mask)
    if known := current.metadata.request_hash:
        for earlier in await acceptor.store.tools.versions(spec.name):
            try:
                again = _changed(spec, earlier, mask)
            except CellError:  # another program has changed the contract of this version
                continue
            if again.spec.request_hash == known:
                planned = again
                break
    # A key may have been set since the version was made.
    refuse_keys(planned.spec, mask, f"Generate {spec.name} again with another value in its place.")
    return planned


def _changed(spec: ToolSpec, base: ToolVersion, mask: Callable[[str], str]) -> Refinement:
    """Build the request that changes the version `base`."""
    about = base.metadata
    earlier = read_body(about.contract, about.name).examples
    try:
        signature = load(base).signature
    except SignatureError:
        signature = None
    examples, changes = merged_examples(earlier, spec.examples, signature)
    changes = tuple(map(mask, changes))
    described, source = mask(about.description), mask(base.source)
    whole = {
        "description": wish_text(described, source, spec.description, changes, fenced=False),
        "fenced": wish_text(described, source, spec.asked, changes, fenced=True),
        "examples": examples,
        "examples_read": True,
        "permissions": tuple(sorted({*about.permissions, *spec.permissions})),
        "tags": tuple(dict.fromkeys((*about.tags, *spec.tags))),
        "ttl_seconds": spec.ttl_seconds or about.ttl_seconds,
    }
    return Refinement(spec.model_copy(update=whole), changes)
