"""The history is shortened by itself, if the settings ask for it."""

from __future__ import annotations

import asyncio

import pytest

from fact_magics.config import load_settings
from fact_magics.core import FactCore
from fact_magics.errors import SettingsError
from fact_magics.store import ExecutionRow, blocks, totals
from fact_magics.tool import Status

OLD = "2020-01-01T00:00:00.000Z"


async def keep_old(core: FactCore) -> None:
    rows = [ExecutionRow(tool_name="t", status=Status.OK, executed_at=OLD) for _ in range(3)]
    await core._store.commit([*rows, ExecutionRow(tool_name="t", status=Status.OK)])


async def test_old_runs_go_once_a_day_when_the_setting_is_made(core, settings):
    await keep_old(core)
    pruning = settings.model_copy(update={"prune_older_than": "90d"})
    await core.configure(pruning)
    while len(await core.list_runs()) > 1:
        await asyncio.sleep(0.01)
    await keep_old(core)
    async with FactCore(pruning) as other:  # today is done
        await asyncio.sleep(0)
        assert not await other._store.history.claim_pruning()
        assert len(await other.list_runs()) == 5


async def test_rows_of_an_older_schema_are_counted_without_being_asked_for(core, settings, monkeypatch):
    monkeypatch.setattr(blocks, "_FAR_BEHIND", -1)
    rows = [ExecutionRow(tool_name=f"t{number % 3}", status=Status.OK) for number in range(1_500)]
    await core._store.commit(rows)

    async def counted() -> int:
        return await core._store._database.read(lambda connection: totals.last_block(connection, totals.RUNS))

    assert await counted() == 0
    async with FactCore(settings):
        while await counted() < 1_000:
            await asyncio.sleep(0.01)


async def test_nothing_goes_without_the_setting(core):
    await keep_old(core)
    assert core._upkeep._task is None
    assert len(await core.list_runs()) == 4


def test_an_age_that_can_not_be_read_is_one_line(tmp_path):
    with pytest.raises(SettingsError, match="'soon' is not a duration such as 90d") as caught:
        load_settings({"prune_older_than": "soon"}, tmp_path, {})
    assert "\n" not in str(caught.value)
