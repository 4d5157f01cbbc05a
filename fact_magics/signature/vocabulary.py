"""The closed vocabulary of types for the signatures of tools.

The class of a type defines how the type is written, validated, described as JSON Schema, compared, and read
back from the history. To add a type without parts, add a row to `scalars.SCALARS`; to add a class of a
library, add an entry to `libraries.LIBRARY_TYPES`; for any other type, add a class here or in `classes`. Then
add the type's names to `annotations`.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic_core import CoreSchema
from pydantic_core import core_schema as cs

from fact_magics.signature.scalars import AMBIGUOUS, SCALARS, SIZE, TEXT, json_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = (
    "Use str, int, float, bool, None, bytes, list, dict, tuple, set, Literal, unions, Annotated, date, "
    "datetime, time, timedelta, Decimal, UUID, Path, Any, or an Enum, dataclass, TypedDict or NamedTuple of "
    "the tool's own."
)
"""The vocabulary in one sentence, for errors about unsupported types."""

_INTEGER = re.compile(r"-?[0-9]{1,40}")


class Mode(NamedTuple):
    """How values are validated."""

    direction: Literal["input", "result"]  # only inputs may contain instances of the tool's classes
    exact: bool = False  # whether to accept only values that need no conversion


class Type(ABC):
    """A type of the vocabulary."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The type as an annotation."""

    @property
    def parts(self) -> tuple[Type, ...]:
        """The types directly inside this type."""
        return ()

    def walk(self) -> Iterator[Type]:
        """Yield this type and every type inside it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def hashable(self) -> bool:
        """Whether values can be keys of a dict and items of a set."""
        return all(part.hashable for part in self.parts)

    @abstractmethod
    def shape(self) -> list[object]:
        """Describe, as nested lists of plain data, everything about the type that can matter to a caller."""

    @abstractmethod
    def core_schema(self, mode: Mode) -> CoreSchema:
        """Build the core schema from which Pydantic makes a validator."""

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """Describe the JSON form of an input as JSON Schema, draft 2020-12."""

    @property
    def json_kinds(self) -> frozenset[str]:
        """The kinds of JSON (see `scalars.json_kind`) in which the history may store a value of this type."""
        return frozenset().union(*(part.json_kinds for part in self.parts))

    @property
    def recorded_exactly(self) -> bool:
        """Whether recorded JSON has exactly one meaning; the types inside this type are not considered."""
        return True

    def from_recorded(self, data: Any) -> object:
        """Read a value back from the JSON in the history; JSON of an unexpected kind is returned unchanged.

        Raises
        ------
        ValueError
            The recorded text was shortened, or has more than one meaning.
        """
        return self._from_recorded(data) if json_kind(data) in self.json_kinds else data

    def _from_recorded(self, data: Any) -> object:
        return data


@dataclass(frozen=True)
class Scalar(Type):
    """A type without parts; its rules are in `scalars.SCALARS`."""

    name: str

    @property
    def text(self) -> str:
        return self.name

    def shape(self) -> list[object]:
        return [self.name]

    @property
    def bound_names(self) -> frozenset[str]:
        return SCALARS[self.name].bound_names

    def core_schema(self, mode: Mode, **bounds: Any) -> CoreSchema:
        return SCALARS[self.name].core_schema(mode.exact, bounds)

    def json_schema(self) -> dict[str, Any]:
        return dict(SCALARS[self.name].json_schema)

    @property
    def json_kinds(self) -> frozenset[str]:
        return SCALARS[self.name].json_kinds

    @property
    def recorded_exactly(self) -> bool:
        return self != ANY

    def _from_recorded(self, data: Any) -> object:
        return SCALARS[self.name].from_recorded(data)


ANY = Scalar("Any")
NONE = Scalar("None")
PATH = Scalar("Path")


@dataclass(frozen=True)
class Container(Type):
    """``list[T]``, ``set[T]``, ``frozenset[T]``, ``dict[K, V]``, ``tuple[A, B]``, and their equivalents."""

    kind: str  # the name of the builtin class
    items: tuple[Type, ...]
    variadic: bool = False  # tuple[T, ...]

    @property
    def text(self) -> str:
        if {*self.items} == {ANY} and (self.kind != "tuple" or self.variadic):
            return self.kind
        items = ", ".join(item.text for item in self.items) or "()"
        return f"{self.kind}[{items}{', ...' if self.variadic else ''}]"

    @property
    def parts(self) -> tuple[Type, ...]:
        return self.items

    @property
    def bound_names(self) -> frozenset[str]:
        return SIZE

    @property
    def hashable(self) -> bool:
        return self.kind in ("frozenset", "tuple") and super().hashable

    def shape(self) -> list[object]:
        return [
            self.kind,
            *([self.variadic] if self.kind == "tuple" else []),
            *(item.shape() for item in self.items),
        ]

    def core_schema(self, mode: Mode, **bounds: Any) -> CoreSchema:
        schemas = [item.core_schema(mode) for item in self.items]
        match self.kind:
            case "dict":
                key = self.items[0].base if isinstance(self.items[0], Bounded) else self.items[0]
                if key == Scalar("int") and not mode.exact:
                    schemas[0] = cs.no_info_before_validator_function(_integer_key, schemas[0])
                return cs.dict_schema(*schemas, strict=True, **bounds)
            case "set":
                return cs.set_schema(*schemas, strict=mode.exact, fail_fast=True, **bounds)
            case "frozenset":
                return cs.frozenset_schema(*schemas, strict=mode.exact, fail_fast=True, **bounds)
            case "list":
                schema: CoreSchema = cs.list_schema(*schemas, strict=True, fail_fast=True, **bounds)
                convert = _tuple_as_list
            case _:
                index = 0 if self.variadic else None
                schema = cs.tuple_schema(
                    schemas, variadic_item_index=index, strict=True, fail_fast=True, **bounds
                )
                convert = _list_as_tuple
        return schema if mode.exact else cs.no_info_before_validator_function(convert, schema)

    def json_schema(self) -> dict[str, Any]:
        schemas = [item.json_schema() for item in self.items]
        if self.kind == "dict":
            return {"type": "object", **({"additionalProperties": schemas[1]} if schemas[1] else {})}
        if self.kind == "tuple" and not self.variadic:
            size = {"minItems": len(schemas), "maxItems": len(schemas)}
            placed = {"prefixItems": schemas} if schemas else {}
            # Providers refuse an array without items. In it, each item of this tuple fits.
            distinct = [schema for at, schema in enumerate(schemas) if schema not in schemas[:at]]
            items = {} if {} in distinct or not distinct else {"anyOf": distinct}
            return {"type": "array", **placed, "items": distinct[0] if len(distinct) == 1 else items, **size}
        unique = {"uniqueItems": True} if self.kind in ("set", "frozenset") else {}
        return {"type": "array", "items": schemas[0], **unique}

    @property
    def json_kinds(self) -> frozenset[str]:
        return frozenset({"object" if self.kind == "dict" else "array"})

    def _from_recorded(self, data: Any) -> object:
        if self.kind == "dict":
            return {self._recorded_key(key): self.items[1].from_recorded(data[key]) for key in data}
        one_by_one = self.kind == "tuple" and not self.variadic
        items = zip(self.items if one_by_one else self.items * len(data), data, strict=True)
        return [item.from_recorded(value) for item, value in items]

    def _recorded_key(self, text: str) -> object:
        kind = self.items[0]
        if kind.json_kinds <= TEXT or kind == ANY:
            return kind.from_recorded(text)
        key = kind.from_recorded(json.loads(text))  # keys other than text are recorded as JSON
        return tuple(key) if isinstance(key, list) else key


@dataclass(frozen=True)
class UnionOf(Type):
    """``A | B``."""

    members: tuple[Type, ...]

    @property
    def text(self) -> str:
        return " | ".join(member.text for member in self.members)

    @property
    def parts(self) -> tuple[Type, ...]:
        return self.members

    def shape(self) -> list[object]:
        return ["union", *(member.shape() for member in self.members)]

    def core_schema(self, mode: Mode) -> CoreSchema:
        members = [member for member in self.members if member != NONE]
        if len(members) == 1:
            only = members[0].core_schema(mode)
        else:
            # Members that need no conversion are tried first: 1 is an int in `float | int`.
            choices: list[CoreSchema | tuple[CoreSchema, str]]
            choices = [member.core_schema(mode._replace(exact=True)) for member in members]
            if not mode.exact:
                members.sort(key=lambda member: member == Scalar("datetime"))  # last: it accepts ISO dates
                choices += [member.core_schema(mode) for member in members]
            only = cs.union_schema(
                choices,
                mode="left_to_right",
                custom_error_type="union",
                custom_error_message="Input should be {expected}",
                custom_error_context={"expected": self.text},
            )
        return cs.nullable_schema(only) if len(members) < len(self.members) else only

    def json_schema(self) -> dict[str, Any]:
        return {"anyOf": [member.json_schema() for member in self.members]}

    @property
    def recorded_exactly(self) -> bool:
        kinds = [kind for member in self.members for kind in member.json_kinds - AMBIGUOUS]
        return len(set(kinds)) == len(kinds)

    def _from_recorded(self, data: Any) -> object:
        kind = json_kind(data)
        fitting = [member for member in self.members if kind in member.json_kinds]
        if kind in AMBIGUOUS and len(fitting) > 1 and not all("text" in m.json_kinds for m in fitting):
            raise ValueError(f"{data:.20} may be text or a number")
        return fitting[0].from_recorded(data) if len(fitting) == 1 else data


_NUMBER_KEYWORDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_SIZE_KEYWORDS = {"string": "Length", "array": "Items", "object": "Properties"}


@dataclass(frozen=True)
class Bounded(Type):
    """A type with bounds, each a name and a value: ``Annotated[int, Field(ge=0)]`` has ``("ge", 0)``."""

    base: Scalar | Container
    bounds: tuple[tuple[str, object], ...]

    @property
    def text(self) -> str:
        return self.base.text

    @property
    def parts(self) -> tuple[Type, ...]:
        return (self.base,)

    def shape(self) -> list[object]:
        return ["bounded", self.base.shape(), *([name, str(value)] for name, value in self.bounds)]

    def core_schema(self, mode: Mode) -> CoreSchema:
        return self.base.core_schema(mode, **dict(self.bounds))

    def json_schema(self) -> dict[str, Any]:
        schema = self.base.json_schema()
        kind = schema.get("type")
        for name, value in self.bounds:
            if name == "pattern":
                schema[name] = value
            elif name in SIZE and self.base != Scalar("bytes"):
                schema[f"{name[:3]}{_SIZE_KEYWORDS[str(kind)]}"] = value
            elif kind in ("integer", "number") and value not in (inf, -inf):
                schema[_NUMBER_KEYWORDS[name]] = value
        return schema

    def _from_recorded(self, data: Any) -> object:
        return self.base.from_recorded(data)


def union(members: tuple[Type, ...]) -> Type:
    """Join types into a union; nested unions are flattened and repeated members removed."""
    flat: dict[str, Type] = {}  # by repr, because Literal[1] and Literal[True] compare equal
    for member in members:
        for part in member.members if isinstance(member, UnionOf) else (member,):
            flat.setdefault(repr(part), part)
    return next(iter(flat.values())) if len(flat) == 1 else UnionOf(tuple(flat.values()))


def _tuple_as_list(value: object) -> object:
    return list(value) if type(value) is tuple else value


def _list_as_tuple(value: object) -> object:
    return tuple(value) if type(value) is list else value


def _integer_key(value: object) -> object:
    # The keys of JSON objects are always text.
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
