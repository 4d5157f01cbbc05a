"""`MemoryCache`: answers that can be served without reading the database."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.store.rows import CacheEntry

DEFAULT_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """The size of a cache, and the numbers of its hits, misses and evictions in this session.

    `max_bytes` is None if this package does not set the limit.
    """

    entries: int
    bytes: int
    max_bytes: int | None
    hits: int
    misses: int
    evictions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """How many entries were removed from a cache, and their bytes."""

    entries: int = 0
    bytes: int = 0


class MemoryCache:
    """A thread-safe cache of at most `max_bytes`; the least recently used entries are evicted first.

    Answers are stored encoded, so that no two callers share one object. An entry larger than `max_bytes` is
    not stored.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._lock = Lock()
        self._max_bytes = max_bytes
        self._bytes = self._hits = self._misses = self._evictions = 0

    def get(self, key: str, *, counts: bool = True) -> CacheEntry | None:
        """Find an entry, and count a hit or miss. The caller must check whether the entry has expired."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._misses += counts
            else:
                self._entries.move_to_end(key)
                self._hits += counts
            return entry

    def get_many(self, keys: Sequence[str]) -> list[CacheEntry | None]:
        """Find entries as `get` does, without counting them; see `count`."""
        with self._lock:
            if self._entries.keys().isdisjoint(keys):
                return [None] * len(keys)
            found = [*map(self._entries.get, keys)]
            for entry in found:
                if entry is not None:
                    self._entries.move_to_end(entry.key)
            return found

    def count(self, *, hits: int, misses: int) -> None:
        """Count runs whose answers `get_many` found, and those whose answers it did not find."""
        with self._lock:
            self._hits += hits
            self._misses += misses

    def put(self, entry: CacheEntry) -> None:
        """Store an entry; it replaces an entry with the same key."""
        size = entry.size
        with self._lock:
            self._drop(entry.key)
            if size > self._max_bytes:
                return
            self._entries[entry.key] = entry
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))
                self._evictions += 1

    def discard(self, key: str) -> None:
        """Remove the entry with this key, if it exists."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Remove all entries; the numbers of hits, misses and evictions stay."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def remove(self, is_meant: Callable[[CacheEntry], bool]) -> Removed:
        """Remove the entries for which `is_meant` is true."""
        with self._lock:
            before = self._bytes
            meant = [key for key, entry in self._entries.items() if is_meant(entry)]
            for key in meant:
                self._drop(key)
            return Removed(entries=len(meant), bytes=before - self._bytes)

    def stats(self) -> CacheStats:
        """Return the current `CacheStats`."""
        with self._lock:
            return CacheStats(
                entries=len(self._entries),
                bytes=self._bytes,
                max_bytes=self._max_bytes,
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
            )

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
