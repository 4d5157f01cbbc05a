"""Base reader: resolve names, read literals, raise SignatureError with the line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import SignatureError
from fact_magics.signature.classes import Default
from fact_magics.text import one_line
from fact_magics.values.literals import LiteralError, dotted_name, source_of

if TYPE_CHECKING:
    import ast

    from fact_magics.signature.bindings import Module
    from fact_magics.signature.vocabulary import Type

TYPING = ("typing", "typing_extensions")


def typing_names(*names: str) -> frozenset[str]:
    """List where names of `typing` may come from."""
    return frozenset(f"{module}.{name}" for module in TYPING for name in names)


class Annotation(NamedTuple):
    """An annotation that was read: its type, and what its ``Annotated`` adds."""

    type: Type
    default: Default | None = None
    description: str = ""


class Reader(ABC):
    """Reads the source of one tool; what reads its bounds and its classes is given this reader.

    Parameters
    ----------
    module : Module
        The names that its source binds.
    source : str
        The source, for the lines that errors show.
    """

    def __init__(self, module: Module, source: str) -> None:
        self.module = module
        self._lines = source.splitlines()
        self._line = 0  # of the annotation that is being read: the code in a quoted annotation has no line

    @abstractmethod
    def annotation(self, node: ast.expr) -> Annotation:
        """Read a whole annotation, with what ``Annotated`` adds to it.

        Raises
        ------
        SignatureError
            The annotation uses a type outside the vocabulary.
        """

    @abstractmethod
    def literal(self, node: ast.expr) -> object:
        """Read a literal or a member of the tool's own enumerations; raises `LiteralError`."""

    def default(self, node: ast.expr) -> Default:
        """Read a default: with its value if it is a literal, otherwise only as text."""
        try:
            return Default(source_of(node), True, self.literal(node))
        except LiteralError:
            return Default(source_of(node), False)

    def required_literal(self, node: ast.expr) -> object:
        """Read what must be a literal; raises `SignatureError` if it is not."""
        try:
            return self.literal(node)
        except LiteralError as error:
            raise self.refuse(node, str(error), "Write a literal value.") from None

    def origin(self, node: ast.expr) -> str | None:
        """Resolve an expression that is a name to where the name comes from."""
        name = dotted_name(node)
        return None if name is None else self.module.origin(name)

    def refuse(self, node: ast.AST, problem: str, hint: str) -> SignatureError:
        """Build the error about the code at `node`."""
        line = getattr(node, "lineno", 0) or self._line
        shown = one_line(self._lines[line - 1], 120) if 0 < line <= len(self._lines) else ""
        return SignatureError(f"Line {line}: {problem}.", hint=hint, details=[shown] if shown else [])
