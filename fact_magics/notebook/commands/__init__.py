"""``%fact``: the state, what is kept, and what is done with it; a function a subcommand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fact_magics.errors import CellError, did_you_mean
from fact_magics.notebook.arguments import Command, read_line
from fact_magics.notebook.commands import changing, listing, models, rerunning, state, travelling
from fact_magics.notebook.commands.desk import Desk, Notebook
from fact_magics.notebook.commands.state import FACT

if TYPE_CHECKING:
    from fact_magics.display.record import Record
    from fact_magics.notebook.commands.desk import Work
    from fact_magics.session import Session
    from fact_magics.tool import ToolOutput

__all__ = ["FACT", "Notebook", "commands", "help_text", "manage"]

_SUBCOMMANDS: dict[str, tuple[Command, Work]] = {
    "tools": (listing.TOOLS, listing.list_tools),
    "show": (listing.SHOW, listing.show),
    "history": (listing.HISTORY, listing.list_history),
    "models": (models.MODELS, models.list_models),
    "rerun": (rerunning.RERUN, rerunning.rerun),
    "insert": (changing.INSERT, changing.insert),
    "rollback": (changing.ROLLBACK, changing.roll_back),
    "remove": (changing.REMOVE, changing.remove),
    "export": (travelling.EXPORT, travelling.export),
    "import": (travelling.IMPORT, travelling.import_),
    "trust": (state.TRUST, state.trust_file),
}


def manage(line: str, session: Session, notebook: Notebook) -> Record | ToolOutput | str:
    """Do what a ``%fact`` line asks for.

    Returns
    -------
    Record, ToolOutput or str
        What the cell shows, a run that is its value, or JSON or help to print.

    Raises
    ------
    FactError
        The line can't be read, names what is not there, or asks for what can't be done.
    """
    work: Work
    word, rest = (*line.split(maxsplit=1), "", "")[:2]
    if not word or word.startswith("-"):
        command, work, rest = FACT, state.show_state, line
    elif word in _SUBCOMMANDS:
        command, work = _SUBCOMMANDS[word]
    else:
        hint = did_you_mean(word, _SUBCOMMANDS) or f"It has {', '.join(sorted(_SUBCOMMANDS))}."
        raise CellError(f"%fact has no subcommand {word!r}.", hint=hint)
    arguments = read_line(rest, command)
    if arguments.help:
        return help_text() if command is FACT else command.help_text()
    answer = work(arguments, Desk(session, notebook))
    if arguments.get("json"):
        return json.dumps(answer.data, indent=2, default=str)
    return answer.value or answer.record


def commands() -> dict[str, Command]:
    """Give what each subcommand reads, by its name; under the empty name, a line without one."""
    return {"": FACT, **{name: command for name, (command, _) in _SUBCOMMANDS.items()}}


def help_text() -> str:
    """Write the page that ``%fact --help`` shows."""
    width = max(len(known.usage) for known, _ in _SUBCOMMANDS.values())
    subcommands = [f"  {known.usage.ljust(width)}  {known.summary}" for known, _ in _SUBCOMMANDS.values()]
    return "\n".join((FACT.help_text(), "", "Subcommands, each with --help", *subcommands))
