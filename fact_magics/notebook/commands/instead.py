"""What to write in place of a subcommand of ``%fact`` that does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.core.handle import Tool
from fact_magics.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fact_magics.notebook.work import Host

_INSTEAD = {
    "help": "Write %fact --help",
    **dict.fromkeys(
        ("cost", "costs", "price", "spend", "spent", "tokens", "usage"),
        "%fact stats shows tokens and costs; %fact show ID shows the tokens of a generation.",
    ),
    **dict.fromkeys(
        ("undo", "revert", "back", "restore"), "%fact rollback NAME goes back to an earlier version."
    ),
    **dict.fromkeys(
        ("search", "find", "grep"),
        "Write %fact tools --search TEXT for tools, %fact history --search TEXT for runs.",
    ),
    **dict.fromkeys(
        ("list", "ls", "all", "toolbox"), "%fact tools lists the tools; %fact history lists the runs."
    ),
    **dict.fromkeys(("delete", "del", "rm", "drop"), "%fact remove NAME removes a tool."),
    **dict.fromkeys(("info", "describe", "get", "cat", "source"), "%fact show NAME shows a tool."),
    **dict.fromkeys(("runs", "log", "logs", "last"), "%fact history lists the runs and generations."),
    **dict.fromkeys(("errors", "failed", "failures"), "Write %fact history --status error"),
    **dict.fromkeys(
        ("session", "sessions"),
        "%fact shows the session; %fact history --session all lists the rows of all sessions.",
    ),
    **dict.fromkeys(
        ("status", "state", "settings", "config", "database", "isolation", "key", "keys"),
        "%fact alone shows the settings; %config FactMagics changes them.",
    ),
    **dict.fromkeys(("generate", "new", "create", "write", "add"), "Write a cell: %%fact_generate NAME"),
    **dict.fromkeys(
        ("refine", "edit", "change", "update"),
        "%%fact_refine NAME lets a model change a tool; %fact insert NAME adds a cell to edit its source.",
    ),
    "compare": "%fact diff NAME V W shows what changed between two versions.",
    **dict.fromkeys(
        ("run", "call", "exec"), "Write a cell: %%fact_run NAME. To repeat a run: %fact rerun ID"
    ),
    **dict.fromkeys(("save", "share", "download"), "%fact export NAME writes a tool to a file."),
    **dict.fromkeys(("load", "open", "upload"), "%fact import FILE reads a tool from a file."),
}


def instead_of(name: str, known: Iterable[str], notebook: Host) -> str:
    """Say what to write in place of `name`, which is not among the `known` subcommands."""
    hint = _INSTEAD.get(name.lower()) or did_you_mean(name, filter(None, known))
    if not hint and isinstance(notebook.own_names().get(name), Tool):
        hint = f"Write %fact show {name}"
    return hint or "%fact --help lists the subcommands."
