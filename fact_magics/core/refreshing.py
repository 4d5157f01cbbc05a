"""Run tools again in the background, shortly before their answers end, so that nobody has to wait then."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from fact_magics.errors import FactError

if TYPE_CHECKING:
    from fact_magics.core.cache import AnswerCache
    from fact_magics.core.leases import Leases
    from fact_magics.core.plan import Plan
    from fact_magics.core.running import Runner
    from fact_magics.events import Event
    from fact_magics.store import CacheEntry

_TRIED_REMEMBERED = 10_000


class Refresher:
    """Refreshes answers; each answer once, and in one of the kernels on a database."""

    def __init__(self, runner: Runner, answers: AnswerCache, leases: Leases) -> None:
        self._runner = runner
        self._answers = answers
        self._leases = leases
        self._tried: dict[str, str | None] = {}  # the end of the latest answer that was refreshed, by its key

    def refresh(self, planned: Plan, entry: CacheEntry) -> None:
        """Refresh the answer of a run in the background; works on any thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._runner.loop.call_soon_threadsafe(self._begin, planned, entry)

    def _begin(self, planned: Plan, entry: CacheEntry) -> None:
        if self._runner.is_closed or self._tried.get(planned.key) == entry.expires_at:
            return
        if len(self._tried) >= _TRIED_REMEMBERED:
            self._tried.clear()
        self._tried[planned.key] = entry.expires_at
        self._runner.start(self._refresh(planned, entry))

    async def _refresh(self, planned: Plan, entry: CacheEntry) -> None:
        with self._leases.ask(planned.key) as lease, suppress(FactError):
            if not lease.is_held:
                return
            newest = await self._answers.get(planned)  # another kernel may have refreshed it
            if newest is None or newest.expires_at == entry.expires_at:
                fresh = planned._replace(fresh=True)
                await self._runner.shared(fresh, partial(self._runner.lead, fresh, _ignore))


def _ignore(event: Event) -> None:
    del event
