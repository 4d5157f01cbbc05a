"""The cache that answers without a file: bounded, least recently used first out, safe from any thread."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from fact_magics.store.rows import CacheStats

if TYPE_CHECKING:
    from fact_magics.store.rows import CacheEntry

DEFAULT_MAX_BYTES = 64 * 1024 * 1024


class MemoryCache:
    """Answers as wire bytes, so that nobody holds the object that another was given.

    Parameters
    ----------
    max_bytes : int
        Bound of the entries' sizes together; an entry above it alone is not kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._lock = Lock()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0

    def get(self, key: str) -> CacheEntry | None:
        """Find an entry. Whether it has expired is the caller's to ask: no clock is read here."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._misses += 1
            else:
                self._entries.move_to_end(key)
                self._hits += 1
            return entry

    def put(self, entry: CacheEntry) -> None:
        """Keep an entry in place of the one with its key, and let the oldest go where there is no room."""
        size = entry.size
        with self._lock:
            self._drop(entry.key)
            if size > self._max_bytes:
                return
            self._entries[entry.key] = entry
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, oldest = self._entries.popitem(last=False)
                self._bytes -= oldest.size
                self._evictions += 1

    def discard(self, key: str) -> None:
        """Forget an entry; one that is not there is no error."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Forget everything but the counts."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def stats(self) -> CacheStats:
        """Count what is held and what was asked."""
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
