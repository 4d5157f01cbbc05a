"""Recordings of model answers: what is written, what is read, and how a replay answers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.attempt import Usage
from fact_magics.errors import BudgetReached, GenerationFailed, ProviderError, RecordingError
from fact_magics.events import GenerationEnded
from fact_magics.providers.recording import RecordedAnswer, _block, _parse, read_recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from fact_magics.testing import ModelServer

WRONG = "def double(n: int) -> int:\n    return n + 1\n"
RIGHT = "def double(n: int) -> int:\n    return 2 * n\n"
OTHER = "def double(n: int) -> int:\n    return n + n\n"
TEXT = "Double a number.\n\n>>> double(2)\n4\n"


@pytest.fixture
def new_core(tmp_path: Path, server: ModelServer) -> Callable[..., Any]:
    """Open a core on a new FACT_HOME: with the server's key, or with only the given variables."""
    number = 0

    @asynccontextmanager
    async def start(**environment: str) -> AsyncIterator[FactCore]:
        nonlocal number
        number += 1
        variables = environment or server.environment()
        own = load_settings(
            {"isolation": "process"}, tmp_path, {"FACT_HOME": str(tmp_path / f"home{number}"), **variables}
        )
        async with FactCore(own, directory=tmp_path) as core:
            yield core

    return start


async def generated(core: FactCore, text: str = TEXT, **options: Any) -> str:
    return (await core.generate(ToolSpec("double", text, **options))).source.strip()


async def test_a_session_is_recorded_with_what_came_before_and_what_comes_after(new_core, server, tmp_path):
    file = tmp_path / "answers.yaml"
    server.writes(WRONG, usage={"input_tokens": 900, "output_tokens": 30, "cache_read_tokens": 7})
    server.writes(RIGHT)
    server.writes("def half(n: int) -> float:\n    return n / 2\n")
    async with new_core() as core:
        await generated(core)
        written = core.record(file)
        assert (written.answers, written.left_out, core.recording) == (2, 0, file)
        await core.generate(ToolSpec("half", "Halve a number."))
        assert core.record(None).answers == 0
        assert core.recording is None
    text = file.read_text()
    assert "\n    def double(n: int) -> int:\n        return n + 1\n" in text  # as lines
    assert "asked: Double a number.\n" in text
    assert server.key not in text
    first, second, third = _parse(file.read_bytes())
    assert (first.tool, first.attempt, second.attempt, third.tool) == ("double", 1, 2, "half")
    assert (first.model, first.stop_reason) == ("claude-sonnet-5-5", "end")
    assert (first.usage.input_tokens, first.usage.output_tokens, first.usage.cache_read_tokens) == (
        900,
        30,
        7,
    )


async def test_a_replay_without_a_key_gives_the_same_tool_and_sends_nothing(new_core, server, tmp_path):
    file = tmp_path / "answers.yaml"
    server.writes(WRONG)
    server.writes(RIGHT, usage={"input_tokens": 900, "output_tokens": 30})
    async with new_core() as core:
        core.record(file)
        await generated(core)
    events = []
    async with new_core(FACT_REPLAY="answers.yaml") as core:
        core.subscribe(events.append)
        assert core.replayed == file
        assert await generated(core) == RIGHT.strip()
        rows = await core.list_generations()
    ended = next(event for event in events if isinstance(event, GenerationEnded))
    assert ended.notice == f"replayed from {file}, no model was called"
    assert [attempt.provider for attempt in ended.attempts] == ["replay", "replay"]
    assert [attempt.model for attempt in ended.attempts] == ["claude-sonnet-5-5"] * 2
    assert {(row.provider, row.cost_usd) for row in rows} == {("replay", None)}
    assert [row.output_tokens for row in rows if row.status == "ok"] == [30]
    assert len(server.requests) == 2  # both from the recorded session


async def test_a_key_is_not_used_during_a_replay_and_the_model_may_be_another_one(new_core, server, tmp_path):
    file = tmp_path / "answers.yaml"
    server.writes(RIGHT)
    async with new_core() as core:
        await generated(core)
        core.record(file)
    async with new_core() as core:
        assert core.replay(file).models == ("claude-sonnet-5-5",)
        tool = await core.generate(ToolSpec("double", TEXT, model="claude-opus-5-5"))
        assert tool.metadata.model == "claude-sonnet-5-5"
        assert len(server.requests) == 1
        core.replay(None)
        server.writes(OTHER)
        assert await generated(core, fresh=True) == OTHER.strip()
    assert len(server.requests) == 2


