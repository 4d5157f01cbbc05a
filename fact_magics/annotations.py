"""A tool's annotations, read by `ast` into the closed vocabulary; no code of the tool is evaluated."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import SignatureError, did_you_mean
from fact_magics.literals import LiteralError, dotted_name, read_literal, source_of
from fact_magics.values import ToolEnum
from fact_magics.vocabulary import (
    ANY,
    NONE,
    Bounded,
    Default,
    DictOf,
    EnumOf,
    ListOf,
    LiteralOf,
    Scalar,
    SetOf,
    TupleOf,
    Type,
    UnionOf,
    union,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_DEPTH = 20
_TYPING = ("typing", "typing_extensions")

ALLOWED = (
    "Use str, int, float, bool, None, bytes, list, dict, tuple, set, Literal, unions, Annotated, date, datetime, "
    "time, timedelta, Decimal, UUID, Path, Any, or an Enum, dataclass, TypedDict or NamedTuple of the tool's own."
)

_SCALARS: dict[str, Type] = {
    "builtins.str": Scalar("str"),
    "builtins.int": Scalar("int"),
    "builtins.float": Scalar("float"),
    "builtins.bool": Scalar("bool"),
    "builtins.bytes": Scalar("bytes"),
    "builtins.object": ANY,
    "datetime.date": Scalar("date"),
    "datetime.datetime": Scalar("datetime"),
    "datetime.time": Scalar("time"),
    "datetime.timedelta": Scalar("timedelta"),
    "decimal.Decimal": Scalar("Decimal"),
    "uuid.UUID": Scalar("UUID"),
    "pathlib.Path": Scalar("Path"),
    "pathlib.PurePath": Scalar("Path"),
    "types.NoneType": NONE,
    **{f"{module}.Any": ANY for module in _TYPING},
    **{f"{module}.Text": Scalar("str") for module in _TYPING},
}


def _containers() -> dict[str, str]:
    """Map each container's origin to the builtin that it is taken as."""
    kinds = {
        "list": ("List", "Sequence", "MutableSequence", "Iterable", "Collection", "Reversible"),
        "dict": ("Dict", "Mapping", "MutableMapping"),
        "set": ("Set", "AbstractSet", "MutableSet"),
        "frozenset": ("FrozenSet",),
        "tuple": ("Tuple",),
    }
    origins = {}
    for kind, names in kinds.items():
        origins[f"builtins.{kind}"] = kind
        for name in names:
            origins.update({f"{module}.{name}": kind for module in (*_TYPING, "collections.abc")})
    return origins


_CONTAINERS = _containers()
_STREAMS = {
    f"{module}.{name}"
    for module in (*_TYPING, "collections.abc")
    for name in (
        "Iterator",
        "Generator",
        "AsyncIterator",
        "AsyncGenerator",
        "AsyncIterable",
        "Awaitable",
        "Coroutine",
    )
}
_BUILTINS = {"str", "int", "float", "bool", "bytes", "object", "list", "dict", "tuple", "set", "frozenset"}
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
    """What ``Field(...)`` says: bounds, a default (None: none; its value Ellipsis: required), a description."""

    bounds: tuple[tuple[str, object], ...] = ()
    default: Default | None = None
    description: str = ""


class Annotation(NamedTuple):
    """An annotation that was read: its type, and what its ``Annotated`` adds."""

    type: Type
    default: Default | None = None
    description: str = ""


