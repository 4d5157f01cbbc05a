"""Read bounds, defaults and descriptions from Pydantic's ``Field(...)`` and annotated_types with `ast`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fact_magics.signature.classes import Default
from fact_magics.signature.scalars import ORDER, SIZE
from fact_magics.signature.vocabulary import Bounded, Container, Scalar, Type, UnionOf
from fact_magics.values.literals import source_of

if TYPE_CHECKING:
    from fact_magics.signature.reader import Annotation, Reader

_BOUND_NAMES: dict[str | None, str] = {
    **{name: name for name in (*ORDER, *SIZE, "multiple_of", "pattern")},
    "min_items": "min_length", "max_items": "max_length", "regex": "pattern",
}  # fmt: skip
_BOUND_CALLS = {
    "Ge": ("ge",), "Gt": ("gt",), "Le": ("le",), "Lt": ("lt",), "MultipleOf": ("multiple_of",),
    "MinLen": ("min_length",), "MaxLen": ("max_length",), "Len": ("min_length", "max_length"),
}  # fmt: skip
_UNREAD = {"title", "alias", "examples", "strict", "frozen", "validate_default", "repr", "json_schema_extra"}
_EMPTY: dict[str | None, object] = {"builtins.list": [], "builtins.dict": {}, "builtins.set": set()}


def add_field(reader: Reader, node: ast.expr, annotation: Annotation) -> Annotation | None:
    """Add the arguments of ``Field(...)``, or a bound of annotated_types, to an annotation.

    Returns
    -------
    Annotation or None
        None if `node` is other metadata. The default Ellipsis means that the parameter is required.

    Raises
    ------
    SignatureError
        A bound does not fit the type, or an argument can't be read or validated.
    """
    if not isinstance(node, ast.Call):
        return None
    origin = reader.origin(node.func) or ""
    names = _BOUND_CALLS.get(origin.rpartition(".")[2])
    if origin.startswith("annotated_types.") and names is not None:
        given: dict[str | None, ast.expr] = dict(zip(names, node.args, strict=False))
        given.update({k.arg: k.value for k in node.keywords if k.arg in names})
    elif origin in {"pydantic.Field", "pydantic.fields.Field"}:
        given = {"default": node.args[0]} if node.args else {}
        given.update({keyword.arg: keyword.value for keyword in node.keywords})
    else:
        return None
    for name, value in given.items():
        if name in _BOUND_NAMES:
            annotation = annotation._replace(type=_bounded(reader, node, annotation.type, name, value))
        elif name == "description":
            annotation = annotation._replace(description=str(reader.required_literal(value)))
        elif name in ("default", "default_factory"):
            default = _default(reader, value, made=name == "default_factory")
            annotation = annotation._replace(default=default)
        elif name is None:
            raise reader.refuse(node, "Field(**...) can't be read", "Write its arguments out.")
        elif name not in _UNREAD:
            hint = "Check it in the tool's body instead."
            raise reader.refuse(value, f"Field({name}=...) can't be validated", hint)
    return annotation


def _default(reader: Reader, node: ast.expr, *, made: bool) -> Default:
    if made:
        origin = reader.origin(node)
        if origin not in _EMPTY:
            problem = f"the default factory {source_of(node)} can't be read"
            raise reader.refuse(node, problem, "Give a literal default.")
        return Default(f"{source_of(node)}()", True, _EMPTY[origin])
    if isinstance(node, ast.Constant) and node.value is Ellipsis:
        return Default("...", True, Ellipsis)
    # `Signature.validate` must fill in this default, because Python would pass the Field object to the tool.
    return Default(source_of(node), True, reader.required_literal(node))


def _bounded(reader: Reader, node: ast.expr, type_: Type, name: str | None, value_node: ast.expr) -> Type:
    value = reader.required_literal(value_node)
    narrower = _bound(type_, _BOUND_NAMES[name], value)
    if narrower is None:
        problem = f"{name}={value!r} does not fit the type {type_.text}"
        raise reader.refuse(node, problem, "Remove or correct it.")
    return narrower


def _bound(type_: Type, name: str, value: object) -> Type | None:
    """Add a bound to a type, or to each member of a union that can have the bound; None if no type can."""
    if isinstance(type_, UnionOf):
        members = [(_bound(member, name, value), member) for member in type_.members]
        if not any(bounded for bounded, _ in members):
            return None
        return UnionOf(tuple(bounded or member for bounded, member in members))
    base, bounds = (type_.base, type_.bounds) if isinstance(type_, Bounded) else (type_, ())
    if not isinstance(base, Scalar | Container) or not _fits(base, name, value):
        return None
    return Bounded(base, (*bounds, (name, value)))


def _fits(base: Scalar | Container, name: str, value: object) -> bool:
    if name not in base.bound_names:
        return False
    if name in SIZE:
        return type(value) is int and value >= 0
    if name == "pattern":
        return isinstance(value, str)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "multiple_of":
        return is_number and value > 0  # type: ignore[operator]
    return type(value).__name__ == base.text or (is_number and "multiple_of" in base.bound_names)