async def test_equal_requests_replay_in_order_and_then_from_the_beginning(new_core, server, tmp_path):
    file = tmp_path / "answers.yaml"
    server.writes(RIGHT)
    server.writes(OTHER)
    async with new_core() as core:
        core.record(file)
        await generated(core)
        await generated(core, fresh=True)
    async with new_core(FACT_REPLAY=str(file)) as core:
        sources = [await generated(core, fresh=True) for _ in range(3)]
    assert sources == [RIGHT.strip(), OTHER.strip(), RIGHT.strip()]


@pytest.mark.parametrize(
    "changed", ["Double a number!\n\n>>> double(2)\n4\n", "Double a number.\n\n>>> double(3)\n6\n"]
)
async def test_a_changed_request_says_in_one_line_that_it_is_not_recorded(
    new_core, server, tmp_path, changed
):
    file = tmp_path / "answers.yaml"
    server.writes(RIGHT)
    async with new_core() as core:
        core.record(file)
        await generated(core)
        core.replay(file)
        with pytest.raises(GenerationFailed) as raised:
            await generated(core, changed)
    assert str(raised.value).startswith(
        f"{file} holds no answer to this request for double. To record it with a model, run "
    )
    assert "%fact record FILE" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert len(server.requests) == 1


async def test_how_failures_are_worded_does_not_matter_for_a_repair(new_core, server, tmp_path, monkeypatch):
    file = tmp_path / "answers.yaml"
    server.writes(WRONG)
    server.writes(RIGHT)
    async with new_core() as core:
        core.record(file)
        await generated(core)
    monkeypatch.setattr("fact_magics.writing.prompt.repair_text", lambda *_: "It took 3 ms, at 0x7f.")
    monkeypatch.setattr("fact_magics.writing.loop.RULES", "Other rules.")
    async with new_core(FACT_REPLAY=str(file)) as core:
        assert await generated(core) == RIGHT.strip()


async def test_a_request_with_a_key_is_left_out_and_an_answer_is_masked(
    new_core, server, tmp_path, monkeypatch
):
    secret = "sk-ant-abcdefghijklmnopqrstuvwxyz0123456789"
    file = tmp_path / "answers.yaml"
    server.writes(RIGHT)
    server.writes(f"def half(n: int) -> str:\n    return '{secret}'\n")
    async with new_core() as core:
        await generated(core, f"Double a number, and never print {secret}.")
        await core.generate(ToolSpec("half", "Halve a number."))
        core.log.add_secret(secret)  # as the settings do that a later cell reads
        written = core.record(file)
    assert (written.answers, written.left_out) == (1, 1)
    assert secret not in file.read_text()
    assert "half" in file.read_text()


async def test_a_second_recording_replaces_only_what_was_asked_again(new_core, server, tmp_path):
    file = tmp_path / "answers.yaml"
    server.writes(RIGHT)
    server.writes("def half(n: int) -> float:\n    return n / 2\n")
    server.writes(OTHER)
    async with new_core() as core:
        core.record(file)
        await generated(core)
        await core.generate(ToolSpec("half", "Halve a number."))
    async with new_core() as core:
        assert core.record(file).answers == 2
        await generated(core)
    assert [(answer.tool, "n + n" in answer.text) for answer in _parse(file.read_bytes())] == [
        ("double", True),
        ("half", False),
    ]


async def test_two_sessions_that_record_to_one_file_keep_each_other_s_answers(new_core, server, tmp_path):
    file = tmp_path / "answers.yaml"
    server.writes(RIGHT)
    server.writes("def half(n: int) -> float:\n    return n / 2\n")
    server.writes("def third(n: int) -> float:\n    return n / 3\n")
    async with new_core() as one, new_core() as other:
        one.record(file)
        other.record(file)
        await generated(one)
        await other.generate(ToolSpec("half", "Halve a number."))
        await one.generate(ToolSpec("third", "Divide a number by three."))
    assert {answer.tool for answer in _parse(file.read_bytes())} == {"double", "half", "third"}


async def test_a_retry_that_no_budget_pays_is_no_answer(new_core, server, tmp_path):
    server.breaks(RIGHT, "dropped", after=0)
    async with new_core() as core:
        with pytest.raises(BudgetReached):
            await generated(core, budget_usd=0.02)
        assert core.record(tmp_path / "answers.yaml").answers == 0


