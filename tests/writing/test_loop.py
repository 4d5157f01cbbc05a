"""Write, prove, repair: the real provider over the wire, and the real sandbox."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import GenerationFailed, ProviderError
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    ExampleProven,
    Noticed,
    PhaseChanged,
    TextArrived,
)
from fact_magics.providers.anthropic import AnthropicProvider
from fact_magics.sandbox import Sandbox
from fact_magics.tool import Status, ToolSpec
from fact_magics.writing import asking
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import write
from fact_magics.writing.prompt import BRIEF_RULES, RULES
from fact_magics.writing.proof import Prover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fact_magics.testing import ModelServer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_in_reserve")]

BODY = "Double a number.\n\n>>> double(2)\n4\n\n>>> double(-1)\nTraceback (most recent call last):\nValueError: no\n"
GOOD = "def double(n: int) -> int:\n    if n < 0:\n        raise ValueError('no')\n    return 2 * n\n"


@pytest.fixture
async def ask(server: ModelServer) -> AsyncIterator:
    from pydantic import SecretStr

    provider = AnthropicProvider("claude-sonnet-5-5", SecretStr(server.key), base_url=server.url)
    sandbox = Sandbox()
    await sandbox.start()
    try:

        async def run(body: str = BODY, provider_of=lambda _: provider, **options):
            read = read_body(body, "double")
            spec = ToolSpec("double", read.description, read.examples, **options)
            events, attempts = [], []
            try:
                prover = Prover(sandbox, events.append)
                accepted = await write(spec, provider_of, prover, attempts)
            except (GenerationFailed, ProviderError) as error:
                return error, events, attempts
            return accepted, events, attempts

        yield run
    finally:
        await sandbox.aclose()
        await provider.aclose()


@pytest.fixture
async def small(server: ModelServer) -> AsyncIterator:
    from pydantic import SecretStr

    class Small(AnthropicProvider):
        may_run_away = True
        is_local = True
        waiting_notice = "still loading"

    provider = Small("small", SecretStr(server.key), base_url=server.url)
    yield lambda _: provider
    await provider.aclose()


async def test_a_candidate_whose_every_example_holds_is_accepted(ask, server):
    server.writes(GOOD)
    accepted, events, attempts = await ask()
    assert accepted.source.text == GOOD
    assert [verdict.holds for verdict in accepted.attempt.verdicts] == [True, True]
    assert [attempt.status for attempt in attempts] == [Status.OK]
    phases = [event.name for event in events if isinstance(event, PhaseChanged)]
    assert phases == ["waiting", "writing", "checking", "proving", "proving"]
    assert "".join(event.text for event in events if isinstance(event, TextArrived)) == attempts[0].text


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (GOOD.replace("2 *", "3 *"), "double(2) should give 4, but gave 6"),
        (GOOD.replace("'no'", "'never'"), "double(-1) should give ValueError: no"),
        (GOOD.replace("ValueError", "KeyError"), "double(-1) should give ValueError: no"),
        (GOOD.replace("2 * n", "2.0 * n"), "double(2) should give 4"),
        (GOOD.replace("2 * n", "str(n)"), "double(2) should give 4"),
        (GOOD.replace("n: int)", "n: int, m)"), "def double(n: int, m: TYPE) -> int:"),
        (GOOD.replace("n: int", "*n: int"), "*"),
        (GOOD.replace("n: int", "a: int, b: int"), "does not fit"),
        ("import nonexistent_package_xyz\n\n" + GOOD, "nonexistent_package_xyz, which is not installed"),
        (GOOD.replace("double", "treble"), "does not define a function named double"),
        (GOOD.replace("2 * n", "2 *"), "does not parse"),
        ("raise RuntimeError('at import')\n\n" + GOOD, "at import"),
        (GOOD.replace("return 2 * n", "input(); return 2 * n"), "keyboard"),
        ("import os\n\n" + GOOD.replace("2 * n", "os._exit(0)"), "double(2) should give 4"),
        (GOOD.replace("int:", "'Frame':", 1), "Frame"),
    ],
)
async def test_what_is_wrong_with_a_candidate_is_told_and_it_is_mended(ask, server, source, told):
    server.writes(source)
    server.writes(GOOD)
    accepted, events, attempts = await ask()
    assert not isinstance(accepted, Exception), accepted
    assert accepted.attempt.number == 2
    assert [attempt.status for attempt in attempts] == [Status.ERROR, Status.OK]
    assert any(told in failure for failure in attempts[0].failures), attempts[0].failures
    assert told in server.requests[1].text
    assert server.requests[1].messages[1] == ("assistant", attempts[0].text.strip())
    assert [event.number for event in events if isinstance(event, AttemptStarted)] == [1, 2]
    assert [event.status for event in events if isinstance(event, AttemptEnded)] == [Status.ERROR, Status.OK]


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        ("raise ValueError", "The module can't be executed: ValueError. Reword"),
        ("raise ValueError('so:')", "The module can't be executed: ValueError: so. Reword"),
        ("while True: pass", "The module can't be executed: stopped at its time limit after 0."),
    ],
)
async def test_why_a_module_can_t_be_executed_is_a_whole_sentence(ask, server, failing, told):
    server.writes(f"{failing}\n\n{GOOD}")
    error, *_ = await ask("Double a number.", attempts=1, timeout_seconds=0.5)
    assert told in error.line


async def test_a_candidate_that_hangs_is_told_so_and_the_other_examples_are_not_waited_for(ask, server):
    server.writes(GOOD.replace("return 2 * n", "while True: pass"))
    server.writes(GOOD)
    accepted, events, attempts = await ask(timeout_seconds=0.5)
    assert accepted.attempt.number == 2
    assert len(attempts[0].verdicts) == 1
    assert len([event for event in events if isinstance(event, ExampleProven)]) == 3


async def test_no_more_is_asked_than_attempts(ask, server):
    for _ in range(3):
        server.writes(GOOD.replace("2 *", "3 *"))
    error, _, attempts = await ask(attempts=2)
    assert isinstance(error, GenerationFailed)
    assert len(server.requests) == len(attempts) == 2
    assert "2 attempts" in error.line
    assert error.details == ("double(2) should give 4, but gave 6",)


@pytest.mark.parametrize(
    ("attempts", "way_out"), [(2, "raise --attempts."), (10, "another model with --model.")]
)
async def test_more_attempts_are_suggested_only_where_more_can_be_asked_for(ask, server, attempts, way_out):
    for number in range(attempts):
        server.reply(f"No code in answer {number}.")
    error, _, _ = await ask(attempts=attempts)
    assert error.hint.endswith(way_out)


async def test_a_refusal_ends_the_work_at_once_with_the_text_kept(ask, server):
    server.refuses("I can't")
    server.writes(GOOD)
    error, _, [attempt] = await ask()
    assert isinstance(error, GenerationFailed)
    assert len(server.requests) == 1
    assert "declined" in attempt.reason
    assert attempt.reason == error.line
    assert attempt.status is Status.ERROR
    assert attempt.text
    assert len(error.line.splitlines()) == 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda s: s.reply(f"```python\n{GOOD}", stop_reason="max_tokens"), "its length limit was reached"),
        (
            lambda s: s.reply(f"```python\n{GOOD}```\nAnd", stop_reason="max_tokens"),
            "its length limit was reached",
        ),
        (lambda s: s.breaks(f"```python\n{GOOD}```\n", "cut"), "the stream ended early"),
    ],
)
async def test_an_answer_that_was_cut_off_spends_one_attempt(ask, server, script, reason):
    script(server)
    server.writes(GOOD)
    accepted, _, [cut, _] = await ask()
    assert accepted.attempt.number == 2
    assert "cut off" in cut.reason
    assert reason in cut.reason
    assert cut.status is Status.ERROR
    assert cut.text
    assert cut.source
    assert reason in server.requests[1].text


async def test_a_small_model_gets_brief_rules_and_one_message(ask, server, small):
    """It would lose the request among long rules, and repeat an answer that it is shown."""
    server.writes(GOOD.replace("2 *", "3 *"))
    server.writes(GOOD)
    accepted, *_ = await ask(provider_of=small)
    assert accepted.attempt.number == 2
    first, second = server.requests
    assert first.system == second.system == BRIEF_RULES
    assert len(BRIEF_RULES) < len(RULES) / 3
    assert [len(request.messages) for request in (first, second)] == [1, 1]
    assert second.text.startswith(first.text)
    assert "double(2) should give 4, but gave 6" in second.text


async def test_each_attempt_has_the_rules_for_its_model(ask, server, small):
    """A large model that takes over sees the whole conversation."""
    server.writes(GOOD.replace("2 *", "3 *"))
    server.writes(GOOD)
    from pydantic import SecretStr

    large = AnthropicProvider("claude-sonnet-5-5", SecretStr(server.key), base_url=server.url)
    accepted, *_ = await ask(provider_of=lambda number: small(1) if number == 1 else large)
    await large.aclose()
    assert accepted.attempt.number == 2
    assert [request.system for request in server.requests] == [BRIEF_RULES, RULES]
    assert [role for role, _ in server.requests[1].messages] == ["user", "assistant", "user"]


async def test_a_long_wait_is_explained_while_it_lasts(ask, server, small, monkeypatch):
    """A local server may be loading the model, so that nothing comes for minutes."""
    monkeypatch.setattr(asking, "_LONG_WAIT_SECONDS", 0.0)
    server.writes(GOOD)
    _, events, _ = await ask(provider_of=small)
    names = [type(event).__name__ for event in events]
    assert Noticed("still loading") in events
    assert names.index("Noticed") < names.index("TextArrived")


async def test_an_answer_in_time_needs_no_explanation(ask, server, small):
    server.writes(GOOD)
    _, events, _ = await ask(provider_of=small)
    assert not any(isinstance(event, Noticed) for event in events)


@pytest.mark.parametrize("tail", ["\n", "And so on. ", "# the same\n", "x" * 499 + "\n"])
async def test_an_answer_that_repeats_itself_without_end_is_stopped(ask, server, small, tail):
    for first in ("The answer: ", f"```python\n{GOOD.replace('2 *', '(')}"):
        server.reply(first + tail * (200_000 // len(tail)))
        server.writes(GOOD)
        accepted, _, [stopped, _] = await ask(provider_of=small)
        assert accepted.attempt.number == 2
        assert len(stopped.text) < 20_000
        assert "its end repeated itself" in stopped.reason
        assert "ended early" not in stopped.reason


async def test_a_module_before_a_repeating_end_is_taken(ask, server, small):
    server.reply(f"```python\n{GOOD}```\n" + "That is it. " * 20_000)
    accepted, _, [attempt] = await ask(provider_of=small)
    assert accepted.source.text == GOOD
    assert len(attempt.text) < 20_000


@pytest.mark.parametrize(("zeros", "is_small"), [(1_000, True), (20_000, False)])
async def test_a_table_that_repeats_for_a_while_is_not_stopped(ask, server, small, zeros, is_small):
    server.reply(f"```python\n{GOOD}\n\nTABLE = [{'0, ' * zeros}]\n```")
    accepted, _, [attempt] = await (ask(provider_of=small) if is_small else ask())
    assert accepted.source.text == attempt.source
    assert attempt.source.count("0, ") == zeros


async def test_an_answer_that_stops_in_the_middle_is_told_what_does_not_parse(ask, server):
    server.reply(f"```python\n{GOOD[:-4]}(")
    server.writes(GOOD)
    accepted, _, [stopped, _] = await ask()
    assert accepted.attempt.number == 2
    assert "does not parse" in stopped.reason
    assert "ended early" not in server.requests[1].text


async def test_half_an_emoji_is_sent_as_a_replacement_character(ask, server):
    server.reply("```python\ndef double(n: int) -> str:\n    return '\\ud83d'\n```")
    server.writes(GOOD)
    accepted, _, [failed, _] = await ask(BODY.replace("Double", "Double \ud83d\ude00 \ud83d"))
    assert accepted.attempt.number == 2
    assert failed.failures
    assert "\U0001f600 \ufffd" in server.requests[0].text


async def test_the_examples_choose_among_the_modules_of_an_answer(ask, server):
    bad = GOOD.replace("2 *", "3 *")
    for first, second in ((GOOD, bad), (bad, GOOD)):
        server.reply(f"```python\n{first}```\nOr:\n```python\n{second}```\n")
        accepted, _, [attempt] = await ask()
        assert accepted.source.text == attempt.source == GOOD
        assert all(verdict.holds for verdict in attempt.verdicts)
        assert attempt.failures == ()
        assert attempt.reason == ""


async def test_types_that_the_examples_show_are_added_and_told(ask, server):
    server.reply(f"```python\n{GOOD.replace('n: int) -> int', 'n)')}```")
    accepted, _, [attempt] = await ask()
    assert accepted.source.text == attempt.source == GOOD
    assert accepted.notes == ("types that the examples or the source show: n: int, result: int",)


async def test_a_type_that_nothing_shows_goes_back_with_how_the_examples_went(ask, server):
    server.writes(GOOD.replace("n: int)", "n: int, m=None)").replace("2 *", "3 *"))
    server.writes(GOOD.replace("n: int)", "n: int, m=None)"))
    error, _, [first, second] = await ask(attempts=2)
    line = "def double(n: int, m: TYPE=None) -> int:"
    assert isinstance(error, GenerationFailed)
    assert [line in first.failures[0], *first.failures[1:]] == [True, "double(2) should give 4, but gave 6"]
    assert line in server.requests[1].text
    assert "but gave 6" in server.requests[1].text
    assert len(second.failures) == 1
    assert second.status is Status.ERROR


async def test_of_several_modules_that_fail_the_best_is_told(ask, server):
    better, worse = GOOD.replace("2 *", "3 *"), GOOD.replace("2 *", "3 *").replace("n < 0", "n < -99")
    for first, second in ((better, worse), (worse, better)):
        server.reply(f"```python\n{first}```\nOr:\n```python\n{second}```\n")
        error, _, [attempt] = await ask(attempts=1)
        assert isinstance(error, GenerationFailed)
        assert attempt.source == better
        assert len(attempt.failures) == len(error.details) == 1


async def test_expected_values_are_not_told_to_the_process_but_to_the_model_only(ask, server):
    spying = "import sys\n\ndef double(n: int) -> int:\n    return 4 if '4' in repr(sys.argv) else 0\n"
    server.writes(spying)
    error, _, _ = await ask(attempts=1)
    assert "1 of 2" in str(error) or "2 of 2" in str(error)
    assert "4" in server.requests[0].text


async def test_a_tool_that_gives_two_answers_for_one_input_is_marked(ask, server):
    server.writes(
        "import os\n\ndef double(n: int) -> float:\n    return 4.0 + getattr(os, 'get' + 'pid')() * 1e-15\n"
    )
    accepted, _, _ = await ask("Double.\n\n>>> double(2)\n4.0\n")
    assert accepted.varies


async def test_without_examples_the_module_must_at_least_be_executable(ask, server):
    server.writes("1 / 0\n\n" + GOOD)
    server.writes(GOOD)
    accepted, _, attempts = await ask("Double a number.")
    assert "ZeroDivisionError" in attempts[0].failures[0]
    assert accepted.attempt.number == 2


async def test_an_example_that_the_signature_refuses_holds_when_it_expects_that(ask, server):
    server.writes(GOOD)
    body = "Double.\n\n>>> double('x')\nTraceback (most recent call last):\nValueError\n\n>>> double(1)\n2\n"
    accepted, _, _ = await ask(body)
    assert [verdict.holds for verdict in accepted.attempt.verdicts] == [True, True]


async def test_usage_is_kept_an_attempt(ask, server):
    server.writes(GOOD.replace("2 *", "3 *"), usage={"input_tokens": 10, "output_tokens": 5})
    server.writes(GOOD, usage={"input_tokens": 20, "output_tokens": 6})
    _, _, attempts = await ask()
    assert [(a.usage.input_tokens, a.usage.output_tokens) for a in attempts] == [(10, 5), (20, 6)]


async def test_a_second_attempt_may_have_another_provider(ask, server):
    """`write` asks for the provider of each attempt by its number."""
    from pydantic import SecretStr

    key = SecretStr(server.key)
    models = ("claude-haiku-5-5", "claude-opus-5-5")
    providers = [AnthropicProvider(model, key, base_url=server.url) for model in models]
    server.writes("x = 1")
    server.writes(GOOD)
    accepted, _, _ = await ask(provider_of=lambda number: providers[number - 1])
    for provider in providers:
        await provider.aclose()
    assert accepted.attempt.model == models[1]
    assert [request.model for request in server.requests] == [*models]


@pytest.mark.parametrize("attempts", [1, 2])
async def test_an_accepted_source_is_parsed_once_while_it_is_written(ask, server, monkeypatch, attempts):
    """From the model's text to the accepted tool, nobody parses the module a second time."""
    parsed = []
    parse = builtins.compile

    def counting(source, *args, **options):
        if isinstance(source, str) and "def double" in source:
            parsed.append(source)
        return parse(source, *args, **options)

    monkeypatch.setattr(builtins, "compile", counting)
    for _ in range(attempts - 1):
        server.writes(GOOD.replace("2 *", "3 *"))
    server.writes(f"import math\n\n\n{GOOD}", before="Here it is:", after="It doubles.")
    accepted, _, _ = await ask()
    assert parsed.count(accepted.source.text) == 1
    assert len(parsed) == attempts


