"""Dicts and lists as a tree that can be folded, without a script; without styles it is a list in a list."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from fact_magics.display.grid import RULE
from fact_magics.display.html import BROKEN, MONOSPACE, Html, preformatted, text, texts
from fact_magics.display.layout import is_filled, left_out
from fact_magics.display.outline import WIDTH
from fact_magics.display.rows import are_rows, rows_grid
from fact_magics.display.words import label
from fact_magics.text import plural, shorten

if TYPE_CHECKING:
    from fact_magics.display.outline import Node

# So many lines may stand open at first, and so many of a single branch below the root.
_OPEN_LINES = 40
_OPEN_BRANCH_LINES = 12
_SCROLLED_LINES = 60
_LOOKED_AT = 1_000
_PREVIEW = 60
_PREVIEWED = 8
_ROOT = f"{MONOSPACE};line-height:1.5;margin:0.3em 0;{BROKEN}"
_LIST = f"list-style:none;margin:0;padding:0 0 0 1em;border-left:{RULE}"
_LONG_LIST = f"{_LIST};max-height:40em;overflow:auto"
_NOTE = "opacity:0.75"


def tree(root: Node) -> Html:
    """Build the tree of an outlined value that does not fit on a line."""
    branches = _Branches(_open_ones(root))
    return Html(f'<div style="{_ROOT}">{branches.branch("", root)}</div>')


def _open_ones(root: Node) -> set[int]:
    """Choose what stands open at first: the root, and level by level what is short, while there is room."""
    opened = {id(root)}
    room = _OPEN_LINES - _lines(root)
    waiting = deque(item for _, item in root.items if folds(item))
    while waiting:
        node = waiting.popleft()
        lines = _lines(node)
        if lines <= min(room, _OPEN_BRANCH_LINES):
            room -= lines
            opened.add(id(node))
            waiting.extend(item for _, item in node.items if folds(item))
    return opened


def _lines(node: Node) -> int:
    """Estimate the lines that a branch takes when it is open, and what is in it is not."""
    if node.text is not None:
        return 1 + str(node.value).count("\n", 0, _LOOKED_AT)
    if is_filled(node):
        return 1 + sum(len(str(item.text)) + 2 for _, item in node.items) // WIDTH
    return len(node.items)


def folds(item: Node) -> bool:
    """Tell whether an item takes more than a line: a branch, or a text of several lines."""
    return item.text is None or (item.kind is str and "\n" in item.value[:_LOOKED_AT].strip("\n"))


class _Branches:
    def __init__(self, opened: set[int]) -> None:
        self._opened = opened

    def branch(self, name: str, node: Node) -> str:
        is_open = id(node) in self._opened
        if node.text is not None:
            about = f"text · {plural(len(node.value), 'character')}"
            content: str = preformatted(shorten(node.value, len(node.text)))
        else:
            about = node.size if is_open else _preview(node)
            content = self._content(node)
        return (
            f"<details{' open' if is_open else ''}><summary>{name}"
            f'<span style="{_NOTE}">{text(about)}</span></summary>{content}</details>'
        )

    def _content(self, node: Node) -> str:
        rest = f'<li style="{_NOTE}">{left_out(node)}</li>' if node.left else ""
        if not node.items:
            return f'<ul style="{_LIST}">{rest}</ul>'
        if are_rows(node):
            return f'<div style="padding-left:1em">{rows_grid(node).html()}</div>'
        if is_filled(node):
            filled = ", ".join(str(item.text) for _, item in node.items)
            return f'<ul style="{_LIST}"><li>{text(filled)}</li>{rest}</ul>'
        names = map(label, (key for key, _ in node.items)) if node.kind is dict else count()
        folded = [folds(item) for _, item in node.items]
        written = texts(
            f"{name}: {'' if is_folded else item.text}"
            for name, is_folded, (_, item) in zip(names, folded, node.items, strict=False)
        )
        lines = [
            self.branch(line, item) if is_folded else line
            for line, is_folded, (_, item) in zip(written, folded, node.items, strict=True)
        ]
        style = _LIST if len(lines) <= _SCROLLED_LINES else _LONG_LIST
        return f'<ul style="{style}"><li>{"</li><li>".join(lines)}</li>{rest}</ul>'


def _preview(node: Node) -> str:
    if node.kind is not dict or not node.items:
        return node.size
    names = ", ".join(label(key) for key, _ in node.items[:_PREVIEWED])
    if len(names) > _PREVIEW or len(node.value) > _PREVIEWED:
        names = f"{names[:_PREVIEW].rstrip(', ')}, …"
    return f"{node.size} · {names}"
