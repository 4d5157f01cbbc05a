"""Classes that a tool defines for its signature: enumerations, dataclasses, TypedDicts, NamedTuples."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Literal

from fact_magics.signature.vocabulary import ALLOWED, ClassField, Default, EnumOf, ObjectOf, Type
from fact_magics.values.literals import LiteralError, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fact_magics.signature.reader import Reader

_TYPING = ("typing", "typing_extensions")
_ENUMS = {"enum.Enum", "enum.IntEnum", "enum.StrEnum"}
_MIXINS = {"builtins.str", "builtins.int", "builtins.float"}
_TYPED_DICT = {f"{module}.TypedDict" for module in _TYPING}
_NAMED_TUPLE = {f"{module}.NamedTuple" for module in _TYPING}
_DATACLASS = "dataclasses.dataclass"


def read_class(reader: Reader, node: ast.ClassDef) -> Type:
    """Read a class of the tool as a type.

    Raises
    ------
    SignatureError
        For a class of another kind, or one whose fields or members can't be read.
    """
    bases = [reader.origin(base) for base in node.bases]
    if any(base in _ENUMS for base in bases):
        return _enum(reader, node, bases)
    if _decoration(reader, node) is not None:
        return ObjectOf(node.name, "dataclass", tuple(_inherited(reader, node, "dataclass")))
    if any(base in _NAMED_TUPLE for base in bases):
        return ObjectOf(node.name, "NamedTuple", tuple(_fields(reader, node, "NamedTuple")))
    if _is_typed_dict(reader, node):
        return ObjectOf(node.name, "TypedDict", tuple(_inherited(reader, node, "TypedDict")))
    raise reader.refuse(node, f"the class {node.name} can't be validated", ALLOWED)


def _decoration(reader: Reader, node: ast.ClassDef) -> ast.expr | None:
    for decorator in node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if reader.origin(function) == _DATACLASS:
            return decorator
    return None


def _own_bases(reader: Reader, node: ast.ClassDef) -> list[ast.ClassDef]:
    classes = reader.module.classes
    return [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]


def _is_typed_dict(reader: Reader, node: ast.ClassDef) -> bool:
    seen, waiting = set(), [node]
    while waiting:
        cls = waiting.pop()
        if cls.name in seen:
            continue
        seen.add(cls.name)
        if any(reader.origin(base) in _TYPED_DICT for base in cls.bases):
            return True
        waiting.extend(_own_bases(reader, cls))
    return False


def _option(call: ast.ClassDef | ast.expr | None, name: str, default: bool) -> bool:
    """Read a True or False keyword of a class statement or a decorator."""
    for keyword in getattr(call, "keywords", ()):
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return bool(keyword.value.value)
    return default


def _inherited(
    reader: Reader, node: ast.ClassDef, kind: Literal["dataclass", "TypedDict"], seen: tuple[str, ...] = ()
) -> list[ClassField]:
    if node.name in seen:
        raise reader.refuse(node, f"the class {node.name} inherits from itself", "Remove the base.")
    fields: dict[str, ClassField] = {}
    for base in reversed(node.bases):
        if reader.origin(base) in _TYPED_DICT or reader.origin(base) == "builtins.object":
            continue
        if not (isinstance(base, ast.Name) and base.id in reader.module.classes):
            problem = f"the class {node.name} has a base that can't be read, {source_of(base)}"
            raise reader.refuse(node, problem, "Write its fields out.")
        parent = reader.module.classes[base.id]
        fields.update({f.name: f for f in _inherited(reader, parent, kind, (*seen, node.name))})
    if kind == "dataclass":
        _check_dataclass(reader, node)
    fields.update({field.name: field for field in _fields(reader, node, kind)})
    return list(fields.values())


def _check_dataclass(reader: Reader, node: ast.ClassDef) -> None:
    written = any(
        isinstance(item, ast.FunctionDef) and item.name in ("__init__", "__new__") for item in node.body
    )
    if written or not _option(_decoration(reader, node), "init", True):
        problem = f"the dataclass {node.name} has a constructor of its own"
        raise reader.refuse(node, problem, "Leave the constructor to dataclass.")


def _fields(
    reader: Reader, node: ast.ClassDef, kind: Literal["dataclass", "TypedDict", "NamedTuple"]
) -> Iterator[ClassField]:
    total = _option(node, "total", True)
    for item in node.body:
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        wrapper = _wrapper(reader, item.annotation)
        if wrapper == "ClassVar":
            continue
        if wrapper == "InitVar":
            raise reader.refuse(item, f"{node.name}.{item.target.id} is an InitVar", "Make it a field.")
        if wrapper == "KW_ONLY":
            continue
        annotation = reader.annotation(item.annotation)
        default, init = _field_default(reader, item.value)
        default = default or annotation.default
        required = default is None
        if kind == "TypedDict":
            required = {"Required": True, "NotRequired": False}.get(wrapper, total)
        yield ClassField(item.target.id, annotation.type, required, default, init)


def _wrapper(reader: Reader, annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        head = annotation.value.partition("[")[0].strip()
        origin = reader.module.origin(head)
    else:
        head_node = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        origin = reader.origin(head_node)
    module, _, name = (origin or "").rpartition(".")
    return name if module in (*_TYPING, "dataclasses") else ""


def _field_default(reader: Reader, node: ast.expr | None) -> tuple[Default | None, bool]:
    if node is None:
        return None, True
    if isinstance(node, ast.Call) and reader.origin(node.func) == "dataclasses.field":
        init = _option(node, "init", True)
        for keyword in node.keywords:
            if keyword.arg == "default":
                return reader.default(keyword.value), init
            if keyword.arg == "default_factory":
                return Default(f"{source_of(keyword.value)}()", False), init
        return None, init
    return reader.default(node), True


def _enum(reader: Reader, node: ast.ClassDef, bases: list[str | None]) -> EnumOf:
    others = [base for base in bases if base not in _ENUMS and base not in _MIXINS]
    methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    if others or methods & {"__new__", "__init__", "_generate_next_value_", "_missing_"}:
        problem = f"the enumeration {node.name} makes its values itself"
        raise reader.refuse(node, problem, "Give its members literal values.")
    text = "enum.StrEnum" in bases or "builtins.str" in bases
    members: list[tuple[str, object]] = []
    for item in node.body:
        match item:
            case ast.Assign([ast.Name(name)], value) if not name.startswith("_"):
                members.append((name, _member_value(reader, node, name, value, members, text=text)))
    if not members:
        raise reader.refuse(node, f"the enumeration {node.name} has no members", "Give it some.")
    return EnumOf(node.name, tuple(members))


def _member_value(
    reader: Reader,
    node: ast.ClassDef,
    name: str,
    value: ast.expr,
    members: list[tuple[str, object]],
    *,
    text: bool,
) -> object:
    if isinstance(value, ast.Call) and reader.origin(value.func) == "enum.auto" and not value.args:
        if text and any(reader.origin(base) == "enum.StrEnum" for base in node.bases):
            return name.lower()
        if all(type(known) is int for _, known in members):
            number = max((known for _, known in members if isinstance(known, int)), default=0) + 1
            return str(number) if text else number
    try:
        return reader.literal(value)
    except LiteralError:
        raise reader.refuse(
            value, f"{node.name}.{name} has a value that can't be read", "Give it a literal value."
        ) from None
