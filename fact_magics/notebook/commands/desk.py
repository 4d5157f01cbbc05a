"""The parts that subcommands share: the core and the notebook, their answers, pages and files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fact_magics.bridge import STOPPED
from fact_magics.core.handle import Tool
from fact_magics.display.html import Html, Record, element, folded, preformatted
from fact_magics.display.result import SCROLLED, scrolled
from fact_magics.display.table import facts_table
from fact_magics.errors import CellError, Interrupted
from fact_magics.notebook.arguments import Arguments
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from fact_magics.core import FactCore
    from fact_magics.session import Session
    from fact_magics.tool import ToolOutput

    Facts = Sequence[tuple[str, str]]

T = TypeVar("T")

_STOPPED = "%fact was stopped."


class Notebook:
    """The notebook of a shell, and what a subcommand may do to it."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell: Any = shell

    def show(self, record: Record) -> None:
        """Show a record in the cell, above the subcommand's own answer."""
        from IPython.display import display

        display(record.bundle, raw=True)

    def put_cell(self, text: str) -> None:
        """Add a cell with this text below; a terminal puts it into its next prompt."""
        self._shell.set_next_input(text)

    def rebind(self, tool: Tool) -> bool:
        """Bind a tool's name to it if the name holds another version, and tell whether it does."""
        held = self._shell.user_ns.get(tool.name)
        if not isinstance(held, Tool) or held.name != tool.name:
            return False
        self._shell.push({tool.name: tool})
        return True


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a subcommand.

    Attributes
    ----------
    record : Record
        The output of the cell.
    data : object
        The same for ``--json``.
    value : ToolOutput or None
        The cell's value after a run, shown in place of the record.
    """

    record: Record
    data: Any
    value: ToolOutput | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """The core and the notebook, for one line."""

    session: Session
    notebook: Notebook

    @property
    def core(self) -> FactCore:
        """The core, opened if it was not, with the settings as they are now."""
        return self.session.core

    def path(self, text: str) -> Path:
        """Read a path as the user means it: relative to the notebook's directory.

        Raises
        ------
        CellError
            The text holds a null character, or ``~name`` for a user who does not exist.
        """
        try:
            path = Path(text).expanduser()
            is_path = b"\0" not in os.fsencode(path)
        except (ValueError, RuntimeError):
            is_path = False
        if not is_path:
            raise CellError(f"{text!r} is not a valid path.", hint="Give the path of a file.")
        return self.session.directory / path

    def ask(self, work: Callable[[FactCore], Coroutine[Any, Any, T]], *, stopped: str = _STOPPED) -> T:
        """Wait for work on the core's loop.

        Raises
        ------
        Interrupted
            The user stopped it; `stopped` is the message.
        """
        try:
            return self.session.run(work(self.core))
        except STOPPED:
            raise Interrupted(stopped) from None


Work: TypeAlias = Callable[[Arguments, Desk], Answer]


def read_file(path: Path, limit: int) -> bytes | None:
    """Read at most `limit` bytes of a file; None if there is none.

    Raises
    ------
    CellError
        The path is not a regular file, or can't be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise CellError(f"{path} is not a file.", hint="Give the path of a file.")
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise CellError(
            f"{inert(str(path))} can't be read: {said}.", hint="Give the path of a file that you can read."
        ) from None


def write_file(path: Path, text: str, *, is_kept: Callable[[bytes], bool], kept: str) -> None:
    """Write a whole file or nothing; a link at the path is replaced, not followed.

    Parameters
    ----------
    is_kept : callable
        Tells from the first megabyte of a file at the path whether it must not be overwritten.
    kept : str
        The reason: ``is not an exported slugify``.

    Raises
    ------
    CellError
        The file that is there must not be overwritten, or the path can't be written.
    """
    there = read_file(path, 1_000_001)
    if there is not None and is_kept(there):
        raise CellError(
            f"{path} exists and {kept}.",
            hint="Name another file with --to, or add --replace to overwrite this one.",
        )
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(text.encode())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CellError(
            f"{path} can't be written: {error.strerror}.", hint="Name another file with --to."
        ) from None


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
