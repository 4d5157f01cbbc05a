"""A ``;`` at the end of a cell's line or body: do the work, record it, and show nothing."""

from __future__ import annotations

import io
import tokenize

_INVISIBLE = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT})


def line_is_silenced(line: str) -> bool:
    """Tell whether a magic's line ends in ``;``."""
    return line.rstrip().endswith(";")


def silenced_input(body: str) -> tuple[str, bool]:
    """Remove a ``;`` from the end of a run's body, and tell whether there was one.

    A ``;`` inside a string or a comment does not count.
    """
    if ";" not in body.rstrip().rpartition("\n")[2]:
        return body, False
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(body, newline="\n").readline))
    except (tokenize.TokenError, SyntaxError):
        return body, False
    last = next((token for token in reversed(tokens) if token.type not in _INVISIBLE), None)
    if last is None or last.string != ";":
        return body, False
    row, column = last.start
    lines = body.split("\n")
    return "\n".join((*lines[: row - 1], lines[row - 1][:column])), True


def silenced_description(body: str) -> tuple[str, bool]:
    """Remove a ``;`` from the end of a description, and tell whether there was one.

    It counts after the last example or on a line of its own, because a sentence may end in ``;``.
    """
    bare = body.rstrip()
    lines = bare.rpartition("\n\n")[2].split("\n")
    is_example = any(line.lstrip().startswith(">>>") for line in lines[:-1])
    if lines[-1].strip() == ";" or (is_example and bare.endswith(";")):
        return bare[:-1], True
    return body, False
