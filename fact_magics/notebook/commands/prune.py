"""``%fact prune``: shorten the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fact_magics.errors import CellError, Interrupted
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.store import Pruned
from fact_magics.store.since import age
from fact_magics.text import byte_size, plural

if TYPE_CHECKING:
    from fact_magics.notebook.arguments import Arguments


def age_of(text: str) -> str:
    """Check the value of ``--older-than``."""
    age(text)
    return text


def prune(arguments: Arguments, desk: Desk) -> Answer:
    """Remove old runs, and say how many."""
    older_than = arguments.get("older_than")
    if older_than is None:
        raise CellError("%fact prune needs --older-than.", hint="Write: %fact prune --older-than 90d")
    known = [Pruned(0, 0)]
    try:
        gone = desk.ask(lambda core: core.prune(older_than, known.append))
    except Interrupted:
        raise Interrupted(f"%fact prune was stopped after it had removed {_told(known[-1])}.") from None
    facts = [
        ("Removed", f"{_told(gone)}, older than {older_than}"),
        ("Kept", "tools, generations, answers, and the totals of %fact stats"),
        ("Space", "the file keeps its size; new rows fill the space first" if gone.runs else ""),
    ]
    return Answer(page("History", facts), gone._asdict())


def _told(gone: Pruned) -> str:
    return f"{plural(gone.runs, 'run')} ({byte_size(gone.bytes)})"