async def test_a_file_that_is_no_recording_is_not_overwritten(new_core, tmp_path):
    file = tmp_path / "notes.yaml"
    file.write_text("mine: 1\n")
    async with new_core() as core:
        with pytest.raises(RecordingError, match=r"notes\.yaml is not a recording of fact_magics"):
            core.record(file)
        assert core.recording is None
        with pytest.raises(RecordingError, match="can't be written: No such file or directory"):
            core.record(tmp_path / "missing" / "answers.yaml")
        assert core.recording is None
    assert file.read_text() == "mine: 1\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home1", "notes.yaml"]


def _recorded(**changes: Any) -> RecordedAnswer:
    known = {"request": "a1", "tool": "double", "asked": "Double.", "examples": "", "attempt": 1}
    known |= {"model": "m", "stop_reason": "end", "usage": Usage(1, 2), "text": "a\nb\n"}
    return RecordedAnswer(**{**known, **changes})


def _file(*answers: RecordedAnswer) -> str:
    blocks = "".join(map(_block, answers))
    return f"fact_recording: 1\nanswers:\n{blocks}complete: {len(answers)}\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is not a recording of fact_magics"),
        (
            "fact_recording: 2\nanswers: []\ncomplete: 0\n",
            "has version 2, and this fact_magics reads only version 1",
        ),
        (_file(_recorded()).partition("complete")[0], "was cut off: its last line"),
        (
            _file(_recorded()).replace("complete: 1", "complete: 3"),
            "it holds 1 answer, and its last line says 3",
        ),
        (
            _file(_recorded()).replace("stop_reason: end", "stop_reason: now"),
            "no valid stop_reason in answer 1",
        ),
        (_file(_recorded()).replace("input_tokens: 1", "input_tokens: -1"), "no valid usage in answer 1"),
        (_file(_recorded()).replace("model: m", "model: [m]"), "no valid model in answer 1"),
        ("fact_recording: 1\nanswers: ['\n", "can't be read as YAML"),
        ("fact_recording: 1\nanswers: !!python/object:os.system {}\n", "has a YAML tag"),
        ("fact_recording: 1\nanswers: " + "[" * 500, "is too large"),
        ("fact_recording: 1\n- a\n", "can't be read as YAML"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path, content, problem):
    file = tmp_path / "answers.yaml"
    file.write_text(content)
    with pytest.raises(RecordingError) as raised:
        read_recording(file)
    assert problem in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_file_that_was_cut_anywhere_is_refused(tmp_path):
    whole = _file(*(_recorded(request=f"a{number}") for number in range(12)))
    assert len(_parse(whole.encode())) == 12
    file = tmp_path / "answers.yaml"
    for length in (*range(0, len(whole) - 60, 17), *range(len(whole) - 60, len(whole) - 1)):
        file.write_text(whole[:length])
        with pytest.raises(RecordingError):
            read_recording(file)


async def test_a_missing_recording_fails_the_request_before_anything_happens(new_core, server, tmp_path):
    async with new_core(FACT_REPLAY="none.yaml", **server.environment()) as core:
        with pytest.raises(RecordingError, match=r"There is no file .*none\.yaml"):
            await generated(core)
        with pytest.raises(RecordingError, match="There is no file"):
            core.replay(tmp_path / "neither.yaml")
        assert not await core.list_generations()
        assert (await core.generate(ToolSpec("slugify", "Turn a title into a slug.", model="shelf"))).metadata
    assert not server.requests


async def test_the_error_of_a_recording_that_is_gone_says_where_it_was_named(new_core, tmp_path):
    file = tmp_path / "answers.yaml"
    async with new_core(FACT_REPLAY=str(file)) as core:
        with pytest.raises(
            RecordingError, match=r"There is no file .*\. Correct FACT_REPLAY, or run %fact replay"
        ):
            await generated(core)
        core.record(file)
        core.replay(file)
        file.unlink()
        with pytest.raises(
            RecordingError, match=r"%fact replay FILE, or run %fact replay --stop to ask a model"
        ):
            await generated(core)


async def test_a_failed_request_is_not_recorded(new_core, server, tmp_path):
    server.fails(401)
    async with new_core() as core:
        with pytest.raises(ProviderError):
            await generated(core)
        assert core.record(tmp_path / "answers.yaml").answers == 0
    assert not read_recording(tmp_path / "answers.yaml").answers


@limits(max_examples=200, deadline=None)
@given(
    text=st.text(
        st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" \n\t\r:#-\"'\x85\u2028"))
    ),
    asked=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_text_is_read_as_it_was_written(text, asked):
    answer = _recorded(text=text, asked=asked)
    assert _parse(_file(answer).encode()) == [answer]
