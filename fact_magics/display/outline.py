"""The beginning of a value, taken apart once: what both its forms, markup and plain text, are drawn from.

It costs as much as what is shown of the value, however big that is.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import Any

from fact_magics.display.words import SCALARS, key_word, word
from fact_magics.text import plural

WIDTH = 100
"""Columns that a line of a value may take."""

COLUMNS = 16
"""Fields of rows that are shown."""

# What is shown: items of a container, fields of a dict, items in all, levels, and rows.
_ITEMS = 200
_FIELDS = 60
_LEAVES = 400
_DEPTH = 20
_ROWS = 20
# Characters of a text; and of all long ones together, after which each has only its beginning shown.
_LONGEST = 1_000
_CHARACTERS = 10_000
_BEGINNING = 80
_BRACKETS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
_SETS = frozenset({set, frozenset})
_LISTS = frozenset({list, tuple})


class Node:
    """A value, or a part of one, as far as it is shown.

    Attributes
    ----------
    value : object
        The value itself.
    kind : type
        What its brackets are those of; of a leaf, its own.
    text : str or None
        All of it on one line; None where it is too long for that, or not all of it is shown.
    items : list of (object, Node)
        The items of a container that are shown, with their keys; None is the key of those that have none.
    left : int
        How many items are left out.
    """

    __slots__ = ("items", "kind", "left", "text", "value")

    def __init__(
        self,
        value: Any,
        kind: type,
        text: str | None,
        items: list[tuple[Any, Node]] | None = None,
        left: int = 0,
    ) -> None:
        self.value = value
        self.kind = kind
        self.text = text
        self.items = [] if items is None else items
        self.left = left

    @property
    def is_container(self) -> bool:
        """Whether it is one that is taken apart."""
        return self.kind in _BRACKETS

    @property
    def brackets(self) -> tuple[str, str]:
        """What stands around its items."""
        return _BRACKETS[self.kind]

    @property
    def size(self) -> str:
        """What it is and how much it holds: ``list · 12 items``."""
        return f"{type(self.value).__name__} · {plural(len(self.value), 'item')}"

    @property
    def sketch(self) -> str:
        """All of it on one line, or else what it is."""
        return self.size if self.text is None else self.text


def outline(value: Any) -> Node:
    """Take a value apart, as far as it can be shown.

    Parameters
    ----------
    value : object
        Plain data: what a tool returned.
    """
    return _Outliner(_LEAVES).node(value, 0, _ITEMS)


class _Outliner:
    """Takes values apart until so many items were met; each level gets its share before the one below."""

    def __init__(self, leaves: int) -> None:
        self._left = leaves
        self._characters = _CHARACTERS

    def node(self, value: Any, depth: int, limit: int) -> Node:
        kind: Any = type(value)
        if kind in SCALARS:
            return self._leaf(value, kind)
        if kind not in _BRACKETS:
            found = next((known for known in _BRACKETS if isinstance(value, known)), None)
            if found is None:
                return Node(value, kind, word(value))
            kind = found
        size = len(value)
        if not size:
            return Node(value, kind, f"{kind.__name__}()" if kind in _SETS else "".join(_BRACKETS[kind]))
        if depth >= _DEPTH or self._left <= 0:
            return Node(value, kind, None, left=size)
        if kind is dict:
            pairs = list(islice(value.items(), min(limit, _FIELDS, self._left)))
        else:
            pairs = [(None, item) for item in self._first(value, kind, limit)]
        below = _ITEMS
        if kind in _LISTS and size > 1 and isinstance(pairs[0][1], dict):
            # Rows: more of them, or more of their fields, would not be shown either.
            del pairs[_ROWS:]
            below = COLUMNS
        self._left -= len(pairs)
        node = Node(value, kind, None, [], size - len(pairs))
        self._fill(node, pairs, depth, below)
        return node

    def _leaf(self, value: Any, kind: type) -> Node:
        if kind is not str or len(value) <= _BEGINNING:
            return Node(value, kind, word(value))
        text = word(value, max(_BEGINNING, min(_LONGEST, self._characters)))
        self._characters -= len(text)
        return Node(value, kind, text)

    def _first(self, value: Any, kind: type, limit: int) -> Any:
        if kind in _SETS and len(value) <= _ITEMS:
            # Items that have no order among them: of several kinds, or decimals that are no number.
            with suppress(TypeError, ArithmeticError):
                value = sorted(value)
        return islice(value, min(limit, self._left))

    def _fill(self, node: Node, pairs: list[tuple[Any, Any]], depth: int, below: int) -> None:
        """Take the items apart, and write all of them on one line if they fit on it."""
        opening, closing = node.brackets
        room = WIDTH - depth - len(opening) - len(closing) + 2
        fits = not node.left
        texts = []
        for key, value in pairs:
            kind = type(value)
            item = self._leaf(value, kind) if kind in SCALARS else self.node(value, depth + 1, below)
            node.items.append((key, item))
            fits = fits and item.text is not None
            if fits:
                text = f"{key_word(key)}: {item.text}" if node.kind is dict else str(item.text)
                texts.append(text)
                room -= len(text) + 2
                fits = room >= 0
        if fits:
            comma = "," if node.kind is tuple and len(texts) == 1 else ""
            node.text = f"{opening}{', '.join(texts)}{comma}{closing}"
