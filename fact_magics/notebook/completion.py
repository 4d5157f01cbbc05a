"""Tab completion in the cells and lines of these magics.

The completion is a matcher of IPython's completer, because a matcher gets the whole cell. A completion hook
for a magic gets only one line, and only if the line begins with that magic.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.completer import context_matcher

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from fact_magics.notebook.offers import Known
    from fact_magics.notebook.work import Host

# Higher than that of IPython's own matchers, because only these completions are valid where they appear.
_PRIORITY = 100


class Completion:
    """Adds the completions to one shell, until `remove`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: Known | None = None
        matcher: Any = context_matcher(priority=_PRIORITY, identifier="fact_magics")
        self._matcher = matcher(lambda context: self._match(context))
        self._matchers: list[Any] = host.shell.Completer.custom_matchers
        self._matchers.append(self._matcher)

    def remove(self) -> None:
        """Remove the completions from the shell."""
        with suppress(ValueError):
            self._matchers.remove(self._matcher)

    def _match(self, context: CompletionContext) -> SimpleMatcherResult:
        # IPython would print the traceback of an exception into the text that the user is typing.
        with suppress(Exception):
            from fact_magics.notebook.offers import Known, offers_at  # at the first Tab, not at load

            self._known = self._known or Known(self._host)
            lines, number = context.full_text.split("\n"), context.cursor_line
            before = lines[number][: context.cursor_position]
            return offers_at(lines, number, before, self._known) or {"completions": []}
        return {"completions": []}
