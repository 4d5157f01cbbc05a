"""The cache of answers: its tiers, and the rules for keeping and using an answer."""

from __future__ import annotations

import math
import random
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from fact_magics.core.outputs import checked_entry
from fact_magics.errors import FactError, StoreError
from fact_magics.store import CacheEntry
from fact_magics.text import utc_now, utc_text
from fact_magics.values.attachments import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.core.leases import Lease
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.core.recording import Recorder
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.store import CacheStats, MemoryCache, Removed, Store
    from fact_magics.values import Wire

# The answer of an unproven tool is used only after this many runs have given it.
_AGREEING_RUNS = 2
_ADDRESS = re.compile(rb" at 0x[0-9a-f]{6,}")
_ADDRESS_BYTES = 12  # of the shortest one
# How long a run waits for an identical one in another kernel, in timeouts: that run may have to queue.
_WAITED_TIMEOUTS = 2


class Tier(Protocol):
    """A place, such as a database, that stores answers by the keys of their runs."""

    name: str

    async def get(self, planned: Plan) -> CacheEntry | None:
        """Find the answer of a run, unless it has expired."""

    def put(self, planned: Plan, entry: CacheEntry) -> None:
        """Keep the answer of a run, immediately or when the run's row is committed."""

    async def forget(self, key: str) -> None:
        """Drop an answer."""

    async def stats(self) -> CacheStats:
        """Return the tier's size, and the counts of this session."""

    async def clear(self, chosen: Chosen) -> Removed:
        """Drop the chosen answers."""

    async def aclose(self) -> None:
        """Close what the tier has opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which answers to drop: those that fit all conditions, and so without conditions all answers.

    Attributes
    ----------
    tool : str or None
        The name of their tool.
    tool_ids : tuple of str
        The ids of its versions in the database.
    before : str or None
        A time in UTC, before which they were made.
    """

    tool: str | None = None
    tool_ids: tuple[str, ...] = ()
    before: str | None = None

    def includes(self, entry: CacheEntry) -> bool:
        """Tell whether an entry of this database is chosen."""
        is_of_tool = self.tool is None or entry.tool_id in self.tool_ids
        return is_of_tool and (self.before is None or entry.created_at < self.before)


class DatabaseTier:
    """The answers in SQLite. An entry is committed in the same transaction as the row of its run."""

    name = "database"

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store = store
        self._recorder = recorder

    async def get(self, planned: Plan) -> CacheEntry | None:
        """Find the answer of a run, unless it has expired."""
        return await self._store.cache.get(planned.key)

    def put(self, planned: Plan, entry: CacheEntry) -> None:
        """Keep an answer with the next commit."""
        del planned
        self._recorder.add_entry(entry)

    async def forget(self, key: str) -> None:
        """Drop an answer."""
        await self._store.cache.forget(key)

    async def stats(self) -> CacheStats:
        """Return the tier's size, and the counts of this session."""
        return await self._store.cache.stats()

    async def clear(self, chosen: Chosen) -> Removed:
        """Drop the chosen answers."""
        await self._recorder.flush()  # some may wait to be stored
        tool_ids = None if chosen.tool is None else chosen.tool_ids
        return await self._store.cache.clear(tool_ids=tool_ids, before=chosen.before)

    async def aclose(self) -> None:
        """Do nothing, because the core closes the store itself."""


