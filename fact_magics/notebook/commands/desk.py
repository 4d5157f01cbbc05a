"""`Desk` and `Answer`, which each subcommand takes and returns, and shared helpers for pages and files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fact_magics.atomic import write_atomically
from fact_magics.bridge import STOPPED
from fact_magics.core.portable import read_file
from fact_magics.display.html import Html, Record, element, folded, preformatted
from fact_magics.display.result import SCROLLED, scrolled
from fact_magics.display.table import facts_table
from fact_magics.errors import CellError, Interrupted
from fact_magics.notebook.arguments import Arguments
from fact_magics.permissions import working_directory
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from fact_magics.core import FactCore
    from fact_magics.notebook.work import Host
    from fact_magics.session import Session
    from fact_magics.tool import ToolOutput

    Facts = Sequence[tuple[str, str]]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a subcommand: its record, and the same facts as `data` for ``--json``.

    If the subcommand ran a tool, `value` is the output of the run, and is shown in place of the record.
    """

    record: Record
    data: Any
    value: ToolOutput | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """The session and the notebook, with helpers for subcommands."""

    session: Session
    notebook: Host

    def path(self, text: str) -> Path:
        """Expand ``~``, and resolve a relative path against the working directory.

        A null character, ``~name`` for a user who does not exist, or a relative path in a working directory
        that was deleted raises `CellError`.
        """
        try:
            path = Path(text).expanduser()
            is_path = b"\0" not in os.fsencode(path)
        except (ValueError, RuntimeError):
            is_path = False
        if not is_path:
            raise CellError(f"{text!r} is not a valid path.", hint="Give the path of a file.")
        return path if path.is_absolute() else working_directory() / path

    def ask(
        self, work: Callable[[FactCore], Coroutine[Any, Any, T]], *, stopped: str = "%fact was stopped."
    ) -> T:
        """Wait for `work` on the core's loop; an interrupt raises `Interrupted` with the text `stopped`."""
        try:
            return self.session.run(work(self.session.core))
        except STOPPED:
            raise Interrupted(stopped) from None


Work: TypeAlias = Callable[[Arguments, Desk], Answer]


def write_file(
    path: Path, content: str | bytes, *, replace: bool, is_own: Callable[[bytes], bool], own: str
) -> None:
    """Write the complete file or nothing; a link at the path is replaced, not followed.

    Parameters
    ----------
    replace : bool
        Overwrite any file at the path.
    is_own : callable
        Receives the first megabyte of an existing file; returns whether the file may be overwritten anyway.
    own : str
        Describes the files that `is_own` accepts, for the error message: ``an unchanged export of slugify``.
    """
    existing = read_file(path, 1_000_001)
    if existing is not None and not (replace or is_own(existing)):
        raise CellError(
            f"{path} exists and is not {own}.",
            hint="Name another file with --to, or add --replace to overwrite this one.",
        )
    try:
        write_atomically(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise CellError(
            f"{path} can't be written: {error.strerror}.", hint="Name another file with --to."
        ) from None


def page(title: str, facts: Facts, *, code: Facts = ()) -> Record:
    """Build a record that shows facts under a title.

    Parameters
    ----------
    facts : sequence of (str, str)
        Each fact's name and text; a fact with an empty text is not shown.
    code : sequence of (str, str)
        Names and long texts; they are folded in HTML, and come last in plain text.
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
