"""Import a tool from a file: check what the file claims, and prove the tool again on its own examples."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fact_magics.core.accepting import Order
from fact_magics.errors import CellError, TransferRefused, did_you_mean
from fact_magics.permissions import granted, normalised
from fact_magics.shelf.entry import is_shipped
from fact_magics.text import one_line
from fact_magics.tool import IMPORTED, SHELF, ToolSpec, ToolVersion, tool_name
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
    """What the user allows an import to do.

    Attributes
    ----------
    permissions : tuple of str
        The permissions to grant, as written: all that the file asks for, and no others.
    yes_really : bool
        Grant dangerous permissions too.
    unsigned : bool
        Accept a file without a signature.
    """

    permissions: tuple[str, ...] = ()
    yes_really: bool = False
    unsigned: bool = False


async def take_in(
    file: ToolFile,
    consent: Consent,
    key: SecretStr | None,
    timeout_seconds: float,
    acceptor: Acceptor,
    emit: Listener,
) -> ToolVersion:
    """Prove a file's tool on its own contract, and keep it as the next version of its name.

    A tool that is stored already makes no new version: its version becomes the current one. An accepted
    tool is recorded as an attempt; of a refused one nothing is kept.

    Parameters
    ----------
    key : SecretStr, optional
        The ``SECRET_KEY`` of the settings; without one, no signature is checked.

    See `FactCore.import_tool` for the errors.
    """
    tool_name(file.name)
    refuse_unsigned(file, key, unsigned=consent.unsigned)
    protected = acceptor.files.protected
    refuse_ungranted(file, consent, protected.directory)
    permissions = granted(file.permissions, protected, confirmed=consent.yes_really)
    spec = _spec_of(file, timeout_seconds, permissions)
    about = {"signed": bool(file.signature)}
    order = Order(spec, emit, "import", answers_request=False, keeps_failures=False, about=about)
    if (same := await acceptor.same(spec, file.source)) is not None:
        notice = f"this very tool is {same.reference} already, so no new version was made"
        return await acceptor.reuse(order, same, notice)
    await acceptor.sandbox.check(spec.permissions)
    # An example may name a file of this machine, which its run could then read. A tool that has permissions
    # could send it away, so it gets no files.
    files = None if spec.permissions else acceptor.files

    def refused(why: str, details: tuple[str, ...]) -> TransferRefused:
        return TransferRefused(
            f"{spec.name} does not do here what its file promises: {why}.",
            hint="Nothing was imported.",
            details=details,
        )

    return await acceptor.take_source(order, file.source, author_of(file, spec.permissions), refused, files)


def refuse_unsigned(file: ToolFile, key: SecretStr | None, *, unsigned: bool) -> None:
    """Refuse a file that was not signed with the key of the settings.

    Raises
    ------
    TransferRefused
        It has no signature, or the signature of another key.
    """
    if key is None:
        return
    if not file.signature:
        if unsigned:
            return
        raise TransferRefused(
            f"The file of {file.name} is not signed, but a SECRET_KEY is set here.",
            hint="Add --unsigned to import it anyway.",
        )
    if not file.is_signed_by(key):
        raise TransferRefused(
            f"The file of {file.name} was signed with another SECRET_KEY than the one set here.",
            hint="Set the key that it was signed with, or ask for a new export.",
        )


def author_of(file: ToolFile, permissions: Sequence[str] = ()) -> Author:
    """Name the author of a file's tool. Only a tool from the shelf can be checked; the rest is a claim."""
    if file.provider == SHELF and not permissions and _is_shipped(file):
        return Author(SHELF, file.model)
    claims_provider = file.provider in (IMPORTED, file.model) or file.model.startswith(f"{file.provider}/")
    claim = file.model if claims_provider else f"{file.provider}/{file.model}"
    return Author(IMPORTED, one_line(claim, _CLAIM_LIMIT))


def _is_shipped(file: ToolFile) -> bool:
    try:
        return is_shipped(file.source, file.model, file.name)
    except ValueError:  # the shelf's tool could never bear that name
        return False


def refuse_ungranted(file: ToolFile, consent: Consent, directory: Path, *, command: str = "") -> None:
    """Refuse a file that asks for more than it was granted, or was granted more than it asks for.

    Parameters
    ----------
    directory : Path
        Where relative paths start.
    command : str
        The line that the user wrote, which the hint repeats with the missing options.

    Raises
    ------
    CellError
        The message ends with the line to write.
    """
    asked = normalised(file.permissions, directory)
    given = normalised(consent.permissions, directory)
    if missing := [permission for permission in asked if permission not in given]:
        options = " ".join(f"--allow {shlex.quote(permission)}" for permission in missing)
        raise CellError(
            f"{file.name} asks for permissions that it was not granted: {', '.join(missing)}.",
            hint=f"To grant them, {f'write: {command}' if command else 'add:'} {options}",
        )
    if unasked := [permission for permission in given if permission not in asked]:
        raise CellError(
            f"{file.name} does not ask for {unasked[0]}.",
            hint=did_you_mean(unasked[0], asked) or "Leave that --allow out.",
        )


def _spec_of(file: ToolFile, timeout_seconds: float, permissions: tuple[str, ...]) -> ToolSpec:
    try:
        examples = read_body(file.contract, file.name).examples
    except CellError as error:
        raise TransferRefused(
            f"The contract of {file.name} can't be read: {error.message}",
            hint="It may be from another version of fact_magics.",
            details=error.details,
        ) from None
    return ToolSpec(
        file.name,
        one_line(file.description, 1_000),
        examples,
        permissions=permissions,
        timeout_seconds=timeout_seconds,
        tags=file.tags,
    )
