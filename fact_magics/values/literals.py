"""Literal values read from syntax trees: a closed set, and nothing is ever evaluated."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_DEPTH = 100
_SHOWN = 60

SPELLINGS = (
    "text, bytes, numbers, True, False, None, lists, tuples, sets, dicts, date(...), datetime(...), "
    'time(...), timedelta(...), Decimal("..."), float("nan"), UUID("...") and Path("...")'
)
"""What counts as a literal, for messages."""


class LiteralError(ValueError):
    """An expression outside the closed set.

    Parameters
    ----------
    node : ast.expr
        The culprit.
    problem : str
        What is wrong with it, if it is of a literal's form; by default, that it isn't.
    """

    def __init__(self, node: ast.expr, problem: str = "") -> None:
        self.node = node
        source = source_of(node)
        super().__init__(f"{source}: {problem}" if problem else f"{source} is no literal")


def source_of(node: ast.AST, limit: int = _SHOWN) -> str:
    """Write an expression on one line, cut to `limit` characters."""
    try:
        text = " ".join(ast.unparse(node).split())
    except (RecursionError, ValueError):  # ValueError: an int too long to print
        return f"<{type(node).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}…"


def dotted_name(node: ast.expr) -> str | None:
    """Return ``a.b.c`` for such an expression, else None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def well_known(name: str) -> str | None:
    """Find what a name means where nothing is imported: ``date`` and ``datetime.date`` alike."""
    bare = _BARE.get(name)
    if bare is not None:
        return bare
    return name if name in _CALLS or name in _NAMES else None


def read_literal(node: ast.expr, resolve: Callable[[str], str | None] = well_known) -> Any:
    """Read a literal.

    Parameters
    ----------
    node : ast.expr
        The expression.
    resolve : callable
        From a name as it is written (``dt.date``) to its origin (``datetime.date``), or None.

    Raises
    ------
    LiteralError
        For anything else, and for a literal without a value, such as ``date(2024, 13, 1)``.
    """
    return _Reader(resolve).read(node, 0)


class _Reader:
    def __init__(self, resolve: Callable[[str], str | None]) -> None:
        self._resolve = resolve

    def read(self, node: ast.expr, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise LiteralError(node, "nested too deep")
        match node:
            case ast.Constant(value):
                if value is Ellipsis or isinstance(value, complex):
                    raise LiteralError(node)
                return value
            case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, operand):
                return self._signed(node, sign, self.read(operand, depth + 1))
            case ast.List(items):
                return self._items(items, depth)
            case ast.Tuple(items):
                return tuple(self._items(items, depth))
            case ast.Set(items):
                return self._hashed(node, lambda: set(self._items(items, depth)))
            case ast.Dict(keys, values):
                return self._dict(node, keys, values, depth)
            case ast.Call(function, arguments, keywords):
                return self._call(node, function, arguments, keywords, depth)
            case ast.Name() | ast.Attribute():
                origin = self._origin(node)
                if origin in _NAMES:
                    return _NAMES[origin]
        raise LiteralError(node)

    def _origin(self, node: ast.expr) -> str | None:
        name = dotted_name(node)
        return None if name is None else self._resolve(name)

    def _signed(self, node: ast.expr, sign: ast.unaryop, value: object) -> object:
        if type(value) is int or type(value) is float:
            return -value if isinstance(sign, ast.USub) else value
        raise LiteralError(node)

    def _items(self, nodes: list[ast.expr], depth: int) -> list[Any]:
        return [self.read(node, depth + 1) for node in nodes]

    def _hashed(self, node: ast.expr, build: Callable[[], Any]) -> Any:
        try:
            return build()
        except TypeError:
            raise LiteralError(node, "an item or key that can't be hashed") from None

    def _dict(
        self, node: ast.expr, keys: list[ast.expr | None], values: list[ast.expr], depth: int
    ) -> dict[Any, Any]:
        pairs = []
        for key, value in zip(keys, values, strict=True):
            if key is None:
                raise LiteralError(node)
            pairs.append((self.read(key, depth + 1), self.read(value, depth + 1)))
        read: dict[Any, Any] = self._hashed(node, lambda: dict(pairs))
        return read

    def _call(
        self,
        node: ast.expr,
        function: ast.expr,
        arguments: list[ast.expr],
        keywords: list[ast.keyword],
        depth: int,
    ) -> Any:
        build = _CALLS.get(self._origin(function) or "")
        if build is None or any(keyword.arg is None for keyword in keywords):
            raise LiteralError(node)
        args = self._items(arguments, depth)
        kwargs = {str(keyword.arg): self.read(keyword.value, depth + 1) for keyword in keywords}
        try:
            return build(*args, **kwargs)
        except (TypeError, ValueError, ArithmeticError) as error:
            reason = str(error) if not isinstance(error, ArithmeticError) else "no such value"
            raise LiteralError(node, reason) from None


def _from_text(kind: Callable[[str], Any]) -> Callable[..., Any]:
    def build(text: object) -> Any:
        if not isinstance(text, str):
            raise TypeError("write its text in quotes")
        return kind(text)

    return build


def _decimal(value: object = "0") -> Decimal:
    if type(value) not in (str, int):
        raise TypeError("write its text in quotes")
    return Decimal(value)  # type: ignore[arg-type]


def _collection(kind: type) -> Callable[..., Any]:
    def build(items: object = ()) -> Any:
        if not isinstance(items, list | tuple | set | frozenset | dict):
            raise TypeError("write its items in brackets")
        return kind(items)

    return build


_CALLS: dict[str, Callable[..., Any]] = {
    "builtins.float": _from_text(float),
    "builtins.set": _collection(set),
    "builtins.frozenset": _collection(frozenset),
    "builtins.list": _collection(list),
    "builtins.tuple": _collection(tuple),
    "builtins.dict": _collection(dict),
    "datetime.date": date,
    "datetime.date.fromisoformat": _from_text(date.fromisoformat),
    "datetime.datetime": datetime,
    "datetime.datetime.fromisoformat": _from_text(datetime.fromisoformat),
    "datetime.time": time,
    "datetime.time.fromisoformat": _from_text(time.fromisoformat),
    "datetime.timedelta": timedelta,
    "datetime.timezone": timezone,
    "decimal.Decimal": _decimal,
    "uuid.UUID": _from_text(UUID),
    "pathlib.Path": _from_text(Path),
    "pathlib.PurePath": _from_text(Path),
    "pathlib.PosixPath": _from_text(Path),
}
_NAMES: dict[str, object] = {"datetime.timezone.utc": UTC, "datetime.UTC": UTC}
_BARE = {
    **{origin.rpartition(".")[2]: origin for origin in _CALLS if origin.count(".") == 1},
    "PosixPath": "pathlib.PosixPath",
    "date.fromisoformat": "datetime.date.fromisoformat",
    "datetime.fromisoformat": "datetime.datetime.fromisoformat",
    "time.fromisoformat": "datetime.time.fromisoformat",
    "timezone.utc": "datetime.timezone.utc",
    "UTC": "datetime.UTC",
}
