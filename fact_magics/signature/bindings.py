"""The names that the top level of a tool's source binds, found by `ast`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BUILTINS = {"str", "int", "float", "bool", "bytes", "object", "list", "dict", "tuple", "set", "frozenset"}


class Module:
    """The bindings of a module; if a name is bound several times, the last binding counts.

    Parameters
    ----------
    tree : ast.Module
        The parsed source.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.aliases: dict[str, ast.expr] = {}  # names bound to an expression, which may be a type
        self._imports: dict[str, str] = {}
        self._kinds = (self.classes, self.functions, self.aliases, self._imports)
        for statement in _top_level(tree.body):
            self._bind(statement)

    def binds(self, name: str) -> bool:
        """Whether the source itself binds the name."""
        return any(name in kind for kind in self._kinds)

    @property
    def type_names(self) -> list[str]:
        """The names that may be types, to suggest one for a misspelt name."""
        return [*self._imports, *self.classes, *self.aliases, *_BUILTINS]

    def origin(self, name: str) -> str | None:
        """Resolve a name to where it comes from: ``dt.date`` to ``datetime.date``; None where unknown."""
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
