"""What is asked of a candidate before it runs: all read from its text, nothing of it is run."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fact_magics.errors import InvalidInput, SignatureError
from fact_magics.sandbox.boot import CONNECTOR
from fact_magics.signature import Signature, read_signature
from fact_magics.text import one_line

if TYPE_CHECKING:
    from fact_magics.tool import Example

_MAX_SOURCE = 200_000
_OWN_PACKAGE = "fact_magics"
_CONNECTOR_NAMES = ("HTTPConnector", "HTTPError")
_CONNECTOR_NEEDS = "aiohttp"

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
# Names that mean this on whatever they are read from: an owner may be an alias of an alias.
_VARYING_NAMES = frozenset(
    {
        "now", "today", "utcnow", "localtime", "time_ns", "monotonic", "monotonic_ns",
        "perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time",
        "thread_time_ns", "clock_gettime", "clock_gettime_ns", "urandom", "getrandom", "getpid", "getppid",
    }
)  # fmt: skip
# The hash of a string differs between processes, an id between objects.
_VARYING_BUILTINS = frozenset({"hash", "id"})
# Given "now" or "today", these read the clock.
_READING_NOW = frozenset({"datetime64", "Timestamp", "to_datetime", "Period", "DatetimeIndex"})
# These are steady by themselves: a type, a function of its arguments, a file without a name.
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
_UNUSABLE = {
    "input": "reads from the keyboard, which a tool has not",
    "exit": "ends its process",
    "quit": "ends its process",
    "breakpoint": "starts a debugger",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A candidate that may be run.

    Attributes
    ----------
    source : str
        The module.
    signature : Signature
        What its function takes and returns.
    imports : tuple of str
        Sorted top-level packages outside the standard library; see `imports_of`.
    varies : bool
        Its source reads the clock, randomness or the like.
    """

    source: str
    signature: Signature
    imports: tuple[str, ...]
    varies: bool


def check(
    source: str, name: str, examples: tuple[Example, ...] = ()
) -> tuple[Checked | None, tuple[str, ...]]:
    """Check a candidate's text.

    Returns
    -------
    tuple
        The checked candidate and no failures, or None and one sentence a failure, written for who wrote it.
    """
    tree, failure = _parse(source)
    if tree is None:
        return None, (failure,)
    try:
        signature = read_signature(source, name)
    except SignatureError as error:
        return None, (str(error),)
    failures = [*_import_failures(tree), *_use_failures(tree), *_shape_failures(signature, examples)]
    if failures:
        return None, tuple(failures)
    return Checked(source, signature, imports_of(source), varies(source)), ()


def _parse(source: str) -> tuple[ast.Module | None, str]:
    if len(source) > _MAX_SOURCE:
        return None, f"The module is {len(source)} characters long; a tool may have {_MAX_SOURCE}."
    try:
        tree = ast.parse(source)
        compile(tree, "<candidate>", "exec", dont_inherit=True)
    except SyntaxError as error:
        shown = one_line(error.text or "", 120)
        return None, f"Line {error.lineno} does not parse: {error.msg}: {shown}"
    except (ValueError, RecursionError, MemoryError) as error:
        return None, f"The module does not parse: {error or type(error).__name__}."
    return tree, ""


def _import_failures(tree: ast.Module) -> list[str]:
    failures = [
        f"Line {node.lineno} imports relatively; a tool is one module on its own."
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    for package in sorted(_imported(tree)):
        if package == _OWN_PACKAGE:
            failures.append(
                "It imports fact_magics; a tool can't call another stored tool. Put what it needs in it. "
                f"What may be imported from there: from {CONNECTOR} import {', '.join(_CONNECTOR_NAMES)}"
            )
        elif package == CONNECTOR:
            if not has_connector():
                failures.append(
                    f"It imports {CONNECTOR}, which needs {_CONNECTOR_NEEDS}, and that is not installed here."
                )
        elif package not in sys.stdlib_module_names and not _installed(package):
            failures.append(
                f"It imports {package}, which is not installed here. Use the standard library instead."
            )
    return failures


def _use_failures(tree: ast.Module) -> list[str]:
    return [
        f"Line {node.lineno} calls {node.func.id}(), which {_UNUSABLE[node.func.id]}."
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _UNUSABLE
    ]


def _shape_failures(signature: Signature, examples: tuple[Example, ...]) -> list[str]:
    failures: list[str] = []
    for example in examples:
        try:
            signature.bind(example.args, example.kwargs)
        except InvalidInput as error:
            failures.append(f"The example {example.source} does not fit {signature.text}: {error.line}")
    return failures


def imports_of(source: str) -> tuple[str, ...]:
    """List the top-level packages outside the standard library that a module imports, sorted.

    The HTTP connector of this package is listed by its whole name, with the package that it needs.
    """
    found = _imported(ast.parse(source)) - sys.stdlib_module_names
    return tuple(sorted(found | {_CONNECTOR_NEEDS} if CONNECTOR in found else found))


def _imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            own = node.module == CONNECTOR and {alias.name for alias in node.names} <= set(_CONNECTOR_NAMES)
            found.add(CONNECTOR if own else node.module.partition(".")[0])
    return found


def has_connector() -> bool:
    """Tell whether a tool can import this package's HTTP connector here."""
    return _installed(_CONNECTOR_NEEDS)


def _installed(package: str) -> bool:
    # Only a top-level name: looking for a submodule would import, and so run, its parent here.
    try:
        return package in sys.modules or find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def varies(source: str) -> bool:
    """Tell whether a module reads the clock, randomness or anything else that differs between equal calls."""
    tree = ast.parse(source)
    original = _aliases(tree)
    builtin = _VARYING_BUILTINS - _bound(tree)
    return any(_node_varies(node, original, builtin) for node in ast.walk(tree))


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


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Map the names that imports, and plain assignments of what was imported, give to what they stand for."""
    original: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                given = alias.asname or alias.name.partition(".")[0]
                original[given] = alias.name.rpartition(".")[2] if alias.asname else given
    assigned = {
        target.id: _last_name(node.value, original)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _root(node.value) in original
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return assigned | original


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _bound(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names
