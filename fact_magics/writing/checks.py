"""Checks of a candidate's text, which must pass before the candidate is run."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fact_magics.errors import InvalidInput, SignatureError
from fact_magics.sandbox.boot import CONNECTOR
from fact_magics.signature.purity import bound_names
from fact_magics.signature.source import CONNECTOR_NAMES, CONNECTOR_NEEDS, packages_of
from fact_magics.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fact_magics.signature.source import ToolSource
    from fact_magics.tool import Example

_MAX_SOURCE = 200_000
_UNUSABLE = {
    "input": "reads from the keyboard, which a tool does not have",
    "exit": "ends its process",
    "quit": "ends its process",
    "breakpoint": "starts a debugger",
}
# Names in conditions that are decided by where a module runs.
_GUARDS = frozenset(
    {"TYPE_CHECKING", "__name__", "version_info", "hexversion", "platform", "name", "find_spec"}
)
_IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def check(source: ToolSource, examples: Iterable[Example] = ()) -> tuple[str, ...]:
    """Check a candidate's text, and whether its signature fits the examples.

    Returns
    -------
    tuple of str
        One sentence for each failure, addressed to the author; empty if the candidate may be run.
    """
    if len(source.text) > _MAX_SOURCE:
        return (f"The module is {len(source.text):,} characters long; the limit is {_MAX_SOURCE:,}.",)
    if fault := _syntax_fault(source):
        return (fault,)
    try:
        signature = source.signature
    except SignatureError as error:
        return (str(error),)
    reached = [*_reached(source.tree)] if source.tree is not None else []
    own = {name for node in source.nodes for name in bound_names(node)}
    failures = [_import_failure(package) for package in sorted(packages_of(reached))]
    for node in reached:
        if isinstance(node, ast.ImportFrom) and node.level:
            failures.append(f"Line {node.lineno} has a relative import, but a tool is a single module.")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = node.func.id
            if called in _UNUSABLE and called not in own:
                failures.append(f"Line {node.lineno} calls {called}(), which {_UNUSABLE[called]}.")
    for example in examples:
        try:
            signature.bind(example.args, example.kwargs)
        except InvalidInput as error:
            failures.append(f"The example {example.source} does not fit: {error.line}")
    return tuple(filter(None, failures))


def _reached(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree, except code that a condition or a handler guards.

    Running the examples shows whether guarded code works here.
    """
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if not _is_guarded(node):
            waiting += reversed([*ast.iter_child_nodes(node)])


def _is_guarded(node: ast.AST) -> bool:
    match node:
        case ast.If(test):
            return _is_guard(test)
        case ast.Try(handlers=handlers):
            return any(_catches_import_errors(handler.type) for handler in handlers)
        case ast.With(items):
            return any("suppress" in ast.dump(item.context_expr) for item in items)
    return False


def _is_guard(test: ast.expr) -> bool:
    """Tell whether a condition depends on where the module runs, or is a constant."""
    names = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(test)}
    return isinstance(test, ast.Constant) or not _GUARDS.isdisjoint(names)


def _catches_import_errors(caught: ast.expr | None) -> bool:
    types = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(one is None or (isinstance(one, ast.Name) and one.id in _IMPORT_ERRORS) for one in types)


def _syntax_fault(source: ToolSource) -> str:
    fault = source.parsed
    if isinstance(fault, ast.Module):
        try:  # finds errors that the parser misses, such as a return outside a function
            compile(fault, "<candidate>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            fault = error
    if isinstance(fault, SyntaxError):
        where = f" in `{one_line(fault.text, 120)}`" if fault.text else ""
        return f"Line {fault.lineno} does not parse: {fault.msg}{where}"
    if isinstance(fault, Exception):
        return f"The module does not parse: {fault or type(fault).__name__}."
    return ""


def _import_failure(package: str) -> str:
    if package == "fact_magics":
        return (
            "The module imports fact_magics, but a tool can't call another stored tool. Put all code that it "
            f"needs into the module. The only import allowed is: from {CONNECTOR} import "
            f"{', '.join(CONNECTOR_NAMES)}"
        )
    if package == CONNECTOR:
        if has_connector():
            return ""
        return f"The module imports {CONNECTOR}, but the package {CONNECTOR_NEEDS} is not installed here."
    if package in sys.stdlib_module_names or is_installed(package):
        return ""
    return f"The module imports {package}, which is not installed here. Use the standard library instead."


def has_connector() -> bool:
    """Tell whether a tool can import this package's HTTP connector here."""
    return is_installed(CONNECTOR_NEEDS)


def is_installed(package: str) -> bool:
    """Tell whether a tool can import a top-level package here."""
    # The name must be top-level: the search for a submodule would import, and so run, its parent.
    try:
        return package in sys.modules or find_spec(package) is not None
    except (ImportError, ValueError):
        return False
