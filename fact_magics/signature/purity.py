"""Whether a module's answers depend on its input alone, read from its syntax tree."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Modules and attributes whose answers differ between two equal calls, or with the machine's time zone.
_VARYING_MODULES = frozenset({"random", "secrets", "uuid", "tempfile"})
_VARYING_STARS = _VARYING_MODULES | {"time", "os", "email.utils"}
_VARYING_CALLS = frozenset(
    {
        ("time", "time"), ("time", "gmtime"), ("time", "ctime"), ("time", "asctime"),
        ("time", "strftime"), ("time", "mktime"), ("os", "times"), ("numpy", "random"),
        ("utils", "formatdate"), ("utils", "make_msgid"),
    }
)  # fmt: skip
# Attributes that vary whatever object they are read from: the object may be an alias of an alias.
_VARYING_NAMES = frozenset(
    {
        "now", "today", "utcnow", "localtime", "time_ns", "monotonic", "monotonic_ns",
        "perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time",
        "thread_time_ns", "clock_gettime", "clock_gettime_ns", "urandom", "getrandom", "getpid", "getppid",
    }
)  # fmt: skip
# The hash of a string differs between processes, an id between objects.
_VARYING_BUILTINS = frozenset({"hash", "id"})
# These read the clock when they are given "now" or "today".
_READING_NOW = frozenset({"datetime64", "Timestamp", "to_datetime", "Period", "DatetimeIndex"})
# Exceptions from the modules above: a type, a function of its arguments, a file without a name.
_STEADY_NAMES = frozenset(
    {
        ("uuid", "UUID"),
        ("uuid", "uuid3"),
        ("uuid", "uuid5"),
        ("random", "Random"),
        ("tempfile", "TemporaryFile"),
        ("tempfile", "SpooledTemporaryFile"),
        *(("uuid", f"NAMESPACE_{kind}") for kind in ("DNS", "URL", "OID", "X500")),
    }
)
# Modules that only compute. One missing here costs a cached answer; a wrong one could cost a right answer.
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


def is_self_contained(nodes: Sequence[ast.AST]) -> bool:
    """Tell whether a module imports only modules that compute, and uses no builtin that reaches further."""
    for node in nodes:
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


def varies(nodes: Sequence[ast.AST]) -> bool:
    """Tell whether a module reads the clock, randomness or anything else that differs between equal calls."""
    original = _aliases(nodes)
    builtin = _VARYING_BUILTINS - {name for node in nodes for name in bound_names(node)}
    return any(_node_varies(node, original, builtin) for node in nodes)


def _node_varies(node: ast.AST, original: dict[str, str], builtin: frozenset[str]) -> bool:
    if isinstance(node, ast.Import):
        return any(f"{alias.name}.".startswith("numpy.random.") for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return _import_varies(node)
    if isinstance(node, ast.Attribute):
        return _names_vary({(_last_name(node.value, original), node.attr)})
    if isinstance(node, ast.Call):
        return _call_varies(node, _last_name(node.func, original))
    return isinstance(node, ast.Name) and node.id in builtin


def _import_varies(node: ast.ImportFrom) -> bool:
    module = node.module or ""
    names = {alias.name for alias in node.names}
    if f"{module}.".startswith("numpy.random.") or ("*" in names and module in _VARYING_STARS):
        return True
    last = module.rpartition(".")[2]
    return _names_vary({(last, name) for name in names})


def _names_vary(names: set[tuple[str, str]]) -> bool:
    return any(
        pair in _VARYING_CALLS or pair[1] in _VARYING_NAMES or pair[0] in _VARYING_MODULES
        for pair in names - _STEADY_NAMES
    )


def _call_varies(node: ast.Call, called: str) -> bool:
    values = [*node.args, *(keyword.value for keyword in node.keywords)]
    given = [value for value in values if not (isinstance(value, ast.Constant) and value.value is None)]
    if called in ("Random", "astimezone"):
        return not given
    if called == "fromtimestamp":
        return len(given) < 2
    return called in _READING_NOW and any(
        isinstance(value, ast.Constant) and value.value in ("now", "today") for value in given
    )


def _last_name(node: ast.expr, original: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return original.get(node.id, node.id)
    return node.attr if isinstance(node, ast.Attribute) else ""


def _aliases(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """Map names that come from imports, and plain assignments of imported names, to what they stand for."""
    original: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                given = alias.asname or alias.name.partition(".")[0]
                original[given] = alias.name.rpartition(".")[2] if alias.asname else given
    assigned = {
        target.id: _last_name(node.value, original)
        for node in nodes
        if isinstance(node, ast.Assign) and _root(node.value) in original
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return assigned | original


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def bound_names(node: ast.AST) -> set[str]:
    """Name what a single node binds: a definition, an import, an assigned name or a parameter."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return {node.id}
    return {node.arg} if isinstance(node, ast.arg) else set()
