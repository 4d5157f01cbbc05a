"""The function that is a tool, found in its source by `ast`, and what its form must not be."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fact_magics.errors import SignatureError, did_you_mean
from fact_magics.signature.annotations import AnnotationReader
from fact_magics.signature.bindings import Module
from fact_magics.signature.parameters import KINDS
from fact_magics.text import one_line
from fact_magics.values.literals import source_of

if TYPE_CHECKING:
    import inspect
    from collections.abc import Iterator

    from fact_magics.signature.reader import Reader

Function = ast.FunctionDef | ast.AsyncFunctionDef

_CACHES = {"functools.lru_cache", "functools.cache"}
_MAX_SOURCE = 1_000_000


def find_function(
    source: str, name: str, tree: ast.Module | None = None
) -> tuple[AnnotationReader, Function]:
    """Parse a source, unless its `tree` is given, and find a function at its top level.

    Returns the function with a reader for its annotations.

    Raises
    ------
    SignatureError
        Where the source does not parse, or defines no such function.
    """
    if len(source) > _MAX_SOURCE:
        raise SignatureError(f"The source of {name} has {len(source):,} characters.", hint="Write less.")
    try:
        module = Module(tree or ast.parse(source))
    except SyntaxError as error:
        raise SignatureError(
            f"Line {error.lineno or 1}: the source of {name} does not parse: {one_line(error.msg, 120)}.",
            hint="Mend the syntax.",
            details=[one_line(error.text, 120)] if error.text else [],
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise SignatureError(
            f"The source of {name} does not parse: it holds a NUL or is nested too deep.", hint="Mend it."
        ) from None
    node = module.functions.get(name)
    if node is None:
        what = "is a class" if name in module.classes else "is not a function" if module.binds(name) else ""
        problem = f"{name} {what}" if what else f"there is no function {name}"
        raise SignatureError(
            f"In the tool's source {problem}.",
            hint=did_you_mean(name, module.functions) or f"Define it at the top level: def {name}(...).",
        )
    return AnnotationReader(module, source), node


def check_form(reader: Reader, node: Function) -> None:
    """Refuse what no annotation could mend: decorators, type parameters, ``*args``, generators.

    Raises
    ------
    SignatureError
        With the line.
    """
    for decorator in node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if reader.origin(function) not in _CACHES:
            problem = f"the decorator {source_of(decorator)} may change the signature"
            raise reader.refuse(decorator, problem, "Remove it.")
    if getattr(node, "type_params", None):
        raise reader.refuse(node, f"{node.name}() is generic", "Write concrete types, or Any.")
    for star, argument in (("*", node.args.vararg), ("**", node.args.kwarg)):
        if argument is not None:
            raise reader.refuse(
                argument,
                f"the parameter {star}{argument.arg} takes whatever comes",
                f"Name each parameter, or take a {'list' if star == '*' else 'dict'}.",
            )
    for inner in _own_nodes(node):
        if isinstance(inner, ast.Yield | ast.YieldFrom):
            raise reader.refuse(inner, f"{node.name}() is a generator", "Return a list.")


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def arguments(
    reader: Reader, node: Function
) -> Iterator[tuple[ast.arg, inspect._ParameterKind, ast.expr | None]]:
    """Yield each parameter in order, with its kind and its default."""
    spec = node.args
    positional = [
        *((argument, KINDS.POSITIONAL_ONLY) for argument in spec.posonlyargs),
        *((argument, KINDS.POSITIONAL_OR_KEYWORD) for argument in spec.args),
    ]
    seen: set[str] = set()
    defaults = [None] * (len(positional) - len(spec.defaults)) + [*spec.defaults]
    keyword = zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
    listed = [
        *((argument, kind, default) for (argument, kind), default in zip(positional, defaults, strict=True)),
        *((argument, KINDS.KEYWORD_ONLY, default) for argument, default in keyword),
    ]
    for argument, kind, default in listed:
        if argument.arg in seen:  # ast.parse leaves this error to the compiler
            raise reader.refuse(argument, f"the parameter {argument.arg} stands there twice", "Rename one.")
        seen.add(argument.arg)
        yield argument, kind, default
