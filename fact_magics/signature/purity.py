"""Tell from a module's syntax tree whether its answers depend only on its input."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fact_magics.signature import varying
from fact_magics.values.literals import dotted_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)
_REACHING = frozenset(
    {"open", "eval", "exec", "compile", "__import__", "globals", "vars", "__builtins__", "input"}
)


def reaches_out(node: ast.AST) -> bool:
    """Tell whether a node uses a builtin, attribute or relative import that can read more than the input."""
    if isinstance(node, ast.Attribute):
        return node.attr.startswith("__")
    if isinstance(node, ast.ImportFrom):
        return node.level > 0
    return isinstance(node, ast.Name) and node.id in _REACHING


def may_use_sets(nodes: Sequence[ast.AST]) -> bool:
    """Tell whether an order in a module's answers may depend on how Python hashes text.

    Sets order their items by hash. The views of a dict's keys and items become sets under set operators.
    """
    has_views = any(isinstance(node, ast.Attribute) and node.attr in ("keys", "items") for node in nodes)
    return any(
        isinstance(node, ast.Set | ast.SetComp)
        or any("set" in name.lower() or name in varying.MAKING_SETS for name in _words(node))
        or (has_views and isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, _SET_OPERATORS))
        for node in nodes
    )


def _words(node: ast.AST) -> Iterator[str]:
    """Yield the names and the text of a node, without those of its children."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
            yield name
        case ast.alias(name, given):
            yield from (name, given or "")


def varies(nodes: Sequence[ast.AST]) -> bool:
    """Tell whether a module reads the clock, randomness or anything else that differs between equal calls."""
    return _Module(nodes).varies


