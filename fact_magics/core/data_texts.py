"""Write inputs and outputs as the texts that people read in the rows of the history."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING

from fact_magics.pictures import may_hold_pictures, summarised
from fact_magics.values import decode, plain
from fact_magics.values.attachments import head_of

if TYPE_CHECKING:
    from fact_magics.values import Wire

# The largest input or output in a row, in characters; of a larger one, the row has the beginning, the size
# and the hash. Rows are for people; the cache keeps whole results.
_DATA_LIMIT = 200_000
_SHORT_BYTES = 1_000
_NAMED = b'{"args":[],"kwargs":'  # before the arguments of a call that are given by name


def input_text(arguments: Wire, *, of_map: bool = False) -> str:
    """Write the arguments of a run; those of most rows of maps in their wire form, which is faster."""
    if (
        of_map
        and isinstance(arguments, bytes)
        and arguments.startswith(_NAMED)
        and (shown := _as_it_is(arguments[len(_NAMED) : -1]))
    ):
        return shown
    return _short_input(bytes(arguments)) if len(arguments) <= _SHORT_BYTES else _input(arguments)


def _input(arguments: Wire) -> str:
    read = decode(arguments)
    assert isinstance(read, dict)  # noqa: S101 - `Signature.wire` always writes a dict
    named = read["kwargs"]
    return data_text(plain({**{f"{index}": value for index, value in enumerate(read["args"])}, **named}))


# Equal inputs often follow each other, because the cache answers all but the first.
_short_input = lru_cache(maxsize=1024)(_input)


def _as_it_is(wire: bytes) -> str:
    """Return the wire form if people can read it, as for most rows of maps; otherwise an empty text."""
    return wire.decode() if len(wire) <= _DATA_LIMIT and b'"$' not in wire else ""


def output_text(wire: bytes, *, of_map: bool = False) -> str:
    """Write the result of a run as `input_text` does; of a picture file, its kind, title, size and hash."""
    if of_map and (shown := _as_it_is(wire)):
        return shown
    value = decode(wire)
    return data_text(plain(summarised(value) if may_hold_pictures(head_of(wire)) else value))


def data_text(data: object) -> str:
    """Write data as JSON; of a long text, return the beginning, the size and the hash."""
    text = json.dumps(data, ensure_ascii=False)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        text = json.dumps(data)  # lone surrogates can't be encoded as UTF-8, which SQLite stores
    if len(text) <= _DATA_LIMIT:
        return text
    whole = text.encode()
    digest = hashlib.sha256(whole).hexdigest()
    return f"{text[:_DATA_LIMIT]}… ({len(whole):,} bytes in all; SHA-256 {digest})"
