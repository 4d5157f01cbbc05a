"""The few HTML pieces that records and views are made of; every text that enters is escaped here.

The markup is semantic and carries almost no style, so that it reads the same where styles are stripped,
in light and dark themes, and in saved notebooks that nobody trusted.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# In Markdown, as which nbconvert may save it, a blank line ends markup, and what follows would be prose.
_BEFORE_BLANK = re.compile(r"\n(?=[ \t]*\n)")
# The first one stands where a sanitizer strikes variables.
MONOSPACE = "font-family:monospace;font-family:var(--jp-code-font-family,monospace)"
# JupyterLab would break lines within words; again, the second is for where the third is struck.
BROKEN = "word-break:normal;word-wrap:break-word;overflow-wrap:anywhere"
_PRE = f"{MONOSPACE};white-space:pre-wrap;{BROKEN};margin:0.3em 0"


class Html(str):
    """Markup that was built here, and is safe to put into other markup."""

    __slots__ = ()


def text(value: str | Html) -> Html:
    """Escape text that goes between tags; markup that was built here passes."""
    if isinstance(value, Html):
        return value
    return Html(_unbroken(escape(inert(value), quote=False)))


def _unbroken(markup: str) -> str:
    return _BEFORE_BLANK.sub("&#10;", markup) if "\n" in markup else markup


def texts(lines: Iterable[str]) -> list[str]:
    """Escape texts of one line each, at least one, which is much faster than one by one."""
    return escape(inert("\n".join(lines)), quote=False).split("\n")


def element(tag: str, *children: str | Html, style: str = "", **attributes: str) -> Html:
    """Build an element; attribute values are escaped, and an underscore in a name becomes a dash."""
    given = {**({"style": style} if style else {}), **attributes}
    written = "".join(
        f' {name.replace("_", "-")}="{_unbroken(escape(inert(value)))}"' for name, value in given.items()
    )
    return Html(f"<{tag}{written}>{''.join(text(child) for child in children)}</{tag}>")


def join(children: Iterable[str | Html], between: str = "") -> Html:
    """Put pieces beside each other."""
    return Html(text(between).join(text(child) for child in children))


# Half as bright as white, so that each is readable on a light page and on a dark one.
_COLOURS = ("#767676", "#d23c37", "#21863a", "#9a6f00", "#2170d0", "#b045a8", "#0f7f86", "#767676")
# Drawn nearer to the text around it, which is readable; the first one is for where the second is struck.
_READABLE = "color:{0};color:color-mix(in srgb,{0} 70%,currentcolor)"
_MARKS = {
    "b": "font-weight:bold",
    "d": "opacity:0.7",
    "i": "font-style:italic",
    "u": "text-decoration:underline",
}


def coloured(lines: Iterable[Sequence[tuple[str, str]]], limit: int) -> Html:
    """Show the beginning of a screen's lines, in the colours that the text asked for.

    Parameters
    ----------
    lines : iterable of sequence of (str, str)
        Runs of text with their styles, as `Screen.lines` gives them.
    limit : int
        Characters that are shown.
    """
    pieces: list[str | Html] = []
    for line in lines:
        if pieces:
            pieces.append("\n")
            limit -= 1
        for style, run in line:
            shown = run[: max(limit, 0)]
            limit -= len(run)
            if shown:
                look = ";".join(filter(None, map(_css, style.split())))
                pieces.append(element("span", shown, style=look) if look else shown)
        if limit <= 0:
            break
    return join(pieces)


def _css(style: str) -> str:
    if style in _MARKS:
        return _MARKS[style]
    ground, number = style[0], int(style[1:]) % 8
    if ground == "c":
        return _READABLE.format(_COLOURS[number]) if number not in (0, 7) else ""
    return f"background-color:{_COLOURS[number]};color:#fff"


def preformatted(content: str | Html, *, code: bool = False, style: str = "") -> Html:
    """Show text as it is, wrapped where it is too wide."""
    inner = element("code", content) if code else text(content)
    # The first line feed in a <pre> is dropped.
    written = f"\n{inner}" if inner.startswith(("\n", "&#10;")) else inner
    looks = f"{_PRE};{style}" if style else _PRE
    return Html(f'<pre style="{looks}">{_unbroken(written)}</pre>')


def folded(summary: str | Html, content: Html, *, is_open: bool = False) -> Html:
    """Show content that can be folded away."""
    opened = " open" if is_open else ""
    return Html(f"<details{opened}><summary>{text(summary)}</summary>{content}</details>")
