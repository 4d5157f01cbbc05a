"""Measure how complex a source is, from its syntax tree alone."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A longer source counts as complex without being parsed, because a database may hold any text.
_LONGEST_SOURCE = 200_000
_HALF = 10
_DECISIONS = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.Assert,
    ast.match_case,
)


def complexity(source: str) -> float:
    """Measure the complexity of a source, from 0 to 1.

    The measure is McCabe's cyclomatic complexity M of the whole module: one, and one more for each decision.
    A decision is an ``if``, ``for``, ``while``, ``except``, ``assert`` or ``case``, a conditional expression,
    a loop or a condition of a comprehension, and each ``and`` or ``or``. The score is M / (M + 10). McCabe
    advises against more than 10, which is the score 0.5; code without a decision has 0.09.

    Returns
    -------
    float
        Rounded to four digits. 0 if the source does not parse, 1 if it is longer than 200,000 characters.
    """
    if len(source) > _LONGEST_SOURCE:
        return 1.0
    try:
        return complexity_of(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0.0


def complexity_of(nodes: Iterable[ast.AST]) -> float:
    """Measure the complexity of a module from all nodes of its syntax tree, as `complexity` does."""
    paths = 1 + sum(map(_decisions, nodes))
    return round(paths / (paths + _HALF), 4)


def _decisions(node: ast.AST) -> int:
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return int(isinstance(node, _DECISIONS))
