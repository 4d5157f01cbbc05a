"""Compile a tool in the zygote, without running it, so that the calls that it forks need not do it again."""

from __future__ import annotations

import ast
import re
import warnings
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

_MOST_COMPILED = 16
_LONGEST_PATTERN = 100
_MOST_NODES = 10_000


def compile_ahead(source: str, function: str, compiled: dict[tuple[str, str], CodeType]) -> None:
    """Compile a tool and its regular expressions; `compiled` keeps the code of the latest few tools.

    A tool whose compilation warns is left out, because each call must print the warning.
    """
    filename = f"<{function}>"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        code = compile(source, filename, "exec", dont_inherit=True)
        for pattern in _patterns(source):
            re.compile(pattern)
    if warned:
        re.purge()
        return
    if len(compiled) >= _MOST_COMPILED:
        del compiled[next(iter(compiled))]
    compiled[source, filename] = code


def _patterns(source: str) -> Iterator[str]:
    """Yield the short patterns in calls of `re`, except those with flags, which may take long to compile."""
    for node in islice(ast.walk(ast.parse(source)), _MOST_NODES):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re")), args=[ast.Constant(value=str(pattern)), *_]
            ) if len(pattern) <= _LONGEST_PATTERN and "(?" not in pattern:
                yield pattern
