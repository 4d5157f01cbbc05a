"""The gauntlet: thousands of changes, and the cache never gives a wrong answer and never forgets a right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gauntlet import CONTRACTS, World

from fact_magics import FactCore, Settings, ToolInput, ToolSpec

if TYPE_CHECKING:
    from pathlib import Path

    from fact_magics.testing import ModelServer

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("seed", "changes"),
    [(0, 150), pytest.param(1, 6_000, marks=[pytest.mark.thorough, pytest.mark.timeout(1_800)])],
)
async def test_no_answer_is_stale_and_none_is_missed(
    settings: Settings,
    server: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    changes: int,
) -> None:
    """In one kernel, which is restarted now and then, so that only the database remembers."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(tmp_path)
    world = World(folder, seed)
    answered: set[tuple[object, ...]] = set()
    stale, missed, hits = [], [], 0
    core = await FactCore(settings).__aenter__()
    try:
        for name in CONTRACTS:
            server.writes(world.source(name))
            tool = await core.generate(ToolSpec(name, f"Do {name}.\n\n{CONTRACTS[name]}\n"))
            world.stored(name, tool.version)
        for step in range(changes):
            kind, name = world.change()
            if kind == "rollback":
                await core.roll_back(name, world.current[name])
            elif name:
                world.stored(name, (await core.edit_tool(name, world.source(name))).version)
            elif step % 50 == 49:
                await core.aclose()
                core = await FactCore(settings).__aenter__()
            question = world.ask(name or world.random.choice([*CONTRACTS]))
            output = await core.execute_tool(ToolInput(question.tool, question.parameters))
            hit = bool(output.metadata["cached"])
            if output.result != question.answer:
                stale.append((step, kind, question, output))
            if hit != (question.identity in answered):
                missed.append((step, kind, question, hit))
            if question.answer is not None:
                answered.add(question.identity)
            hits += hit
    finally:
        await core.aclose()
    assert not stale, stale[:2]
    assert not missed, missed[:2]
    assert hits > changes // 10
    assert min(world.changes.values()) > changes // 200
