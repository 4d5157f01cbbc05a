"""Types that list values or fields: Literal, and the enumerations and classes that a tool defines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import CoreSchema
from pydantic_core import core_schema as cs

from fact_magics.signature.scalars import TEXT, checked, json_kind, should_be
from fact_magics.signature.vocabulary import ANY, Container, Mode, Type
from fact_magics.values import ToolEnum, ToolObject, plain

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class LiteralOf(Type):
    """``Literal[...]``: these values, of exactly these types."""

    values: tuple[object, ...]

    @property
    def text(self) -> str:
        return f"Literal[{', '.join(map(repr, self.values))}]"

    def shape(self) -> list[object]:
        return ["literal", *([type(value).__name__, plain(value)] for value in self.values)]

    def core_schema(self, mode: Mode) -> CoreSchema:  # noqa: ARG002 - literals are never converted
        return _choice([(value, value) for value in self.values], {})

    def json_schema(self) -> dict[str, Any]:
        return _choice_json(self.values)

    @property
    def json_kinds(self) -> frozenset[str]:
        return frozenset(map(json_kind, self.values))


@dataclass(frozen=True)
class EnumOf(Type):
    """An enumeration that the tool defines, with the names and values of its members."""

    name: str
    members: tuple[tuple[str, object], ...]

    @property
    def text(self) -> str:
        return self.name

    def shape(self) -> list[object]:
        return ["enum", self.name, *([member, plain(value)] for member, value in self.members)]

    def core_schema(self, mode: Mode) -> CoreSchema:
        if mode.direction == "result":
            return _choice([(value, value) for _, value in self.members], {})
        members = {name: ToolEnum(self.name, name) for name, _ in self.members}
        return _choice([(value, members[name]) for name, value in self.members], members)

    def json_schema(self) -> dict[str, Any]:
        return _choice_json([value for _, value in self.members])

    @property
    def json_kinds(self) -> frozenset[str]:
        return TEXT

    def _from_recorded(self, data: Any) -> object:
        # The history stores the name of a member, which may be the value of another member.
        return dict(self.members).get(data, data)


@dataclass(frozen=True)
class Default:
    """A default as written in the source, with its value if the default is a literal."""

    source: str
    literal: bool
    value: object = None


@dataclass(frozen=True)
class ClassField:
    """A field of a class that the tool defines. If `init` is true, the constructor accepts the field."""

    name: str
    type: Type
    required: bool
    default: Default | None = None
    init: bool = True

    def core_field(self, mode: Mode) -> cs.TypedDictField:
        """Build the field's entry in a core schema."""
        schema = self.type.core_schema(mode)
        if mode.direction == "input" and self.default is not None and self.default.literal:
            schema = cs.with_default_schema(schema, default=self.default.value)
            return cs.typed_dict_field(schema, required=False)
        return cs.typed_dict_field(schema, required=self.required)

    def json_schema(self) -> dict[str, Any]:
        """Describe the field in JSON Schema."""
        schema = self.type.json_schema()
        if self.default is not None and self.default.literal:
            schema["default"] = default_json(self.default.value, self.type)
        return schema


@dataclass(frozen=True)
class ObjectOf(Type):
    """A dataclass, TypedDict or NamedTuple that the tool defines."""

    name: str
    kind: Literal["dataclass", "TypedDict", "NamedTuple"]
    fields: tuple[ClassField, ...]

    @property
    def text(self) -> str:
        return self.name

    @property
    def parts(self) -> tuple[Type, ...]:
        return tuple(field.type for field in self.fields)

    @property
    def hashable(self) -> bool:
        return True

    def shape(self) -> list[object]:
        fields = ([field.name, field.type.shape(), field.required, field.init] for field in self.fields)
        return ["object", self.name, self.kind, *fields]

    def core_schema(self, mode: Mode) -> CoreSchema:
        given = mode.direction == "input"
        if self.kind == "NamedTuple" and not given:
            return Container("tuple", self.parts).core_schema(mode)
        fields = {field.name: field.core_field(mode) for field in self.fields if field.init or not given}
        schema: CoreSchema = cs.typed_dict_schema(fields, extra_behavior="forbid", strict=True)
        if not given or self.kind == "TypedDict":
            return schema
        positional = self.kind == "NamedTuple"

        def opened(value: object) -> object:
            if isinstance(value, ToolObject) and value.class_name == self.name:
                return value.fields
            if positional and isinstance(value, list | tuple) and len(value) <= len(fields):
                return dict(zip(fields, value, strict=False))
            return value

        def closed(value: dict[str, object]) -> ToolObject:
            return ToolObject(self.name, value)

        schema = cs.no_info_before_validator_function(opened, schema)
        return cs.no_info_after_validator_function(closed, schema)

    def json_schema(self) -> dict[str, Any]:
        given = [field for field in self.fields if field.init]
        return {
            "title": self.name,
            "type": "object",
            "properties": {field.name: field.json_schema() for field in given},
            "required": [field.name for field in given if field.required],
            "additionalProperties": False,
        }

    @property
    def json_kinds(self) -> frozenset[str]:
        return frozenset({"object"})

    def _from_recorded(self, data: Any) -> object:
        types = {field.name: field.type for field in self.fields}
        return {name: types.get(name, ANY).from_recorded(item) for name, item in data.items()}


def default_json(value: object, type_: Type) -> object:
    """Convert a default to the JSON that an agent would pass for the same value."""
    if isinstance(value, ToolEnum):
        for part in type_.walk():
            if isinstance(part, EnumOf) and part.name == value.class_name:
                return plain(dict(part.members)[value.member])
    return {"$bytes": plain(value)} if isinstance(value, bytes) else plain(value)


def _choice(choices: list[tuple[object, object]], names: dict[str, ToolEnum]) -> CoreSchema:
    """Accept the first value of each pair and return the second; accept enum members also by name."""
    shown = ", ".join(repr(value) for value, _ in choices)

    def choose(value: Any) -> object:
        for known, chosen in choices:
            if (type(value) is type(known) and value == known) or (
                isinstance(value, ToolEnum) and value == chosen
            ):
                return chosen
        if isinstance(value, str) and value in names:
            return names[value]
        raise should_be(f"be one of {shown}" if len(choices) > 1 else f"be {shown}")

    return checked(choose)


def _choice_json(values: Sequence[object]) -> dict[str, Any]:
    described = [*map(plain, values)]
    return {"const": described[0]} if len(described) == 1 else {"enum": described}
