"""A value as plain text: on one line where it fits, else an item a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.display.outline import WIDTH
from fact_magics.display.words import key_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fact_magics.display.outline import Node


def layout(node: Node, indent: int = 0) -> str:
    """Write an outlined value as Python would, with strings left whole; what is left out is counted.

    Parameters
    ----------
    node : Node
        What `outline` gives.
    indent : int
        Columns that its lines after the first are moved by.
    """
    if node.text is not None:
        return node.text
    inner = indent + 1
    if node.kind is dict:
        items = [f"{key_word(key)}: {layout(item, inner)}" for key, item in node.items]
    else:
        items = [layout(item, inner) for _, item in node.items]
        if is_filled(node):
            items = _filled(items, WIDTH - inner)
    if node.left:
        items.append(left_out(node))
    comma = "," if node.kind is tuple and len(node.value) == 1 else ""
    opening, closing = node.brackets
    return f"{opening}{(',' + chr(10) + ' ' * inner).join(items)}{comma}{closing}"


def left_out(node: Node) -> str:
    """Say how many items of a container are left out."""
    more = " more" if node.items else ""
    return f"… {node.left:,}{more} {'item' if node.left == 1 else 'items'}"


def is_filled(node: Node) -> bool:
    """Tell whether a container's items are so short that a line holds several."""
    return node.kind is not dict and all(
        item.text is not None and len(item.text) <= WIDTH // 4 for _, item in node.items
    )


def _filled(items: Iterable[str], width: int) -> list[str]:
    """Put short items beside each other, as many as a line holds."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 2 <= width:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return lines
