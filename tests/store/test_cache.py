"""Answers that outlive the kernel."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import StoreError
from fact_magics.store import CacheEntry, Candidate, ExecutionRow, Store
from fact_magics.text import utc_text
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def small(path: Path, candidate: Callable[..., Candidate]) -> AsyncIterator[Store]:
    """A store whose cache holds four entries of 1,000 bytes."""
    async with await Store.open(path, cache_max_bytes=4 * 1256) as store:
        await store.tools.accept(candidate(id="71d"))
        await store.tools.accept(candidate("other", id="72d"))
        yield store


def entry(key: str, result: bytes = b"1", **fields: object) -> CacheEntry:
    return CacheEntry(**{"key": key, "tool_id": "71d", "result": result, **fields})  # type: ignore[arg-type]


async def held(store: Store) -> str:
    rows = await store._database.read(lambda it: it.execute("SELECT key FROM cache ORDER BY key").fetchall())
    return "".join(row[0] for row in rows)


async def total(store: Store) -> tuple[int, int]:
    """The number of answers and their bytes, as the triggers of the database count them."""
    query = "SELECT entries, bytes FROM cache_total"
    found: tuple[int, int] = await store._database.read(lambda it: it.execute(query).fetchone())
    return found


async def test_an_answer_comes_back_as_it_was_after_a_restart_too(small: Store) -> None:
    given = entry("a", b'{"$bytes": "\xff\x00"}', printed="é\n", duration_ms=1.25, expires_at="2999-01-01")
    await small.commit(cache_entries=[given])
    assert await small.cache.get("a") == given
    assert await small.cache.get("b") is None
    async with await Store.open(small.path) as restarted:
        assert await restarted.cache.get("a") == given


async def test_confirmations_add_up_while_the_result_stays_the_same(small: Store) -> None:
    for result, expected in ((b"1", 1), (b"1", 2), (b"1", 3), (b"1.0", 1), (b"1", 1), (b"1", 2)):
        await small.commit(cache_entries=[entry("a", result, printed=f"seen {expected}")])
        found = await small.cache.get("a")
        assert found is not None
        assert (found.result, found.confirmations, found.printed) == (result, expected, f"seen {expected}")


async def test_an_answer_is_not_served_from_the_moment_it_expires(small: Store) -> None:
    now = datetime.now(UTC)
    await small.commit(cache_entries=[entry("a", expires_at=utc_text(now - timedelta(seconds=1)))])
    await small.commit(cache_entries=[entry("b", expires_at=utc_text(now + timedelta(hours=1)))])
    assert await small.cache.get("a") is None
    assert await small.cache.get("b") is not None
    assert await held(small) == "b"
    assert entry("c", expires_at="2026-01-01T00:00:00.000Z").expired("2026-01-01T00:00:00.000Z")


async def test_the_least_recently_used_go_when_the_bytes_are_used_up(small: Store) -> None:
    for key in "abcd":
        await small.commit(cache_entries=[entry(key, bytes(1000))])
    assert await held(small) == "abcd"
    hit = ExecutionRow(tool_name="t", status=Status.OK, cached=True, cache_key="a")
    await small.commit([hit])
    await small.commit(cache_entries=[entry("e", bytes(1000))])
    assert await held(small) == "acde"
    await small.commit(cache_entries=[entry("f", bytes(4000))])
    assert await held(small) == "f"
    assert await total(small) == (1, 4256)


async def test_the_order_of_use_holds_when_the_clock_was_set_back(small: Store) -> None:
    await small.commit(cache_entries=[entry(key, bytes(1000)) for key in "abcd"])
    await small._database.write(
        lambda it: it.execute("UPDATE cache SET used_at = '2999-01-01T00:00:00.000Z'")
    )
    await small.commit([ExecutionRow(tool_name="t", status=Status.OK, cached=True, cache_key="a")])
    await small.commit(cache_entries=[entry(key, bytes(1000)) for key in "efg"])
    assert await held(small) == "aefg"


async def test_many_small_ones_make_room_for_a_large_one(small: Store) -> None:
    await small.commit(cache_entries=[entry(f"{number:03}", b"") for number in range(19)])
    await small.commit(cache_entries=[entry("z", bytes(4000))])
    assert (await held(small)).endswith("z")
    assert (await total(small))[1] <= 4 * 1256


async def test_an_answer_above_the_bound_is_not_kept_and_replaces_its_older_one(small: Store) -> None:
    await small.commit(cache_entries=[entry("a")])
    await small.commit(cache_entries=[entry("b")])
    await small.commit(cache_entries=[entry("a", bytes(100_000))])
    assert await held(small) == "b"


async def test_the_total_stays_right_whoever_deletes_answers(small: Store) -> None:
    await small.commit(cache_entries=[entry("a"), entry("b"), entry("c", tool_id="72d"), entry("d")])
    for _ in range(2):
        await small.cache.forget("a")
    assert await held(small) == "bcd"
    await small._database.write(lambda it: it.execute("DELETE FROM cache WHERE tool_id = '72d'"))
    assert await held(small) == "bd"
    assert await total(small) == (2, 2 * entry("b").size)
    await small._database.write(lambda it: it.execute("DELETE FROM cache"))
    assert await total(small) == (0, 0)


async def test_rows_and_answers_of_a_commit_stand_or_fall_together(small: Store) -> None:
    row = ExecutionRow(tool_name="t", status=Status.OK)
    with pytest.raises(StoreError):
        await small.commit([row], cache_entries=[entry("a"), entry("b", tool_id="no such tool")])
    assert await held(small) == ""
    assert await small.history.runs() == []


async def test_a_hit_is_noted_once_an_hour_and_not_with_each_run(small: Store) -> None:
    await small.commit(cache_entries=[entry("a")])
    hit = {"tool_name": "t", "status": Status.OK, "cached": True, "cache_key": "a"}

    async def used() -> str:
        return await small._database.read(lambda it: it.execute("SELECT used_at FROM cache").fetchone()[0])

    await small._database.write(
        lambda it: it.execute("UPDATE cache SET used_at = '2001-01-01T00:00:00.000Z'")
    )
    await small.commit([ExecutionRow(**hit)])  # type: ignore[arg-type]
    assert await used() != "2001-01-01T00:00:00.000Z"
    await small._database.write(
        lambda it: it.execute("UPDATE cache SET used_at = '2001-01-01T00:00:00.000Z'")
    )
    await small.commit([ExecutionRow(**hit)])  # type: ignore[arg-type]
    assert await used() == "2001-01-01T00:00:00.000Z"


async def test_a_total_that_drifted_ends_the_sweep_all_the_same(small: Store) -> None:
    await small._database.write(lambda it: it.execute("UPDATE cache_total SET bytes = 1000000"))
    async with asyncio.timeout(10):
        await small.commit(cache_entries=[entry("a")])
    assert await held(small) == ""


async def test_hits_misses_and_evictions_of_the_session_are_counted(small: Store) -> None:
    await small.commit(cache_entries=[entry(key, bytes(1000)) for key in "abcde"])
    await small.cache.get("e")
    await small.cache.get("a")
    stats = await small.cache.stats()
    assert (stats.hits, stats.misses, stats.evictions) == (1, 1, 1)
    assert (stats.entries, stats.bytes, stats.max_bytes) == (4, 4 * 1256, 4 * 1256)


async def test_totals_that_can_t_be_read_are_counted_again(small: Store) -> None:
    await small.commit(cache_entries=[entry("a"), entry("b")])
    for change in ("UPDATE cache_total SET bytes = -1", "DELETE FROM cache_total"):
        await small._database.write(lambda it, change=change: it.execute(change))
        stats = await small.cache.stats()
        assert (stats.entries, stats.bytes) == (2, 2 * entry("a").size)


async def test_chosen_answers_are_cleared(small: Store) -> None:
    old = "2026-01-01T00:00:00.000Z"
    answers = [entry("a"), entry("b", created_at=old), entry("c", tool_id="72d"), entry("d")]
    await small.commit(cache_entries=answers)
    assert (await small.cache.clear(tool_ids=["72d"])).entries == 1
    assert (await small.cache.clear(before="2026-02-01")).bytes == entry("b").size
    assert await held(small) == "ad"
    assert (await small.cache.clear(tool_ids=[])).entries == 0
    assert (await small.cache.clear()).entries == 2
    assert await total(small) == (0, 0)
