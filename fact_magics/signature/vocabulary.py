"""The closed vocabulary of types that a tool's signature is written in, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fact_magics.values import plain

ScalarName = Literal[
    "None", "bool", "int", "float", "str", "bytes", "date", "datetime", "time", "timedelta", "Decimal",
    "UUID", "Path", "Any",
]  # fmt: skip


@dataclass(frozen=True)
class Scalar:
    """A type without parts."""

    name: ScalarName

    @property
    def text(self) -> str:
        """The type as an annotation."""
        return self.name


@dataclass(frozen=True)
class ListOf:
    """``list[T]``, and what is taken as one: ``Sequence[T]``, ``Iterable[T]``."""

    item: Type

    @property
    def text(self) -> str:
        """The type as an annotation."""
        return _generic("list", self.item)


@dataclass(frozen=True)
class SetOf:
    """``set[T]`` or ``frozenset[T]``."""

    item: Type
    frozen: bool

    @property
    def text(self) -> str:
        """The type as an annotation."""
        return _generic("frozenset" if self.frozen else "set", self.item)


@dataclass(frozen=True)
class TupleOf:
    """``tuple[A, B]``, or, where it is variadic, ``tuple[T, ...]``."""

    items: tuple[Type, ...]
    variadic: bool

    @property
    def text(self) -> str:
        """The type as an annotation."""
        if self.variadic:
            return "tuple" if self.items[0] == ANY else f"tuple[{self.items[0].text}, ...]"
        return f"tuple[{', '.join(item.text for item in self.items) or '()'}]"


@dataclass(frozen=True)
class DictOf:
    """``dict[K, V]``, and what is taken as one: ``Mapping[K, V]``."""

    key: Type
    value: Type

    @property
    def text(self) -> str:
        """The type as an annotation."""
        if self.key == ANY and self.value == ANY:
            return "dict"
        return f"dict[{self.key.text}, {self.value.text}]"


@dataclass(frozen=True)
class LiteralOf:
    """``Literal[...]``: these values, of these very types."""

    values: tuple[object, ...]

    @property
    def text(self) -> str:
        """The type as an annotation."""
        return f"Literal[{', '.join(map(repr, self.values))}]"


@dataclass(frozen=True)
class UnionOf:
    """``A | B``."""

    members: tuple[Type, ...]

    @property
    def text(self) -> str:
        """The type as an annotation."""
        return " | ".join(member.text for member in self.members)


@dataclass(frozen=True)
class Bounded:
    """A type with bounds: ``Annotated[int, Field(ge=0)]``.

    Attributes
    ----------
    base : Type
        A scalar or a container.
    bounds : tuple of (str, object)
        ``ge``, ``gt``, ``le``, ``lt``, ``multiple_of``, ``min_length``, ``max_length`` or ``pattern``, with
        its value.
    """

    base: Type
    bounds: tuple[tuple[str, object], ...]

    @property
    def text(self) -> str:
        """The type as an annotation, without the bounds."""
        return self.base.text


@dataclass(frozen=True)
class EnumOf:
    """An enumeration that the tool defines: its members' names and values."""

    name: str
    members: tuple[tuple[str, object], ...]

    @property
    def text(self) -> str:
        """The type as an annotation."""
        return self.name


@dataclass(frozen=True)
class Default:
    """A default.

    Attributes
    ----------
    source : str
        As it is written.
    literal : bool
        Whether it could be read; otherwise only the tool itself can tell its value.
    value : object
        What was read.
    """

    source: str
    literal: bool
    value: object = None


@dataclass(frozen=True)
class ClassField:
    """A field of a class that the tool defines.

    Attributes
    ----------
    name : str
        Its name.
    type : Type
        Its type.
    required : bool
        Whether an input must hold it.
    default : Default or None
        What stands in for it.
    init : bool
        Whether the constructor takes it; if not, it is seen in results only.
    """

    name: str
    type: Type
    required: bool
    default: Default | None = None
    init: bool = True


@dataclass(frozen=True)
class ObjectOf:
    """A dataclass, TypedDict or NamedTuple that the tool defines."""

    name: str
    kind: Literal["dataclass", "TypedDict", "NamedTuple"]
    fields: tuple[ClassField, ...]

    @property
    def text(self) -> str:
        """The type as an annotation."""
        return self.name


Type = Scalar | ListOf | SetOf | TupleOf | DictOf | LiteralOf | UnionOf | Bounded | EnumOf | ObjectOf

ANY = Scalar("Any")
NONE = Scalar("None")

ALLOWED = (
    "Use str, int, float, bool, None, bytes, list, dict, tuple, set, Literal, unions, Annotated, date, "
    "datetime, time, timedelta, Decimal, UUID, Path, Any, or an Enum, dataclass, TypedDict or NamedTuple of "
    "the tool's own."
)
"""The vocabulary in a sentence, for whoever wrote something else."""


def _generic(name: str, item: Type) -> str:
    return name if item == ANY else f"{name}[{item.text}]"


def union(members: tuple[Type, ...]) -> Type:
    """Join types into one: nested unions dissolve, repeated members fall together."""
    flat: list[Type] = []
    for member in members:
        for part in member.members if isinstance(member, UnionOf) else (member,):
            if not any(_same(part, other) for other in flat):
                flat.append(part)
    return flat[0] if len(flat) == 1 else UnionOf(tuple(flat))


def _same(one: Type, other: Type) -> bool:
    # Literal[1] and Literal[True] are equal as tuples go, and are two types.
    return type(one) is type(other) and repr(one) == repr(other)


def allows_none(type_: Type) -> bool:
    """Whether None is a value of the type."""
    if isinstance(type_, UnionOf):
        return any(map(allows_none, type_.members))
    return type_ in (ANY, NONE) or (isinstance(type_, LiteralOf) and None in type_.values)


def shape(type_: Type) -> list[object]:
    """Describe a type as nested lists of plain data: all that a caller can notice of it, and nothing else."""
    match type_:
        case Scalar(name):
            return [name]
        case ListOf(item):
            return ["list", shape(item)]
        case SetOf(item, frozen):
            return ["frozenset" if frozen else "set", shape(item)]
        case TupleOf(items, variadic):
            return ["tuple", variadic, *map(shape, items)]
        case DictOf(key, value):
            return ["dict", shape(key), shape(value)]
        case LiteralOf(values):
            return ["literal", *([type(value).__name__, plain(value)] for value in values)]
        case UnionOf(members):
            return ["union", *map(shape, members)]
        case Bounded(base, bounds):
            return ["bounded", shape(base), *([name, str(value)] for name, value in bounds)]
        case EnumOf(name, members):
            return ["enum", name, *([member, plain(value)] for member, value in members)]
        case ObjectOf(name, kind, fields):
            return ["object", name, kind, *([f.name, shape(f.type), f.required, f.init] for f in fields)]
