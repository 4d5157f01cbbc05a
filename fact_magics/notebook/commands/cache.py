"""``%fact cache``: show the tiers of the cache, or clear them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fact_magics.display.table import Table
from fact_magics.errors import CellError
from fact_magics.names import split_reference
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.store.since import read_since
from fact_magics.text import byte_size, plural

if TYPE_CHECKING:
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.store import CacheStats


def made_before(text: str) -> str:
    """Read the value of ``--older-than``; return the time before which answers were made, in UTC."""
    try:
        return read_since(text)
    except CellError:
        raise ValueError("is not an age. Write a duration such as 12h or 30d, or an ISO date.") from None


def show_cache(arguments: Arguments, desk: Desk) -> Answer:
    """Show the tiers, or remove answers from all of them."""
    tool, before, everything = map(arguments.get, ("clear", "older_than", "all"))
    if everything and (tool or before):
        raise CellError(
            "--all removes every answer, so it can't be combined with --clear or --older-than.",
            hint="Leave out --all to remove fewer.",
        )
    return _clear(desk, tool, before) if everything or tool or before else _show(desk)


def _show(desk: Desk) -> Answer:
    tiers = desk.ask(lambda core: core.cache_tiers())
    head = ("Tier", "Answers", "Size", "Limit", "Hits", "Misses", "Evictions", "Note")
    rows = [(name, *_cells(stats)) for name, stats in tiers.items()]
    title = "The cache. Hits, misses and evictions are those of this session"
    data = [{"tier": name, **asdict(stats)} for name, stats in tiers.items()]
    return Answer(Table(title, head, rows, numbers=head[1:-1], optional=("Note",)).record(), {"tiers": data})


def _cells(stats: CacheStats) -> tuple[str, ...]:
    return (
        f"{stats.entries:,}",
        byte_size(stats.bytes),
        "set in Redis" if stats.max_bytes is None else byte_size(stats.max_bytes),
        *(f"{number:,}" for number in (stats.hits, stats.misses, stats.evictions)),
        getattr(stats, "note", ""),
    )


def _clear(desk: Desk, tool: str | None, before: str | None) -> Answer:
    name, version = split_reference(tool) if tool else (None, None)
    if version is not None:
        raise CellError(
            f"--clear removes the answers of all versions of {name}, not just one.",
            hint=f"Write --clear {name}.",
        )
    removed = desk.ask(
        lambda core: core.clear_cache(tool=name, before=before),
        stopped="%fact cache was stopped; some answers may be removed already.",
    )
    which = (f" of {name}" if name else "") + (f" made before {before}" if before else "")
    facts = [
        (tier.capitalize(), f"{plural(gone.entries, 'answer')}{which} removed ({byte_size(gone.bytes)})")
        for tier, gone in removed.items()
    ]
    facts.append(("Kept", "the history, and the answers in the memory of other open notebooks"))
    return Answer(page("Cache", facts), {"removed": {tier: asdict(gone) for tier, gone in removed.items()}})
