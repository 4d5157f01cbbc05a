"""The source of a tool, and the facts that are read from its text; each fact is read once, on first use."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fact_magics.sandbox.boot import CONNECTOR
from fact_magics.signature.keeping import kept_between_calls
from fact_magics.signature.purity import may_use_sets, reaches_out, varies
from fact_magics.signature.reading import read_signature
from fact_magics.signature.varying import COMPUTING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fact_magics.signature.signature import Signature

CONNECTOR_NAMES = ("HTTPConnector", "HTTPError")
CONNECTOR_NEEDS = "aiohttp"


def packages_of(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Collect the top-level names of imported packages; the HTTP connector appears under its full name."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = {alias.name for alias in node.names}
            is_connector = node.module == CONNECTOR and names <= set(CONNECTOR_NAMES)
            found.add(CONNECTOR if is_connector else node.module.partition(".")[0])
    return frozenset(found)


@dataclass(frozen=True)
class ToolSource:
    """The source of a tool, which is never run here and is parsed at most once.

    If the text does not parse, the source has no imports and no functions, and `parsed` is the error.
    """

    text: str
    name: str  # of the function that is the tool

    @cached_property
    def parsed(self) -> ast.Module | Exception:
        """The syntax tree, or the error if the text does not parse."""
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return error.with_traceback(None)

    @property
    def tree(self) -> ast.Module | None:
        """The syntax tree; None if the text does not parse."""
        return self.parsed if isinstance(self.parsed, ast.Module) else None

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the syntax tree."""
        return tuple(ast.walk(self.tree)) if self.tree is not None else ()

    @property
    def defines_tool(self) -> bool:
        """Whether the module defines a function with the tool's name at its top level."""
        return self.tree is not None and any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == self.name
            for node in self.tree.body
        )

    @cached_property
    def signature(self) -> Signature:
        """The tool's signature; see `read_signature` for its errors."""
        return read_signature(self.text, self.name, self.tree)

    @cached_property
    def packages(self) -> frozenset[str]:
        """Top-level names of all imported packages; see `packages_of`."""
        return packages_of(self.nodes)

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """Imported packages outside the standard library, sorted; includes the connector's own dependency."""
        found = self.packages - sys.stdlib_module_names
        return tuple(sorted(found | {CONNECTOR_NEEDS} if CONNECTOR in found else found))

    @cached_property
    def varies(self) -> bool:
        """Whether the module reads the clock, randomness or anything else that may change between calls."""
        return varies(self.nodes)

    @cached_property
    def is_self_contained(self) -> bool:
        """Whether the module imports only modules that compute and can read nothing but its input."""
        return self.packages <= COMPUTING and not any(map(reaches_out, self.nodes))

    @cached_property
    def kept_between_calls(self) -> str:
        """What the module may keep from one call to the next; empty if nothing is found."""
        return kept_between_calls(self.tree, self.packages) if self.tree is not None else "it can't be read"

    @cached_property
    def is_deterministic(self) -> bool:
        """Whether the source shows that answers depend on the input alone, not even on the hash seed."""
        return self.is_self_contained and not self.varies and not may_use_sets(self.nodes)
