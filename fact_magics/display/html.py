"""The building blocks of records and views: HTML in which every text is escaped.

The markup is semantic and uses few styles. It is therefore readable on pages that strip styles, in light and
dark themes, and in saved notebooks that are not trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from keyword import kwlist
from typing import TYPE_CHECKING

from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# nbconvert can write Markdown, where a blank line ends a block of HTML: the rest would become prose.
_BEFORE_BLANK = re.compile(r"\n(?=[ \t]*\n)")
# The first declaration is for sanitizers that remove declarations with variables.
MONOSPACE = (
    "font-family:monospace;font-family:var(--jp-code-font-family,monospace);"
    "font-size:var(--jp-code-font-size,inherit)"
)
# JupyterLab indents plain text by one of its monospaced characters; other front ends lack the variable.
_INDENT = "padding-left:calc(0.6 * var(--jp-code-font-size))"
# JupyterLab would break lines within words. `word-wrap` is for sanitizers that remove `overflow-wrap`.
BROKEN = "word-break:normal;word-wrap:break-word;overflow-wrap:anywhere"
_PRE = f"{MONOSPACE};white-space:pre-wrap;{BROKEN};margin:0.3em 0"


class Html(str):
    """Markup that was built in this package and can be inserted into other markup as it is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Record:
    """The lasting output of a cell: the same content as HTML and as plain text, both safe to show.

    Attributes
    ----------
    media : mapping of str to str
        The picture in it by MIME type, for front ends and exporters that show no HTML.
    """

    html: str
    plain: str
    media: Mapping[str, str] = field(default_factory=dict)

    @property
    def bundle(self) -> dict[str, str]:
        """The record as a MIME bundle.

        It has no Markdown. Front ends that can show Markdown prefer HTML; nbconvert does so even when it
        writes Markdown. VS Code with a screen reader prefers Markdown, but HTML has better tables.
        """
        # Without these classes, notebooks would typeset the text between two prices in dollars as a formula.
        markup = f'<div class="mathjax_ignore tex2jax_ignore" style="{_INDENT}">{self.html}</div>'
        return {**self.media, "text/html": markup, "text/plain": self.plain}


def text(value: str | Html) -> Html:
    """Escape text for use between tags; `Html` is returned unchanged."""
    if isinstance(value, Html):
        return value
    return Html(_unbroken(escape(inert(value), quote=False)))


def _unbroken(markup: str) -> str:
    return _BEFORE_BLANK.sub("&#10;", markup) if "\n" in markup else markup


def texts(lines: Iterable[str]) -> list[str]:
    """Escape one or more texts that contain no line feeds; much faster than `text` for each of them."""
    return escape(inert("\n".join(lines)), quote=False).split("\n")


def join(*children: str | Html) -> Html:
    """Concatenate texts and markup."""
    return Html("".join(map(text, children)))


def element(tag: str, *children: str | Html, **attributes: str) -> Html:
    """Build an element and escape its attributes' values; empty attributes are omitted."""
    given = ((name, value) for name, value in attributes.items() if value)
    written = "".join(f' {name}="{_unbroken(escape(inert(value)))}"' for name, value in given)
    return Html(f"<{tag}{written}>{join(*children)}</{tag}>")


def preformatted(content: str | Html, *, code: bool = False, style: str = "") -> Html:
    """Show text with its spaces and line feeds; long lines wrap."""
    inner = element("code", content) if code else text(content)
    # HTML drops the first line feed in a <pre>.
    written = f"\n{inner}" if inner.startswith(("\n", "&#10;")) else inner
    looks = f"{_PRE};{style}" if style else _PRE
    return Html(f'<pre style="{looks}">{_unbroken(written)}</pre>')


def folded(summary: str | Html, content: Html, *, is_open: bool = False) -> Html:
    """Show content that the reader can open and close."""
    opened = " open" if is_open else ""
    return Html(f"<details{opened}><summary>{text(summary)}</summary>{content}</details>")


# Each colour is about half as bright as white, so it is readable on light and on dark pages.
_COLOURS = ("#767676", "#d23c37", "#21863a", "#9a6f00", "#2170d0", "#b045a8", "#0f7f86", "#767676")
# Mixing in the surrounding text's colour adds contrast; the plain colour is for browsers without color-mix.
_READABLE = "color:{0};color:color-mix(in srgb,{0} 70%,currentcolor)"
# Text that changes its colour after each character would become eighty times as long.
_CHANGES = 3_000
_MARKS = {
    "b": "font-weight:bold",
    "d": "opacity:0.7",
    "i": "font-style:italic",
    "u": "text-decoration:underline",
}


def coloured(lines: Iterable[Sequence[tuple[str, str]]], limit: int) -> Html:
    """Show at most `limit` characters of the lines of a `Screen`, in the colours that the text asked for."""
    pieces: list[str | Html] = []
    changes = 0
    for number, line in enumerate(lines):
        if number:
            pieces.append("\n")
            limit -= 1
        for style, run in line:
            shown = run[: max(limit, 0)]
            limit -= len(run)
            if shown:
                changes += bool(style)
                look = ";".join(filter(None, map(_css, style.split()))) if changes <= _CHANGES else ""
                pieces.append(element("span", shown, style=look) if look else shown)
        if limit <= 0:
            break
    return join(*pieces)


def _css(style: str) -> str:
    if style in _MARKS:
        return _MARKS[style]
    ground, number = style[0], int(style[1:]) % 8
    if ground == "c":
        return _READABLE.format(_COLOURS[number]) if number not in (0, 7) else ""
    return f"background-color:{_COLOURS[number]};color:#fff"


# Longer sources are rare, and nobody reads them in a cell.
_HIGHLIGHTED_CHARACTERS = 60_000
_TOKEN = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<string>[rbfu]{0,2}(?:"
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)'
    r"|'''(?:[^\\]|\\.)*?(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*"?'
    r"|'(?:[^'\\\n]|\\.)*'?))"
    r"|(?P<word>[^\W\d]\w*)",
    re.DOTALL | re.IGNORECASE,
)
_KEYWORDS = frozenset(kwlist)
_TOKEN_MARKUP = {
    "comment": ("<em>", "</em>"),
    "string": ('<span style="color:var(--jp-mirror-editor-string-color)">', "</span>"),
    "word": ("<strong>", "</strong>"),
}


def highlighted(source: str) -> Html:
    """Mark up Python source: bold keywords, italic comments, strings in the theme's colour.

    Pages that strip styles still show keywords and comments. The source may be incomplete or invalid; its
    text is not changed.
    """
    if len(source) > _HIGHLIGHTED_CHARACTERS:
        return text(source)
    pieces = []
    at = 0
    for token in _TOKEN.finditer(source):
        kind = str(token.lastgroup)
        if kind == "word" and token[0] not in _KEYWORDS:
            continue
        opening, closing = _TOKEN_MARKUP[kind]
        pieces += [text(source[at : token.start()]), opening, text(token[0]), closing]
        at = token.end()
    return Html("".join((*pieces, text(source[at:]))))
