"""The tiers that hold answers: the order in which they are asked, and what each may serve."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fact_magics.core.cache import AnswerCache, DatabaseTier
from fact_magics.core.loaded import load
from fact_magics.core.plan import plan_run
from fact_magics.core.recording import Recorder
from fact_magics.store import CacheEntry, Candidate, MemoryCache, Store, new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOURCE = "def double(n: int) -> int:\n    return 2 * n\n"
PROVEN, UNPROVEN = (
    Candidate(
        name=name, source=SOURCE.replace("double", name), signature_id="s", description="", proven=proven
    )
    for name, proven in (("double", True), ("twice", False))
)


class Home:
    """One database with a recorder on it, as a core has them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.recorder = Recorder(store, new_id())
        self.tier = DatabaseTier(store, self.recorder)


@pytest.fixture
async def homes(tmp_path: Path) -> AsyncIterator[list[Home]]:
    """Two databases: this machine's, and one that stands for a tier shared with others."""
    async with AsyncExitStack() as stack:
        homes = []
        for name in ("own", "shared"):
            store = await stack.enter_async_context(await Store.open(tmp_path / f"{name}.db"))
            for candidate in (PROVEN, UNPROVEN):
                await store.tools.accept(candidate)
            homes.append(Home(store))
        yield homes


def tool(*, proven: bool = True):
    return load((PROVEN if proven else UNPROVEN).numbered("1.0.0"))


def entry_of(planned) -> CacheEntry:
    return CacheEntry(key=planned.key, tool_id=planned.tool.metadata.id, result=b"42", duration_ms=1.0)


async def test_an_answer_goes_to_every_tier_and_memory_is_asked_first(homes):
    memory = MemoryCache()
    answers = AnswerCache(memory, [home.tier for home in homes])
    planned = plan_run(tool(), {"n": 21})
    assert (answers.recall(planned), await answers.get(planned)) == (None, None)
    answers.put(planned, entry_of(planned))
    assert answers.recall(planned) is not None
    for home in homes:
        await home.recorder.flush()
        assert (await home.tier.get(planned)).result == b"42"


async def test_the_answer_of_a_later_tier_is_taken_into_memory(homes):
    own, shared = homes
    planned = plan_run(tool(), {"n": 21})
    shared.tier.put(planned, entry_of(planned))
    await shared.recorder.flush()
    answers = AnswerCache(MemoryCache(), [own.tier, shared.tier])
    assert answers.recall(planned) is None
    assert (await answers.get(planned)).result == b"42"
    assert answers.recall(planned).result == b"42"


async def test_a_forgotten_answer_is_in_no_tier(homes):
    answers = AnswerCache(MemoryCache(), [home.tier for home in homes])
    planned = plan_run(tool(), {"n": 21})
    answers.put(planned, entry_of(planned))
    for home in homes:
        await home.recorder.flush()
    await answers.forget(planned.key)
    assert (answers.recall(planned), await answers.get(planned)) == (None, None)


async def test_an_unproven_answer_is_served_only_after_two_runs_agree(homes):
    answers = AnswerCache(MemoryCache(), [homes[0].tier])
    planned = plan_run(tool(proven=False), {"n": 21})
    for runs in (1, 2):
        answers.put(planned, entry_of(planned))
        await homes[0].recorder.flush()
        assert answers.recall(planned) is None
        assert (await answers.get(planned) is not None) == (runs == 2)


async def test_a_fresh_run_asks_no_tier(homes):
    answers = AnswerCache(MemoryCache(), [homes[0].tier])
    planned = plan_run(tool(), {"n": 21})
    answers.put(planned, entry_of(planned))
    await homes[0].recorder.flush()
    fresh = plan_run(tool(), {"n": 21}, fresh=True)
    assert (answers.recall(fresh), await answers.get(fresh)) == (None, None)


UNFIT = [b'"42"', b"4.5", b"null", b"", b"\xff", b"[", b"42 43", b'{"$bytes":1}', b"[" * 5_000]


@pytest.mark.parametrize("result", UNFIT, ids=str)
async def test_a_stored_answer_that_does_not_fit_the_annotation_is_no_answer_and_is_deleted(homes, result):
    own, shared = homes
    planned = plan_run(tool(), {"n": 21})
    own.tier.put(planned, replace(entry_of(planned), result=result))
    shared.tier.put(planned, entry_of(planned))
    for home in homes:
        await home.recorder.flush()
    answers = AnswerCache(MemoryCache(), [own.tier])
    assert await answers.get(planned) is None
    assert await own.tier.get(planned) is None
    assert answers.recall(planned) is None
    assert (await AnswerCache(MemoryCache(), [own.tier, shared.tier]).get(planned)).result == b"42"


async def test_a_stored_answer_in_another_form_is_given_as_the_annotation_says(homes):
    source = "def half(n: int) -> tuple[float, float]:\n    return n / 2, n / 2\n"
    halves = load(
        Candidate(name="half", source=source, signature_id="s", proven=True, description="").numbered("1.0.0")
    )
    planned = plan_run(halves, {"n": 2})
    homes[0].tier.put(planned, replace(entry_of(planned), tool_id=PROVEN.id, result=b"[1,1]"))
    await homes[0].recorder.flush()
    answers = AnswerCache(MemoryCache(), [homes[0].tier])
    assert (await answers.get(planned)).result == b'{"$tuple":[1.0,1.0]}'
    assert answers.recall(planned).result == b'{"$tuple":[1.0,1.0]}'


async def test_a_tier_that_can_t_be_read_has_no_answer(homes):
    own, shared = homes
    planned = plan_run(tool(), {"n": 21})
    shared.tier.put(planned, entry_of(planned))
    await shared.recorder.flush()
    await own.store.aclose()
    assert (await AnswerCache(MemoryCache(), [own.tier, shared.tier]).get(planned)).result == b"42"
