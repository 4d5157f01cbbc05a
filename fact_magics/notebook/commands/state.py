"""``%fact`` and ``%fact trust``: show the state of this notebook, and trust a settings file."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING

from fact_magics._version import __version__
from fact_magics.config.contents import contents
from fact_magics.config.trust import trust
from fact_magics.errors import FactError
from fact_magics.notebook.commands.desk import Answer, Desk, page
from fact_magics.text import plural, usd
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.core import FactCore
    from fact_magics.notebook.arguments import Arguments
    from fact_magics.providers.local import LocalServer
    from fact_magics.providers.spending import Account


def show_state(_: Arguments, desk: Desk) -> Answer:
    """Show the model, isolation, database, cache and session in use."""
    core = desk.session.core
    settings = core.settings
    chosen, why, _problem = desk.ask(model_in_use)
    layers = desk.ask(lambda core: core.layers())
    memory = core.cache_stats()
    state = {
        "fact_magics": __version__,
        "model": chosen,
        "why": why,
        "isolation": list(layers) or ["none"],
        "database": str(core.database_path),
        "logs": str(settings.log_directory),
        "cache": asdict(memory),
        "session": core.session_id,
        "spending": _spending(core.spending),
        "settings": settings.sources,
        "notes": list(settings.notes),
    }
    unisolated = 'none: this system can\'t isolate tools; see %config FactMagics.isolation = "process"'
    facts = [
        ("Model", f"{chosen} ({why})"),
        ("Isolation", ", ".join(layers) or unisolated),
        ("Database", str(core.database_path)),
        ("Logs", str(settings.log_directory)),
        ("Cache", f"{plural(memory.entries, 'answer')} in memory ({memory.bytes:,} bytes)"),
        ("Session", core.session_id),
        ("Spent", _spent(core.spending)),
        ("Metrics", core.metrics_state),
        ("Recording", str(core.recording or "")),
        ("Settings", "\n".join(f"{name} from {source}" for name, source in settings.sources.items())),
        *(("Note", note) for note in settings.notes),
    ]
    return Answer(page(f"fact_magics {__version__}", facts), state)


def _spending(account: Account) -> dict[str, float | int | None]:
    limit = account.limit
    return {
        "spent_usd": float(account.spent),
        "held_usd": float(account.held),
        "reserved_usd": float(account.reserved),
        "budget_usd": None if limit is None else float(limit),
        "left_usd": None if limit is None else float(account.left),
        "unknown_requests": account.unknown,
    }


def _spent(account: Account) -> str:
    """Say what this session has spent, and what is left of its budget."""
    parts = [f"{usd(account.spent)} in this session"]
    if account.unknown:
        held = f", at most {usd(account.held)}" if account.held else ""
        parts.append(f"price unknown for {plural(account.unknown, 'request')}{held}")
    if account.reserved:
        parts.append(f"{usd(account.reserved)} reserved for requests under way")
    if account.limit is not None:
        parts.append(f"{usd(max(account.left, Decimal()))} left of the budget of {usd(account.limit)}")
    return "; ".join(parts)


async def model_in_use(
    core: FactCore, local: Sequence[LocalServer] | None = None
) -> tuple[str, str, FactError | None]:
    """Find the model for cells without ``--model``, or ``none``; the reason for it; why it can't be used.

    `local` are the servers that `local_servers` found, if it was asked before.
    """
    from fact_magics.core.generating import refuse_withheld
    from fact_magics.providers.choose import choose
    from fact_magics.providers.recording import read_recording, short_path

    settings = core.settings
    try:
        if path := core.replayed:
            origin = f"FACT_REPLAY from {settings.origin('replay')}"
            models = await asyncio.to_thread(lambda: read_recording(path).models)
            why = f"replayed from {short_path(path)}; {origin if path == settings.replay else '%fact replay'}"
            return settings.model or ", ".join(models) or "none", why, None
        refuse_withheld(None, settings)
        provider = await choose(settings, None, local=local)
        await provider.aclose()
    except FactError as error:
        return settings.model or "none", error.line, error
    chosen, why = provider.model, provider.notice
    if why and chosen != SHELF:
        return chosen, why, None
    if settings.model:
        why = f"set by {settings.origin('model')}"
    elif settings.anthropic_api_key is not None:
        why = f"the default; the Anthropic key is from {settings.origin('anthropic_api_key')}"
    elif chosen == SHELF:
        why = "no key is set and no local server answers; set ANTHROPIC_API_KEY to ask a model"
    return chosen, why, None


def trust_file(arguments: Arguments, desk: Desk) -> Answer:
    """Trust a file until its content changes, and show what it decides; values of keys are not shown."""
    path = desk.path(arguments.words["PATH"])
    found = contents(path, trust(path, desk.session.trust_home()))
    facts = [
        ("File", str(path.resolve())),
        ("Hosts", ", ".join(found.hosts)),
        ("Keys", ", ".join(found.keys)),
        ("Models", ", ".join(found.models)),
        ("Data", ", ".join(found.places)),
        ("Data used", "after a restart of the kernel" if found.places and desk.session.opened else ""),
        ("Variables", ", ".join(found.variables)),
        ("Options", ", ".join(found.options)),
        ("Until", "its content changes"),
    ]
    return Answer(page("Trusted", facts), {"trusted": str(path), **found._asdict()})
