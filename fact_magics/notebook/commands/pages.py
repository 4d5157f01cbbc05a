"""Pages of named facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.display.grid import facts_table
from fact_magics.display.html import Html, element, folded, preformatted
from fact_magics.display.record import Record
from fact_magics.display.result import SCROLLED, scrolled
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Sequence

    Facts = Sequence[tuple[str, str]]


def page(title: str, facts: Facts, *, code: Facts = ()) -> Record:
    """Show facts under a title.

    Parameters
    ----------
    facts : sequence of (str, str)
        Each fact's name and text; a fact with an empty text is left out.
    code : sequence of (str, str)
        Long texts, which few read: folded in HTML, at the end in plain text.
    """
    facts = [(name, text) for name, text in facts if text]
    code = [(name, text) for name, text in code if text]
    markup = element(
        "div",
        element("p", element("strong", title), style="margin:0.3em 0"),
        facts_table((name, _shown(text)) for name, text in facts) if facts else Html(""),
        *(folded(name, preformatted(text, code=True, style=SCROLLED)) for name, text in code),
    )
    width = max((len(name) for name, _ in facts), default=0)
    lines = [title]
    for name, text in facts:
        first, *rest = text.splitlines() or [""]
        lines += [f"{name.ljust(width)}  {first}", *(f"{'':{width}}  {line}" for line in rest)]
    for name, text in code:
        lines += ["", f"{name}:", text.rstrip()]
    return Record(markup, inert("\n".join(lines)))


def _shown(text: str) -> str | Html:
    is_data = "\n" in text or text[0] in '{["'
    return preformatted(text, style=scrolled(text)) if is_data else text
