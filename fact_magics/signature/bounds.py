"""Bounds, defaults and descriptions: Pydantic's ``Field(...)`` and annotated_types, read by `ast`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.signature.vocabulary import (
    Bounded,
    Default,
    DictOf,
    ListOf,
    Scalar,
    SetOf,
    TupleOf,
    Type,
    UnionOf,
)
from fact_magics.values.literals import source_of

if TYPE_CHECKING:
    from fact_magics.signature.reader import Reader

_BOUND_NAMES = {
    "ge": "ge", "gt": "gt", "le": "le", "lt": "lt", "multiple_of": "multiple_of", "min_length": "min_length",
    "max_length": "max_length", "pattern": "pattern", "min_items": "min_length", "max_items": "max_length",
    "regex": "pattern",
}  # fmt: skip
_BOUND_CALLS = {
    "Ge": ("ge",), "Gt": ("gt",), "Le": ("le",), "Lt": ("lt",), "MultipleOf": ("multiple_of",),
    "MinLen": ("min_length",), "MaxLen": ("max_length",), "Len": ("min_length", "max_length"),
}  # fmt: skip
_ORDERED = {"int", "float", "Decimal", "date", "datetime", "time", "timedelta"}
_COUNTED = {"int", "float", "Decimal"}
_SIZED = (ListOf, SetOf, TupleOf, DictOf)
_UNREAD = {"title", "alias", "examples", "strict", "frozen", "validate_default", "repr", "json_schema_extra"}


class Bounds(NamedTuple):
    """What ``Field(...)`` says: bounds, a default (whose value Ellipsis means required), a description."""

    bounds: tuple[tuple[str, object], ...] = ()
    default: Default | None = None
    description: str = ""


def read_bounds(reader: Reader, node: ast.expr) -> Bounds | None:
    """Read ``Field(...)`` or a bound of annotated_types; None for metadata that says nothing here."""
    if not isinstance(node, ast.Call):
        return None
    origin = reader.origin(node.func) or ""
    names = _BOUND_CALLS.get(origin.rpartition(".")[2])
    if origin.startswith("annotated_types.") and names is not None:
        given = dict(zip(names, node.args, strict=False))
        given.update({k.arg: k.value for k in node.keywords if k.arg in names})
        return Bounds(tuple((name, reader.required_literal(value)) for name, value in given.items()))
    if origin in {"pydantic.Field", "pydantic.fields.Field"}:
        return _field(reader, node)
    return None


def _field(reader: Reader, node: ast.Call) -> Bounds:
    given: dict[str, ast.expr] = {"default": node.args[0]} if node.args else {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise reader.refuse(node, "Field(**...) can't be read", "Write its arguments out.")
        given[keyword.arg] = keyword.value
    found: list[tuple[str, object]] = []
    default: Default | None = None
    description = ""
    for name, value in given.items():
        if name in _BOUND_NAMES:
            found.append((_BOUND_NAMES[name], reader.required_literal(value)))
        elif name == "description":
            description = str(reader.required_literal(value))
        elif name == "default":
            default = _field_default(reader, value)
        elif name == "default_factory":
            default = _factory(reader, value)
        elif name not in _UNREAD:
            raise reader.refuse(
                value, f"Field({name}=...) can't be validated", "Check it in the tool's body instead."
            )
    return Bounds(tuple(found), default, description)


def _field_default(reader: Reader, node: ast.expr) -> Default:
    if isinstance(node, ast.Constant) and node.value is Ellipsis:
        return Default("...", True, Ellipsis)
    return Default(
        source_of(node), True, reader.required_literal(node)
    )  # Python itself would pass the Field object


def _factory(reader: Reader, node: ast.expr) -> Default:
    origin = reader.origin(node)
    empty: dict[str | None, object] = {"builtins.list": [], "builtins.dict": {}, "builtins.set": set()}
    if origin not in empty:
        raise reader.refuse(
            node, f"the default factory {source_of(node)} can't be read", "Give a literal default."
        )
    return Default(f"{source_of(node)}()", True, empty[origin])


def bounded(reader: Reader, node: ast.expr, type_: Type, bounds: Bounds) -> Type:
    """Put the bounds of a ``Field(...)`` on a type.

    Raises
    ------
    SignatureError
        For one that does not fit the type.
    """
    for name, value in bounds.bounds:
        narrower = _bound(type_, name, value)
        if narrower is None:
            raise reader.refuse(
                node, f"{name}={value!r} does not fit the type {type_.text}", "Remove it or mend it."
            )
        type_ = narrower
    return type_


def _bound(type_: Type, name: str, value: object) -> Type | None:
    """Put a bound where it fits: on the members of a union that it is about; None where there is none."""
    if isinstance(type_, UnionOf):
        members = [(_bound(member, name, value), member) for member in type_.members]
        if not any(bounded for bounded, _ in members):
            return None
        return UnionOf(tuple(bounded or member for bounded, member in members))
    base, bounds = (type_.base, type_.bounds) if isinstance(type_, Bounded) else (type_, ())
    if not _fits(base, name, value):
        return None
    return Bounded(base, (*bounds, (name, value)))


def _fits(base: Type, name: str, value: object) -> bool:
    scalar = base.name if isinstance(base, Scalar) else ""
    number = type(value) in (int, float)
    if name in ("min_length", "max_length"):
        return type(value) is int and value >= 0 and (scalar in ("str", "bytes") or isinstance(base, _SIZED))
    if name == "pattern":
        return scalar == "str" and isinstance(value, str)
    if name == "multiple_of":
        return scalar in _COUNTED and number and value > 0  # type: ignore[operator]
    return scalar in _ORDERED and (type(value).__name__ == scalar or (scalar in _COUNTED and number))
