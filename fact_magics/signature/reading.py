"""Read a tool's signature from its source with `ast`; the source is not evaluated."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fact_magics.errors import SignatureError, did_you_mean
from fact_magics.signature.annotations import AnnotationReader
from fact_magics.signature.bounds import add_field
from fact_magics.signature.docstrings import parameter_descriptions
from fact_magics.signature.pictures import PictureOf
from fact_magics.signature.signature import KINDS, Parameter, Signature
from fact_magics.signature.vocabulary import NONE, union
from fact_magics.text import one_line
from fact_magics.values.literals import source_of

if TYPE_CHECKING:
    import inspect
    from collections.abc import Iterator

_Function = ast.FunctionDef | ast.AsyncFunctionDef

_CACHES = {"functools.lru_cache", "functools.cache"}
_MAX_SOURCE = 1_000_000


def read_signature(source: str, name: str, tree: ast.Module | None = None) -> Signature:
    """Read the signature of a tool from its source, without evaluating it.

    Parameters
    ----------
    source : str
        Python source that defines the function at its top level.
    name : str
        The name of the function.
    tree : ast.Module, optional
        The syntax tree of `source`, if the source is already parsed.

    Raises
    ------
    SignatureError
        The function is missing, or its signature is not supported; the message names the line.
    """
    try:
        return _read(source, name, tree)
    except RecursionError:
        raise SignatureError(f"The source of {name} is nested too deeply.", hint="Nest it less.") from None


def _read(source: str, name: str, tree: ast.Module | None) -> Signature:
    reader = _parse(source, name, tree)
    node = reader.functions.get(name)
    if node is None:
        found = "is a class" if name in reader.classes else "is not a function"
        problem = f"{name} {found}" if reader.binds(name) else f"there is no function {name}"
        hint = did_you_mean(name, reader.functions) or f"Define it at the top level: def {name}(...)."
        raise SignatureError(f"In the tool's source, {problem}.", hint=hint)
    _check_form(reader, node)
    doc = ast.get_docstring(node) or ""
    described = parameter_descriptions(doc)
    parameters: dict[str, Parameter] = {}
    for argument, kind, default in _arguments(node.args):
        parameter = _parameter(reader, argument, kind, default, described.get(argument.arg, ""))
        if parameter.name in parameters:  # ast.parse leaves this error to the compiler
            problem = f"two parameters are named {parameter.name}"
            raise reader.refuse(argument, problem, "Rename one of them.")
        parameters[parameter.name] = parameter
    if node.returns is None:
        raise reader.refuse(node, f"{name}() has no return annotation", "Write -> TYPE, or -> None.")
    returns = reader.annotation(node.returns).type
    is_async = isinstance(node, ast.AsyncFunctionDef)
    signature = Signature(name, tuple(parameters.values()), returns, doc, is_async)
    fault = signature.constant_fault()
    if fault is not None:
        raise reader.refuse(node, *fault)
    return signature


def _parse(source: str, name: str, tree: ast.Module | None) -> AnnotationReader:
    if len(source) > _MAX_SOURCE:
        problem = f"The source of {name} has {len(source):,} characters; at most {_MAX_SOURCE:,} are read."
        raise SignatureError(problem, hint="Shorten it.")
    try:
        return AnnotationReader(source, tree or ast.parse(source))
    except SyntaxError as error:
        raise SignatureError(
            f"Line {error.lineno or 1}: the source of {name} does not parse: {one_line(error.msg, 120)}.",
            hint="Correct the syntax.",
            details=[one_line(error.text, 120)] if error.text else [],
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise SignatureError(
            f"The source of {name} does not parse: it contains a NUL or is nested too deeply.",
            hint="Remove the NUL, or nest the code less deeply.",
        ) from None


def _check_form(reader: AnnotationReader, node: _Function) -> None:
    """Refuse forms that can't be supported: decorators, type parameters, ``*args``, generators."""
    for decorator in node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if reader.origin(function) not in _CACHES:
            problem = f"the decorator {source_of(decorator)} may change the signature"
            raise reader.refuse(decorator, problem, "Remove it.")
    if getattr(node, "type_params", None):
        raise reader.refuse(node, f"{node.name}() is generic", "Write concrete types, or Any.")
    for star, argument, kind in (("*", node.args.vararg, "list"), ("**", node.args.kwarg, "dict")):
        if argument is not None:
            problem = f"the parameter {star}{argument.arg} takes any number of arguments"
            raise reader.refuse(argument, problem, f"Name each parameter, or take a {kind}.")
    for inner in _own_nodes(node):
        if isinstance(inner, ast.Yield | ast.YieldFrom):
            raise reader.refuse(inner, f"{node.name}() is a generator", "Return a list.")


def _own_nodes(function: _Function) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def _arguments(spec: ast.arguments) -> Iterator[tuple[ast.arg, inspect._ParameterKind, ast.expr | None]]:
    """Yield each parameter in order, with its kind and its default."""
    positional = [*spec.posonlyargs, *spec.args]
    defaults = [None] * (len(positional) - len(spec.defaults)) + [*spec.defaults]
    for index, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        by_name = index >= len(spec.posonlyargs)
        yield argument, KINDS.POSITIONAL_OR_KEYWORD if by_name else KINDS.POSITIONAL_ONLY, default
    for argument, keyword_default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        yield argument, KINDS.KEYWORD_ONLY, keyword_default


def _parameter(
    reader: AnnotationReader,
    argument: ast.arg,
    kind: inspect._ParameterKind,
    default_node: ast.expr | None,
    described: str,
) -> Parameter:
    name = argument.arg
    if argument.annotation is None:
        raise reader.refuse(argument, f"the parameter {name} has no annotation", f"Write {name}: TYPE.")
    annotation = reader.annotation(argument.annotation)
    default = None
    if default_node is not None:
        field = add_field(reader, default_node, annotation)
        default = reader.default(default_node) if field is None else None
        annotation = field or annotation
    default = default or annotation.default
    if default is not None and default.value is Ellipsis:
        default = None  # Field(...): required
    type_ = annotation.type
    if default is not None and default.literal and default.value is None and "null" not in type_.json_kinds:
        type_ = union((type_, NONE))  # `x: int = None` means that None is allowed
    if pictured := next((part for part in type_.walk() if isinstance(part, PictureOf)), None):
        problem = f"the parameter {name} can't be a {pictured.name}, which only a result can be"
        raise reader.refuse(argument, problem, "Take the picture as its file: bytes, or a pathlib.Path.")
    return Parameter(name, kind, type_, default, annotation.description or described)
