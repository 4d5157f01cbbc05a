"""Limits, errors, and stand-ins for the tool's classes, which the other modules of this package share.

The sandbox's worker is sent this module and the others that `fact_magics.sandbox.boot.CODEC` names, and loads
them under another name. So these import only the standard library and, relatively, each other.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 200
"""How deep containers may be nested; json needs up to three levels of recursion for each."""

WORD = 1 << 63
"""Integers from ``-WORD`` to ``WORD - 1`` are written as JSON integers, others as ``$int`` objects."""

NONE = type(None)
TEXTUAL = frozenset({str, bool, NONE})
INTS = {int}
_FLOATS = {float}
_PATH_PARTS = 10


class WireError(ValueError):
    """Bytes that are not the canonical form of a value."""


class ValueTypeError(TypeError):
    """A value, or a part of it, has no canonical form.

    Parameters
    ----------
    problem : str
        The value that was found: ``a generator``.
    instead : str
        What to use in its place: ``a list``.

    Attributes
    ----------
    where : str
        The name of the whole value: ``result``, or a parameter's name.
    path : list of str
        The steps from the whole value to the part that was found: ``['["rows"]', '[3]']``.
    """

    def __init__(self, problem: str, instead: str = "plain data") -> None:
        super().__init__(problem)
        self.problem = problem
        self.instead = instead
        self.where = "result"
        self.path: list[str] = []

    def __str__(self) -> str:
        steps = self.path
        if len(steps) > _PATH_PARTS:
            steps = [*steps[: _PATH_PARTS // 2], "…", *steps[-_PATH_PARTS // 2 :]]
        advice = "leave the tool; return" if self.where == "result" else "enter a tool; pass"
        return f"{self.where}{''.join(steps)}: {self.problem} can't {advice} {self.instead}"


class ToolObject:
    """Stands for an instance of a tool's class, which exists only in the worker.

    The worker passes `fields` to the constructor as keyword arguments.
    """

    __slots__ = ("class_name", "fields")

    def __init__(self, class_name: str, fields: dict[str, object]) -> None:
        self.class_name = class_name
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        mine = (self.class_name, self.fields)
        return isinstance(other, ToolObject) and mine == (other.class_name, other.fields)

    def __hash__(self) -> int:
        return hash((self.class_name, tuple(self.fields)))

    def __repr__(self) -> str:
        return f"{self.class_name}({', '.join(f'{name}={value!r}' for name, value in self.fields.items())})"


class ToolEnum:
    """Stands for a member of a tool's enumeration, which exists only in the worker."""

    __slots__ = ("class_name", "member")

    def __init__(self, class_name: str, member: str) -> None:
        self.class_name = class_name
        self.member = member

    def __eq__(self, other: object) -> bool:
        mine = (self.class_name, self.member)
        return isinstance(other, ToolEnum) and mine == (other.class_name, other.member)

    def __hash__(self) -> int:
        return hash((self.class_name, self.member))

    def __repr__(self) -> str:
        return f"{self.class_name}.{self.member}"


class Table:
    """Stands for a table, Series or array of a library, so that handling it needs no library.

    `fact_magics.values.tables` makes it from the object of the library, and makes the object from it.

    Attributes
    ----------
    kind : str
        The class that it stands for: ``pandas.DataFrame``.
    head : object
        Plain data that describes the buffers, and contains small parts of the table, such as its labels.
    buffers : tuple of memoryview
        The data, contiguous, in the order of the description.
    about : dict
        A summary for people, with the hash of `head` and `buffers`. Empty in a tool's process.
    made : object
        The object, if it was made to check the description, for the first caller who needs it.
    """

    __slots__ = ("about", "buffers", "head", "kind", "made")

    def __init__(
        self, kind: str, head: object, buffers: tuple[memoryview, ...], about: dict[str, Any] | None = None
    ) -> None:
        self.kind = kind
        self.head = head
        self.buffers = buffers
        self.about = about or {}
        self.made: Any = None

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, Table):
            return self is other
        return bool(self.about) and (self.kind, self.about) == (other.kind, other.about)

    def __hash__(self) -> int:
        return hash((self.kind, self.about.get("sha256")))

    def __repr__(self) -> str:
        shape = " by ".join(f"{size:,}" for size in self.about.get("shape", ()))
        return f"<{self.kind}{f' of {shape}' if shape else ''}>"


def replaced(value: Any, change: Callable[[Any], Any]) -> Any:
    """Replace each leaf of plain data by `change(leaf)`; lists and dicts are changed in place.

    A leaf is any value other than a list, a tuple or a dict.
    """
    kind = type(value)
    if kind is list:
        value[:] = [replaced(item, change) for item in value]
    elif kind is tuple:
        return tuple(replaced(item, change) for item in value)
    elif kind is dict:
        for key, item in value.items():
            value[key] = replaced(item, change)
    else:
        return change(value)
    return value


def is_json(value: object, depth: int) -> bool:
    """Whether the C encoder writes the value in canonical form; false for cycles or beyond `MAX_DEPTH`."""
    kind = type(value)
    if kind in TEXTUAL:
        return True
    if kind is int:
        return -WORD <= value < WORD  # type: ignore[operator]
    if kind is float:
        return isfinite(value)  # type: ignore[arg-type]
    if depth >= MAX_DEPTH:
        return False
    if kind is list:
        return _is_json_list(value, depth)  # type: ignore[arg-type]
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str or key[:1] == "$":
                return False
            if type(item) not in TEXTUAL and not is_json(item, depth + 1):
                return False
        return True
    return False


def _is_json_list(items: list[Any], depth: int) -> bool:
    kinds = set(map(type, items))
    if kinds <= TEXTUAL:
        return True
    if kinds == INTS:
        return bool(min(items) >= -WORD and max(items) < WORD)
    if kinds == _FLOATS:
        return all(map(isfinite, items))
    return all(is_json(item, depth + 1) for item in items)


def deeper_than(value: object, limit: int) -> bool:
    """Whether containers are nested deeper than `limit` levels in a value that was read."""
    level = [value]
    for _ in range(limit + 1):
        below: list[object] = []
        empty = True  # an empty container counts as a level, as in `encode`
        for item in level:
            if type(item) is dict:
                below.extend(item.keys())
                below.extend(item.values())
            elif isinstance(item, list | tuple | set | frozenset):
                below.extend(item)
            elif type(item) is ToolObject:
                below.extend(item.fields.values())
            else:
                continue
            empty = False
        if empty:
            return False
        level = below
    return True
