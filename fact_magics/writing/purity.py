"""Whether a module can reach anything but its input, where nothing keeps it from doing so."""

from __future__ import annotations

import ast

# Modules that compute. One that is missing here costs a cached answer; a wrong one could cost a right answer.
_COMPUTING = frozenset(
    {
        "__future__", "abc", "annotated_types", "base64", "binascii", "bisect", "calendar", "cmath",
        "collections", "colorsys", "copy", "dataclasses", "datetime", "decimal", "difflib", "enum",
        "fractions", "functools", "hashlib", "heapq", "hmac", "html", "ipaddress", "itertools", "json",
        "keyword", "math", "numbers", "operator", "pydantic", "re", "statistics", "string", "struct",
        "textwrap", "types", "typing", "typing_extensions", "unicodedata", "zlib",
    }
)  # fmt: skip
_REACHING = frozenset(
    {"open", "eval", "exec", "compile", "__import__", "globals", "vars", "__builtins__", "input"}
)


def is_self_contained(source: str) -> bool:
    """Tell whether a module imports only what computes, and names no builtin that reaches further."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").partition(".")[0]}
        elif (isinstance(node, ast.Name) and node.id in _REACHING) or (
            isinstance(node, ast.Attribute) and node.attr.startswith("__")
        ):
            return False
        else:
            continue
        if names - _COMPUTING:
            return False
    return True
