"""Python source set so that it reads well: keywords bold, comments slanted, strings in the theme's colour.

Most of it is left where styles are stripped, it is readable on every ground, and it adds few bytes.
"""

from __future__ import annotations

import re
from keyword import kwlist

from fact_magics.display.html import Html, text

# Longer sources are rare, and nobody reads them in a cell.
_CHARACTERS = 60_000
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
_MARKUP = {
    "comment": ("<em>", "</em>"),
    "string": ('<span style="color:var(--jp-mirror-editor-string-color)">', "</span>"),
    "word": ("<strong>", "</strong>"),
}


def highlighted(source: str) -> Html:
    """Mark up source, whole or not, of any quality; as text it stays what it is."""
    if len(source) > _CHARACTERS:
        return text(source)
    pieces = []
    at = 0
    for token in _TOKEN.finditer(source):
        kind = str(token.lastgroup)
        if kind == "word" and token[0] not in _KEYWORDS:
            continue
        opening, closing = _MARKUP[kind]
        pieces += [text(source[at : token.start()]), opening, text(token[0]), closing]
        at = token.end()
    return Html("".join((*pieces, text(source[at:]))))
