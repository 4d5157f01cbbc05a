"""How tools are named: ``NAME``, and ``NAME@VERSION`` for one version.

Loading the extension imports this module, so this module imports little.
"""

from __future__ import annotations

import keyword

from fact_magics.errors import CellError


def identifier(text: str) -> str:
    """Return `text` if it is a Python name that can be bound; raise ValueError otherwise."""
    if not text.isidentifier():
        raise ValueError("is not a Python identifier")
    if keyword.iskeyword(text) or keyword.issoftkeyword(text):
        raise ValueError("is a Python keyword")
    return text


def tool_name(text: str) -> str:
    """Return `text` if it can be the name of a new tool; raise `CellError` otherwise."""
    try:
        identifier(text)
    except ValueError as error:
        raise CellError(
            f"{text!r} {error}.", hint="Name the tool as you would a function: slugify, parse_date."
        ) from None
    if text.startswith("_"):
        raise CellError(
            f"{text!r} begins with an underscore; such names are reserved for the notebook.",
            hint="Remove the underscore.",
        )
    return text


def split_reference(text: str) -> tuple[str, str | None]:
    """Split ``NAME@VERSION`` into the name and the version, which is None if it is missing.

    Raises
    ------
    CellError
        The name is not an identifier, or the version is not ``1``, ``1.2`` or ``1.2.3``.
    """
    name, at, version = text.partition("@")
    if not name.isidentifier():
        raise CellError(f"{name!r} is not a tool name.", hint="Write NAME or NAME@VERSION.")
    parts = version.split(".")
    if at and not (len(parts) <= 3 and all(part.isascii() and part.isdigit() for part in parts)):
        raise CellError(f"{version!r} is not a version.", hint=f"Write {name}@1, {name}@1.2 or {name}@1.2.3.")
    return name, version or None
