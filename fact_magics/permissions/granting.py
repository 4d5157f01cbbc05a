"""Grant the permissions that a cell or script requests, or raise an error that says why they are refused."""

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

_CONFIRM = "Narrow it, or add --yes-really (in Python yes_really=True)."
_ROOT = Path(os.sep)
_PATTERN = frozenset("*?[")


def normalised(texts: Iterable[str], directory: Path) -> tuple[str, ...]:
    """Return permissions in canonical form, sorted and unique; a malformed one raises `CellError`."""
    return tuple(sorted({read_permission(text, directory).text for text in texts}))


def granted(texts: Iterable[str], protected: Protected, *, confirmed: bool) -> tuple[str, ...]:
    """Return permissions in canonical form, after a check that each may be granted and grants something.

    Raises
    ------
    CellError
        A permission is malformed, grants nothing, must never be granted, or is dangerous and not `confirmed`.
    """
    permissions = normalised(texts, protected.directory)
    refuse_dangerous(permissions, protected, confirmed=confirmed)
    refuse_missing(permissions)
    return permissions


def refuse_dangerous(permissions: Iterable[str], protected: Protected, *, confirmed: bool) -> None:
    """Raise `CellError` for permissions that are never granted, and for dangerous ones unless `confirmed`."""
    read = [_canonical(text) for text in permissions]
    for permission in read:
        if reason := refusal(permission, protected):
            raise CellError(
                f"{permission.text} can't be granted: {reason}.",
                hint="Grant another path, or a narrower one."
                if permission.kind != "env"
                else "Give the tool a different key, in a variable of another name.",
            )
    for permission in () if confirmed else read:
        if (found := danger(permission, protected)) is not None:
            raise CellError(f"{permission.text} is dangerous: {found.reason}.", hint=_CONFIRM)


def refuse_missing(permissions: Iterable[str]) -> None:
    """Raise `CellError` for a permission whose target does not exist; the target is probably misspelt."""
    for permission in map(_canonical, permissions):
        target = permission.target
        if permission.kind == "env" and target not in os.environ:
            raise CellError(
                f"{permission.text} grants nothing: the environment has no variable {target}.",
                hint="Set it in os.environ.",
            )
        if permission.kind in ("read", "write") and (missing := places.missing(Path(target))):
            raise CellError(f"{permission.text} grants nothing: {missing}.", hint=_instead(permission))


def _instead(permission: Permission) -> str:
    if not _PATTERN.isdisjoint(permission.target):
        return "Patterns are not supported: name a file, or the directory that holds the files."
    if permission.kind == "read":
        return "Name a file or directory that exists."
    return "Create it first, or name a directory that exists."


def covers(permissions: Iterable[str], path: Path) -> bool:
    """Return whether a ``read`` or ``write`` permission includes a real path."""
    return any(
        permission.kind in ("read", "write") and path.is_relative_to(permission.target)
        for permission in map(_canonical, permissions)
    )


def _canonical(text: str) -> Permission:
    """Parse a permission that is in canonical form; links in its path are not resolved again."""
    kind, _, target = text.partition(":")
    if kind == "read":
        return Permission("read", target)
    return Permission("write", target) if kind == "write" else read_permission(text, _ROOT)