class AnswerCache:
    """All cached answers: the memory comes first, read on the calling thread; then the tiers, in order.

    Attributes
    ----------
    on_due : callable
        Called on any thread with a run and its answer, if the answer should be refreshed before it ends.
    """

    def __init__(self, memory: MemoryCache, tiers: Sequence[Tier]) -> None:
        self._memory = memory
        self._tiers = tuple(tiers)
        self.on_due: Callable[[Plan, CacheEntry], None] = _ignore

    @property
    def is_shared(self) -> bool:
        """Whether other machines share a tier."""
        return len(self._tiers) > 1

    def recall(self, planned: Plan, *, counts: bool = True) -> CacheEntry | None:
        """Find the answer of a run in memory, without waiting; `counts` is False if the run was counted."""
        if not planned.key or planned.fresh:
            return None
        entry = self._memory.get(planned.key, counts=counts)
        return self._in_time(planned, entry) if entry is not None and may_serve(planned, entry) else None

    def recall_many(self, keys: Sequence[str]) -> list[CacheEntry | None]:
        """Find answers in memory, for runs of one proven tool whose answers never end; see `count`."""
        return self._memory.get_many(keys)

    def count(self, found: Sequence[CacheEntry | None]) -> None:
        """Count what `recall_many` found, once for each run."""
        misses = found.count(None)
        self._memory.count(hits=len(found) - misses, misses=misses)

    def _in_time(self, planned: Plan, entry: CacheEntry) -> CacheEntry | None:
        """Return an answer unless it has ended; if it ends soon, ask for the next one."""
        if entry.expires_at is None:
            return entry
        if entry.expired(utc_now()):
            return None
        if is_due(entry):
            self.on_due(planned, entry)
        return entry

    async def get(self, planned: Plan, *, since: str | None = None) -> CacheEntry | None:
        """Find the answer of a run in the tiers, and keep it in memory.

        An entry that does not fit the tool's return annotation is dropped. Entries in memory were checked.

        Parameters
        ----------
        since : str, optional
            A time in UTC. An answer of an unproven tool that was made later serves this run too, because the
            run has waited for it.
        """
        if not planned.key or planned.fresh:
            return None
        for number, tier in enumerate(self._tiers):
            entry = await self._checked(tier, planned)
            if entry is None:
                continue
            if may_serve(planned, entry):
                self._memory.put(entry)
                for above in self._tiers[:number]:
                    above.put(planned, entry)
                return self._in_time(planned, entry)
            if since is not None and entry.created_at >= since:
                return entry
        return None

    async def awaited(self, planned: Plan, lease: Lease) -> CacheEntry | None:
        """Wait for an identical run in another kernel, and find its answer.

        If that run fails or its kernel dies, the lease comes to this run, which then must execute the tool.
        It stops waiting after twice its own timeout, for example if the other kernel is halted.
        """
        asked_at = utc_now()
        await lease.wait(_WAITED_TIMEOUTS * planned.timeout_seconds)
        return await self.get(planned, since=asked_at)

    async def _checked(self, tier: Tier, planned: Plan) -> CacheEntry | None:
        try:
            found = await tier.get(planned)
        except StoreError:  # recording the run then fails too, and the output reports it
            return None
        checked = found and checked_entry(planned.tool, found)
        if found is not None and checked is None:
            with suppress(StoreError):
                await tier.forget(planned.key)
        return checked

    def put(self, planned: Plan, entry: CacheEntry) -> None:
        """Keep the answer of a run in every tier, and in memory if it may be used already."""
        if may_serve(planned, entry):
            self._memory.put(entry)
        else:
            self._memory.discard(entry.key)
        for tier in self._tiers:
            tier.put(planned, entry)

    async def forget(self, key: str) -> None:
        """Drop an answer from memory and every tier."""
        self._memory.discard(key)
        for tier in self._tiers:
            await tier.forget(key)

    async def aclose(self) -> None:
        """Close all tiers."""
        for tier in self._tiers:
            await tier.aclose()

    async def stats(self) -> dict[str, CacheStats]:
        """Return the size and the counts of each tier, the memory first."""
        return {"memory": self._memory.stats(), **{tier.name: await tier.stats() for tier in self._tiers}}

    async def clear(self, chosen: Chosen) -> dict[str, Removed]:
        """Drop the chosen answers from every tier that can be reached, and from memory.

        Raises
        ------
        FactError
            A tier can't be reached.
        """
        removed: dict[str, Removed] = {}
        failures: list[FactError] = []
        for tier in reversed(self._tiers):  # upwards, because runs bring answers of a tier to those above
            try:
                removed[tier.name] = await tier.clear(chosen)
            except FactError as error:
                failures.append(error)
        removed["memory"] = self._memory.remove(chosen.includes)
        if failures:
            raise failures[0]
        return dict(reversed(removed.items()))


def is_due(entry: CacheEntry) -> bool:
    """Decide by chance whether to refresh an answer now.

    The chance rises as the answer nears its end; after a long run, it rises earlier. This keeps kernels that
    share an answer from all refreshing it at once. This is the algorithm XFetch (Vattani, Chierichetti
    and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015), with beta 1.
    """
    if entry.expires_at is None:
        return False
    seconds_left = datetime.fromisoformat(entry.expires_at).timestamp() - time.time()
    return -math.log(1.0 - random.random()) * entry.duration_ms / 1000 >= seconds_left  # noqa: S311


def _ignore(planned: Plan, entry: CacheEntry) -> None:
    del planned, entry


def may_serve(planned: Plan, entry: CacheEntry) -> bool:
    """Tell whether an entry may answer a run.

    For an unproven tool, two runs must have given this answer, unless the user said how long it is good.
    """
    proven = planned.tool.metadata.proven
    return proven or entry.confirmations >= _AGREEING_RUNS or planned.ttl_seconds is not None


def may_keep(planned: Plan, outcome: Outcome) -> bool:
    """Tell whether an outcome may answer later runs.

    It may if the user said how long the answer is good, or if the tool could use nothing but its input and
    shows no address in memory: Python describes many objects by theirs, which differs from run to run.
    """
    if planned.ttl_seconds is not None:
        return True
    if has_address(outcome.result or b"") or has_address(outcome.printed.encode("utf-8", "replace")):
        return False
    return used_only_input(planned.tool, outcome.isolation)


def has_address(wire: Wire) -> bool:
    """Tell whether a result or a printed text shows an address in memory."""
    if isinstance(wire, memoryview):  # it can't be searched, and a copy of all of it would be large
        pieces = range(0, len(wire), LARGE)
        return any(has_address(bytes(wire[at : at + LARGE + _ADDRESS_BYTES])) for at in pieces)
    # The search for bytes is many times as fast, and results with tables may be large.
    return b" at 0x" in wire and _ADDRESS.search(wire) is not None


def used_only_input(tool: LoadedTool, isolation: Sequence[str]) -> bool:
    """Tell whether a run of a tool in this isolation could use nothing but its input."""
    return "landlock" in isolation or tool.verified or tool.self_contained


def entry_of(planned: Plan, outcome: Outcome, wire: bytes) -> CacheEntry:
    """Make the cache entry of a run that has ended now, with the result `wire`."""
    now, ttl = datetime.now(UTC), planned.ttl_seconds
    return CacheEntry(
        key=planned.key,
        tool_id=planned.tool.metadata.id,
        result=wire,
        printed=outcome.printed,
        duration_ms=outcome.duration_ms,
        created_at=utc_text(now),
        expires_at=None if ttl is None else utc_text(now + timedelta(seconds=ttl)),
    )
