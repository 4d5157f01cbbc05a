"""Other models in the place of one that fails, and of the one that failed to write the tool."""

from __future__ import annotations

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.errors import FactError, GenerationFailed, ProviderError
from fact_magics.events import AttemptEnded, AttemptStarted, GenerationEnded, Noticed
from fact_magics.providers.fallbacks import Breaker
from fact_magics.testing import ModelServer
from fact_magics.writing import loop

pytestmark = pytest.mark.slow

CLAUDE = "claude-sonnet-5-5"
LOCAL = "ollama/small-coder:latest"
GOOD = "def double(n: int) -> int:\n    return 2 * n\n"
SPEC = ToolSpec("double", "Double a number.\n\n>>> double(2)\n4\n", model=CLAUDE, fresh=True)


@pytest.fixture
def other():
    """The server of the other model."""
    with ModelServer() as running:
        yield running


@pytest.fixture
def open_core(home, server, other):
    def make(**fallbacks):
        environment = {
            "FACT_HOME": str(home),
            "ANTHROPIC_API_KEY": server.key,
            "ANTHROPIC_BASE_URL": server.url,
            "OLLAMA_HOST": other.url.removeprefix("http://"),
        }
        overrides = {"retries": 0, "fallbacks": fallbacks}
        return FactCore(load_settings(overrides, home.parent, environment))

    return make


async def generate(core, spec=SPEC):
    """Return the tool or the error, the events, and the rows of the attempts."""
    heard = []
    before = len(await core.list_generations())
    try:
        made = await core.generate(spec, heard.append)
    except FactError as error:
        made = error
    rows = await core.list_generations()
    return made, heard, sorted(rows[: len(rows) - before], key=lambda row: row.attempt)


def lines(heard):
    return [event.text for event in heard if isinstance(event, Noticed)]


