"""What the other modules of this package share: what a value may be, and how it is told that one may not.

The sandbox's worker is sent this source, and those of `foreign` and `wire`, and loads them under another
name: so these three import each other relatively, and the standard library beside that.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

MAX_DEPTH = 200
"""Containers within containers; json's own recursion, at three levels for one of ours, stays in bounds."""

WORD = 1 << 63
"""Integers from ``-WORD`` up to but not including ``WORD`` are JSON's; others have a form of their own."""

NONE = type(None)
TEXTUAL = frozenset({str, bool, NONE})
INTS = {int}
_FLOATS = {float}
_PATH_PARTS = 10


class WireError(ValueError):
    """Bytes that are not the canonical form of a value."""


class ValueTypeError(TypeError):
    """A value, or something inside it, that has no canonical form.

    Parameters
    ----------
    problem : str
        What was met: ``a generator``.
    instead : str
        What to use in its place: ``a list``.

    Attributes
    ----------
    where : str
        What the whole value is called: ``result``, or a parameter's name.
    path : list of str
        Steps from the whole value to the culprit: ``['["rows"]', '[3]']``.
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
        return f"{self.where}{''.join(steps)}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """The problem without its place."""
        if self.where == "result":
            return f"{self.problem} can't leave the tool; return {self.instead}"
        return f"{self.problem} can't enter a tool; pass {self.instead}"


class ToolObject:
    """An instance, on its way into a tool, of a class that the tool itself defines.

    The kernel never runs the tool's code and so has no such class; the worker makes the instance.

    Parameters
    ----------
    class_name : str
        The class's name in the tool's module.
    fields : dict
        Its constructor's keyword arguments.
    """

    __slots__ = ("class_name", "fields")

    def __init__(self, class_name: str, fields: dict[str, object]) -> None:
        self.class_name = class_name
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ToolObject)
            and self.class_name == other.class_name
            and self.fields == other.fields
        )

    def __hash__(self) -> int:
        return hash((self.class_name, tuple(self.fields)))

    def __repr__(self) -> str:
        return f"{self.class_name}({', '.join(f'{name}={value!r}' for name, value in self.fields.items())})"


class ToolEnum:
    """A member, on its way into a tool, of an enumeration that the tool itself defines.

    Parameters
    ----------
    class_name, member : str
        The enumeration's name in the tool's module, and the member's.
    """

    __slots__ = ("class_name", "member")

    def __init__(self, class_name: str, member: str) -> None:
        self.class_name = class_name
        self.member = member

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ToolEnum)
            and self.class_name == other.class_name
            and self.member == other.member
        )

    def __hash__(self) -> int:
        return hash((self.class_name, self.member))

    def __repr__(self) -> str:
        return f"{self.class_name}.{self.member}"


def is_json(value: object, depth: int) -> bool:
    """Whether the C encoder writes the value canonically as it stands; a cycle ends at the depth limit."""
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
