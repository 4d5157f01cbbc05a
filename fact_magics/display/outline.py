"""The beginning of a value as a tree of nodes, from which both its HTML and its plain text are built.

The cost of the tree depends on how much of the value is shown, not on the size of the value.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from fact_magics.display.frames import COLUMNS, ROWS, frame_of
from fact_magics.display.words import SCALARS, key_word, word
from fact_magics.pictures import Image, Picture, described
from fact_magics.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fact_magics.display.frames import Frame
    from fact_magics.display.table import Table

WIDTH = 100
"""The number of characters in a line."""

# The largest numbers of items in a container, fields in a dict, items in total, levels, and rows of a table.
_ITEMS = 200
_FIELDS = 60
_LEAVES = 400
_DEPTH = 20
# Limits in characters: of one text; of all long texts together; and of each long text after that total is
# used up.
_LONGEST = 1_000
_CHARACTERS = 10_000
_BEGINNING = 80
# The largest number of pictures among the items, and of their bytes together; further pictures are described.
_PICTURES = 20
_PICTURE_BYTES = 2_000_000
_BRACKETS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
_SETS = frozenset({set, frozenset})
LISTS = frozenset({list, tuple})
"""Containers whose dicts may be the rows of a table."""


@dataclass(slots=True, eq=False)
class Node:
    """A value or a part of one, as far as it is shown.

    Attributes
    ----------
    value : object
        The value itself.
    kind : type
        For a container the type in `_BRACKETS`; otherwise the value's own type.
    text : str or None
        The value on one line, where a long scalar may be cut; None for a container that does not fit on a
        line or is not shown completely.
    items : list of (object, Node)
        The items that are shown, each with its key; None for items without keys.
    left : int
        Number of items that are left out.
    image : Image or None
        The picture to draw in place of the text.
    table : Table or None
        The table of first rows to show in place of the text.
    """

    value: Any
    kind: type
    text: str | None
    items: list[tuple[Any, Node]] = field(default_factory=list)
    left: int = 0
    image: Image | None = None
    table: Table | None = None

    @property
    def is_filled(self) -> bool:
        """Whether the items are so short that several fit on a line."""
        return self.kind is not dict and all(
            item.text is not None and len(item.text) <= WIDTH // 4 for _, item in self.items
        )

    @property
    def size(self) -> str:
        """The type and the number of items: ``list · 12 items``."""
        return f"{type(self.value).__name__} · {plural(len(self.value), 'item')}"

    @property
    def left_out(self) -> str:
        """A note of how many items are left out."""
        return f"… {plural(self.left, 'more item' if self.items else 'item')}"

    def bracketed(self, items: Iterable[str], between: str) -> str:
        """Put the value's brackets around items; a tuple of one item keeps its comma."""
        opening, closing = _BRACKETS[self.kind]
        comma = "," if self.kind is tuple and len(self.value) == 1 else ""
        return f"{opening}{between.join(items)}{comma}{closing}"

    def layout(self, indent: int = 0) -> str:
        """Write the value as Python would; lines after the first are indented by `indent`."""
        if self.text is not None:
            return self.text
        inner = indent + 1
        if self.kind is dict:
            items = [f"{key_word(key)}: {item.layout(inner)}" for key, item in self.items]
        else:
            items = [item.layout(inner) for _, item in self.items]
            if self.is_filled:
                items = _filled(items, WIDTH - inner)
        if self.left:
            items.append(self.left_out)
        return self.bracketed(items, ",\n" + " " * inner)


def _filled(items: Iterable[str], width: int) -> list[str]:
    """Put as many short items on a line as fit."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 2 <= width:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return lines


def outline(value: Any) -> Node:
    """Build the nodes of the part of a tool's result that can be shown."""
    return _Outliner().node(value, 0, _ITEMS)


class _Outliner:
    """Builds nodes up to a total number of items; each level takes its share before the levels below."""

    def __init__(self) -> None:
        self._left = _LEAVES
        self._characters = _CHARACTERS
        self._pictures = _PICTURES
        self._picture_bytes = _PICTURE_BYTES

    def node(self, value: Any, depth: int, limit: int) -> Node:
        kind: type = type(value)
        if kind is str and len(value) > _BEGINNING:
            text = word(value, max(_BEGINNING, min(_LONGEST, self._characters)))
            self._characters -= len(text)
            return Node(value, kind, text)
        if isinstance(value, Picture) and (picture := self._picture(value)):
            return picture
        if kind not in SCALARS:
            kind = next((known for known in _BRACKETS if isinstance(value, known)), kind)
        if kind not in _BRACKETS:
            frame = frame_of(value) if kind not in SCALARS else None
            return self._frame(value, frame) if frame else Node(value, kind, word(value))
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
        if kind in LISTS and size > 1 and isinstance(pairs[0][1], dict):
            # A table shows at most this many rows and fields.
            del pairs[ROWS:]
            below = COLUMNS
        self._left -= len(pairs)
        node = Node(value, kind, None, left=size - len(pairs))
        self._fill(node, pairs, depth, below)
        return node

    def _picture(self, value: Any) -> Node | None:
        """Build the node of a picture; None for content that only begins like a picture."""
        self._pictures -= 1
        self._picture_bytes -= len(value)
        if self._pictures < 0 or self._picture_bytes < 0:
            about = described(value)
            return Node(value, type(value), f"<{about}>") if about else None
        # Reading a picture takes long, so it comes after the limits.
        found: Image | None = value.image
        if found is None:
            return None
        return Node(value, type(value), f"<{found.plain}>", image=found if found.fits else None)

    def _frame(self, value: Any, frame: Frame) -> Node:
        """Build the node of a table, Series or array, whose rows are shown as far as there is room."""
        self._left -= ROWS
        table = frame.table() if self._left > 0 else None
        return Node(value, type(value), f"<{frame.about}>", table=table if table and table.rows else None)

    def _first(self, value: Any, kind: type, limit: int) -> Any:
        if kind in _SETS and len(value) <= _ITEMS:
            # Items of several types can't be sorted, nor decimals with a NaN among them.
            with suppress(TypeError, ArithmeticError):
                value = sorted(value)
        return islice(value, min(limit, self._left))

    def _fill(self, node: Node, pairs: list[tuple[Any, Any]], depth: int, below: int) -> None:
        """Add a node's items, and its text if all of them fit on one line."""
        room = WIDTH - depth - sum(map(len, _BRACKETS[node.kind])) + 2
        fits = not node.left
        texts = []
        for key, value in pairs:
            item = self.node(value, depth + 1, below)
            node.items.append((key, item))
            fits = fits and item.text is not None and item.image is None and item.table is None
            if fits:
                text = f"{key_word(key)}: {item.text}" if node.kind is dict else str(item.text)
                texts.append(text)
                room -= len(text) + 2
                fits = room >= 0
        if fits:
            node.text = node.bracketed(texts, ", ")
