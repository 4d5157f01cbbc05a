"""Read the classes that a tool defines for its signature: Enum, dataclass, TypedDict and NamedTuple."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Literal

from fact_magics.signature.classes import ClassField, Default, EnumOf, ObjectOf
from fact_magics.signature.reader import TYPING, typing_names
from fact_magics.signature.vocabulary import ALLOWED, Type
from fact_magics.values.literals import LiteralError, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fact_magics.signature.reader import Reader

    Kind = Literal["dataclass", "TypedDict", "NamedTuple"]

_ENUMS = {"enum.Enum", "enum.IntEnum", "enum.StrEnum"}
_MIXINS = {"builtins.str", "builtins.int", "builtins.float"}
_OWN_VALUES = {"__new__", "__init__", "_generate_next_value_", "_missing_"}
_TYPED_DICT = typing_names("TypedDict")


def read_class(reader: Reader, node: ast.ClassDef) -> Type:
    """Read a class of the tool as a type.

    Raises
    ------
    SignatureError
        The class is of an unsupported kind, or its fields or members can't be read.
    """
    bases = {reader.origin(base) for base in node.bases}
    if bases & _ENUMS:
        return _enum(reader, node, bases)
    if _decoration(reader, node) is not None:
        return ObjectOf(node.name, "dataclass", tuple(_inherited(reader, node, "dataclass")))
    if bases & typing_names("NamedTuple"):
        return ObjectOf(node.name, "NamedTuple", tuple(_fields(reader, node, "NamedTuple")))
    if _is_typed_dict(reader, node, set()):
        return ObjectOf(node.name, "TypedDict", tuple(_inherited(reader, node, "TypedDict")))
    raise reader.refuse(node, f"the class {node.name} can't be validated", ALLOWED)


def _decoration(reader: Reader, node: ast.ClassDef) -> ast.expr | None:
    for decorator in node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if reader.origin(function) == "dataclasses.dataclass":
            return decorator
    return None


def _is_typed_dict(reader: Reader, node: ast.ClassDef, seen: set[str]) -> bool:
    if node.name in seen:
        return False
    seen.add(node.name)
    parents = (_parent(reader, base) for base in node.bases)
    return any(reader.origin(base) in _TYPED_DICT for base in node.bases) or any(
        parent is not None and _is_typed_dict(reader, parent, seen) for parent in parents
    )


def _parent(reader: Reader, base: ast.expr) -> ast.ClassDef | None:
    return reader.classes.get(base.id) if isinstance(base, ast.Name) else None


def _option(call: ast.ClassDef | ast.expr | None, name: str) -> bool:
    """Read a boolean keyword argument of a class statement or a call; True if the argument is missing."""
    for keyword in getattr(call, "keywords", ()):
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return bool(keyword.value.value)
    return True


def _inherited(
    reader: Reader, node: ast.ClassDef, kind: Kind, seen: tuple[str, ...] = ()
) -> list[ClassField]:
    if node.name in seen:
        raise reader.refuse(node, f"the class {node.name} inherits from itself", "Remove the base.")
    fields: dict[str, ClassField] = {}
    for base in reversed(node.bases):
        if reader.origin(base) in {*_TYPED_DICT, "builtins.object"}:
            continue
        parent = _parent(reader, base)
        if parent is None:
            problem = f"the class {node.name} has the base {source_of(base)}, which can't be read"
            raise reader.refuse(node, problem, f"Copy its fields into {node.name}.")
        fields.update({f.name: f for f in _inherited(reader, parent, kind, (*seen, node.name))})
    if kind == "dataclass":
        methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        if methods & {"__init__", "__new__"} or not _option(_decoration(reader, node), "init"):
            problem = f"the dataclass {node.name} has a constructor of its own"
            raise reader.refuse(node, problem, "Let dataclass write the constructor.")
    fields.update({field.name: field for field in _fields(reader, node, kind)})
    return list(fields.values())


def _fields(reader: Reader, node: ast.ClassDef, kind: Kind) -> Iterator[ClassField]:
    for item in node.body:
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        wrapper = _wrapper(reader, item.annotation)
        if wrapper in ("ClassVar", "KW_ONLY"):
            continue
        if wrapper == "InitVar":
            raise reader.refuse(item, f"{node.name}.{item.target.id} is an InitVar", "Make it a field.")
        annotation = reader.annotation(item.annotation)
        default, init = _field_default(reader, item.value)
        default = default or annotation.default
        required = default is None
        if kind == "TypedDict":
            required = {"Required": True, "NotRequired": False}.get(wrapper, _option(node, "total"))
        yield ClassField(item.target.id, annotation.type, required, default, init)


def _wrapper(reader: Reader, annotation: ast.expr) -> str:
    """Return the outermost name of an annotation, such as ClassVar, if typing or dataclasses defines it."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        origin = reader.resolve(annotation.value.partition("[")[0].strip())
    else:
        origin = reader.origin(annotation.value if isinstance(annotation, ast.Subscript) else annotation)
    module, _, name = (origin or "").rpartition(".")
    return name if module in (*TYPING, "dataclasses") else ""


def _field_default(reader: Reader, node: ast.expr | None) -> tuple[Default | None, bool]:
    """Read a field's default, and whether the constructor accepts the field."""
    if node is None:
        return None, True
    if not (isinstance(node, ast.Call) and reader.origin(node.func) == "dataclasses.field"):
        return reader.default(node), True
    default = None
    for keyword in node.keywords:
        if keyword.arg == "default":
            default = reader.default(keyword.value)
        elif keyword.arg == "default_factory":
            default = Default(f"{source_of(keyword.value)}()", False)
    return default, _option(node, "init")


def _enum(reader: Reader, node: ast.ClassDef, bases: set[str | None]) -> EnumOf:
    methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    if bases - _ENUMS - _MIXINS or methods & _OWN_VALUES:
        problem = f"the enumeration {node.name} computes its values"
        raise reader.refuse(node, problem, "Give its members literal values.")
    members: list[tuple[str, object]] = []
    for item in node.body:
        match item:
            case ast.Assign([ast.Name(name)], value) if not name.startswith("_"):
                try:
                    members.append((name, _member_value(reader, bases, name, value, members)))
                except LiteralError:
                    problem = f"{node.name}.{name} has a value that can't be read"
                    raise reader.refuse(value, problem, "Give it a literal value.") from None
    if not members:
        raise reader.refuse(node, f"the enumeration {node.name} has no members", "Add one, such as RED = 1.")
    return EnumOf(node.name, tuple(members))


def _member_value(
    reader: Reader, bases: set[str | None], name: str, value: ast.expr, members: list[tuple[str, object]]
) -> object:
    known = [number for _, number in members if type(number) is int]
    if isinstance(value, ast.Call) and reader.origin(value.func) == "enum.auto" and not value.args:
        if "enum.StrEnum" in bases:
            return name.lower()
        if len(known) == len(members):
            number = max(known, default=0) + 1
            return str(number) if "builtins.str" in bases else number
    return reader.literal(value)
