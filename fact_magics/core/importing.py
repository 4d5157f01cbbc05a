"""Import a tool from a file: check the file's claims, and prove the tool again on its own examples."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fact_magics.core.accepting import Order
from fact_magics.errors import CellError, TransferRefused, did_you_mean
from fact_magics.names import tool_name
from fact_magics.permissions import granted, normalised
from fact_magics.shelf.entry import is_shipped
from fact_magics.text import one_line
from fact_magics.tool import IMPORTED, SHELF, ToolSpec, ToolVersion
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import Author

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic import SecretStr

    from fact_magics.core.accepting import Acceptor
    from fact_magics.core.portable import ToolFile
    from fact_magics.events import Listener

_CLAIM_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Consent:
    """The user's consent to an import: the arguments of `FactCore.import_tool`."""

    permissions: tuple[str, ...] = ()
    yes_really: bool = False
    unsigned: bool = False
    replace: bool = False
    command: str = ""


async def take_in(
    file: ToolFile,
    consent: Consent,
    key: SecretStr | None,
    timeout_seconds: float,
    acceptor: Acceptor,
    emit: Listener,
) -> ToolVersion:
    """Prove a file's tool on the file's contract, and store it as the next version of its name.

    If the same tool is stored already, its version becomes the current one instead. A refused tool leaves no
    record. See `FactCore.import_tool` for the errors.

    Parameters
    ----------
    key : SecretStr, optional
        The ``SECRET_KEY`` of the settings. If None, signatures are not checked.
    """
    tool_name(file.name)
    _refuse_unsigned(file, key, unsigned=consent.unsigned)
    protected = acceptor.files.protected
    _refuse_ungranted(file, consent, protected.directory)
    permissions = granted(file.permissions, protected, confirmed=consent.yes_really)
    spec = _spec_of(file, timeout_seconds, permissions, replace=consent.replace)
    about = {"signed": bool(file.signature)}
    order = Order(spec, emit, "import", answers_request=False, keeps_failures=False, about=about)
    await acceptor.refuse_loss(order)
    if (same := await acceptor.reuse_same(order, file.source)) is not None:
        return same
    await acceptor.sandbox.check(spec.permissions)
    # An example may name a file on this machine, and a tool with permissions could send the content away.
    files = None if spec.permissions else acceptor.files

    def refused(why: str, details: tuple[str, ...]) -> TransferRefused:
        return TransferRefused(
            f"{spec.name} does not work here as its file promises: {why}.",
            hint="Nothing was imported.",
            details=details,
        )

    return await acceptor.take_source(order, file.source, author_of(file, spec.permissions), refused, files)


def _refuse_unsigned(file: ToolFile, key: SecretStr | None, *, unsigned: bool) -> None:
    if key is None or file.is_signed_by(key) or (unsigned and not file.signature):
        return
    if not file.signature:
        raise TransferRefused(
            f"The file of {file.name} is not signed, but a SECRET_KEY is set here.",
            hint="Add --unsigned to import it anyway.",
        )
    raise TransferRefused(
        f"The file of {file.name} was signed with a different SECRET_KEY.",
        hint="Set the key that the file was signed with, or ask for a new export.",
    )


def author_of(file: ToolFile, permissions: Sequence[str] = ()) -> Author:
    """Name the author of a file's tool. Only the shelf can be verified; any other author is a claim."""
    if file.provider == SHELF and not permissions and is_shipped(file.source, file.model, file.name):
        return Author(SHELF, file.model)
    claims_provider = file.provider in (IMPORTED, file.model) or file.model.startswith(f"{file.provider}/")
    claim = file.model if claims_provider else f"{file.provider}/{file.model}"
    return Author(IMPORTED, one_line(claim, _CLAIM_LIMIT))


def _refuse_ungranted(file: ToolFile, consent: Consent, directory: Path) -> None:
    """Refuse an import if the granted permissions differ from those that the file asks for."""
    asked = normalised(file.permissions, directory)
    given = normalised(consent.permissions, directory)
    if missing := [permission for permission in asked if permission not in given]:
        options = " ".join(f"--allow {shlex.quote(permission)}" for permission in missing)
        how = f"write: {consent.command}" if consent.command else "add:"
        raise CellError(
            f"{file.name} asks for permissions that were not granted: {', '.join(missing)}.",
            hint=f"To grant them, {how} {options}",
        )
    if unasked := [permission for permission in given if permission not in asked]:
        raise CellError(
            f"{file.name} does not ask for {unasked[0]}.",
            hint=did_you_mean(unasked[0], asked) or "Remove that --allow.",
        )


def _spec_of(
    file: ToolFile, timeout_seconds: float, permissions: tuple[str, ...], *, replace: bool
) -> ToolSpec:
    try:
        examples = read_body(file.contract, file.name).examples
    except CellError as error:
        raise TransferRefused(
            f"The contract of {file.name} can't be read: {error.message}",
            hint="The file may be from another version of fact_magics.",
            details=error.details,
        ) from None
    return ToolSpec(
        file.name,
        one_line(file.description, 1_000),
        examples,
        permissions=permissions,
        timeout_seconds=timeout_seconds,
        tags=file.tags,
        ttl_seconds=file.ttl_seconds,
        replace=replace,
    )
