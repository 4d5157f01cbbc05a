"""Several candidates asked for at once: how many requests are sent, what is stored, and what each costs."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.checked import InvalidValue
from fact_magics.errors import BudgetReached, GenerationFailed, ProviderError
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    GenerationEnded,
    Noticed,
    PhaseChanged,
    TextArrived,
)
from fact_magics.probing import agreement
from fact_magics.providers.anthropic import AnthropicProvider
from fact_magics.tool import Status
from fact_magics.writing import loop
from fact_magics.writing.examples import read_body

pytestmark = pytest.mark.slow

GOOD = "def clip(text: str, size: int = 5) -> str:\n    return text[:size]\n"
SAME = "def clip(text: str, size: int = 5) -> str:\n    return text[:size] if len(text) > size else text\n"
OTHER = "def clip(text: str, size: int = 5) -> str:\n    return text[:size] if size else text\n"
BAD = "def clip(text: str, size: int = 5) -> str:\n    return text[: size + 1]\n"
TEXT = 'Shorten a text.\n\n>>> clip("abcdefgh")\n"abcde"\n'
USAGE = {"input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 0, "cache_creation_tokens": 0}


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """On a busy machine, a second may be too short to compare, or for the first answer to begin."""
    monkeypatch.setattr(agreement, "_SECONDS", 20.0)
    monkeypatch.setattr(loop, "_SHARING_SECONDS", 60.0)


def ask(candidates: int = 3, **fields: object) -> ToolSpec:
    return ToolSpec("clip", TEXT, candidates=candidates, **fields)


async def generate(core, spec):
    """Return the tool, the events, and the rows of the attempts in order."""
    heard = []
    tool = await core.generate(spec, heard.append)
    rows = sorted(await core.list_generations(limit=100), key=lambda row: row.attempt)
    return tool, heard, rows


def notice(heard):
    return next(event.notice for event in heard if isinstance(event, GenerationEnded))


class TestCandidates:
    async def test_each_is_asked_for_streamed_proven_and_kept_with_its_group(self, core, server):
        for source in (OTHER, SAME, GOOD):
            server.writes(source, usage=USAGE)
        tool, heard, rows = await generate(core, ask())
        assert tool.source == GOOD
        assert tool.metadata.strength == "1 open"
        assert [(row.attempt, row.status, row.group_number) for row in rows] == [
            (1, "ok", 2),
            (2, "ok", 1),
            (3, "ok", 1),
        ]
        assert [row.source for row in rows if row.tool_id] == [GOOD]
        assert rows[0].parting_call.endswith(", 0)")
        assert {row.cost_usd for row in rows} == {0.003}
        assert await core.cost_of(tool.id) == pytest.approx(0.009)
        assert notice(heard) == "open · all 3 candidates hold: 2 of them agree, 1 gives other answers"
        for row in rows:
            text = (e.text for e in heard if isinstance(e, TextArrived) and e.attempt == row.attempt)
            assert "".join(text) == row.text

    async def test_they_are_written_side_by_side_from_one_and_the_same_prompt(self, core, server):
        for _ in range(3):
            server.writes(GOOD, pace=400)
        _, heard, _ = await generate(core, ask())
        order = [type(event) for event in heard if isinstance(event, AttemptStarted | AttemptEnded)]
        assert order == [AttemptStarted] * 3 + [AttemptEnded] * 3
        assert [event.beside for event in heard if isinstance(event, AttemptStarted)] == [3, 3, 3]
        first, *others = (request.body for request in server.requests)
        assert "cache_control" in str(first["messages"])
        for body in others:
            assert (body["system"], body["messages"]) == (first["system"], first["messages"])

    async def test_the_others_follow_when_the_first_answer_begins(self, core, server):
        """Then they can read the prompt from the provider's cache."""
        server.writes(GOOD, delay=0.3)
        server.writes(GOOD)
        _, heard, _ = await generate(core, ask(2))
        told = [event for event in heard if isinstance(event, AttemptStarted | TextArrived)]
        assert [type(event) for event in told[:2]] == [AttemptStarted, TextArrived]

    async def test_the_import_of_the_sdk_is_no_part_of_that_wait(self, core, server, monkeypatch):
        """It may take seconds, and the others would be sent before the first answer can begin."""
        heard: list[object] = []
        opened = AnthropicProvider.open

        async def tell(provider):
            heard.append("open")
            return await opened(provider)

        monkeypatch.setattr(AnthropicProvider, "open", tell)
        server.writes(GOOD)
        server.writes(GOOD)
        await core.generate(ask(2), heard.append)
        started = next(place for place, event in enumerate(heard) if isinstance(event, AttemptStarted))
        assert "open" in heard[:started]

    @pytest.mark.usefixtures("no_user_settings")
    async def test_a_model_on_this_machine_writes_one_after_the_other(self, home, server):
        environment = {"FACT_HOME": str(home), "OLLAMA_HOST": server.url.removeprefix("http://")}
        for source in (GOOD, BAD, OTHER):
            server.writes(source)
        async with FactCore(load_settings({}, home.parent, environment)) as core:
            _, heard, rows = await generate(core, ask())
        order = [type(event) for event in heard if isinstance(event, AttemptStarted | AttemptEnded)]
        assert order == [AttemptStarted, AttemptEnded] * 3
        assert [row.group_number for row in rows] == [1, None, 2]

    async def test_an_equal_request_is_known_however_many_it_asks_for(self, core, server):
        server.writes(GOOD)
        server.writes(GOOD)
        tool = await core.generate(ask(2))
        assert (await core.generate(ask(5))).id == tool.id == (await core.generate(ask(1))).id
        assert len(server.requests) == 2

    @pytest.mark.usefixtures("no_user_settings")
    async def test_the_shelf_is_asked_once(self, home):
        async with FactCore(load_settings({}, home.parent, {"FACT_HOME": str(home)})) as core:
            text = "Turn a title into a URL slug.\n\n>>> slugify('A b')\n'a-b'\n"
            await core.generate(ToolSpec("slugify", text, candidates=4))
            assert len(await core.list_generations()) == 1

    @pytest.mark.parametrize("count", [0, 11, -1, "many"])
    def test_a_number_out_of_range_is_told_in_a_line(self, count):
        with pytest.raises(InvalidValue, match="candidates") as refused:
            ask(count)
        assert "\n" not in str(refused.value)


