"""A tool's module as one object: its text, and everything that is read from the text, each part once."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fact_magics.sandbox.boot import CONNECTOR
from fact_magics.signature.purity import is_self_contained, varies
from fact_magics.signature.reading import read_signature

if TYPE_CHECKING:
    from fact_magics.signature.signature import Signature

CONNECTOR_NAMES = ("HTTPConnector", "HTTPError")
CONNECTOR_NEEDS = "aiohttp"


@dataclass(frozen=True)
class ToolSource:
    """The source of a tool. Nothing of it is ever run here, and it is parsed at most once.

    A text that does not parse has no imports and no functions; `parsed` holds the error.

    Attributes
    ----------
    text : str
        The module.
    name : str
        The function that is the tool.
    """

    text: str
    name: str

    @cached_property
    def parsed(self) -> ast.Module | Exception:
        """The syntax tree, or the error where the text does not parse."""
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return error.with_traceback(None)

    @property
    def tree(self) -> ast.Module | None:
        """The syntax tree; None where the text does not parse."""
        return self.parsed if isinstance(self.parsed, ast.Module) else None

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the syntax tree."""
        return tuple(ast.walk(self.tree)) if self.tree is not None else ()

    @property
    def defines_tool(self) -> bool:
        """Whether a function with the tool's name stands at the top level."""
        return self.tree is not None and any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == self.name
            for node in self.tree.body
        )

    @cached_property
    def signature(self) -> Signature:
        """The tool's signature.

        Raises
        ------
        SignatureError
            There is no such function, or its signature can't be validated and described.
        """
        return read_signature(self.text, self.name, self.tree)

    @cached_property
    def packages(self) -> frozenset[str]:
        """Top-level names of all imported packages; the HTTP connector of this package by its whole name."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = {alias.name for alias in node.names}
                is_connector = node.module == CONNECTOR and names <= set(CONNECTOR_NAMES)
                found.add(CONNECTOR if is_connector else node.module.partition(".")[0])
        return frozenset(found)

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """Imported packages outside the standard library, sorted, with the one that the connector needs."""
        found = self.packages - sys.stdlib_module_names
        return tuple(sorted(found | {CONNECTOR_NEEDS} if CONNECTOR in found else found))

    @cached_property
    def varies(self) -> bool:
        """Whether it reads the clock, randomness or anything else that differs between equal calls."""
        return varies(self.nodes)

    @cached_property
    def is_self_contained(self) -> bool:
        """Whether it imports only modules that compute, and uses no builtin that reaches further."""
        return is_self_contained(self.nodes)
