"""A trailing ``;``: the work is done and recorded, and the cell shows nothing, as with a plain expression."""

from __future__ import annotations

import io
import tokenize

_QUIET = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT})


def line_is_silenced(line: str) -> bool:
    """Tell whether a magic's line ends in ``;``."""
    return line.rstrip().endswith(";")


def silenced_input(body: str) -> tuple[str, bool]:
    """Take the ``;`` off the end of a run's body, and tell whether it was there.

    One in a string or in a comment is none.
    """
    bare = body.rstrip()
    last = bare.rpartition("\n")[2]
    if ";" not in last:
        return body, False
    if "#" not in last:
        return (bare[:-1], True) if bare.endswith(";") else (body, False)
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(body).readline))
    except (tokenize.TokenError, SyntaxError):
        return body, False
    final = next((token for token in reversed(tokens) if token.type not in _QUIET), None)
    return body, final is not None and final.string == ";"


def silenced_description(body: str) -> tuple[str, bool]:
    """Take the ``;`` off the end of a description, and tell whether it was there.

    It counts after the last example, or on a line of its own: a sentence may end in one.
    """
    bare = body.rstrip()
    if not bare.endswith(";"):
        return body, False
    *_, block = bare.split("\n\n")
    lines = block.split("\n")
    if lines[-1].strip() == ";" or any(line.lstrip().startswith(">>>") for line in lines[:-1]):
        return bare[:-1], True
    return body, False
