"""The cache in memory."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from fact_magics.store import CacheEntry, MemoryCache


def entry(key: str, size: int = 256, **fields: object) -> CacheEntry:
    return CacheEntry(key=key, tool_id="t", result=bytes(size - 256), **fields)  # type: ignore[arg-type]


def held(cache: MemoryCache, keys: str = "abcdef") -> str:
    return "".join(key for key in keys if key in cache._entries)


def test_what_was_put_is_what_is_got_and_it_is_bytes() -> None:
    cache = MemoryCache()
    given = entry("a", 300)
    cache.put(given)
    assert cache.get("a") is given
    assert type(given.result) is bytes
    assert cache.get("b") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = MemoryCache(1000)
    for key in "abc":
        cache.put(entry(key, 300))
    cache.get("a")
    cache.put(entry("d", 300))
    assert held(cache) == "acd"
    cache.put(entry("c", 400))
    assert held(cache) == "acd"
    cache.put(entry("e", 600))
    assert held(cache) == "ce"
    stats = cache.stats()
    assert (stats.entries, stats.bytes, stats.evictions) == (2, 1000, 3)


def test_an_entry_above_the_bound_is_not_kept_and_neither_is_the_one_that_it_replaces() -> None:
    cache = MemoryCache(1000)
    cache.put(entry("a"))
    cache.put(entry("b"))
    cache.put(entry("a", 1001))
    assert held(cache) == "b"
    cache.put(entry("c", 1000))
    assert held(cache) == "c"
    assert cache.stats().bytes == 1000


def test_replacing_discarding_and_clearing_count_bytes_right() -> None:
    cache = MemoryCache()
    for size in (500, 300, 400):
        cache.put(entry("a", size))
    assert cache.stats().bytes == 400
    cache.discard("a")
    cache.discard("a")
    assert (cache.stats().bytes, cache.stats().entries) == (0, 0)
    cache.put(entry("b"))
    cache.get("b")
    cache.get("nothing")
    cache.clear()
    stats = cache.stats()
    assert (stats.bytes, stats.entries, stats.hits, stats.misses) == (0, 0, 1, 1)


def test_chosen_entries_are_removed_and_their_bytes_are_told() -> None:
    cache = MemoryCache()
    for key in "abc":
        cache.put(entry(key, 300))
    removed = cache.remove(lambda kept: kept.key != "b")
    assert (removed.entries, removed.bytes) == (2, 600)
    assert held(cache) == "b"
    assert cache.stats().bytes == 300


def test_printed_text_counts_too() -> None:
    assert entry("a", printed="x" * 100).size == 356
    assert entry("a", printed="é" * 100).size >= 256 + len(("é" * 100).encode())


def test_threads_leave_the_count_right_and_the_bound_kept() -> None:
    cache = MemoryCache(20_000)

    def work(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - the same steps each time
        ways = (cache.get, cache.discard, lambda key: cache.put(entry(key, chance.randrange(256, 999))))
        for _ in range(3_000):
            chance.choice(ways)(str(chance.randrange(200)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert cache.stats().bytes == sum(kept.size for kept in cache._entries.values()) <= 20_000
