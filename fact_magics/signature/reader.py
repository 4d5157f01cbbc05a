"""The base of `AnnotationReader`: resolves names, reads literals, and builds errors with line numbers."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import SignatureError
from fact_magics.signature.classes import Default
from fact_magics.text import one_line
from fact_magics.values.literals import LiteralError, dotted_name, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fact_magics.signature.vocabulary import Type

TYPING = ("typing", "typing_extensions")
_BUILTINS = {"str", "int", "float", "bool", "bytes", "object", "list", "dict", "tuple", "set", "frozenset"}


def typing_names(*names: str) -> frozenset[str]:
    """List the full names of members of `typing`, in each module that provides them."""
    return frozenset(f"{module}.{name}" for module in TYPING for name in names)


class Annotation(NamedTuple):
    """The type of an annotation, with the default and description from ``Annotated``."""

    type: Type
    default: Default | None = None
    description: str = ""


class Reader(ABC):
    """Reads the source of one tool; the functions of `bounds` and `declarations` use it too.

    If the source binds a name several times, the last binding counts.
    """

    def __init__(self, source: str, tree: ast.Module) -> None:
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.aliases: dict[str, ast.expr] = {}  # names bound to an expression, which may be a type
        self._imports: dict[str, str] = {}
        self._kinds = (self.classes, self.functions, self.aliases, self._imports)
        self._lines = source.splitlines()
        self._line = 0  # the line of the current annotation, for nodes without a line
        for statement in _top_level(tree.body):
            self._bind(statement)

    @abstractmethod
    def annotation(self, node: ast.expr) -> Annotation:
        """Read a whole annotation, including its ``Annotated``.

        Raises
        ------
        SignatureError
            The annotation uses a type outside the vocabulary.
        """

    @abstractmethod
    def literal(self, node: ast.expr) -> object:
        """Read a literal or a member of the tool's own enumerations; raises `LiteralError`."""

    def default(self, node: ast.expr) -> Default:
        """Read a default, with its value if the default is a literal."""
        try:
            return Default(source_of(node), True, self.literal(node))
        except LiteralError:
            return Default(source_of(node), False)

    def required_literal(self, node: ast.expr) -> object:
        """Read a literal; raises `SignatureError` for any other expression."""
        try:
            return self.literal(node)
        except LiteralError as error:
            raise self.refuse(node, str(error), "Write a literal value.") from None

    def origin(self, node: ast.expr) -> str | None:
        """Resolve an expression to its full name, as `resolve` does; None if it is not a known name."""
        name = dotted_name(node)
        return None if name is None else self.resolve(name)

    def refuse(self, node: ast.AST, problem: str, hint: str) -> SignatureError:
        """Build an error about the code at `node`."""
        line = getattr(node, "lineno", 0) or self._line
        shown = one_line(self._lines[line - 1], 120) if 0 < line <= len(self._lines) else ""
        return SignatureError(f"Line {line}: {problem}.", hint=hint, details=[shown] if shown else [])

    def binds(self, name: str) -> bool:
        """Whether the source itself binds the name."""
        return any(name in kind for kind in self._kinds)

    @property
    def type_names(self) -> list[str]:
        """Names that may be types, as suggestions for a misspelt name."""
        return [*self._imports, *self.classes, *self.aliases, *_BUILTINS]

    def resolve(self, name: str) -> str | None:
        """Resolve a name to its full name: ``dt.date`` to ``datetime.date``; None if unknown."""
        first, dot, rest = name.partition(".")
        if first in self._imports:
            return f"{self._imports[first]}{dot}{rest}"
        if dot or self.binds(first) or first not in _BUILTINS:
            return None
        return f"builtins.{first}"

    def _bind(self, statement: ast.stmt | ast.ExceptHandler) -> None:
        match statement:
            case ast.Import(names):
                for item in names:
                    top = item.name.partition(".")[0]
                    name = self._free(item.asname or top)
                    self._imports[name] = item.name if item.asname else top
            case ast.ImportFrom(module, names):
                for item in names:
                    self._imports[self._free(item.asname or item.name)] = f"{module or ''}.{item.name}"
            case ast.ClassDef(name):
                self.classes[self._free(name)] = statement
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                self.functions[self._free(name)] = statement
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                self.aliases[self._free(name)] = value
            case _ if type(statement).__name__ == "TypeAlias":  # `type X = ...`, since Python 3.12
                self.aliases[self._free(statement.name.id)] = statement.value  # type: ignore[union-attr]

    def _free(self, name: str) -> str:
        for kind in self._kinds:
            kind.pop(name, None)
        return name


def _top_level(body: Sequence[ast.stmt | ast.ExceptHandler]) -> Iterator[ast.stmt | ast.ExceptHandler]:
    for statement in body:
        match statement:
            case ast.If() | ast.Try() | ast.With():
                for block in ("body", "handlers", "orelse", "finalbody"):
                    yield from _top_level(getattr(statement, block, ()))
            case ast.ExceptHandler(_, _, handled):
                yield from _top_level(handled)
            case _:
                yield statement