@dataclass(frozen=True)
class _Module:
    """The nodes of a module, and facts about all of them, which are needed to judge a single node."""

    nodes: Sequence[ast.AST]

    @cached_property
    def varies(self) -> bool:
        """Whether any node reads something that differs between equal calls."""
        return any(map(self._node_varies, self.nodes))

    @cached_property
    def _original(self) -> dict[str, str]:
        return _aliases(self.nodes)

    @cached_property
    def _builtin(self) -> frozenset[str]:
        return varying.BUILTINS - {name for node in self.nodes for name in bound_names(node)}

    @cached_property
    def _packages(self) -> frozenset[str]:
        return frozenset(name.partition(".")[0] for name in _imported(self.nodes))

    @cached_property
    def _uses_libraries(self) -> bool:
        return not self._packages <= sys.stdlib_module_names

    @cached_property
    def _defined(self) -> frozenset[str]:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return frozenset(node.name for node in self.nodes if isinstance(node, kinds))

    @cached_property
    def _plain_text(self) -> frozenset[int]:
        """The ids of docstrings and of other constants that are statements of their own."""
        return frozenset(id(node.value) for node in self.nodes if isinstance(node, ast.Expr))

    @cached_property
    def _from_arguments(self) -> frozenset[int]:
        """The ids of the nodes that name a function in a call whose arguments alone decide the result."""
        found: set[int] = set()
        for node in self.nodes:
            if isinstance(node, ast.Call) and self._depends_on_arguments(node):
                function = node.func
                found |= (
                    {id(function), id(function.value)}
                    if isinstance(function, ast.Attribute)
                    else {id(function)}
                )
        return frozenset(found)

    @cached_property
    def _seeded(self) -> frozenset[str]:
        """The names of variables that are assigned generators with a seed."""
        return frozenset(
            target.id
            for node in self.nodes
            if isinstance(node, ast.Assign) and self._is_seeded(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        )

    @cached_property
    def _after_seed(self) -> frozenset[int]:
        """The ids of the nodes that name functions of a module after the same function has seeded it.

        In threads, the order of the calls would vary.
        """
        if not self._packages.isdisjoint(varying.CONCURRENT):
            return frozenset()
        return frozenset(
            id(part)
            for function in self.nodes
            if isinstance(function, ast.FunctionDef)
            for seeding in function.body
            if (seed := self._seed_in(seeding)) is not None
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute)
            and ast.dump(node.value) == ast.dump(seed.value)
            and (node is seed or node.attr not in varying.NOT_DECIDED_BY_SEED)
            and (node.lineno, node.col_offset) >= (seed.lineno, seed.col_offset)
            for part in (node, node.value)
        )

    def _seed_in(self, statement: ast.stmt) -> ast.Attribute | None:
        """Return the function's name in a statement such as ``random.seed(0)``, which seeds a module."""
        match statement:
            case ast.Expr(ast.Call(ast.Attribute(attr="seed") as seed) as call):
                if self._dotted(seed) == "random.seed" and self._given(call):
                    return seed
        return None

    @cached_property
    def _none_by_default(self) -> frozenset[str]:
        """The names of parameters whose default is None."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.arguments):
                places = [*node.posonlyargs, *node.args]
                pairs = [*zip(reversed(places), reversed(node.defaults), strict=False)]
                pairs += [
                    (one, value)
                    for one, value in zip(node.kwonlyargs, node.kw_defaults, strict=True)
                    if value
                ]
                found |= {one.arg for one, value in pairs if _is_constant(value, None)}
        return frozenset(found)

    @cached_property
    def _sources(self) -> dict[str, str]:
        """For each name that is imported from a module: the last part of the module, and the name in it."""
        return {
            alias.asname or alias.name: f"{(node.module or '').rpartition('.')[2]}.{alias.name}"
            for node in self.nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def _may_be_none(self, node: ast.expr) -> bool:
        return _is_constant(node, None) or (isinstance(node, ast.Name) and node.id in self._none_by_default)

    def _given(self, call: ast.Call) -> list[ast.expr]:
        """List the arguments of a call that can't be None, as far as the source shows."""
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        return [value for value in values if not self._may_be_none(value)]

    def _depends_on_arguments(self, call: ast.Call) -> bool:
        needed = varying.DEPENDING_ON_ARGUMENTS.get(self._dotted(call.func))
        return needed is not None and len(self._given(call)) >= needed

    def _is_seeded(self, node: ast.expr) -> bool:
        return (
            isinstance(node, ast.Call)
            and self._dotted(node.func) in varying.GENERATORS
            and bool(self._given(node))
        )

    def _dotted(self, function: ast.expr) -> str:
        if isinstance(function, ast.Attribute):
            return f"{_last_name(function.value, self._original)}.{function.attr}"
        return self._sources.get(function.id, "") if isinstance(function, ast.Name) else ""

    def _node_varies(self, node: ast.AST) -> bool:
        match node:
            case ast.Import(names):
                return any(f"{alias.name}.".startswith("numpy.random.") for alias in names)
            case ast.ImportFrom(module, names):
                return any(self._import_varies(module or "", alias) for alias in names)
            case ast.Attribute(value, name):
                if id(node) in self._from_arguments or id(node) in self._after_seed:
                    return False
                return _name_varies(_last_name(value, self._original), name)
            case ast.Call(function):
                return self._call_varies(node, _last_name(function, self._original))
            case ast.Constant(str(text)):
                return (
                    not self._packages.isdisjoint(varying.SQL_PACKAGES)
                    and id(node) not in self._plain_text
                    and varying.SQL.search(text) is not None
                )
        return isinstance(node, ast.Name) and node.id in self._builtin

    def _import_varies(self, module: str, alias: ast.alias) -> bool:
        if alias.name == "*":
            return module in varying.STARS or f"{module}.".startswith("numpy.random.")
        dotted = f"{module.rpartition('.')[2]}.{alias.name}"
        if dotted in varying.DEPENDING_ON_ARGUMENTS and dotted not in varying.STEADY_NAMES:
            return not self._only_called_with_arguments(alias.asname or alias.name)
        return f"{module}.".startswith("numpy.random.") or _name_varies(module, alias.name)

    def _only_called_with_arguments(self, name: str) -> bool:
        return all(
            id(node) in self._from_arguments
            for node in self.nodes
            if isinstance(node, ast.Name) and node.id == name
        )

    def _call_varies(self, node: ast.Call, called: str) -> bool:
        given = self._given(node)
        if called == "Random":
            return not given
        if called in varying.READING_NOW and any(
            isinstance(value, ast.Constant) and value.value in ("now", "today") for value in given
        ):
            return True
        return self._uses_libraries and self._library_varies(node, called)

    def _library_varies(self, node: ast.Call, called: str) -> bool:
        keywords = {one.arg: one.value for one in node.keywords}
        if called == "parse" and "dateutil" in self._packages:
            return "default" not in keywords  # it completes the text from the current date
        is_random = called in varying.UNSEEDED or called.startswith("random_")
        if called in varying.SPLITTERS:
            is_random = "shuffle" in keywords and not _is_constant(keywords["shuffle"], False)
        if not is_random or self._gets_seed(node, keywords):
            return False
        if isinstance(node.func, ast.Name):
            return node.func.id not in self._defined
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        is_seeded = self._is_seeded(receiver) or (
            isinstance(receiver, ast.Name) and receiver.id in self._seeded
        )
        return not is_seeded

    def _gets_seed(self, node: ast.Call, keywords: dict[str | None, ast.expr]) -> bool:
        if any(not self._may_be_none(value) for name, value in keywords.items() if name in varying.SEEDS):
            return True
        # The first argument of `shuffle` in polars is the seed.
        match node:
            case ast.Call(ast.Attribute(attr="shuffle"), [ast.Constant(int()), *_]):
                return True
        return False


def _imported(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _is_constant(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _name_varies(module: str, name: str) -> bool:
    last = module.rpartition(".")[2]
    dotted = f"{last}.{name}"
    if dotted in varying.STEADY_NAMES:
        return False
    return dotted in varying.CALLS or name in varying.NAMES or last in varying.MODULES


def _last_name(node: ast.expr, original: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return original.get(node.id, node.id)
    return node.attr if isinstance(node, ast.Attribute) else ""


def _aliases(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """Map each imported name, and each name assigned from an imported one, to its original name."""
    original: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                given = alias.asname or alias.name.partition(".")[0]
                original[given] = alias.name.rpartition(".")[2] if alias.asname else given
    assigned = {
        target.id: _last_name(node.value, original)
        for node in nodes
        if isinstance(node, ast.Assign) and (dotted_name(node.value) or "").partition(".")[0] in original
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return assigned | original


def bound_names(node: ast.AST) -> set[str]:
    """Collect the names that a definition, import, assignment or parameter binds; other nodes bind none."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return {node.id}
    return {node.arg} if isinstance(node, ast.arg) else set()
