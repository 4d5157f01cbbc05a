"""How tools are named: ``NAME``, and ``NAME@VERSION`` for one version.

Loading the extension imports this module, so this module imports little.
"""

from __future__ import annotations

import keyword
import re

from fact_magics.errors import CellError
from fact_magics.text import normalised, odd_character, quoted

LONGEST_NAME = 100
"""The largest number of characters in the name of a new tool."""


def identifier(text: str) -> str:
    """Return the Python name that `text` means; raise ValueError if no variable can have this name."""
    if len(text) > LONGEST_NAME:
        raise ValueError(f"has {len(text):,} characters, and a name may have at most {LONGEST_NAME}")
    name = normalised(text)
    if odd := odd_character(name):
        raise ValueError(f"contains {odd}, which is invisible or looks like another letter")
    if not name.isidentifier():
        raise ValueError("is not a Python identifier")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ValueError("is a Python keyword")
    return name


def identifier_in(text: str) -> str:
    """Return the identifier that is probably meant, such as ``my_tool`` for ``my-tool``; empty if unclear."""
    name = re.sub(r"[^\w]+", "_", text.partition("(")[0]).strip("_").lower()
    try:
        return identifier(name)
    except ValueError:
        return ""


def tool_name(text: str) -> str:
    """Return the name of a new tool that `text` means; raise `CellError` if no tool can have this name."""
    try:
        name = identifier(text)
    except ValueError as error:
        hint = f"Write {meant}." if (meant := identifier_in(text)) else "Write a name such as parse_date."
        if "@" in text:
            hint = (
                "Write NAME without a version; "
                "%fact rollback NAME VERSION makes another version the current one."
            )
        raise CellError(f"{quoted(text)} {error}.", hint=hint) from None
    if name.startswith("_"):
        raise CellError(
            f"{name!r} begins with an underscore; such names are reserved for the notebook.",
            hint="Remove the underscore.",
        )
    return name


def split_reference(text: str) -> tuple[str, str | None]:
    """Split ``NAME@VERSION`` into the name and the version, which is None if it is missing.

    Raises
    ------
    CellError
        The name is not an identifier, or the version is not ``1``, ``1.2`` or ``1.2.3``.
    """
    name, at, version = normalised(text).partition("@")
    if not name.isidentifier():
        hint = "Write NAME or NAME@VERSION."
        if odd := odd_character(name):
            hint = f"It contains {odd}. Type it again."
        elif meant := identifier_in(name):
            has_input = re.search(r"\(.+\)", name)
            hint = f"Write {meant}{', and its input in the lines below' if has_input else ''}."
        raise CellError(f"{quoted(name)} is not a tool name.", hint=hint)
    parts = version.split(".")
    if at and not (len(parts) <= 3 and all(part.isascii() and part.isdigit() for part in parts)):
        raise CellError(
            f"{quoted(version)} is not a version.", hint=f"Write {name}@1, {name}@1.2 or {name}@1.2.3."
        )
    return name, version or None
