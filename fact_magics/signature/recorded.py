"""The input of a run as the history keeps it, read back: JSON for people, which leaves some types open."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from fact_magics.signature.parameters import KINDS
from fact_magics.signature.vocabulary import (
    Bounded,
    DictOf,
    EnumOf,
    ListOf,
    LiteralOf,
    ObjectOf,
    Scalar,
    SetOf,
    TupleOf,
    Type,
    UnionOf,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fact_magics.signature.signature import Signature

_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_AS_TEXT = frozenset({"str", "bytes", "date", "datetime", "time", "timedelta", "Decimal", "UUID", "Path"})


def read_recorded(text: str, signature: Signature) -> dict[str, object]:
    """Read a run's input from its row in the history.

    Returns
    -------
    dict
        The arguments by name, for `Signature.validate`.

    Raises
    ------
    ValueError
        The text is no whole input of this signature: it may have been cut.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("the input is no object")  # noqa: TRY004 - whatever is wrong with the text is one kind
    by_name = {parameter.name: parameter for parameter in signature.parameters}
    # Arguments that go by position only are recorded under their place.
    placed = [p.name for p in signature.parameters if p.kind == KINDS.POSITIONAL_ONLY]
    named = {
        placed[int(key)] if key.isdecimal() and int(key) < len(placed) else key: data[key] for key in data
    }
    if unknown := named.keys() - by_name.keys():
        raise ValueError(f"the input has fields that the signature has not: {sorted(unknown)}")
    return {name: _back(value, by_name[name].type) for name, value in named.items()}


def is_exact(signature: Signature) -> bool:
    """Tell whether what is read back can be no other input than the one that was recorded."""
    return all(_is_exact(parameter.type) for parameter in signature.parameters)


def _back(data: Any, kind: Type) -> object:
    match kind, data:
        case Scalar("float"), str() if data in _NOT_FINITE:
            return float(data)
        case Scalar("int"), str():
            return int(data, 16)  # one that is too long to be written in decimal
        case Scalar("bytes"), str():
            return base64.b64decode(data, validate=True)
        case ((ListOf(item) | SetOf(item, _)), list()):
            return [_back(value, item) for value in data]
        case TupleOf(items, variadic), list():
            kinds: Iterable[Type] = items * len(data) if variadic else items
            return [_back(value, item) for value, item in zip(data, kinds, strict=not variadic)]
        case DictOf(key, value), dict():
            return {_key_back(name, key): _back(item, value) for name, item in data.items()}
        case ObjectOf(_, _, fields), dict():
            types = {field.name: field.type for field in fields}
            return {name: _back(item, types[name]) if name in types else item for name, item in data.items()}
        case EnumOf(_, members), str():
            return dict(members).get(data, data)  # recorded by its name, which may be another's value
        case Bounded(base, _), _:
            return _back(data, base)
        case UnionOf(members), _:
            fitting = [member for member in members if _forms(member) & _form(data)]
            return _back(data, fitting[0]) if len(fitting) == 1 else data
    return data


def _key_back(name: str, kind: Type) -> object:
    """Read a key: one that is no text was written as JSON."""
    if _forms(kind) <= {"text"} or kind == Scalar("Any"):
        return _back(name, kind)
    key = _back(json.loads(name), kind)
    return tuple(key) if isinstance(key, list) else key


def _is_exact(kind: Type) -> bool:
    match kind:
        case Scalar(name):
            return name != "Any"
        case ListOf(item) | SetOf(item, _):
            return _is_exact(item)
        case TupleOf(items, _):
            return all(map(_is_exact, items))
        case DictOf(key, value):
            return _is_exact(key) and _is_exact(value)
        case Bounded(base, _):
            return _is_exact(base)
        case ObjectOf(_, _, fields):
            return all(_is_exact(field.type) for field in fields)
        case UnionOf(members):
            forms = [form for member in members for form in _forms(member)]
            return all(map(_is_exact, members)) and len(set(forms)) == len(forms)
    return True


def _forms(kind: Type) -> frozenset[str]:
    """List what JSON may hold where a value of this type was recorded."""
    match kind:
        case Scalar("None"):
            return frozenset({"null"})
        case Scalar("bool"):
            return frozenset({"bool"})
        case Scalar("int"):
            return frozenset({"int"})
        case Scalar("float"):
            return frozenset({"float"})
        case Scalar(name) if name in _AS_TEXT:
            return frozenset({"text"})
        case ListOf() | SetOf() | TupleOf():
            return frozenset({"array"})
        case DictOf() | ObjectOf():
            return frozenset({"object"})
        case Bounded(base, _):
            return _forms(base)
        case LiteralOf(values):
            return frozenset().union(*map(_form, values))
        case UnionOf(members):
            return frozenset().union(*map(_forms, members))
        case EnumOf():
            return frozenset({"text"})
    return frozenset({"null", "bool", "int", "float", "text", "array", "object"})


def _form(data: object) -> frozenset[str]:
    names = {bool: "bool", int: "int", float: "float", str: "text", list: "array", dict: "object"}
    return frozenset({"null" if data is None else names.get(type(data), "text")})