class TestRepairs:
    async def test_the_best_candidate_is_repaired_where_none_holds(self, core, server):
        both = f'{TEXT}\n>>> clip("ab")\n"ab"\n'
        worse = BAD.replace("text[", "'!' + text[")
        for source in (worse, BAD, worse, GOOD):
            server.writes(source)
        tool, heard, rows = await generate(core, ToolSpec("clip", both, candidates=3))
        assert tool.source == GOOD
        assert [row.status for row in rows] == ["error", "error", "error", "ok"]
        assert [role for role, _ in server.requests[-1].messages] == ["user", "assistant", "user"]
        assert BAD.strip() in server.requests[-1].messages[1][1]
        assert [event.of for event in heard if isinstance(event, AttemptStarted)] == [3, 3, 3, 5]

    async def test_none_is_repaired_where_one_holds_or_no_attempt_is_left(self, core, server):
        for source in (BAD, GOOD, BAD):
            server.writes(source)
        _, heard, _ = await generate(core, ask(attempts=1))
        assert notice(heard) == "1 of 3 candidates holds"
        for _ in range(2):
            server.writes(BAD)
        with pytest.raises(GenerationFailed, match="in 2 attempts: the only example failed"):
            await core.generate(ask(2, attempts=1, fresh=True))
        assert len(server.requests) == 5

    async def test_one_that_fails_does_not_stop_the_others(self, core, server):
        server.writes(GOOD)
        server.refuses("I can't")
        server.breaks(f"```python\n{GOOD}", "cut", after=10)
        tool, heard, rows = await generate(core, ask())
        assert tool.source == GOOD
        assert [row.status for row in rows] == ["ok", "error", "error"]
        assert any("declined" in row.reason for row in rows)
        assert any("cut off" in row.reason for row in rows)
        assert [event.status for event in heard if isinstance(event, AttemptEnded)].count(Status.ERROR) == 2

    async def test_a_request_that_is_refused_is_not_sent_again_for_each(self, core, server):
        server.fails(401)
        with pytest.raises(ProviderError, match="refused the key"):
            await core.generate(ask())
        assert len(server.requests) == len(await core.list_generations()) == 1
        assert core.spending.reserved == 0


