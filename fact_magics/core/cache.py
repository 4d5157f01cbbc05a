"""The cache of answers: its tiers, and the rules for keeping and using an answer."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from fact_magics.core.outputs import checked_entry
from fact_magics.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.core.recording import Recorder
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.store import CacheEntry, MemoryCache, Store

# The answer of an unproven tool is used only after this many runs have given it.
_AGREEING_RUNS = 2
_ADDRESS = re.compile(rb" at 0x[0-9a-f]{6,}")


class Tier(Protocol):
    """A place, such as a database, that stores answers by the keys of their runs."""

    async def get(self, key: str) -> CacheEntry | None:
        """Find an answer that has not expired."""

    def put(self, entry: CacheEntry) -> None:
        """Keep an answer, immediately or when the run's row is committed."""

    async def forget(self, key: str) -> None:
        """Drop an answer."""


class DatabaseTier:
    """The answers in SQLite. An entry is committed in the same transaction as the row of its run."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store = store
        self._recorder = recorder

    async def get(self, key: str) -> CacheEntry | None:
        """Find an answer that has not expired."""
        return await self._store.cache.get(key)

    def put(self, entry: CacheEntry) -> None:
        """Keep an answer with the next commit."""
        self._recorder.add_entry(entry)

    async def forget(self, key: str) -> None:
        """Drop an answer."""
        await self._store.cache.forget(key)


class AnswerCache:
    """All cached answers: the memory comes first, read on the calling thread; then the tiers, in order."""

    def __init__(self, memory: MemoryCache, tiers: Sequence[Tier]) -> None:
        self._memory = memory
        self._tiers = tuple(tiers)

    def recall(self, planned: Plan) -> CacheEntry | None:
        """Find the answer of a run in memory, without waiting."""
        if not planned.key or planned.fresh:
            return None
        entry = self._memory.get(planned.key)
        return entry if entry is not None and may_serve(planned.tool, entry) else None

    async def get(self, planned: Plan) -> CacheEntry | None:
        """Find the answer of a run in the tiers, and keep it in memory.

        An entry that does not fit the tool's return annotation is dropped. Entries in memory were checked.
        """
        if not planned.key or planned.fresh:
            return None
        for tier in self._tiers:
            entry = await self._checked(tier, planned)
            if entry is not None and may_serve(planned.tool, entry):
                self._memory.put(entry)
                return entry
        return None

    async def _checked(self, tier: Tier, planned: Plan) -> CacheEntry | None:
        try:
            found = await tier.get(planned.key)
        except StoreError:  # recording the run then fails too, and the output reports it
            return None
        checked = found and checked_entry(planned.tool, found)
        if found is not None and checked is None:
            with suppress(StoreError):
                await tier.forget(planned.key)
        return checked

    def put(self, tool: LoadedTool, entry: CacheEntry) -> None:
        """Keep an answer in every tier, and in memory if it may be used already."""
        if may_serve(tool, entry):
            self._memory.put(entry)
        else:
            self._memory.discard(entry.key)
        for tier in self._tiers:
            tier.put(entry)

    async def forget(self, key: str) -> None:
        """Drop an answer from memory and every tier."""
        self._memory.discard(key)
        for tier in self._tiers:
            await tier.forget(key)


def may_serve(tool: LoadedTool, entry: CacheEntry) -> bool:
    """Tell whether an entry may answer a run. For an unproven tool, two runs must have given this answer."""
    return tool.metadata.proven or entry.confirmations >= _AGREEING_RUNS


def may_keep(tool: LoadedTool, outcome: Outcome) -> bool:
    """Tell whether an outcome may answer later runs: only if the tool could use nothing but its input.

    Python describes many objects by their addresses in memory, which differ from run to run.
    """
    if _ADDRESS.search(outcome.result or b"") or _ADDRESS.search(outcome.printed.encode("utf-8", "replace")):
        return False
    return "landlock" in outcome.isolation or tool.verified or tool.self_contained
