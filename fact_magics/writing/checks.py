"""What is asked of a candidate before it runs: all read from its text, nothing of it is run."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fact_magics.errors import InvalidInput, SignatureError
from fact_magics.signature import Signature, read_signature
from fact_magics.text import one_line

if TYPE_CHECKING:
    from fact_magics.tool import Example

_MAX_SOURCE = 200_000

# Modules and attributes whose answers differ between two equal calls.
_VARYING_MODULES = frozenset({"random", "secrets", "uuid"})
_VARYING_CALLS = frozenset(
    {
        ("time", "time"), ("time", "time_ns"), ("time", "monotonic"), ("time", "perf_counter"),
        ("time", "localtime"), ("time", "gmtime"), ("time", "ctime"), ("time", "strftime"),
        ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
        ("os", "urandom"), ("os", "getpid"), ("os", "times"), ("numpy", "random"),
    }
)  # fmt: skip
# `from uuid import UUID` only names a type.
_STEADY_NAMES = frozenset(
    {
        ("uuid", "UUID"),
        ("uuid", "uuid3"),
        ("uuid", "uuid5"),
        ("random", "Random"),
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
        Sorted top-level packages outside the standard library.
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
        if package == "fact_magics":
            failures.append(
                "It imports fact_magics; a tool can't call another stored tool. Put what it needs in it."
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
    """List the top-level packages outside the standard library that a module imports, sorted."""
    return tuple(sorted(_imported(ast.parse(source)) - sys.stdlib_module_names))


def _imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


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
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            parent, _, last = node.module.rpartition(".")
            names = {(parent, last), *((last, alias.name) for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            owner = node.value
            base = (
                original.get(owner.id, owner.id)
                if isinstance(owner, ast.Name)
                else getattr(owner, "attr", "")
            )
            names = {(base, node.attr)}
        else:
            continue
        if names & _VARYING_CALLS:
            return True
        if any(module in _VARYING_MODULES for module, _ in names - _STEADY_NAMES):
            return True
    return False


def _aliases(tree: ast.Module) -> dict[str, str]:
    return {
        alias.asname: alias.name.rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
