"""Read literals, such as ``[1, date(2024, 1, 2)]``, from syntax trees without evaluating them."""

from __future__ import annotations

import ast
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_MAX_DEPTH = 100
_SHOWN = 60

SPELLINGS = (
    "text, bytes, numbers, True, False, None, lists, tuples, sets, dicts, date(...), datetime(...), "
    'time(...), timedelta(...), Decimal("..."), float("nan"), UUID("...") and Path("...")'
)
"""The literals that can be read, for messages."""


class LiteralError(ValueError):
    """An expression can't be read as a literal.

    If the expression looks like a literal, `problem` says why it has no value; otherwise it is empty.
    """

    def __init__(self, node: ast.expr, problem: str = "") -> None:
        self.node = node
        source = source_of(node)
        super().__init__(f"{source}: {problem}" if problem else f"{source} is not a literal")


def source_of(node: ast.AST, limit: int = _SHOWN) -> str:
    """Write an expression on one line, shortened to `limit` characters."""
    try:
        text = " ".join(ast.unparse(node).split())
    except (RecursionError, ValueError):  # ValueError: an int too long to print
        return f"<{type(node).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}…"


def dotted_name(node: ast.expr) -> str | None:
    """Return the dotted name that an expression consists of, such as ``a.b.c``, or None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def well_known(name: str) -> str | None:
    """Resolve a name without imports: ``date`` and ``datetime.date`` both give ``datetime.date``."""
    return _BARE.get(name, name if name in _CALLS or name in _NAMES else None)


def read_literal(
    node: ast.expr,
    resolve: Callable[[str], str | None] = well_known,
    more: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
) -> Any:
    """Read a literal; `resolve` maps a name (``dt.date``) to its full name (``datetime.date``), or to None.

    `more` adds calls that are literals, by full name; in them, ``dtype=`` may be the name of a type.

    Raises
    ------
    LiteralError
        The expression is not a literal, or has no value, such as ``date(2024, 13, 1)``.
    """
    return _read(node, resolve, {**_CALLS, **more}, 0)


def _read(
    node: ast.expr, resolve: Callable[[str], str | None], calls: Mapping[str, Callable[..., Any]], depth: int
) -> Any:
    if depth > _MAX_DEPTH:
        raise LiteralError(node, "nested too deeply")

    def read_all(nodes: Iterable[ast.expr]) -> Iterator[Any]:
        return (_read(inner, resolve, calls, depth + 1) for inner in nodes)

    def origin(name_node: ast.expr) -> str:
        name = dotted_name(name_node)
        return (name and resolve(name)) or ""

    match node:
        case ast.Constant(value) if value is not Ellipsis and not isinstance(value, complex):
            return value
        case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, operand):
            (value,) = read_all([operand])
            if type(value) is int or type(value) is float:
                return -value if isinstance(sign, ast.USub) else value
        case ast.List(items) | ast.Tuple(items) | ast.Set(items):
            return _built(node, _DISPLAYS[type(node)], [[*read_all(items)]])
        case ast.Dict(keys, values) if None not in keys:
            named = cast(list[ast.expr], keys)
            return _built(node, dict, [[*zip(read_all(named), read_all(values), strict=True)]])
        case ast.Call(function, arguments, keywords):
            build = calls.get(origin(function))
            if build is not None and all(keyword.arg for keyword in keywords):
                kwargs = {
                    str(keyword.arg): (keyword.arg == "dtype" and _type_name(keyword.value))
                    or next(read_all([keyword.value]))
                    for keyword in keywords
                }
                return _built(node, build, [*read_all(arguments)], kwargs)
        case ast.Name() | ast.Attribute() if (name := origin(node)) in _NAMES:
            return _NAMES[name]
    raise LiteralError(node)


def _type_name(node: ast.expr) -> str | None:
    name = dotted_name(node)
    return name and name.rpartition(".")[2]


_DISPLAYS: dict[type, type] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}


def _built(
    node: ast.expr, build: Callable[..., Any], args: list[Any], kwargs: dict[str, Any] | None = None
) -> Any:
    try:
        return build(*args, **(kwargs or {}))
    except ArithmeticError:
        raise LiteralError(node, "no such value exists") from None
    except (TypeError, ValueError) as error:
        raise LiteralError(node, str(error)) from None


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
    **{f"builtins.{kind.__name__}": _collection(kind) for kind in (set, frozenset, list, tuple, dict)},
    **{f"datetime.{kind.__name__}": kind for kind in (date, datetime, time, timedelta, timezone)},
    "datetime.date.fromisoformat": _from_text(date.fromisoformat),
    "datetime.datetime.fromisoformat": _from_text(datetime.fromisoformat),
    "datetime.time.fromisoformat": _from_text(time.fromisoformat),
    "decimal.Decimal": _decimal,
    "uuid.UUID": _from_text(UUID),
    **{f"pathlib.{name}": _from_text(Path) for name in ("Path", "PurePath", "PosixPath")},
}
_NAMES: dict[str, object] = {"datetime.timezone.utc": UTC, "datetime.UTC": UTC, "numpy.nan": math.nan}
_BARE = {origin.partition(".")[2]: origin for origin in (*_CALLS, *_NAMES) if origin[:5] != "numpy"}


def spell(value: object) -> str | None:
    """Write a value as a literal that `read_literal` reads back, or return None if it has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        items = [spell(item) for item in cast("Iterable[object]", value)]
        if None in items:
            return None
        inner = ", ".join(sorted(map(str, items)) if kind in (set, frozenset) else map(str, items))
        if kind is list:
            return f"[{inner}]"
        if kind is tuple:
            return f"({inner},)" if len(items) == 1 else f"({inner})"
        if kind is frozenset:
            return f"frozenset({{{inner}}})" if items else "frozenset()"
        return f"{{{inner}}}" if items else "set()"
    if kind is dict:
        pairs = [(spell(key), spell(item)) for key, item in cast("dict[object, object]", value).items()]
        return None if None in chain(*pairs) else f"{{{', '.join(f'{key}: {item}' for key, item in pairs)}}}"
    if isinstance(value, Path):
        return f"Path({str(value)!r})"
    if kind in _SPELLED:
        try:
            return repr(value).replace("datetime.", "") if kind.__module__ == "datetime" else repr(value)
        except ValueError:  # an int with more digits than Python writes
            return None
    return None


_SPELLED = {str, bytes, bool, int, float, type(None), date, datetime, time, timedelta, Decimal, UUID}
