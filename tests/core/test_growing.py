"""Contracts that grow by an answer: without a model where a candidate holds, else with one."""

from __future__ import annotations

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.errors import BudgetReached, CellError, GenerationFailed, UnknownName
from fact_magics.writing.examples import read_body

CLIP = 'def clip(text: str, size: int = 5) -> str:\n    """Shorten."""\n    return text[:size] if len(text) > size else text\n'
OTHER = CLIP.replace("len(text) > size", "len(text) >= size and size")
SPEC = ToolSpec("clip", "Shorten a text.", read_body('>>> clip("abcdefgh")\n"abcde"', "clip").examples)


def example(text: str):
    return read_body(text, "clip").examples[0]


def grown(text: str) -> ToolSpec:
    """The request of the grown cell."""
    return SPEC.model_copy(update={"examples": (*SPEC.examples, example(text))})


@pytest.fixture
def settings(home, server, no_user_settings):
    return load_settings(
        {"isolation": "process"}, home.parent, {"FACT_HOME": str(home), **server.environment()}
    )


async def test_a_probe_is_stored_with_the_version_and_leaves_no_runs(settings, server):
    server.writes(CLIP)
    async with FactCore(settings) as core:
        tool = await core.generate(SPEC)
        assert await core.newest_probe("clip") is None
        found = await core.probe("clip", seconds=5)
        assert (found.tool, found.version) == ("clip", "1.0.0")
        assert await core.newest_probe("clip") == found
        assert found.strength in repr(tool)
        assert (await core.stored("clip")).metadata.strength == found.strength
        assert await core.list_runs() == []
    async with FactCore(settings) as core:
        assert await core.newest_probe("clip") == found
        assert found.strength in repr(await core.tool("clip"))
    assert len(server.requests) == 1


async def test_the_tools_own_answer_makes_a_minor_version_without_a_model(settings, server):
    server.writes(CLIP)
    async with FactCore(settings) as core:
        await core.generate(SPEC)
        text = '>>> clip("abc", 2)\n"ab"'
        tool = await core.grow(example(text), grown(text))
        assert (tool.version, tool.source) == ("1.1.0", CLIP)
        assert tool.metadata.contract.endswith(text)
        assert (tool.metadata.provider, tool.metadata.model) == ("anthropic", "claude-sonnet-5-5")
        assert (await core.generate(grown(text))).id == tool.id  # a known request from now on
    assert len(server.requests) == 1


async def test_the_same_answer_to_the_same_version_makes_no_further_version(settings, server):
    """As when a notebook that asks and answers is run again from the top."""
    server.writes(CLIP)
    async with FactCore(settings) as core:
        text = '>>> clip("abc", 2)\n"ab"'
        made = []
        for _ in range(2):
            assert (await core.generate(SPEC)).version == "1.0.0"
            made.append(await core.grow(example(text), grown(text)))
        assert [tool.version for tool in made] == ["1.1.0", "1.1.0"]
        assert (await core.stored("clip")).metadata.version == "1.1.0"
        assert len(await core.versions("clip")) == 2
    assert len(server.requests) == 1


async def test_an_earlier_candidate_that_holds_is_taken_without_a_model(settings, server):
    server.writes(OTHER.replace("text[:size]", "text[:size + 1]"))  # not accepted
    server.writes(OTHER)
    server.writes(CLIP)
    async with FactCore(settings) as core:
        await core.generate(SPEC)
        await core.generate(SPEC.model_copy(update={"fresh": True}))
        assert (await core.stored("clip")).source == CLIP
        text = '>>> clip("abc", 0)\n"abc"'
        tool = await core.grow(example(text), grown(text))
        assert tool.source == OTHER
        assert tool.version == "1.1.0"
    assert len(server.requests) == 3


async def test_a_tool_that_was_removed_gives_no_candidate(settings, server):
    server.writes(OTHER)
    server.writes(CLIP)
    server.writes(OTHER)
    async with FactCore(settings) as core:
        await core.generate(SPEC)
        await core.remove_tool("clip")
        await core.generate(SPEC)
        text = '>>> clip("abc", 0)\n"abc"'
        await core.grow(example(text), grown(text))
    assert len(server.requests) == 3


async def test_else_the_failure_goes_to_the_model(settings, server):
    server.writes(CLIP)
    server.writes(OTHER)
    async with FactCore(settings) as core:
        await core.generate(SPEC)
        text = '>>> clip("abc", 0)\n"abc"'
        tool = await core.grow(example(text), grown(text))
        assert tool.source == OTHER
        assert (await core.generate(grown(text))).id == tool.id
    assert 'clip("abc", 0)' in server.requests[-1].text
    assert CLIP.strip() in server.requests[-1].text


async def test_a_repair_keeps_to_the_budget_and_the_limits_of_the_cell(settings, server):
    server.writes(CLIP)
    server.writes(OTHER)
    text = '>>> clip("abc", 0)\n"abc"'
    async with FactCore(settings) as core:
        await core.generate(SPEC)
        with pytest.raises(BudgetReached, match="in --budget is left"):
            await core.grow(example(text), grown(text).model_copy(update={"budget_usd": 0.0}))
        assert len(server.requests) == 1
        limited = grown(text).model_copy(
            update={"max_tokens": 700, "attempts": 1, "escalate": "claude-opus-5-5"}
        )
        await core.grow(example(text), limited)
    assert (server.requests[-1].body["max_tokens"], server.requests[-1].model) == (700, "claude-opus-5-5")


async def test_a_repair_that_fails_changes_no_version(settings, server):
    for _ in range(4):
        server.writes(CLIP)
    async with FactCore(settings) as core:
        before = await core.generate(SPEC)
        text = '>>> clip("abc", 0)\n"abc"'
        with pytest.raises(GenerationFailed):
            await core.grow(example(text), grown(text))
        assert (await core.tool("clip")).id == before.id


async def test_bad_arguments_are_told_in_a_line(settings):
    async with FactCore(settings) as core:
        with pytest.raises(UnknownName, match="no tool named 'nothing'"):
            await core.probe("nothing")
        for seconds in (0, -1, 1e9, "2"):
            with pytest.raises(CellError, match="seconds must be above 0 and at most 3600"):
                await core.probe("nothing", seconds)  # type: ignore[arg-type]


async def test_a_tool_that_takes_a_path_is_not_probed(settings, server):
    server.writes(
        "from pathlib import Path\n\n\ndef size(file: Path) -> int:\n    return file.stat().st_size\n"
    )
    async with FactCore(settings) as core:
        await core.generate(ToolSpec("size", "The size of a file."))
        with pytest.raises(CellError, match="size takes the path of a file"):
            await core.probe("size")


async def test_the_cell_of_a_tool_is_kept_or_made(settings, server):
    server.writes(CLIP)
    async with FactCore(settings) as core:
        tool = await core.generate(SPEC)
        assert await core.cell_of(
            "clip"
        ) == '%%fact_generate clip\n\nShorten a text.\n\n>>> clip("abcdefgh")\n"abcde"'.replace(
            "clip\n\nS", "clip\nS"
        )
        await core.keep_cell(tool, "%%fact_generate clip --tag x\nAs it was.")
        assert await core.cell_of("clip") == "%%fact_generate clip --tag x\nAs it was."
