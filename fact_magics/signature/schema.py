"""JSON Schema (draft 2020-12) of the closed vocabulary, for agents that call a tool."""

from __future__ import annotations

from typing import Any

from fact_magics.signature.vocabulary import (
    Bounded,
    ClassField,
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
from fact_magics.values import ToolEnum, plain

_SCALARS: dict[str, dict[str, Any]] = {
    "Any": {},
    "None": {"type": "null"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "time": {"type": "string", "format": "time"},
    "timedelta": {"type": "string", "format": "duration"},
    "Decimal": {"type": ["string", "number"]},
    "UUID": {"type": "string", "format": "uuid"},
    "Path": {"type": "string", "format": "path"},
    "bytes": {
        "type": "object",
        "properties": {"$bytes": {"type": "string", "contentEncoding": "base64"}},
        "required": ["$bytes"],
        "additionalProperties": False,
    },
}
_NUMBER_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}


def type_schema(type_: Type) -> dict[str, Any]:
    """Give a type's schema, as what an input may look like in JSON."""
    match type_:
        case Scalar(name):
            return dict(_SCALARS[name])
        case ListOf(item):
            return _array(item)
        case SetOf(item, _):
            return {**_array(item), "uniqueItems": True}
        case TupleOf(items, True):
            return _array(items[0])
        case TupleOf(items, _):
            size = {"minItems": len(items), "maxItems": len(items)}
            prefix = {"prefixItems": [type_schema(item) for item in items]} if items else {}
            return {"type": "array", **prefix, **size}
        case DictOf(_, value):
            values = type_schema(value)
            return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
        case LiteralOf(values):
            return _choices([plain(value) for value in values])
        case EnumOf(_, members):
            return _choices([plain(value) for _, value in members])
        case UnionOf(members):
            return {"anyOf": [type_schema(member) for member in members]}
        case Bounded(base, bounds):
            return _bounded(base, bounds)
        case ObjectOf(name, _, fields):
            given = [field for field in fields if field.init]
            return {
                "title": name,
                "type": "object",
                "properties": {field.name: _field(field) for field in given},
                "required": [field.name for field in given if field.required],
                "additionalProperties": False,
            }


def default_json(value: object, type_: Type) -> object:
    """Give a default as the JSON that an agent would write for it."""
    if isinstance(value, ToolEnum):
        members = type_.members if isinstance(type_, UnionOf) else (type_,)
        for member in members:
            if isinstance(member, EnumOf) and member.name == value.class_name:
                return plain(dict(member.members).get(value.member))
    if isinstance(value, bytes):
        return {"$bytes": plain(value)}
    return plain(value)


def _array(item: Type) -> dict[str, Any]:
    items = type_schema(item)
    return {"type": "array", "items": items} if items else {"type": "array"}


def _choices(values: list[object]) -> dict[str, Any]:
    return {"const": values[0]} if len(values) == 1 else {"enum": values}


def _field(field: ClassField) -> dict[str, Any]:
    schema = type_schema(field.type)
    if field.default is not None and field.default.literal:
        schema["default"] = default_json(field.default.value, field.type)
    return schema


def _bounded(base: Type, bounds: tuple[tuple[str, object], ...]) -> dict[str, Any]:
    schema = type_schema(base)
    kind = schema.get("type")
    for name, value in bounds:
        if kind in ("integer", "number") and name in _NUMBER_BOUNDS:
            schema[_NUMBER_BOUNDS[name]] = value
        elif kind == "string" and name in ("min_length", "max_length"):
            schema["minLength" if name == "min_length" else "maxLength"] = value
        elif name == "pattern":
            schema["pattern"] = value
        elif kind == "array":
            schema["minItems" if name == "min_length" else "maxItems"] = value
        elif isinstance(base, DictOf):
            schema["minProperties" if name == "min_length" else "maxProperties"] = value
    return schema
