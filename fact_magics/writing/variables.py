"""The variables in a description: ``{{name}}`` becomes the value of a notebook variable, bounded."""

from __future__ import annotations

import re
from datetime import date, time, timedelta
from hashlib import blake2b
from numbers import Number
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.errors import CellError, UnknownName, did_you_mean
from fact_magics.text import normalised, one_line, plural
from fact_magics.values.glimpse import Column, Glimpse, aligned, glimpse
from fact_magics.writing.prompt import fence

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from fact_magics.tool import ToolSpec

_REASON_LIMIT = 300
_VARIABLE_LIMIT = 4_000
_ROWS = 5
_COLUMNS = 100
_FIELDS_READ = 100
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}(?=>)")
# Values that are not rows, and so are part of a request without samples too.
_SCALARS = (Number, date, time, timedelta, PurePath, type(None))


class Piece(NamedTuple):
    """A part of a description: the user's own words, or the value of a variable."""

    text: str
    variable: str = ""  # the name of the variable; empty for the user's own words


def with_variables(spec: ToolSpec, variables: Mapping[str, Any]) -> ToolSpec:
    """Fill in the ``{{name}}`` of a request's description; `ToolSpec.samples` says whether with rows."""
    pieces = fill_variables(spec.description, variables, samples=spec.samples)
    filled = {
        "description": "".join(piece.text for piece in pieces),
        "fenced": fence(pieces) if len(pieces) > 1 else "",
        "variables": {},
    }
    return spec.model_copy(update=filled)


def fill_variables(text: str, namespace: Mapping[str, Any], *, samples: bool = True) -> tuple[Piece, ...]:
    """Replace each ``{{name}}`` by the notebook variable of that name. Single braces are not changed.

    The texts of the returned pieces, joined, are the filled text. Lone surrogates, which no request can
    carry, become visible escapes.

    A string is inserted unchanged; a table, Series or array of pandas, polars, Arrow or NumPy as its columns,
    types and first rows; any other value as its repr. A text of more than 4000 characters is cut, and a note
    gives the number of characters that were cut, and a digest of the whole text. An unknown variable raises
    `UnknownName`; an invalid name, or a repr that fails, raises `CellError`.

    Parameters
    ----------
    samples : bool
        False leaves out what the variables hold: of tables, Series and arrays the rows stay out, of lists and
        dicts the items, and of other objects their repr. Strings, numbers, dates, paths and None are inserted
        as usual.
    """
    pieces: list[Piece] = []
    while True:
        before, opened, after = text.partition("{{")
        written, closed, rest = after.partition("}}")
        if not (opened and closed):
            return (*pieces, Piece(_sendable(text)))
        name = normalised(written.strip())
        pieces += [Piece(_sendable(before)), Piece(_shown(name, namespace, samples=samples), name)]
        text = rest


def _shown(name: str, namespace: Mapping[str, Any], *, samples: bool) -> str:
    if not name.isidentifier():
        raise CellError(
            f"{{{{{one_line(name, 60)}}}}} is not a variable name.",
            hint="Assign the value to a variable in a cell above, and write that variable's name.",
        )
    if name not in namespace:
        hint = did_you_mean(name, (key for key in namespace if not key.startswith("_"))) or (
            "Run the cell that defines it first. To write literal double braces, put them into a variable."
        )
        shown = one_line(name, 60)
        raise UnknownName(f"{{{{{shown}}}}}: this notebook has no variable {shown!r}.", hint=hint)
    value = namespace[name]
    if isinstance(value, str):
        return _bounded(value, "characters of text")
    kind = type(value)
    try:
        if (found := glimpse(value, _ROWS if samples else 0, _COLUMNS)) is not None:
            return _bounded(_described(found, samples=samples), "characters of a table")
        if not samples and not isinstance(value, _SCALARS):
            return _bounded(_without_items(value), "characters of a description")
        return _bounded(_written(value), "characters of a repr")
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}", _REASON_LIMIT)
        raise CellError(
            f"{{{{{name}}}}}: the repr of this {kind.__name__} failed: {reason}",
            hint="Put the text that the model should read into a variable, and write that variable's name.",
        ) from error


def _written(value: Any) -> str:
    """Return a repr without what differs from kernel to kernel, so that the same request is found again."""
    text = f"{{{', '.join(sorted(map(repr, value)))}}}" if type(value) is set and value else repr(value)
    return _ADDRESS.sub("", text)


_KINDS = {"table": ("A table", "row"), "Series": ("A Series", "value"), "array": ("An array", "value")}


def _described(found: Glimpse, *, samples: bool) -> str:
    """Describe a table, Series or array in a sentence, and write its first rows below it."""
    article, noun = _KINDS[found.kind]
    size = f"shape {found.shape}, {found.dtype}" if found.kind == "array" else plural(found.rows, noun)
    parts = [f"{article} of {size}"]
    if found.index:
        parts.append(f"Index: {_types(found.index)}")
    if found.kind == "table":
        count = found.shape[1]
        more = f" (the first {len(found.columns)} of {count:,})" if len(found.columns) < count else ""
        parts.append(f"Columns{more}: {_types(found.columns) or 'none'}")
    elif found.kind == "Series":
        parts.append(f"Type: {_types(found.columns)}")
    shown = (*found.index, *found.columns)
    if samples and shown and found.rows:
        parts.append("First rows:")
        named = any(column.name for column in shown) and found.kind != "array"
        return "\n".join([". ".join(parts), *aligned(shown, headed=named)])
    return f"{'. '.join(parts)}."


def _types(columns: Iterable[Column]) -> str:
    return ", ".join(": ".join(filter(None, (column.name, column.dtype))) for column in columns)


def _without_items(value: Any) -> str:
    """Say of what type and how long a value is; of a list of dicts also the fields."""
    kind = type(value).__name__
    about = f"A value of type {kind}"
    if isinstance(value, list | tuple | dict | set | frozenset):
        about += f" with {plural(len(value), 'item')}"
    if isinstance(value, list | tuple) and value and all(type(item) is dict for item in value[:_FIELDS_READ]):
        fields: dict[object, set[str]] = {}
        for item in value[:_FIELDS_READ]:
            for field, held in item.items():
                fields.setdefault(field, set()).add(type(held).__name__)
        about += f". Fields: {', '.join(f'{field}: {_either(kinds)}' for field, kinds in fields.items())}"
    return f"{about}."


def _either(kinds: Collection[str]) -> str:
    return " | ".join(sorted(kinds))


def _bounded(text: str, unit: str) -> str:
    text = _sendable(text)
    if len(text) <= _VARIABLE_LIMIT:
        return text
    # This note is part of the request: if its words change, tools accepted for such requests are not found.
    # Because of the digest, the request also changes if only the part that was cut changes.
    digest = blake2b(text.encode(), digest_size=6).hexdigest()
    cut = f"{len(text) - _VARIABLE_LIMIT} more {unit} were cut; digest of all: {digest}"
    return f"{text[:_VARIABLE_LIMIT]}… ({cut})"


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
