"""Tell from a module's syntax tree whether its answers depend only on its input."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fact_magics.values.literals import dotted_name

if TYPE_CHECKING:
    from collections.abc import Sequence

# Modules and functions whose results may differ between equal calls or depend on the local time zone.
_VARYING_MODULES = frozenset({"random", "secrets", "uuid", "tempfile"})
_VARYING_STARS = _VARYING_MODULES | {"time", "os", "email.utils"}
_VARYING_CALLS = frozenset(
    {
        "time.time", "time.gmtime", "time.ctime", "time.asctime", "time.strftime", "time.mktime",
        "os.times", "numpy.random", "utils.formatdate", "utils.make_msgid",
    }
)  # fmt: skip
# Attributes that are treated as varying on every object, because the object may be an alias of an alias.
_VARYING_NAMES = frozenset(
    {
        "now", "today", "utcnow", "localtime", "time_ns", "monotonic", "monotonic_ns",
        "perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time",
        "thread_time_ns", "clock_gettime", "clock_gettime_ns", "urandom", "getrandom", "getpid", "getppid",
    }
)  # fmt: skip
# The hash of a string differs between processes, and equal objects have different ids.
_VARYING_BUILTINS = frozenset({"hash", "id"})
# These functions read the clock if an argument is "now" or "today".
_READING_NOW = frozenset({"datetime64", "Timestamp", "to_datetime", "Period", "DatetimeIndex"})
# Exceptions in the modules above: types, functions that depend only on their arguments, and unnamed files.
_STEADY_NAMES = frozenset(
    {
        "uuid.UUID", "uuid.uuid3", "uuid.uuid5", "uuid.NAMESPACE_DNS", "uuid.NAMESPACE_URL",
        "uuid.NAMESPACE_OID", "uuid.NAMESPACE_X500", "random.Random", "tempfile.TemporaryFile",
        "tempfile.SpooledTemporaryFile",
    }
)  # fmt: skip
# Modules that only compute. If a module is missing here, some answers are not cached. If a module is here by
# mistake, a cached answer may be wrong.
COMPUTING = frozenset(
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


def reaches_out(node: ast.AST) -> bool:
    """Tell whether a node uses a builtin, attribute or relative import that can read more than the input."""
    if isinstance(node, ast.Attribute):
        return node.attr.startswith("__")
    if isinstance(node, ast.ImportFrom):
        return node.level > 0
    return isinstance(node, ast.Name) and node.id in _REACHING


def varies(nodes: Sequence[ast.AST]) -> bool:
    """Tell whether a module reads the clock, randomness or anything else that differs between equal calls."""
    original = _aliases(nodes)
    builtin = _VARYING_BUILTINS - {name for node in nodes for name in bound_names(node)}
    return any(_node_varies(node, original, builtin) for node in nodes)


def _node_varies(node: ast.AST, original: dict[str, str], builtin: frozenset[str]) -> bool:
    match node:
        case ast.Import(names):
            return any(f"{alias.name}.".startswith("numpy.random.") for alias in names)
        case ast.ImportFrom(module, names):
            module = module or ""
            if f"{module}.".startswith("numpy.random."):
                return True
            return any(
                (alias.name == "*" and module in _VARYING_STARS) or _name_varies(module, alias.name)
                for alias in names
            )
        case ast.Attribute(value, name):
            return _name_varies(_last_name(value, original), name)
        case ast.Call(function):
            return _call_varies(node, _last_name(function, original))
    return isinstance(node, ast.Name) and node.id in builtin


def _name_varies(module: str, name: str) -> bool:
    last = module.rpartition(".")[2]
    dotted = f"{last}.{name}"
    if dotted in _STEADY_NAMES:
        return False
    return dotted in _VARYING_CALLS or name in _VARYING_NAMES or last in _VARYING_MODULES


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
    """Map each imported name, and each name assigned from an imported one, to its original name."""
    original: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                given = alias.asname or alias.name.partition(".")[0]
                original[given] = alias.name.rpartition(".")[2] if alias.asname else given
    assigned = {
        target.id: _last_name(node.value, original)
        for node in nodes
        if isinstance(node, ast.Assign) and (dotted_name(node.value) or "").partition(".")[0] in original
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return assigned | original


def bound_names(node: ast.AST) -> set[str]:
    """Collect the names that a definition, import, assignment or parameter binds; other nodes bind none."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return {node.id}
    return {node.arg} if isinstance(node, ast.arg) else set()
