"""Make rivals of a tool: sources that differ in one small place, like mistakes that people make."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST = 300
_SHOWN = 60
_FEW_ITEMS = 12

# How likely each mistake is; the likeliest are tried first.
_BOUNDARY, _OFF_BY_ONE, _CALLED, _OPERATOR, _CONDITION, _EMPTY, _REMOVED, _EXCEPTION = range(8)

_COMPARISONS: dict[type[ast.AST], tuple[tuple[int, type[ast.AST]], ...]] = {
    ast.Lt: ((_BOUNDARY, ast.LtE), (_OPERATOR, ast.Gt), (_CONDITION, ast.GtE)),
    ast.LtE: ((_BOUNDARY, ast.Lt), (_OPERATOR, ast.GtE), (_CONDITION, ast.Gt)),
    ast.Gt: ((_BOUNDARY, ast.GtE), (_OPERATOR, ast.Lt), (_CONDITION, ast.LtE)),
    ast.GtE: ((_BOUNDARY, ast.Gt), (_OPERATOR, ast.LtE), (_CONDITION, ast.Lt)),
    ast.Eq: ((_OPERATOR, ast.NotEq), (_CONDITION, ast.LtE), (_CONDITION, ast.GtE)),
    ast.NotEq: ((_OPERATOR, ast.Eq), (_CONDITION, ast.Lt), (_CONDITION, ast.Gt)),
    ast.In: ((_OPERATOR, ast.NotIn),),
    ast.NotIn: ((_OPERATOR, ast.In),),
    ast.Is: ((_OPERATOR, ast.IsNot),),
    ast.IsNot: ((_OPERATOR, ast.Is),),
}
_OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div, ast.Pow),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.FloorDiv: (ast.Div, ast.Mod, ast.Mult),
    ast.Mod: (ast.FloorDiv, ast.Mult),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd, ast.BitXor),
    ast.BitXor: (ast.BitOr, ast.BitAnd),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
_DROPPED_METHODS = frozenset(
    [
        "strip", "lstrip", "rstrip", "lower", "upper", "casefold", "title", "capitalize", "swapcase",
        "removeprefix", "removesuffix", "zfill", "ljust", "rjust", "center", "replace", "expandtabs",
        "copy", "normalize", "quantize",
    ]
)  # fmt: skip
_DROPPED_FUNCTIONS = frozenset({"sorted", "abs", "round", "reversed", "list", "set", "int", "float", "str"})
_SWAPPED_NAMES = {
    name: other
    for pair in (
        "min max", "any all", "startswith endswith", "lstrip rstrip", "find rfind", "index rindex",
        "upper lower", "floor ceil", "split rsplit", "partition rpartition", "removeprefix removesuffix",
        "isdigit isalnum", "isupper islower", "append extend", "add discard",
        "keys values", "union intersection", "weekday isoweekday", "search match", "ljust rjust",
    )
    for name, other in (pair.split(), pair.split()[::-1])
}  # fmt: skip
_SWAPPED_NAMES |= {
    "isalpha": "isalnum",
    "strip": "rstrip",
    "capitalize": "title",
    "title": "capitalize",
    "fullmatch": "match",
}
_NOT_ALONE = ast.Slice | ast.Starred  # can't stand in parentheses
_EXCEPTIONS = {"ValueError": "TypeError", "KeyError": "ValueError", "IndexError": "ValueError"}


@dataclass(frozen=True, slots=True)
class Rival:
    """A source that differs from a tool's in one place: `before`, on `line`, became `after`."""

    line: int
    before: str
    after: str
    source: str


class _Slot(NamedTuple):
    """A place in a syntax tree: a field of a node, or an item of a field that is a list."""

    parent: ast.AST
    field: str
    at: int | None
    owner: ast.AST  # the expression or statement whose text is written again if the place changes
    shown: ast.AST  # the expression or statement that is shown to a person

    @property
    def node(self) -> ast.AST:
        held = getattr(self.parent, self.field)
        node: ast.AST = held if self.at is None else held[self.at]
        return node

    def put(self, node: ast.AST) -> None:
        if self.at is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.at] = node


def rivals_of(source: str) -> tuple[Rival, ...]:
    """Make the sources that differ from `source` in one small place, the most likely mistakes first.

    Docstrings, annotations, imports, decorators and the messages of exceptions stay as they are.
    """
    tree = ast.parse(source)
    lines = [line.encode("utf-8", "surrogatepass") for line in source.splitlines(keepends=True)]
    found: list[tuple[int, int, Rival]] = []
    seen = {source}
    for place, slot in enumerate(_slots(tree)):
        old = slot.node
        before = _shown(slot.shown)
        for weight, new in _changes(old, slot):
            slot.put(new)
            owner = new if slot.owner is old else slot.owner
            changed = _spliced(lines, old if slot.owner is old else owner, owner)
            after = _shown(new if slot.shown is old else slot.shown)
            slot.put(old)
            if changed not in seen:
                seen.add(changed)
                line = getattr(slot.owner, "lineno", 1)
                found.append((weight, place, Rival(line, before, after, changed)))
    found.sort(key=lambda one: one[:2])
    return tuple(rival for *_, rival in found[:_MOST])


