"""Tab completion: options, values, tools, versions and fields in the cells and lines of these magics.

This is a matcher of IPython's completer, which gets the whole cell. A completion hook for one magic would see
only one line, and only if the line begins with that magic.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from fact_magics.notebook.arguments import EDIT, GENERATE, RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.notebook.offers import Known, Offers
    from fact_magics.session import Session

_CELLS = {"generate": GENERATE, "edit": EDIT, "run": RUN}
_CELL = re.compile(r"\s*%%fact_(\w+)(?:\s|$)")
_LINE = re.compile(r"\s*(?:[\w\s,]+=\s*)?%fact\s")
# Before IPython's own matchers: nothing else can stand where these offers do.
_PRIORITY = 100


class Completion:
    """Completes what these magics read.

    Parameters
    ----------
    shell : InteractiveShell
        Its completer is extended until `remove`.
    session : Session
        Knows where the tools are.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell: Any = shell
        self._session = session
        self._known: Known | None = None
        matcher: Any = context_matcher(priority=_PRIORITY, identifier="fact_magics")
        self._matcher = matcher(lambda context: self._match(context))
        self._matchers: list[Any] = self._shell.Completer.custom_matchers
        self._matchers.append(self._matcher)

    def remove(self) -> None:
        """Leave IPython as it was."""
        with suppress(ValueError):
            self._matchers.remove(self._matcher)

    def _match(self, context: CompletionContext) -> SimpleMatcherResult:
        offers = None
        # IPython prints an exception of a matcher as a traceback over the text that the user writes.
        with suppress(Exception):
            lines = context.full_text.split("\n")
            number = context.cursor_line
            offers = self._offers(lines, number, lines[number][: context.cursor_position])
        if offers is None or not offers.texts:
            return {"completions": []}
        return {
            "completions": [SimpleCompletion(text, type=offers.kind) for text in offers.texts],
            "matched_fragment": offers.fragment,
            "suppress": True,
            "ordered": True,
        }

    def _offers(self, lines: Sequence[str], number: int, before: str) -> Offers | None:
        from fact_magics.notebook import offers  # at the first Tab, not while the extension loads

        known = self._known = self._known or offers.Known(self._shell, self._session)
        after = lines[number][len(before) :]
        if line := _LINE.match(before):
            from fact_magics.notebook.commands import COMMANDS

            return offers.in_fact_line(COMMANDS, before[line.end() :], after, known)
        if begun := offers.in_import(before, known):
            return begun
        head = next((at for at in range(number, -1, -1) if _CELL.match(lines[at])), None)
        cell = _CELL.match(lines[head]) if head is not None else None
        command = _CELLS.get(cell[1]) if cell else None
        if head is None or cell is None or command is None:
            return None
        if head == number:
            is_after_name = cell.end() <= len(before)
            return offers.in_line(command, before[cell.end() :], after, known) if is_after_name else None
        if command is GENERATE:
            return offers.in_description(before, after, known)
        if command is not RUN:
            return None
        words = lines[head][cell.end() :].split()
        reference = next((word for word in words if not word.startswith("-")), "")
        above, below = "\n".join(lines[head + 1 : number]), "\n".join(lines[number + 1 :])
        return offers.in_run_body(reference, above, before, below, known)
