"""Rows of a map that are stored as columns are the rows and answers that they would be one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fact_magics.store import Candidate, ExecutionRow, MapRows, Store
from fact_magics.tool import Status

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ['{"n":1}', '{"n":"\u00fc\U0001f600"}', '{"n":"\\u0000"}', '{"n":"a\\"b"}']


@pytest.fixture
def many() -> MapRows:
    number = len(TEXTS)
    return MapRows(
        same=ExecutionRow(tool_name="f", status=Status.OK, isolation="landlock", parent_id="m", tool_id="t"),
        ids=[f"{place:016x}" for place in range(number)],
        positions=[*range(number)],
        inputs=[*TEXTS],
        outputs=["1", '"\u00fc"', '"\\u0000"', '{"a":[null,true,1.5]}'],
        keys=[f"{place:040x}" for place in range(number)],
        times=[f"2026-11-22T09:00:0{place}.000Z" for place in range(number)],
        durations_ms=[0.5 * place for place in range(number)],
    )


async def stored(folder: Path, many: MapRows, masked=lambda row: row, **options):
    """Commit the rows; gives what the store then has of them."""
    async with await Store.open(folder / "a.db", masked=masked, **options) as store:
        await store.tools.accept(
            Candidate(id="t", name="f", source="def f(): ...", signature_id="s", description="", contract="")
        )
        await store.commit((), (), (), [many])
        rows = await store.history.runs(parent_id="m", limit=None)
        answers = await store.cache.get_many(many.keys)
        stats = await store.history.stats()
        return [*rows], answers, stats


@pytest.mark.parametrize("is_cached", [False, True])
async def test_they_are_stored_as_they_are(tmp_path, many, is_cached):
    many = replace(many, same=replace(many.same, cached=is_cached))
    rows, answers, stats = await stored(tmp_path, many)
    assert rows == many.rows()
    assert answers == {entry.key: entry for entry in many.entries()}
    assert len(answers) == (0 if is_cached else len(many))
    assert (stats.runs, stats.hits) == (len(many), len(many) if is_cached else 0)


async def test_rows_that_are_committed_together_are_joined(tmp_path, many):
    parts = [
        replace(many, **{name: [*range(number)] for name in ("positions", "inputs")}) for number in (2, 1)
    ]
    assert [part.positions for part in MapRows.joined(parts)] == [[0, 1, 0]]
    other = replace(many, same=replace(many.same, cached=True))
    assert [part.same for part in MapRows.joined([many, other, many])] == [many.same, other.same]
    [long] = MapRows.joined([many] * 150)
    long = replace(long, ids=[f"{place:016x}" for place in range(len(long))], positions=[*range(len(long))])
    rows, answers, stats = await stored(tmp_path, long)
    assert rows == long.rows()
    assert len(answers) == len(many)
    assert stats.runs == len(long) == len(rows)


async def test_texts_that_need_escapes_are_stored_one_by_one(tmp_path, many):
    many.inputs[0] = '"\ud800"'
    rows, answers, _ = await stored(tmp_path, many)
    assert rows[0].input_data == '"\\ud800"'
    assert rows[1:] == many.rows()[1:]
    assert len(answers) == len(many)


async def test_keys_are_masked_and_their_answers_are_not_kept(tmp_path, many):
    many.outputs[2] = '"hunter2"'

    def masked(row: ExecutionRow) -> ExecutionRow:
        if "hunter2" not in (row.output_data or ""):
            return row
        return replace(row, output_data=(row.output_data or "").replace("hunter2", "***"))

    rows, answers, _ = await stored(tmp_path, many, masked)
    assert [row.output_data for row in rows] == [*many.outputs[:2], '"***"', many.outputs[3]]
    assert set(answers) == {*many.keys} - {many.keys[2]}


async def test_an_answer_that_is_too_large_for_the_cache_is_not_kept(tmp_path, many):
    many.outputs[1] = f'"{"x" * 2_000}"'
    rows, answers, _ = await stored(tmp_path, many, cache_max_bytes=2_100)
    assert rows == many.rows()
    assert many.keys[1] not in answers
    assert answers


async def test_rows_that_are_committed_again_are_kept_once(tmp_path, many):
    async with await Store.open(tmp_path / "a.db") as store:
        many = replace(many, same=replace(many.same, tool_id=None, cached=True))
        for _ in range(2):
            await store.commit((), (), (), [many])
        assert [*await store.history.runs(parent_id="m", limit=None)] == many.rows()
