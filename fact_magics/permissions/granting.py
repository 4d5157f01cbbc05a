"""From what a cell or a script asks for to what is granted, or to the one line that says why it is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.errors import CellError
from fact_magics.permissions import places
from fact_magics.permissions.dangers import danger, refusal
from fact_magics.permissions.grammar import Permission, read_permission

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fact_magics.permissions.dangers import Protected

_CONFIRM = "Narrow it, or add --yes-really (in Python yes_really=True) if the tool must have it."
_ROOT = Path(os.sep)
_PATTERN = frozenset("*?[")


def normalised(texts: Iterable[str], directory: Path) -> tuple[str, ...]:
    """Write permissions in their canonical form, sorted, each once.

    Raises
    ------
    CellError
        One is malformed.
    """
    return tuple(sorted({read_permission(text, directory).text for text in texts}))


def granted(texts: Iterable[str], protected: Protected, *, confirmed: bool) -> tuple[str, ...]:
    """Write permissions in their canonical form, if they may be granted and grant something.

    Parameters
    ----------
    confirmed : bool
        The user said ``--yes-really``.

    Raises
    ------
    CellError
        One is malformed, dangerous, or grants nothing.
    """
    permissions = normalised(texts, protected.directory)
    refuse_dangerous(permissions, protected, confirmed=confirmed)
    refuse_missing(permissions)
    return permissions


def refuse_dangerous(permissions: Iterable[str], protected: Protected, *, confirmed: bool) -> None:
    """Refuse what is never granted, and what has to be confirmed unless it was.

    Raises
    ------
    CellError
        With the reason, and what to do.
    """
    read = [_canonical(text) for text in permissions]
    for permission in read:
        if reason := refusal(permission, protected):
            raise CellError(
                f"{permission.text} can't be granted: {reason}.",
                hint="Name something narrower."
                if permission.kind != "env"
                else "Give the tool a key of its own, under another name.",
            )
    for permission in () if confirmed else read:
        if (found := danger(permission, protected)) is not None:
            raise CellError(f"{permission.text} is dangerous: {found.reason}.", hint=_CONFIRM)


def refuse_missing(permissions: Iterable[str]) -> None:
    """Refuse what grants nothing, because it is not there: most likely it is misspelt.

    Raises
    ------
    CellError
        Nothing is made in its place: what a tool may write, a person makes first.
    """
    for permission in map(_canonical, permissions):
        target = permission.target
        if permission.kind == "env" and target not in os.environ:
            raise CellError(
                f"{permission.text} grants nothing: there is no variable {target} here.",
                hint="Set it where the kernel is started, or in os.environ.",
            )
        if permission.kind in ("read", "write") and (missing := places.missing(Path(target))):
            raise CellError(f"{permission.text} grants nothing: {missing}.", hint=_instead(permission))


def _instead(permission: Permission) -> str:
    if not _PATTERN.isdisjoint(permission.target):
        return "Patterns are not read: name a file, or the directory that holds them."
    if permission.kind == "read":
        return "Name a file or directory that exists."
    return "Make it first, or name a directory that exists: nothing is made unasked."


def covers(permissions: Iterable[str], path: Path) -> bool:
    """Tell whether a permission to read or write reaches a real path."""
    return any(
        permission.kind in ("read", "write") and path.is_relative_to(permission.target)
        for permission in map(_canonical, permissions)
    )


def _canonical(text: str) -> Permission:
    """Take apart what `normalised` wrote; a path is not followed again."""
    kind, _, target = text.partition(":")
    if kind == "read":
        return Permission("read", target)
    return Permission("write", target) if kind == "write" else read_permission(text, _ROOT)
