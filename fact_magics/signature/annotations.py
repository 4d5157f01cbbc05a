"""Read a tool's annotations with `ast` as types of the vocabulary; no code of the tool is evaluated."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fact_magics.errors import did_you_mean
from fact_magics.signature.bounds import add_field
from fact_magics.signature.classes import EnumOf, LiteralOf
from fact_magics.signature.declarations import read_class
from fact_magics.signature.libraries import LIBRARY_NAMES, LibraryOf
from fact_magics.signature.pictures import PICTURE_NAMES, PictureOf
from fact_magics.signature.reader import TYPING, Annotation, Reader, typing_names
from fact_magics.signature.vocabulary import ALLOWED, ANY, NONE, Container, Scalar, Type, union
from fact_magics.values import ToolEnum
from fact_magics.values.literals import dotted_name, read_literal, source_of

if TYPE_CHECKING:
    from fact_magics.errors import SignatureError

_MAX_DEPTH = 20
_MAX_PARTS = 2_000

_SCALARS: dict[str, Type] = {
    **{f"builtins.{name}": Scalar(name) for name in ("str", "int", "float", "bool", "bytes")},
    **{f"datetime.{name}": Scalar(name) for name in ("date", "datetime", "time", "timedelta")},
    "decimal.Decimal": Scalar("Decimal"),
    "uuid.UUID": Scalar("UUID"),
    "pathlib.Path": Scalar("Path"),
    "pathlib.PurePath": Scalar("Path"),
    "types.NoneType": NONE,
    "builtins.object": ANY,
    **dict.fromkeys(typing_names("Any"), ANY),
    **dict.fromkeys(typing_names("Text"), Scalar("str")),
    **{name: LibraryOf(kind) for name, kind in LIBRARY_NAMES.items()},
    **{name: PictureOf(kind) for name, kind in PICTURE_NAMES.items()},
}
_CONTAINERS = {
    f"{module}.{name}": kind
    for kind, names in {
        "list": "list List Sequence MutableSequence Iterable Collection Reversible",
        "dict": "dict Dict Mapping MutableMapping",
        "set": "set Set AbstractSet MutableSet",
        "frozenset": "frozenset FrozenSet",
        "tuple": "tuple Tuple",
    }.items()
    for name in names.split()
    for module in ("builtins", "collections.abc", *TYPING)
}
_STREAMS = {
    f"{module}.{name}"
    for module in ("collections.abc", *TYPING)
    for name in (
        "Iterator", "Generator", "AsyncIterator", "AsyncGenerator", "AsyncIterable", "Awaitable", "Coroutine",
    )
}  # fmt: skip
_UNSUPPORTED = {
    "complex", "bytearray", "memoryview", "range", "type", "slice", "callable", "Exception", "iter",
}  # fmt: skip
_DATA_LIBRARIES = {"pandas", "polars", "pyarrow", "numpy", "geopandas", "pandera"}
_DATA_ALIASES = {"pd", "pl", "pa", "np", "npt"}
_DATA_HINTS = {  # by the name of the type in lower case, without the number of its bits
    **dict.fromkeys(
        ("dataframe", "geodataframe", "lazyframe", "table", "recordbatch"),
        "Write pandas.DataFrame, polars.DataFrame or pyarrow.Table, or list[dict[str, Any]] for records.",
    ),
    **dict.fromkeys(
        ("series", "index", "ndarray", "arraylike", "array", "chunkedarray"),
        "Write pandas.Series, numpy.ndarray or polars.Series; or list[float], for its items.",
    ),
    **dict.fromkeys(("float", "floating"), "Write float."),
    **dict.fromkeys(("int", "uint", "integer"), "Write int."),
    **dict.fromkeys(("bool", "boolean"), "Write bool."),
    **dict.fromkeys(("str", "string"), "Write str."),
    **dict.fromkeys(("timestamp", "datetime"), "Write datetime.datetime."),
    **dict.fromkeys(("timedelta", "duration"), "Write datetime.timedelta."),
}


class AnnotationReader(Reader):
    """Reads the annotations of one tool, with the types, bounds and literals in them."""

    def __init__(self, source: str, tree: ast.Module) -> None:
        super().__init__(source, tree)
        self._open: list[str] = []  # aliases and classes that are being read, to find recursion
        self._read: dict[str, Type] = {}
        self._costs: dict[str, int] = {}
        self._cost = 0

    def annotation(self, node: ast.expr) -> Annotation:
        """Read a whole annotation; see `Reader.annotation`."""
        self._line = node.lineno
        return self._annotation(node, 0)

    def _annotation(self, node: ast.expr, depth: int) -> Annotation:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._annotation(self._quoted(node), depth + 1)
        if isinstance(node, ast.Subscript) and self.origin(node.value) in typing_names("Annotated"):
            return self._annotated(node, depth)
        return Annotation(self._type(node, depth))

    def _quoted(self, node: ast.Constant) -> ast.expr:
        try:
            inner = ast.parse(str(node.value).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self.refuse(node, f"the annotation {source_of(node)} is not a type", ALLOWED) from None
        for child in ast.walk(inner):
            if hasattr(child, "lineno"):
                child.lineno = node.lineno
        return inner

    def _annotated(self, node: ast.Subscript, depth: int) -> Annotation:
        parts = _parts(node.slice)
        read = self._annotation(parts[0], depth + 1)
        for extra in parts[1:]:
            read = add_field(self, extra, read) or read
        return read

    def literal(self, node: ast.expr) -> object:
        """Read a literal; see `Reader.literal`."""
        name = dotted_name(node)
        if name is not None and name.count(".") == 1:
            owner, member = name.split(".")
            if owner in self.classes:
                read = self._type(ast.copy_location(ast.Name(owner), node), 0)
                if isinstance(read, EnumOf) and member in dict(read.members):
                    return ToolEnum(owner, member)
        return read_literal(node, self.resolve)

    def _type(self, node: ast.expr, depth: int) -> Type:
        if depth > _MAX_DEPTH:
            raise self.refuse(node, "the annotation is nested too deeply", "Use Any inside it.")
        self._spend(node, 1)
        match node:
            case ast.Constant(None):
                return NONE
            case ast.Constant(str()):
                return self._annotation(node, depth).type
            case ast.BinOp(_, ast.BitOr(), _):
                return union(tuple(self._type(member, depth + 1) for member in _alternatives(node)))
            case ast.Name() | ast.Attribute():
                return self._named(node, depth)
            case ast.Subscript(value, arguments):
                return self._generic(node, value, _parts(arguments), depth)
        raise self.refuse(node, f"the annotation {source_of(node)} can't be validated", ALLOWED)

    def _named(self, node: ast.expr, depth: int) -> Type:
        name = dotted_name(node) or ""
        if name in self._read:
            self._spend(node, self._costs[name])
            return self._read[name]
        if name in self.classes or name in self.aliases:
            if name in self._open:
                raise self.refuse(node, f"the type {name} contains itself", "Use Any for its inner values.")
            self._open.append(name)
            before = self._cost
            try:
                self._read[name] = self._own(name, node, depth)
                self._costs[name] = self._cost - before
            finally:
                self._open.pop()
            return self._read[name]
        origin = self.resolve(name)
        if origin in _SCALARS:
            return _SCALARS[origin]
        if origin in _CONTAINERS:
            kind = _CONTAINERS[origin]
            return Container(kind, (ANY, ANY) if kind == "dict" else (ANY,), variadic=kind == "tuple")
        raise self._unknown(node, name, origin)

    def _spend(self, node: ast.AST, cost: int) -> None:
        # A schema expands every alias, so aliases of aliases can make the schema exponentially large.
        self._cost += cost
        if self._cost > _MAX_PARTS:
            raise self.refuse(node, "the types of the signature are too large", "Use Any inside them.")

    def _own(self, name: str, node: ast.expr, depth: int) -> Type:
        if name in self.classes:
            return read_class(self, self.classes[name])
        value = self.aliases[name]
        if isinstance(value, ast.Call) and self.origin(value.func) in typing_names("NewType"):
            value = value.args[1] if len(value.args) == 2 else value
        if not isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp | ast.Constant):
            raise self.refuse(node, f"{name} is not a type that can be read", ALLOWED)
        return self._annotation(value, depth + 1).type

    def _unknown(self, node: ast.expr, name: str, origin: str | None) -> SignatureError:
        if origin in _STREAMS:
            return self.refuse(node, f"{name} can't be a tool's result or input", "Use a list.")
        unbound = origin is None and not self.binds(name.partition(".")[0])
        if hint := _data_hint(origin or name, unbound):
            return self.refuse(node, f"the type {name} can't be validated", hint)
        if unbound and name not in _UNSUPPORTED:
            hint = did_you_mean(name, self.type_names) or "Import or define it in the tool's source."
            return self.refuse(node, f"the type {name} is not defined", hint)
        return self.refuse(node, f"the type {name} can't be validated", ALLOWED)

    def _generic(self, node: ast.Subscript, value: ast.expr, parts: list[ast.expr], depth: int) -> Type:
        origin = self.origin(value) or ""
        if origin in _CONTAINERS:
            return self._container(node, _CONTAINERS[origin], parts, depth)
        if origin in LIBRARY_NAMES:  # what is inside an array is not validated
            return LibraryOf(LIBRARY_NAMES[origin])
        module, _, name = origin.rpartition(".")
        if module in TYPING:
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
        variadic = kind == "tuple" and len(parts) == 2 and source_of(parts[1]) == "..."
        types = tuple(self._type(part, depth + 1) for part in (parts[:1] if variadic else parts))
        if kind == "tuple":
            return Container(kind, types, variadic)
        if len(types) != (2 if kind == "dict" else 1):
            raise self.refuse(node, f"{source_of(node)} has the wrong number of types", f"Write {kind}[...].")
        if kind != "list" and not types[0].hashable:
            problem = f"{types[0].text} can't be a {kind}'s {'key' if kind == 'dict' else 'item'}"
            raise self.refuse(node, problem, "Use a type that can be hashed.")
        return Container(kind, types)

    def _choices(self, node: ast.expr, parts: list[ast.expr], depth: int) -> Type:
        values: list[object] = []
        for part in parts:
            if isinstance(part, ast.Subscript | ast.Name):
                inner = self._type(part, depth + 1)
                if isinstance(inner, LiteralOf):
                    values.extend(inner.values)
                    continue
            value = self.required_literal(part)
            if type(value) not in (str, int, bool, bytes, type(None)):
                problem = f"{source_of(part)} can't be in a Literal"
                raise self.refuse(node, problem, "Use text, bytes, ints, bools or None.")
            values.append(value)
        return LiteralOf(tuple(values))


def _data_hint(name: str, unbound: bool) -> str | None:
    """Say what to write in place of a type of pandas, NumPy, polars or Arrow; None for any other type."""
    library, kind = name.partition(".")[0], name.rpartition(".")[2].lower()
    if unbound and kind in ("dataframe", "series", "ndarray"):
        return None  # it is only not imported
    if library in _DATA_LIBRARIES or (unbound and library in _DATA_ALIASES):
        return _DATA_HINTS.get(kind.rstrip("0123456789_"))
    return None


def _alternatives(node: ast.expr) -> list[ast.expr]:
    members: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        members.append(node.right)
        node = node.left
    return [node, *reversed(members)]


def _parts(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]
