"""``%fact cache``: what it shows of the tiers, and what it removes from them."""

from __future__ import annotations

import pytest

from fact_magics.errors import CellError, UnknownName
from fact_magics.store import CacheEntry

pytestmark = pytest.mark.slow

OLD, NEW = "2026-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"


@pytest.fixture
def keep_answers(workshop, keep_tools):
    """Store answers of two tools, each with an old one and a new one, in the database and in memory."""
    keep_tools("half", "twice")
    core = workshop.core

    async def keep() -> None:
        for name in ("half", "twice"):
            (tool_id,) = await core._store.tools.ids(name)
            for made in (OLD, NEW):
                entry = CacheEntry(key=f"{name} {made}", tool_id=tool_id, result=b"1", created_at=made)
                await core._store.commit(cache_entries=[entry])
                core._memory.put(entry)

    workshop.run(keep())
    return core


def held(workshop) -> tuple[list[str], list[str]]:
    """The keys in memory and in the database, the year of the answer alone."""
    core = workshop.core

    def keys(connection):
        return [key for (key,) in connection.execute("SELECT key FROM cache ORDER BY key")]

    stored = workshop.run(core._store._database.read(keys))
    return sorted(key[:9] for key in core._memory._entries), [key[:9] for key in stored]


def test_the_tiers_are_shown_with_their_counts(fact, keep_answers, workshop):
    workshop.run(keep_answers._store.cache.get("nothing"))
    workshop.run(keep_answers._store.cache.get(f"half {NEW}"))
    shown = fact("cache --json")["tiers"]
    assert [tier["tier"] for tier in shown] == ["memory", "database"]
    memory, database = shown
    assert (memory["entries"], database["entries"]) == (4, 4)
    assert memory["bytes"] == database["bytes"] == 4 * 257
    assert (database["hits"], database["misses"], database["evictions"]) == (1, 1, 0)
    page = fact("cache").plain
    assert page.splitlines()[1].split() == ["Tier", "Answers", "Size", "Limit", "Hits", "Misses", "Evictions"]
    assert "1.0 kB" in page


def test_all_answers_of_a_tool_are_removed(fact, keep_answers, workshop):
    assert fact("cache --clear half --json") == {
        "removed": {"memory": {"entries": 2, "bytes": 514}, "database": {"entries": 2, "bytes": 514}}
    }
    assert held(workshop) == (["twice 202", "twice 299"],) * 2


def test_answers_go_by_when_they_were_made(fact, keep_answers, workshop):
    shown = fact("cache --older-than 1d").plain
    assert "2 answers made before" in shown
    assert held(workshop) == (["half 2999", "twice 299"],) * 2


def test_the_old_answers_of_one_tool_are_removed(fact, keep_answers, workshop):
    fact("cache --clear half --older-than 2026-06-01")
    assert held(workshop) == (["half 2999", "twice 202", "twice 299"],) * 2


def test_all_answers_are_removed_also_those_that_wait_to_be_stored(fact, keep_answers, workshop):
    (tool_id,) = workshop.run(keep_answers._store.tools.ids("half"))
    keep_answers._recorder.add_entry(CacheEntry(key="waiting", tool_id=tool_id, result=b"1"))
    assert fact("cache --all --json")["removed"]["database"]["entries"] == 5
    assert held(workshop) == ([], [])
    assert fact("cache --all --json")["removed"]["memory"] == {"entries": 0, "bytes": 0}


def test_the_answers_of_a_removed_tool_can_be_removed(fact, keep_answers, workshop):
    fact("remove half --yes")
    assert fact("cache --clear half --json")["removed"]["database"]["entries"] == 2


def test_more_answers_than_one_transaction_removes(workshop, keep_answers, fact, monkeypatch):
    from fact_magics.store import cache

    monkeypatch.setattr(cache, "_CLEARED_AT_ONCE", 1)
    assert fact("cache --all --json")["removed"]["database"] == {"entries": 4, "bytes": 4 * 257}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cache --clear hlaf", r"There is no tool named 'hlaf'\. Did you mean 'half'\?"),
        ("cache --clear half@1", "removes the answers of all versions of half"),
        ("cache --older-than soon", r"--older-than: 'soon' is not an age\. Write a duration such as 12h"),
        ("cache --all --clear half", r"--all removes every answer"),
        ("cache half", r"%fact cache does not take 'half'"),
    ],
)
def test_a_line_that_is_wrong_removes_nothing_and_says_why(fact, keep_answers, workshop, line, told):
    with pytest.raises((CellError, UnknownName), match=told):
        fact(line)
    assert len(held(workshop)[1]) == 4
