"""What a subcommand has at hand: the core, and the notebook that the line stands in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from fact_magics.errors import CellError, Interrupted
from fact_magics.notebook.arguments import Arguments, Option

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from fact_magics.config import Settings
    from fact_magics.core import FactCore
    from fact_magics.core.handle import Tool
    from fact_magics.display.record import Record
    from fact_magics.session import Session
    from fact_magics.tool import ToolOutput

T = TypeVar("T")

JSON = Option("--json", "Print JSON instead of a table.")


class Notebook(Protocol):
    """What a subcommand may do to the notebook that it was written in."""

    def show(self, record: Record) -> None:
        """Show a record in the cell, before what the subcommand itself comes to."""

    def put_cell(self, text: str) -> None:
        """Put a cell with this text below."""

    def rebind(self, tool: Tool) -> bool:
        """Bind a tool's name anew, if it holds another version of it; tells whether it did."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subcommand comes to.

    Attributes
    ----------
    record : Record
        What the cell shows.
    data : object
        The same for ``--json``.
    value : ToolOutput or None
        A run, which is the cell's value and shows itself.
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
        """The open core."""
        return self.session.core

    @property
    def settings(self) -> Settings:
        """The settings of now."""
        return self.core.settings

    @property
    def directory(self) -> Path:
        """The notebook's."""
        return self.session.directory

    def path(self, text: str) -> Path:
        """Take a path as the notebook means it: from its directory on, unless it says where it begins.

        Raises
        ------
        CellError
            No file can be named so, or ``~name`` names no user.
        """
        try:
            path = Path(text).expanduser()
            is_path = b"\0" not in os.fsencode(path)
        except (ValueError, RuntimeError):
            is_path = False
        if not is_path:
            raise CellError(f"{text!r} is no path here.", hint="Give the path of a file.")
        return self.directory / path

    def ask(self, work: Callable[[FactCore], Awaitable[T]], *, stopped: str = "%fact was stopped.") -> T:
        """Do what takes the core's loop, and wait for it; the history is complete before.

        Raises
        ------
        Interrupted
            The user stopped it; `stopped` says in a line what became of it.
        """
        core = self.core

        async def ask() -> T:
            await core.flush()
            return await work(core)

        return self.wait(ask(), stopped=stopped)

    def wait(self, coroutine: Coroutine[Any, Any, T], *, stopped: str = "%fact was stopped.") -> T:
        """Wait for a coroutine on the core's loop; the core was opened before.

        Raises
        ------
        Interrupted
            As `ask`.
        """
        from fact_magics.bridge import STOPPED

        try:
            return self.session.submit(coroutine).wait(_nothing)
        except STOPPED:
            raise Interrupted(stopped) from None


Work: TypeAlias = Callable[[Arguments, Desk], Answer]


def _nothing() -> None:
    pass
