"""`MemoryCache`: answers that can be served without reading the database."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fact_magics.store.rows import CacheEntry

DEFAULT_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """How full a cache is, and how many look-ups and evictions it has had."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    evictions: int


class MemoryCache:
    """A cache of at most `max_bytes` for any thread; the least recently used entries are evicted first.

    Answers are kept encoded, so that no two callers share one object. An entry larger than the limit is not
    kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._lock = Lock()
        self._max_bytes = max_bytes
        self._bytes = self._hits = self._misses = self._evictions = 0

    def get(self, key: str) -> CacheEntry | None:
        """Find an entry. It may have expired: the caller checks that."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._misses += 1
            else:
                self._entries.move_to_end(key)
                self._hits += 1
            return entry

    def put(self, entry: CacheEntry) -> None:
        """Keep an entry, in place of the one with the same key."""
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
        """Remove the entry of a key, if there is one."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Remove all entries; the counts of look-ups and evictions stay."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def stats(self) -> CacheStats:
        """Count the entries, the look-ups and the evictions."""
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
