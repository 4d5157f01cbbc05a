"""What reading a tool's source means to each of its parts: names, literals, refusals with their line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import SignatureError
from fact_magics.signature.vocabulary import Default, Type
from fact_magics.text import one_line
from fact_magics.values.literals import LiteralError, dotted_name, source_of

if TYPE_CHECKING:
    import ast

    from fact_magics.signature.bindings import Module


class Annotation(NamedTuple):
    """An annotation that was read: its type, and what its ``Annotated`` adds."""

    type: Type
    default: Default | None = None
    description: str = ""


class Reader(ABC):
    """Reads one tool. Bounds and classes hold literals and annotations, which a reader of them all reads.

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
        self._line = 0  # where the annotation begins that is being read: what stands in quotes has no line

    @abstractmethod
    def annotation(self, node: ast.expr) -> Annotation:
        """Read a whole annotation, with what ``Annotated`` adds to it.

        Raises
        ------
        SignatureError
            For what is outside the vocabulary.
        """

    @abstractmethod
    def literal(self, node: ast.expr) -> object:
        """Read a literal, a member of the tool's own enumerations among them; raises `LiteralError`."""

    def default(self, node: ast.expr) -> Default:
        """Read a default: a literal's value, else its text alone."""
        try:
            return Default(source_of(node), True, self.literal(node))
        except LiteralError:
            return Default(source_of(node), False)

    def required_literal(self, node: ast.expr) -> object:
        """Read a literal where nothing else will do; raises `SignatureError`."""
        try:
            return self.literal(node)
        except LiteralError as error:
            raise self.refuse(node, str(error), "Write a literal value.") from None

    def origin(self, node: ast.expr) -> str | None:
        """Resolve the name that an expression is to where it comes from."""
        name = dotted_name(node)
        return None if name is None else self.module.origin(name)

    def refuse(self, node: ast.AST, problem: str, hint: str) -> SignatureError:
        """Build the error for what stands at `node`."""
        line = getattr(node, "lineno", 0) or self._line
        shown = one_line(self._lines[line - 1], 120) if 0 < line <= len(self._lines) else ""
        return SignatureError(f"Line {line}: {problem}.", hint=hint, details=[shown] if shown else [])
