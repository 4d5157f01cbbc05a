"""The few HTML pieces that records and views are made of; every text that enters is escaped here.

The markup is semantic and carries almost no style, so that it reads the same where styles are stripped,
in light and dark themes, and in saved notebooks that nobody trusted.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PRE = "white-space:pre-wrap;overflow-wrap:anywhere;margin:0.3em 0"


class Html(str):
    """Markup that was built here, and is safe to put into other markup."""

    __slots__ = ()


def text(value: str | Html) -> Html:
    """Escape text; markup that was built here passes."""
    return value if isinstance(value, Html) else Html(escape(inert(value)))


def element(tag: str, *children: str | Html, style: str = "", **attributes: str) -> Html:
    """Build an element; attribute values are escaped, and an underscore in a name becomes a dash."""
    given = {**({"style": style} if style else {}), **attributes}
    written = "".join(f' {name.replace("_", "-")}="{text(value)}"' for name, value in given.items())
    return Html(f"<{tag}{written}>{''.join(text(child) for child in children)}</{tag}>")


def join(children: Iterable[str | Html], between: str = "") -> Html:
    """Put pieces beside each other."""
    return Html(text(between).join(text(child) for child in children))


def preformatted(content: str, *, code: bool = False, style: str = "") -> Html:
    """Show text as it is, wrapped where it is too wide."""
    inner = element("code", content) if code else text(content)
    return element("pre", inner, style=f"{_PRE};{style}" if style else _PRE)


def folded(summary: str | Html, content: Html, *, is_open: bool = False) -> Html:
    """Show content that can be folded away."""
    opened = " open" if is_open else ""
    return Html(f"<details{opened}><summary>{text(summary)}</summary>{content}</details>")


def _cell_style(cell: str, style: str) -> str:
    # A short cell beside a long one would be broken after each word.
    return f"{style};white-space:nowrap" if not isinstance(cell, Html) and len(cell) <= 20 else style


def table(head: Sequence[str], rows: Iterable[Sequence[str | Html]]) -> Html:
    """Show rows under column headings, left-aligned."""
    left = "text-align:left;vertical-align:top"
    heading = element("tr", *(element("th", name, style=left, scope="col") for name in head))
    body = [
        element("tr", *(element("td", cell, style=_cell_style(cell, left)) for cell in row)) for row in rows
    ]
    return element("table", element("thead", heading), element("tbody", *body))
