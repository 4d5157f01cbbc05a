"""From a tool's source to its signature, by `ast`: nothing of the source is evaluated."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fact_magics.errors import SignatureError
from fact_magics.signature.bounds import read_bounds
from fact_magics.signature.docstrings import parameter_descriptions
from fact_magics.signature.functions import arguments, check_form, find_function
from fact_magics.signature.parameters import Parameter
from fact_magics.signature.signature import Signature
from fact_magics.signature.vocabulary import NONE, Default, allows_none, union

if TYPE_CHECKING:
    import inspect

    from fact_magics.signature.annotations import AnnotationReader
    from fact_magics.signature.functions import Function


def read_signature(source: str, name: str, tree: ast.Module | None = None) -> Signature:
    """Read the signature of a tool from its source, of which nothing is evaluated.

    Parameters
    ----------
    source : str
        Python source that defines the function at its top level.
    name : str
        The function.
    tree : ast.Module, optional
        The source, parsed already.

    Raises
    ------
    SignatureError
        Where there is no such function, or its signature can't be validated and described; with the line.
    """
    try:
        return _read(*find_function(source, name, tree), name)
    except RecursionError:
        raise SignatureError(f"The source of {name} is nested too deep.", hint="Write it flatter.") from None


def _read(reader: AnnotationReader, node: Function, name: str) -> Signature:
    check_form(reader, node)
    doc = ast.get_docstring(node) or ""
    described = parameter_descriptions(doc)
    parameters = []
    for argument, kind, default in arguments(reader, node):
        if argument.annotation is None:
            raise reader.refuse(
                argument, f"the parameter {argument.arg} has no annotation", f"Write {argument.arg}: TYPE."
            )
        parameters.append(_parameter(reader, argument, kind, default, described.get(argument.arg, "")))
    if node.returns is None:
        raise reader.refuse(node, f"{name}() has no return annotation", "Write -> TYPE, or -> None.")
    returns = reader.annotation(node.returns).type
    signature = Signature(name, tuple(parameters), returns, doc, isinstance(node, ast.AsyncFunctionDef))
    fault = signature.constant_fault()
    if fault is not None:
        raise reader.refuse(node, *fault)
    return signature


def _parameter(
    reader: AnnotationReader,
    argument: ast.arg,
    kind: inspect._ParameterKind,
    default_node: ast.expr | None,
    described: str,
) -> Parameter:
    assert argument.annotation is not None  # noqa: S101 - read_signature has refused the others
    annotation = reader.annotation(argument.annotation)
    default: Default | None = None
    if default_node is not None:
        field = read_bounds(reader, default_node)
        if field is None:
            default = reader.default(default_node)
        else:
            annotation = reader.apply(default_node, annotation, field)
    default = default or annotation.default
    if default is not None and default.value is Ellipsis:
        default = None  # Field(...): required
    type_ = annotation.type
    if default is not None and default.literal and default.value is None and not allows_none(type_):
        type_ = union((type_, NONE))  # `x: int = None` says so, if not in its annotation
    return Parameter(argument.arg, kind, type_, default, annotation.description or described)
