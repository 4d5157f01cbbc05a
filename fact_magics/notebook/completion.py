"""What Tab offers: options, values, tools, versions and fields, in the cells and lines of these magics.

A matcher of IPython's completer, which hands it the whole cell: a hook for one magic's name sees one line,
and is asked only where the line begins with that name.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from fact_magics.notebook.arguments import EDIT, GENERATE, RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.notebook.offers import Offers
    from fact_magics.session import Session

# Tab is pressed in the middle of a thought: what takes longer is not offered.
_PATIENCE_SECONDS = 0.2
_CELLS = {"generate": GENERATE, "edit": EDIT, "run": RUN}
_CELL = re.compile(r"\s*%%fact_(\w+)(?:\s|$)")
_LINE = re.compile(r"\s*(?:[\w\s,]+=\s*)?%fact\s")
# Before IPython's own matchers: what is offered here is all that can stand there.
_PRIORITY = 100


class Completion:
    """Offers, at Tab, what these magics read.

    Parameters
    ----------
    shell : InteractiveShell
        Whose completer is extended until `remove`.
    session : Session
        Knows where the tools are.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell: Any = shell
        self._known = _Known(shell, session)
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
        # What a matcher raises is printed as a traceback over what the user writes.
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
        from fact_magics.notebook import offers

        after = lines[number][len(before) :]
        if line := _LINE.match(before):
            from fact_magics.notebook.commands import commands

            return offers.subcommands(commands(), before[line.end() :], after, self._known)
        if begun := offers.in_import(before, self._known):
            return begun
        head = next((at for at in range(number, -1, -1) if _CELL.match(lines[at])), None)
        cell = _CELL.match(lines[head]) if head is not None else None
        command = _CELLS.get(cell[1]) if cell else None
        if head is None or cell is None or command is None:
            return None
        if head == number:
            if cell.end() > len(before):
                return None
            return offers.in_line(command, before[cell.end() :], after, self._known)
        if command is GENERATE:
            return offers.in_description(before, after, self._known)
        if command is not RUN:
            return None
        words = lines[head][cell.end() :].split()
        reference = next((word for word in words if not word.startswith("-")), "")
        above, below = "\n".join(lines[head + 1 : number]), "\n".join(lines[number + 1 :])
        return offers.in_run_body(reference, above, before, below, self._known)


class _Known:
    """Asks for names, each time for a moment at most."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell: Any = shell
        self._session = session
        self._asking: threading.Thread | None = None

    def tools(self, prefix: str) -> Sequence[str]:
        return self._soon(lambda: _glance().names(self._session.database_path, prefix))

    def versions(self, name: str) -> Sequence[str]:
        return self._soon(lambda: _glance().versions(self._session.database_path, name))

    def fields(self, reference: str) -> Sequence[str]:
        def ask() -> Sequence[str]:
            from fact_magics.signature import read_signature

            name, _, version = reference.partition("@")
            core = self._session.opened
            pinned = core.pinned(reference) if core is not None else None
            if pinned is not None:
                signature = pinned.loaded.signature
            else:
                path = self._session.database_path
                signature = read_signature(_glance().source(path, name, version or None), name)
            return [parameter.name for parameter in signature.parameters]

        return self._soon(ask)

    def tags(self) -> Sequence[str]:
        return self._soon(lambda: _glance().tags(self._session.database_path))

    def runs(self) -> Sequence[str]:
        return self._soon(lambda: _glance().runs(self._session.database_path))

    def models(self) -> Sequence[str]:
        def named() -> Sequence[str]:
            from fact_magics.providers.choose import known_models

            return known_models(self._session.settings())

        asked = self._soon(lambda: _glance().models(self._session.database_path))
        return tuple(dict.fromkeys((*self._soon(named), *asked)))

    def variables(self) -> Sequence[str]:
        put = self._shell.user_ns_hidden
        return sorted(
            name
            for name, value in self._shell.user_ns.items()
            if not name.startswith("_") and put.get(name, self) is not value
        )

    def _soon(self, work: Callable[[], Sequence[str]]) -> Sequence[str]:
        """Give what `work` returns, or nothing where it fails or takes too long.

        It runs on a thread of its own: the core's may be busy, and a drive that hangs costs one thread, never
        the notebook's time.
        """
        if self._asking is not None and self._asking.is_alive():
            return ()
        answers: list[Sequence[str]] = []

        def run() -> None:
            self._session.wait_for_imports()
            # Whatever is wrong, the next cell says it.
            with suppress(Exception):
                answers.append(work())

        self._asking = threading.Thread(target=run, name="fact_magics completion", daemon=True)
        self._asking.start()
        self._asking.join(_PATIENCE_SECONDS)
        return answers[0] if answers else ()


def _glance() -> ModuleType:
    # What it imports takes longer than Tab may: on the asking thread, and not with the extension.
    from fact_magics.store import glance

    return glance