class TestFallbacks:
    async def test_all_candidates_are_asked_of_the_next_model(self, open_core, server, other, monkeypatch):
        monkeypatch.setattr(loop, "_SHARING_SECONDS", 60.0)
        server.fails(500)
        for _ in range(2):
            other.writes(GOOD)
        async with open_core(**{CLAUDE: (LOCAL,)}) as core:
            tool, heard, rows = await generate(core, SPEC.model_copy(update={"candidates": 2}))
        assert tool.metadata.model == LOCAL
        assert [(row.attempt, row.model, row.status) for row in rows] == [
            (1, CLAUDE, "error"),
            (2, LOCAL, "ok"),
            (3, LOCAL, "ok"),
        ]
        started = [event for event in heard if isinstance(event, AttemptStarted)]
        assert [(event.number, event.of, event.beside) for event in started] == [
            (1, 2, 2),
            (2, 3, 2),
            (3, 3, 2),
        ]
        assert len(server.requests) == 1

    async def test_it_is_asked_too_if_the_first_candidate_is_declined_and_the_other_requests_fail(
        self, open_core, server, other
    ):
        server.refuses("No.")
        server.fails(500)
        other.writes(GOOD)
        other.writes(GOOD)
        async with open_core(**{CLAUDE: (LOCAL,)}) as core:
            tool, heard, rows = await generate(core, SPEC.model_copy(update={"candidates": 2}))
        assert tool.metadata.model == LOCAL
        assert [(row.model, row.status) for row in rows] == [
            (CLAUDE, "error"),
            (CLAUDE, "error"),
            (LOCAL, "ok"),
            (LOCAL, "ok"),
        ]
        told = [event for event in heard if isinstance(event, AttemptEnded | Noticed)]
        assert [type(event) for event in told[:3]] == [AttemptEnded, AttemptEnded, Noticed]

    @pytest.mark.parametrize("asked", [CLAUDE, "*"])
    async def test_the_next_model_is_asked_at_once_and_recorded_as_itself(
        self, open_core, server, other, asked
    ):
        server.fails(529)
        other.writes(GOOD)
        async with open_core(**{asked: (LOCAL,)}) as core:
            tool, heard, rows = await generate(core)
        assert tool.metadata.model == LOCAL
        assert [(row.attempt, row.provider, row.model, row.status) for row in rows] == [
            (1, "anthropic", CLAUDE, "error"),
            (2, "ollama", LOCAL, "ok"),
        ]
        told = [event for event in heard if isinstance(event, AttemptEnded | Noticed)]
        assert [type(event) for event in told[:2]] == [AttemptEnded, Noticed]  # what happened comes first
        said = f"{server.url[7:]} is overloaded. It said: “scripted error 529”; {LOCAL} is asked instead"
        assert said in lines(heard)
        ended = heard[-1]
        assert isinstance(ended, GenerationEnded)
        assert said in ended.notice

    async def test_a_failed_request_is_no_candidate(self, open_core, server, other):
        """It uses up no attempt, and the next model does not read about it."""
        server.writes(GOOD.replace("2", "3"))
        server.breaks("```python\ndef", "error")
        other.writes(GOOD)
        async with open_core(**{CLAUDE: (LOCAL,)}) as core:
            tool, _, rows = await generate(core, SPEC.model_copy(update={"attempts": 2}))
        assert tool.metadata.model == LOCAL
        assert [row.attempt for row in rows] == [1, 2, 3]
        assert "gave 6" in other.requests[0].text
        assert "overloaded" not in other.requests[0].text

    async def test_a_model_that_keeps_failing_is_passed_over_for_a_while(self, open_core, server, other):
        for _ in range(3):
            server.fails(500)
        for _ in range(4):
            other.writes(GOOD)
        async with open_core(**{CLAUDE: (LOCAL,)}) as core:
            for _ in range(3):
                await generate(core)
            _, heard, rows = await generate(core)
        assert len(server.requests) == 3
        assert [row.provider for row in rows] == ["ollama"]
        said = f"{CLAUDE} failed 3 times within a minute; {LOCAL} is asked instead"
        assert said in lines(heard)
        assert said in heard[-1].notice

    async def test_one_core_does_not_know_what_another_one_saw(self, open_core, server, other):
        for _ in range(3):
            server.fails(500)
            other.writes(GOOD)
        async with open_core(**{CLAUDE: (LOCAL,)}) as core:
            for _ in range(3):
                await generate(core)
        server.writes(GOOD)
        async with open_core(**{CLAUDE: (LOCAL,)}) as core:
            tool, _, _ = await generate(core)
        assert tool.metadata.model == CLAUDE

    async def test_when_all_fail_the_last_error_is_told(self, open_core, server, other):
        server.fails(500)
        other.fails(404, "model 'small-coder:latest' not found")
        fallbacks = {CLAUDE: ("nonsense", LOCAL), LOCAL: ("claude-opus-5-5",)}
        async with open_core(**fallbacks) as core:
            server.fails(401)
            error, heard, rows = await generate(core)
        assert isinstance(error, ProviderError)
        assert "refused the key" in error.line
        assert any("nonsense can't be asked instead" in line for line in lines(heard))
        assert [(row.model, row.status) for row in rows] == [
            (CLAUDE, "error"),
            (LOCAL, "error"),
            ("claude-opus-5-5", "error"),
        ]

    async def test_without_fallbacks_a_model_is_asked_each_time(self, open_core, server):
        for _ in range(4):
            server.fails(500)
        async with open_core() as core:
            for _ in range(4):
                error, _, _ = await generate(core)
                assert isinstance(error, ProviderError)
        assert len(server.requests) == 4

    async def test_a_refusal_is_an_answer(self, open_core, server, other):
        server.refuses("No.")
        async with open_core(**{CLAUDE: (LOCAL,)}) as core:
            error, _, _ = await generate(core)
        assert isinstance(error, GenerationFailed)
        assert other.requests == ()


class TestEscalation:
    async def test_the_last_attempt_is_the_other_model_s(self, open_core, server, other):
        for number in (3, 4):
            server.writes(GOOD.replace("2", str(number)))
        other.writes(GOOD)
        async with open_core() as core:
            tool, _, rows = await generate(core, SPEC.model_copy(update={"escalate": LOCAL}))
        assert [(row.provider, row.model) for row in rows] == [
            ("anthropic", CLAUDE),
            ("anthropic", CLAUDE),
            ("ollama", LOCAL),
        ]
        assert tool.metadata.model == LOCAL

    @pytest.mark.parametrize("wrong", ["nonsense", "claude/x", "shelf", "http://x/y", "groq/llama"])
    async def test_a_model_that_can_t_be_asked_is_refused_before_anything_is_sent(
        self, open_core, server, wrong
    ):
        async with open_core() as core:
            error, _, rows = await generate(core, SPEC.model_copy(update={"escalate": wrong}))
        assert isinstance(error, ProviderError)
        assert error.hint
        assert (server.requests, rows) == ((), [])


def test_failures_are_forgotten_after_a_minute():
    now = 100.0
    breaker = Breaker(lambda: now)
    breaker.failed("m", 2)
    assert not breaker.is_open("m")
    now = 150.0
    breaker.failed("m", 1)
    assert breaker.is_open("m")
    assert not breaker.is_open("n")
    now = 161.0
    assert not breaker.is_open("m")
