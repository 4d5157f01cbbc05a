"""What a tool returned, as markup and as plain text with the same content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.display.html import Html, folded, join, preformatted
from fact_magics.display.layout import layout
from fact_magics.display.outline import outline
from fact_magics.display.picture import picture
from fact_magics.display.rows import are_rows, rows_grid
from fact_magics.display.tree import tree
from fact_magics.display.words import word
from fact_magics.text import inert, plural, shorten

if TYPE_CHECKING:
    from fact_magics.display.outline import Node

_CHARACTERS = 10_000
_LINES = 300
_TALL = 30
_TALL_CHARACTERS = 3_000
SCROLLED = "max-height:30em;overflow:auto"
"""The style of what may be so long that it gets a scroll bar of its own."""


def scrolled(shown: str) -> str:
    """Give `SCROLLED` where text is tall, and else no style."""
    return SCROLLED if len(shown) > _TALL_CHARACTERS or shown.count("\n") > _TALL else ""


class Shown(NamedTuple):
    """A value, twice.

    Attributes
    ----------
    html : Html
        Its markup.
    plain : str
        The same as text, inert.
    """

    html: Html
    plain: str


def show(value: Any) -> Shown:
    """Show a value, bounded: text as text, a dict or a list as a tree, rows as a table, a picture as one.

    Parameters
    ----------
    value : object
        What a tool returned: plain data.
    """
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is bytes and (found := picture(value)) is not None:
        return Shown(found.html(), found.plain)
    node = outline(value)
    if not node.is_container:
        return _line(node.sketch)
    if are_rows(node):
        return _table(node)
    if node.text is not None:
        return _line(node.text)
    return Shown(tree(node), inert(layout(node)))


def _line(line: str) -> Shown:
    line = inert(line)
    return Shown(preformatted(line, style=scrolled(line)), line)


def _table(node: Node) -> Shown:
    grid = rows_grid(node)
    return Shown(grid.html(), inert("\n".join([*grid.plain(), str(grid.caption)])))


def _text(value: str) -> Shown:
    found = picture(value) if "<svg" in value[:4_096] else None
    if "\n" not in value[:_CHARACTERS].strip("\n") and found is None:
        return _line(word(value, _CHARACTERS))
    shown = _beginning(value)
    markup = preformatted(shown, style=scrolled(shown))
    if found is None:
        return Shown(markup, inert(shown))
    source = folded(f"Source · {plural(len(value), 'character')}", markup)
    return Shown(join([found.html(), source]), f"{found.plain}\n{inert(shown)}")


def _beginning(value: str) -> str:
    """Cut text at so many characters or lines, whichever are fewer."""
    cut = value[:_CHARACTERS]
    if cut.count("\n") >= _LINES:
        cut = "\n".join(cut.split("\n")[:_LINES])
    return shorten(value, len(cut))