class Module:
    """What the names at the top of a tool's source are bound to.

    Parameters
    ----------
    tree : ast.Module
        The parsed source.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.imports: dict[str, str] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.aliases: dict[str, ast.expr] = {}
        self._kinds: tuple[dict[str, object], ...] = (
            self.imports,
            self.classes,
            self.functions,
            self.aliases,
        )  # type: ignore[assignment]
        for statement in _top_level(tree.body):
            self._bind(statement)

    def _bind(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Import(names):
                for item in names:
                    top = item.name.partition(".")[0]
                    self._set(self.imports, item.asname or top, item.name if item.asname else top)
            case ast.ImportFrom(module, names):
                for item in names:
                    self._set(self.imports, item.asname or item.name, f"{module or ''}.{item.name}")
            case ast.ClassDef():
                self._set(self.classes, statement.name, statement)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._set(self.functions, statement.name, statement)
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                self._set(self.aliases, name, value)
            case _ if (
                type(statement).__name__ == "TypeAlias"
            ):  # `type X = ...`, a statement since Python 3.12
                self._set(self.aliases, statement.name.id, statement.value)  # type: ignore[attr-defined]

    def _set(self, kind: dict[str, object] | dict[str, str], name: str, value: object) -> None:  # type: ignore[type-arg]
        for other in self._kinds:
            other.pop(name, None)
        kind[name] = value  # type: ignore[assignment]

    def origin(self, name: str) -> str | None:
        """Resolve a name as written to where it comes from: ``dt.date`` to ``datetime.date``; None: unknown."""
        first, dot, rest = name.partition(".")
        if first in self.imports:
            return f"{self.imports[first]}{dot}{rest}"
        if any(first in kind for kind in self._kinds) or dot:
            return None
        return f"builtins.{first}" if first in _BUILTINS else None


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        match statement:
            case ast.If() | ast.Try() | ast.With():
                for block in ("body", "orelse", "finalbody"):
                    yield from _top_level(getattr(statement, block, ()))
                for handler in getattr(statement, "handlers", ()):
                    yield from _top_level(handler.body)
            case _:
                yield statement


class Reader:
    """Reads the annotations and defaults of one tool.

    Parameters
    ----------
    module : Module
        What the names in its source mean.
    source : str
        The source, for the lines that errors show.
    """

    def __init__(self, module: Module, source: str) -> None:
        self.module = module
        self._lines = source.splitlines()
        self._open: list[str] = []  # aliases and classes being read: a second visit is recursion
        self._read: dict[str, Type] = {}
        self._line = 0

    def refuse(self, node: ast.AST, problem: str, hint: str) -> SignatureError:
        """Build the error for what stands at `node`."""
        line = getattr(node, "lineno", 0) or self._line
        shown = self._lines[line - 1].strip()[:120] if 0 < line <= len(self._lines) else ""
        return SignatureError(f"Line {line}: {problem}.", hint=hint, details=[shown] if shown else [])

    def annotation(self, node: ast.expr) -> Annotation:
        """Read a whole annotation, with what ``Annotated`` adds to it.

        Raises
        ------
        SignatureError
            For what is outside the vocabulary.
        """
        self._line = node.lineno
        return self._annotation(node, 0)

    def _annotation(self, node: ast.expr, depth: int) -> Annotation:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._annotation(self._quoted(node), depth + 1)
        if isinstance(node, ast.Subscript) and self._origin(node.value) in {
            f"{m}.Annotated" for m in _TYPING
        }:
            return self._annotated(node, depth)
        return Annotation(self._type(node, depth))

    def _quoted(self, node: ast.Constant) -> ast.expr:
        try:
            inner = ast.parse(str(node.value).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self.refuse(node, f"the annotation {source_of(node)} is no type", ALLOWED) from None
        for child in ast.walk(inner):
            if hasattr(child, "lineno"):
                child.lineno = node.lineno
        return inner

    def _annotated(self, node: ast.Subscript, depth: int) -> Annotation:
        parts = _parts(node.slice)
        read = self._annotation(parts[0], depth + 1)
        for extra in parts[1:]:
            bounds = self.bounds(extra)
            if bounds is not None:
                read = self.apply(extra, read, bounds)
        return read

    def apply(self, node: ast.expr, annotation: Annotation, bounds: Bounds) -> Annotation:
        """Add to an annotation what a ``Field(...)`` says."""
        type_ = annotation.type
        for name, value in bounds.bounds:
            bounded = _bound(type_, name, value)
            if bounded is None:
                raise self.refuse(
                    node, f"{name}={value!r} does not fit the type {type_.text}", "Remove it or mend it."
                )
            type_ = bounded
        return Annotation(
            type_, bounds.default or annotation.default, bounds.description or annotation.description
        )

    def bounds(self, node: ast.expr) -> Bounds | None:
        """Read ``Field(...)`` or a bound of annotated_types; None for metadata that says nothing here."""
        if not isinstance(node, ast.Call):
            return None
        origin = self._origin(node.func) or ""
        names = _BOUND_CALLS.get(origin.rpartition(".")[2])
        if origin.startswith("annotated_types.") and names is not None:
            given = dict(zip(names, node.args, strict=False))
            given.update({k.arg: k.value for k in node.keywords if k.arg in names})
            return Bounds(tuple((name, self._literal(value)) for name, value in given.items()))
        if origin in {"pydantic.Field", "pydantic.fields.Field"}:
            return self._field(node)
        return None

    def _field(self, node: ast.Call) -> Bounds:
        given: dict[str, ast.expr] = {"default": node.args[0]} if node.args else {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.refuse(node, "Field(**...) can't be read", "Write its arguments out.")
            given[keyword.arg] = keyword.value
        found: list[tuple[str, object]] = []
        default: Default | None = None
        description = ""
        for name, value in given.items():
            if name in _BOUND_NAMES:
                found.append((_BOUND_NAMES[name], self._literal(value)))
            elif name == "description":
                description = str(self._literal(value))
            elif name == "default":
                default = self._field_default(value)
            elif name == "default_factory":
                default = self._factory(value)
            elif name not in _UNREAD:
                raise self.refuse(
                    value, f"Field({name}=...) can't be validated", "Check it in the tool's body instead."
                )
        return Bounds(tuple(found), default, description)

    def _field_default(self, node: ast.expr) -> Default:
        if isinstance(node, ast.Constant) and node.value is Ellipsis:
            return Default("...", True, Ellipsis)
        return Default(
            source_of(node), True, self._literal(node)
        )  # Python itself would pass the Field object

    def _factory(self, node: ast.expr) -> Default:
        origin = self._origin(node)
        empty: dict[str | None, object] = {"builtins.list": [], "builtins.dict": {}, "builtins.set": set()}
        if origin not in empty:
            raise self.refuse(
                node, f"the default factory {source_of(node)} can't be read", "Give a literal default."
            )
        return Default(f"{source_of(node)}()", True, empty[origin])

    def default(self, node: ast.expr) -> Default:
        """Read a default: a literal's value, else its text alone."""
        try:
            return Default(source_of(node), True, self.literal(node))
        except LiteralError:
            return Default(source_of(node), False)

    def literal(self, node: ast.expr) -> object:
        """Read a literal, a member of the tool's own enumerations among them; raises `LiteralError`."""
        name = dotted_name(node)
        if name is not None and name.count(".") == 1:
            owner, member = name.split(".")
            if owner in self.module.classes:
                read = self._type(ast.copy_location(ast.Name(owner), node), 0)
                if isinstance(read, EnumOf) and member in dict(read.members):
                    return ToolEnum(owner, member)
        return read_literal(node, self._literal_origin)

    def _literal_origin(self, name: str) -> str | None:
        return self.module.origin(name)

    def _literal(self, node: ast.expr) -> object:
        try:
            return self.literal(node)
        except LiteralError as error:
            raise self.refuse(node, str(error), "Write a literal value.") from None

    def _origin(self, node: ast.expr) -> str | None:
        name = dotted_name(node)
        return None if name is None else self.module.origin(name)

    def _type(self, node: ast.expr, depth: int) -> Type:
        if depth > _MAX_DEPTH:
            raise self.refuse(node, "the annotation is nested too deep", "Use Any inside it.")
        match node:
            case ast.Constant(None):
                return NONE
            case ast.Constant(str()):
                return self._annotation(node, depth).type
            case ast.BinOp(left, ast.BitOr(), right):
                return union((self._type(left, depth + 1), self._type(right, depth + 1)))
            case ast.Name() | ast.Attribute():
                return self._named(node, depth)
            case ast.Subscript(value, arguments):
                return self._generic(node, value, _parts(arguments), depth)
        raise self.refuse(node, f"the annotation {source_of(node)} can't be validated", ALLOWED)

    def _named(self, node: ast.expr, depth: int) -> Type:
        name = dotted_name(node) or ""
        module = self.module
        if name in self._read:
            return self._read[name]
        if name in module.classes or name in module.aliases:
            if name in self._open:
                raise self.refuse(node, f"the type {name} contains itself", "Use Any for its inner values.")
            self._open.append(name)
            try:
                self._read[name] = self._own(name, node, depth)
            finally:
                self._open.pop()
            return self._read[name]
        origin = module.origin(name)
        if origin in _SCALARS:
            return _SCALARS[origin]
        if origin in _CONTAINERS:
            return _container(_CONTAINERS[origin], [])
        raise self._unknown(node, name, origin)

    def _own(self, name: str, node: ast.expr, depth: int) -> Type:
        from fact_magics.declarations import read_class  # noqa: PLC0415 - the two read each other's types

        if name in self.module.classes:
            return read_class(self, self.module.classes[name])
        value = self.module.aliases[name]
        if isinstance(value, ast.Call) and self._origin(value.func) in {f"{m}.NewType" for m in _TYPING}:
            value = value.args[1] if len(value.args) == 2 else value
        if not isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp | ast.Constant):
            raise self.refuse(node, f"{name} is no type that can be read", ALLOWED)
        return self._annotation(value, depth + 1).type

    def _unknown(self, node: ast.expr, name: str, origin: str | None) -> SignatureError:
        if origin in _STREAMS:
            return self.refuse(node, f"{name} can't leave a tool", "Return a list.")
        if origin is None and name.partition(".")[0] not in self.module.functions:
            known = [*self.module.imports, *self.module.classes, *self.module.aliases, *_BUILTINS]
            hint = did_you_mean(name, known) or "Import or define it in the tool's source."
            if name not in _UNSUPPORTED:
                return self.refuse(node, f"the type {name} is not defined", hint)
        return self.refuse(node, f"the type {name} can't be validated", ALLOWED)

    def _generic(self, node: ast.Subscript, value: ast.expr, parts: list[ast.expr], depth: int) -> Type:
        origin = self._origin(value) or ""
        if origin in _CONTAINERS:
            return self._container(node, _CONTAINERS[origin], parts, depth)
        module, _, name = origin.rpartition(".")
        if module in _TYPING:
            match name:
                case "Optional" if len(parts) == 1:
                    return union((self._type(parts[0], depth + 1), NONE))
                case "Union":
                    return union(tuple(self._type(part, depth + 1) for part in parts))
                case "Literal":
                    return self._choices(node, parts, depth)
                case "Annotated":
                    return self._annotated(node, depth).type
                case "Final" | "Required" | "NotRequired" | "ReadOnly" if len(parts) == 1:
                    return self._type(parts[0], depth + 1)
        raise self._unknown(value, dotted_name(value) or source_of(value), origin or None)

    def _container(self, node: ast.Subscript, kind: str, parts: list[ast.expr], depth: int) -> Type:
        ellipsis = [isinstance(part, ast.Constant) and part.value is Ellipsis for part in parts]
        if kind == "tuple":
            if len(parts) == 2 and ellipsis[1]:
                return TupleOf((self._type(parts[0], depth + 1),), True)
            return TupleOf(tuple(self._type(part, depth + 1) for part in parts), False)
        if len(parts) != (2 if kind == "dict" else 1):
            raise self.refuse(node, f"{source_of(node)} has the wrong number of types", f"Write {kind}[...].")
        types = [self._type(part, depth + 1) for part in parts]
        hashed = types[0] if kind != "list" else NONE
        if not hashable(hashed):
            role = "key" if kind == "dict" else "item"
            raise self.refuse(
                node, f"{hashed.text} can't be a {kind}'s {role}", "Use a type that can be hashed."
            )
        return _container(kind, types)

    def _choices(self, node: ast.expr, parts: list[ast.expr], depth: int) -> Type:
        values: list[object] = []
        for part in parts:
            if isinstance(part, ast.Subscript | ast.Name):
                inner = self._type(part, depth + 1)
                if isinstance(inner, LiteralOf):
                    values.extend(inner.values)
                    continue
            value = self._literal(part)
            if type(value) not in (str, int, bool, bytes, type(None)):
                raise self.refuse(
                    node, f"{source_of(part)} can't be in a Literal", "Use text, numbers or bools."
                )
            values.append(value)
        return LiteralOf(tuple(values))


_UNSUPPORTED = {
    "complex",
    "bytearray",
    "memoryview",
    "range",
    "type",
    "slice",
    "callable",
    "Exception",
    "iter",
}


def _parts(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _container(kind: str, types: list[Type]) -> Type:
    if kind == "dict":
        return DictOf(*types) if types else DictOf(ANY, ANY)
    item = types[0] if types else ANY
    if kind == "list":
        return ListOf(item)
    if kind == "tuple":
        return TupleOf((item,), True)
    return SetOf(item, frozen=kind == "frozenset")


def hashable(type_: Type) -> bool:
    """Whether values of the type can be keys of a dict and items of a set."""
    match type_:
        case ListOf() | DictOf() | SetOf(frozen=False):
            return False
        case TupleOf(items) | UnionOf(items):
            return all(map(hashable, items))
        case SetOf(item, _):
            return hashable(item)
        case Bounded(base, _):
            return hashable(base)
    return True


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