class TestAnswers:
    async def test_an_answer_takes_the_candidate_that_gives_it_without_a_model(self, core, server):
        for source in (GOOD, BAD, SAME, OTHER):
            server.writes(source)
        await core.generate(ask(4))
        probe = await core.probe("clip", seconds=5)
        assert probe.candidates == 1
        question = probe.questions[0]
        assert [(one.own, one.candidates) for one in question.answers] == [(True, 1), (False, 1)]
        assert question.answers[0].voters >= 2
        assert probe.as_json()["questions"][0]["candidates"] == 1
        assert await core.newest_probe("clip") == probe
        example = read_body(question.lines(2), "clip").examples[0]
        read = read_body(TEXT, "clip")
        grown = ToolSpec("clip", read.description, (*read.examples, example), candidates=4)
        tool = await core.grow(example, grown)
        assert (tool.source, tool.version) == (OTHER, "1.1.0")
        assert await core.cost_of(tool.id) == 0
        again = await core.probe("clip", seconds=5)
        assert again.candidates == 0  # the others fail the new example
        assert (await core.generate(grown)).id == tool.id
        assert len(server.requests) == 4

    async def test_only_the_candidates_of_its_own_request_vote_for_a_version(self, core, server):
        """Not those of an equal request before, nor those of a tool that was removed."""
        for source in (OTHER, SAME, GOOD):
            server.writes(source)
        first = await core.generate(ask())

        async def voting(candidates: int) -> int:
            for _ in range(candidates):
                server.writes(GOOD + f"# version {len(server.requests)}\n")
            await core.generate(ask(candidates, fresh=True))
            probe = await core.probe("clip", seconds=5)
            return sum(answer.candidates for question in probe.questions for answer in question.answers)

        assert await voting(2) <= 1
        assert await voting(1) == 0
        await core.roll_back("clip", first.version)
        assert (await core.probe("clip", seconds=5)).candidates == 1
        await core.remove_tool("clip")
        assert await voting(1) == 0

    async def test_the_candidates_still_vote_where_an_answer_settled_another_question(self, core, server):
        longer = OTHER.replace("if size else", "if size != 3 else")
        for source in (OTHER, longer, SAME, GOOD):
            server.writes(source)
        await core.generate(ask(4))
        assert (await core.probe("clip", seconds=5)).candidates == 2
        read = read_body(f'{TEXT}\n>>> clip("abcdefgh", 3)\n"abc"\n', "clip")
        await core.grow(read.examples[1], ToolSpec("clip", read.description, read.examples))
        assert (await core.probe("clip", seconds=5)).candidates == 1

    async def test_recorded_candidates_are_replayed_to_the_same_choice(self, core, server, home, tmp_path):
        for place, source in enumerate((SAME, OTHER, GOOD)):
            server.writes(source, delay=0.2 - place / 10)
        core.record(tmp_path / "answers.yaml")
        tool, told, _ = await generate(core, ask())
        replayed = load_settings(
            {},
            home.parent,
            {"FACT_HOME": str(tmp_path / "other"), "FACT_REPLAY": str(tmp_path / "answers.yaml")},
        )
        async with FactCore(replayed) as other:
            again, heard, rows = await generate(other, ask())
        assert again.source == tool.source == GOOD
        assert notice(heard).endswith(notice(told))
        assert sorted(row.group_number for row in rows) == [1, 1, 2]
        assert len(server.requests) == 3

    async def test_no_recorded_answer_counts_as_two_candidates(self, core, server, home, tmp_path):
        """The same answer twice would pass for agreement."""
        for source in (GOOD, OTHER):
            server.writes(source)
        core.record(tmp_path / "answers.yaml")
        await core.generate(ask(2))
        environment = {"FACT_HOME": str(tmp_path / "other"), "FACT_REPLAY": str(tmp_path / "answers.yaml")}
        async with FactCore(load_settings({}, home.parent, environment)) as other:
            _, heard, rows = await generate(other, ask(4))
            assert [row.status for row in rows] == ["ok", "ok"]
            said = "only 2 of 4 candidates are recorded"
            assert said in notice(heard)
            assert notice(heard).endswith("open · both candidates hold, but give different answers")
            assert Noticed(said) in heard
            unknown = ask(4).model_copy(update={"name": "trim", "description": "Trim a text."})
            with pytest.raises(GenerationFailed, match="holds no answer to this request for trim"):
                await other.generate(unknown)
            assert len(await other.list_generations(tool_name="trim")) == 1