def _shown(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        node = node.test
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _spliced(lines: list[bytes], place: ast.AST, written: ast.AST) -> str:
    """Write a node in place of the text of another one."""
    text: str = ast.unparse(written)
    if isinstance(written, ast.expr):
        text = f"({text})"
    first, last = place.lineno - 1, place.end_lineno - 1  # type: ignore[attr-defined]
    start, end = place.col_offset, place.end_col_offset  # type: ignore[attr-defined]
    before = b"".join(lines[:first]) + lines[first][:start]
    after = lines[last][end:] + b"".join(lines[last + 1 :])
    padding = "\n" * (last - first - text.count("\n")) if isinstance(written, ast.expr) else ""
    text = f"{text[:-1]}{padding})" if padding else text  # the lines below keep their numbers
    whole: bytes = before + text.encode("utf-8", "surrogatepass") + after
    return whole.decode("utf-8", "surrogatepass")


def _slots(tree: ast.Module) -> Iterator[_Slot]:
    """Yield each place that may change, in the order of the source."""
    for index, statement in enumerate(tree.body):
        yield from _inside(_Slot(tree, "body", index, statement, statement), is_text=False)


def _inside(slot: _Slot, *, is_text: bool) -> Iterator[_Slot]:
    node = slot.node
    if isinstance(node, ast.Import | ast.ImportFrom | ast.TypeIgnore) or _says(node):
        return
    yield slot
    owner, shown = slot.owner, slot.shown
    is_text = is_text or isinstance(node, ast.JoinedStr)
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params", "msg", "cause", "ctx"):
            continue
        if isinstance(node, ast.Raise) and isinstance(value, ast.Call):
            yield _Slot(value, "func", None, value.func, value.func)  # its arguments are a message
            continue
        held: list[tuple[int | None, object]] = [(None, value)]
        if isinstance(value, list):
            held = [*enumerate(value)]
        for index, child in held:
            if not isinstance(child, ast.AST):
                continue
            own, seen = owner, shown
            is_code = isinstance(child, ast.expr | ast.stmt) and not isinstance(
                child, ast.Slice | ast.Starred
            )
            if is_code and not is_text and hasattr(child, "lineno"):
                own = child
            if isinstance(child, ast.stmt) or (isinstance(child, ast.expr) and _is_worth(child, node, shown)):
                seen = child
            yield from _inside(_Slot(node, field, index, own, seen), is_text=is_text)


def _is_worth(child: ast.expr, parent: ast.AST, shown: ast.AST) -> bool:
    """Tell whether an expression alone is easier to read than with the code around it."""
    if isinstance(parent, ast.stmt):
        return not isinstance(child, ast.Constant) or not isinstance(parent, ast.Assign | ast.Return)
    return not isinstance(shown, ast.expr) or len(ast.unparse(shown)) > _SHOWN


def _says(node: ast.AST) -> bool:
    """Tell whether a statement is a docstring, or prints something."""
    match node:
        case ast.Expr(ast.Constant() | ast.Call(ast.Name("print"))):
            return True
    return False


def _changes(node: ast.AST, slot: _Slot) -> Iterator[tuple[int, ast.AST]]:  # noqa: C901 - one case a kind of node
    """Yield the nodes that may replace the one in a place, each with its weight."""
    for weight, comparison in _COMPARISONS.get(type(node), ()):
        yield weight, comparison()
    for number, instead in enumerate(_OPERATORS.get(type(node), ())):
        yield _OPERATOR + 2 * bool(number), instead()
    match node:
        case ast.Constant():
            yield from _constants(node, slot)
        case ast.Call():
            yield from _calls(node)
        case ast.Slice():
            yield from _slices(node)
        case ast.Name() | ast.Attribute():
            yield from _names(node, slot)
        case ast.UnaryOp() | ast.BoolOp() | ast.BinOp() | ast.IfExp():
            yield from _operands(node)
        case ast.List(elts) | ast.Tuple(elts) | ast.Set(elts):
            if 1 < len(elts) <= _FEW_ITEMS and isinstance(elts[0], ast.Constant):
                for items in (elts[:-1], elts[1:]):
                    shorter = copy.copy(node)
                    shorter.elts = items
                    yield _EMPTY, shorter
        case ast.comprehension(ifs=[_, *_]):
            yield _REMOVED, ast.comprehension(node.target, node.iter, [], node.is_async)
        case ast.Break() | ast.Continue():
            yield _REMOVED, ast.Pass()
            yield _CONDITION, ast.Continue() if isinstance(node, ast.Break) else ast.Break()
        case ast.AugAssign() | ast.Expr(ast.Call()):
            yield _REMOVED, ast.Pass()
    if slot.field == "test" or (slot.field == "ifs" and isinstance(node, ast.expr)):
        yield from _conditions(node, is_loop=isinstance(slot.parent, ast.While))


def _operands(node: ast.AST) -> Iterator[tuple[int, ast.AST]]:
    match node:
        case ast.UnaryOp(ast.Not() | ast.USub() | ast.Invert(), operand):
            yield _CONDITION, operand
        case ast.BoolOp(_, [first, second]):
            yield _REMOVED, first
            yield _REMOVED, second
        case ast.BoolOp(joined, values):
            for left_out in values:
                yield _REMOVED, ast.BoolOp(joined, [value for value in values if value is not left_out])
        case ast.IfExp(test, first, second):
            yield _CONDITION, ast.IfExp(test, second, first)
            yield _REMOVED, first
            yield _REMOVED, second
        case ast.BinOp(left, operator, right):
            if not isinstance(operator, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr | ast.BitXor):
                yield _CALLED, ast.BinOp(right, operator, left)
            yield _REMOVED, left
            yield _REMOVED, right


def _names(node: ast.Name | ast.Attribute, slot: _Slot) -> Iterator[tuple[int, ast.AST]]:
    name = node.id if isinstance(node, ast.Name) else node.attr
    weight, other = _CALLED, _SWAPPED_NAMES.get(name) if slot.field == "func" else None
    if isinstance(slot.parent, ast.Raise | ast.ExceptHandler) or (other is None and slot.field == "func"):
        weight, other = _EXCEPTION, _EXCEPTIONS.get(name)
    if other is not None and isinstance(node, ast.Name):
        yield weight, ast.Name(other, node.ctx)
    elif other is not None and isinstance(node, ast.Attribute):
        yield weight, ast.Attribute(node.value, other, node.ctx)


def _conditions(test: ast.AST, *, is_loop: bool) -> Iterator[tuple[int, ast.AST]]:
    if isinstance(test, ast.expr) and not isinstance(test, ast.Compare):
        yield _CONDITION, ast.UnaryOp(ast.Not(), test)
    yield _REMOVED, ast.Constant(False)
    if not is_loop:
        yield _REMOVED, ast.Constant(True)


def _constants(node: ast.Constant, slot: _Slot) -> Iterator[tuple[int, ast.AST]]:
    value = node.value
    if isinstance(slot.parent, ast.FormattedValue | ast.MatchValue):
        return
    if isinstance(value, bool):
        yield _OPERATOR, ast.Constant(not value)
    elif isinstance(value, int | float):
        yield _OFF_BY_ONE, _number(value + 1)
        yield _OFF_BY_ONE, _number(value - 1)
        if value not in (-1, 0, 1):
            yield _EMPTY, ast.Constant(type(value)(0))
    elif isinstance(value, str | bytes):
        yield _EMPTY, ast.Constant(value[:0] if value else (b"x" if isinstance(value, bytes) else "x"))
        if 1 < len(value) <= 2 * _FEW_ITEMS and isinstance(slot.parent, ast.Compare):  # perhaps an alphabet
            yield _EMPTY, ast.Constant(value[:-1])
            yield _EMPTY, ast.Constant(value[1:])


def _number(value: float) -> ast.expr:
    if value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def _calls(node: ast.Call) -> Iterator[tuple[int, ast.AST]]:
    def called(arguments: Iterable[ast.expr], keywords: Iterable[ast.keyword]) -> ast.Call:
        return ast.Call(node.func, list(arguments), list(keywords))

    args, keywords = node.args, node.keywords
    match node.func:
        case ast.Attribute(receiver, name) if name in _DROPPED_METHODS:
            yield _CALLED, receiver
        case ast.Name(name) if name in _DROPPED_FUNCTIONS and args:
            yield _CALLED, args[0]
        case ast.Name("range") if args:
            last = 1 if len(args) > 1 else 0
            for operator in (ast.Add(), ast.Sub()):
                if not isinstance(args[last], ast.Constant):
                    changed = ast.BinOp(args[last], operator, ast.Constant(1))
                    yield _OFF_BY_ONE, called([*args[:last], changed, *args[last + 1 :]], keywords)
            if len(args) == 1:
                yield _OFF_BY_ONE, called([ast.Constant(1), *args], keywords)
    if len(args) == 2 and not any(isinstance(argument, ast.Starred) for argument in args):
        yield _CALLED, called(reversed(args), keywords)
    if len(args) > 1:
        yield _REMOVED, called(args[:-1], keywords)
    for left_out in keywords:
        yield _REMOVED, called(args, [keyword for keyword in keywords if keyword is not left_out])


def _slices(node: ast.Slice) -> Iterator[tuple[int, ast.AST]]:
    for field in ("lower", "upper"):
        bound = getattr(node, field)
        if bound is None:
            continue
        if not isinstance(bound, ast.Constant):
            for operator in (ast.Add(), ast.Sub()):
                changed = copy.copy(node)
                setattr(changed, field, ast.BinOp(bound, operator, ast.Constant(1)))
                yield _OFF_BY_ONE, changed
        changed = copy.copy(node)
        setattr(changed, field, None)
        yield _REMOVED, changed
    if node.step is not None:
        yield _REMOVED, ast.Slice(node.lower, node.upper, None)
