"""Compile a tool that ships with fact_magics in the zygote, so that its calls need not do it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType


def compile_ahead(source: str, function: str) -> tuple[tuple[str, str], CodeType]:
    """Compile a tool and its regular expressions, without running it; return its key and its code.

    `re` keeps the expressions. The source is public and was tested, so it and its expressions are no secret,
    compile quickly, and cause no warnings, which each call would have to print.
    """
    filename = f"<{function}>"
    for pattern in _patterns(source):
        re.compile(pattern)
    return (source, filename), compile(source, filename, "exec", dont_inherit=True)


def _patterns(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re")), args=[ast.Constant(value=str(pattern)), *_]
            ):
                yield pattern