class TestLimits:
    async def test_what_does_not_fit_into_the_budget_is_not_sent_and_this_is_said(self, core, server):
        """Each request can cost $0.0025 for its input, and $0.01 for 1,000 tokens of its answer."""
        for _ in range(2):
            server.writes(GOOD, usage=USAGE)
        _, heard, rows = await generate(core, ask(budget_usd=0.03))
        said = "only 2 of 3 candidates fit into the budget, so the others were not asked for"
        assert Noticed(said) in heard
        assert said in notice(heard)
        assert [request.body["max_tokens"] for request in server.requests] == [1_250, 1_250]
        assert len(rows) == 2
        assert (core.spending.reserved, core.spending.held) == (0, 0)

    async def test_a_single_one_that_fits_is_the_first_of_all_attempts(self, core, server):
        server.writes(BAD, usage=USAGE)
        server.writes(GOOD, usage=USAGE)
        _, heard, _ = await generate(core, ask(budget_usd=0.024, attempts=2))
        assert (
            Noticed("only 1 of 3 candidates fits into the budget, so the others were not asked for") in heard
        )
        started = [event for event in heard if isinstance(event, AttemptStarted)]
        assert [(event.number, event.of, event.beside) for event in started] == [(1, 2, 1), (2, 2, 1)]

    async def test_where_none_fits_none_is_sent(self, core, server):
        server.writes(GOOD, usage=USAGE)
        with pytest.raises(BudgetReached, match=r"in --budget is left"):
            await core.generate(ask(budget_usd=0.012))
        (row,) = await core.list_generations()
        assert (row.status, row.text) == ("error", "")
        assert not server.requests

    @pytest.mark.parametrize("phase", ["writing", "comparing"])
    async def test_a_stop_ends_all_of_them_and_keeps_what_was_written(self, core, server, phase):
        for source in (GOOD, SAME, OTHER):
            server.writes(source, pace=200 if phase == "writing" else None)
        reached = asyncio.Event()

        def hear(event):
            if event == PhaseChanged("comparing") or (isinstance(event, TextArrived) and event.attempt == 3):
                reached.set()

        making = asyncio.create_task(core.generate(ask(), hear))
        await reached.wait()
        if phase == "writing":
            making.cancel()
        else:
            asyncio.get_running_loop().call_soon(making.cancel)
        with suppress(asyncio.CancelledError):
            await making
        assert making.cancelled()
        rows = await core.list_generations()
        assert len(rows) == 3
        assert all(row.tool_id is None and row.text for row in rows)
        assert core.spending.reserved == 0
        assert not await core.tool_names()