class TestRepeats:
    BAD = GOOD.replace("2 *", "3 *")
    SAME = f"# Doubled.\n{BAD.replace('3 * n', '3*n  # three')}"

    async def test_a_candidate_that_repeats_an_earlier_one_ends_the_loop(self, ask, server):
        """Spaces and comments make no new candidate."""
        server.writes(self.BAD)
        server.writes(self.SAME)
        server.writes(GOOD)
        error, _, attempts = await ask(attempts=5)
        assert isinstance(error, GenerationFailed)
        assert "in 2 attempts" in error.message
        assert "the last candidate repeats an earlier one" in error.message
        assert "--escalate" in error.hint
        assert [attempt.status for attempt in attempts] == [Status.ERROR] * 2
        assert len(server.requests) == 2

    async def test_the_last_model_is_asked_at_once_if_it_is_another_one(self, ask, server):
        from pydantic import SecretStr

        key = SecretStr(server.key)
        small, large = (AnthropicProvider(f"claude-{name}", key, base_url=server.url) for name in ("s", "l"))
        server.writes(self.BAD)
        server.writes(self.SAME)
        server.writes(GOOD)
        accepted, events, attempts = await ask(
            provider_of=lambda number: large if number == 5 else small, attempts=5
        )
        for provider in (small, large):
            await provider.aclose()
        assert [attempt.model for attempt in attempts] == ["claude-s", "claude-s", "claude-l"]
        assert [attempt.number for attempt in attempts] == [1, 2, 3]
        assert accepted.attempt is attempts[-1]
        assert Noticed("claude-s repeated an earlier candidate") in events
        assert "gave 6" in server.requests[2].text

    async def test_answers_without_a_candidate_are_not_repeats(self, ask, server):
        server.reply("I can't say.")
        server.reply("I can't say.")
        server.writes(GOOD)
        accepted, _, attempts = await ask()
        assert accepted.attempt is attempts[2]
