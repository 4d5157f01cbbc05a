"""Budgets that no request passes, and costs that agree with the model server's own accounting."""

from __future__ import annotations

import asyncio
import random
import re

import pytest

from fact_magics import FactCore, Settings, ToolSpec, load_settings
from fact_magics.attempt import Usage
from fact_magics.errors import BudgetReached, FactError, GenerationFailed, ProviderError
from fact_magics.events import Noticed
from fact_magics.testing import ModelServer

GOOD = "def double(n: int) -> int:\n    return 2 * n\n"
BAD = "def double(n: int) -> int:\n    return 3 * n\n"
TEXT = "Double a number.\n\n>>> double(2)\n4\n"
# US dollars for a million tokens of claude-sonnet-5-5.
PRICES = {"input": 2.0, "output": 10.0, "cache_read": 0.1, "cache_write": 2.5, "cache_write_1h": 4.0}
USAGE = {"input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 0, "cache_creation_tokens": 0}
# At most, its input costs $0.0025 (written to the cache), and 1,000 tokens of answer cost $0.01.


def ask(**fields: object) -> ToolSpec:
    return ToolSpec("double", TEXT, fresh=True, **fields)


def spent(server: ModelServer) -> float:
    return float(sum(charge.cost(PRICES) for charge in server.charges))


async def stored(core: FactCore) -> list[float | None]:
    return [row.cost_usd for row in await core.list_generations(limit=1_000)][::-1]


class TestCosts:
    async def test_each_attempt_keeps_its_price_and_what_the_prompt_cache_saved(self, core, server):
        server.writes(BAD, usage=Usage(100, 50, 2_000, 300, 100))
        server.writes(GOOD, usage=Usage(200, 60, 1_000, 0, 0))
        await core.generate(ask())
        second, first = await core.list_generations()
        assert (first.cache_creation_tokens, first.cache_creation_1h_tokens) == (300, 100)
        costs = [float(charge.cost(PRICES)) for charge in server.charges]
        assert [first.cost_usd, second.cost_usd] == pytest.approx(costs, rel=1e-12)
        assert [first.saved_usd, second.saved_usd] == pytest.approx([2_000 * 1.9e-6, 1_000 * 1.9e-6])
        assert float(core.spending.spent) == pytest.approx(sum(costs), rel=1e-12)

    async def test_a_model_without_a_price_costs_null(self, core, server):
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask(model="claude-nothing-9"))
        assert await stored(core) == [None]
        assert core.spending.unknown == 1

    async def test_a_reused_tool_saves_what_its_generation_cost(self, core, server):
        server.writes(BAD, usage=USAGE)
        server.writes(GOOD, usage=USAGE)
        await core.generate(ToolSpec("double", TEXT))
        assert (await core.stats()).data["saved_usd"] == 0
        before = spent(server)
        await core.generate(ToolSpec("double", TEXT))
        await core.generate(ToolSpec("double", TEXT))
        data = (await core.stats(session_id=core.session_id, since="1h")).data
        assert data["saved_usd"] == pytest.approx(2 * before)
        assert data["cost_usd"] == pytest.approx(before) == spent(server)
        assert (await core.stats(tool_name="other")).data["saved_usd"] is None

    async def test_a_replaced_model_name_keeps_the_price_of_the_model_that_was_asked(self, home, server):
        (home.parent / "config.yaml").write_text(
            "model_list:\n  - model_name: ours\n    litellm_params: {model: claude-nothing-9}\n"
            "    model_info: {input_cost_per_token: 1e-06, output_cost_per_token: 0.000002}\n"
        )
        from fact_magics.config.trust import trust

        trust(home.parent / "config.yaml", home)
        settings = load_settings({}, home.parent, {"FACT_HOME": str(home), **server.environment()})
        server.writes(GOOD, usage=USAGE)
        async with FactCore(settings) as core:
            await core.generate(ask(model="ours"))
            assert await stored(core) == [pytest.approx(0.0012)]


class TestBudgets:
    async def test_a_request_that_could_pass_the_budget_is_not_sent(self, core, server):
        server.writes(GOOD, usage=USAGE)
        with pytest.raises(BudgetReached) as refused:
            await core.generate(ask(budget_usd=0.0124))
        assert str(refused.value) == (
            "The request to claude-sonnet-5-5 needs at least $0.0125 (1,000 tokens in, 1,000 out), but $0.0124 of "
            "the $0.0124 in --budget is left, so it was not sent. Raise the budget by $0.0001 or more, or name a "
            "cheaper model with --model."
        )
        assert not server.requests
        (row,) = await core.list_generations()
        assert (row.status, row.cost_usd, row.text) == ("error", None, "")
        assert row.reason == refused.value.line
        assert not await core.tool_names()

    async def test_the_error_counts_what_was_spent_beyond_the_budget(self, core, server):
        server.writes(GOOD, usage={**USAGE, "input_tokens": 1_001, "output_tokens": 3_003})
        await core.generate(ask())
        await core.configure(core.settings.model_copy(update={"budget": 0.0001}))
        with pytest.raises(BudgetReached, match=r"but \$0\.00 of the \$0\.0001 in .* is left") as refused:
            await core.generate(ask())
        more = float(re.search(r"Raise the budget by \$(\S+) or more", str(refused.value)).group(1))
        assert more == pytest.approx(0.0125 + spent(server) - 0.0001, rel=0.01)
        await core.configure(core.settings.model_copy(update={"budget": 0.0001 + more}))
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask())

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            ({"max_tokens": 200}, "Raise --max-tokens, or ask for a smaller tool."),
            ({"budget_usd": 0.0125}, "Raise the budget, or ask for a smaller tool."),
            ({}, "Raise --max-tokens, or ask for a smaller tool."),
        ],
    )
    async def test_an_answer_that_its_limit_cut_off_says_which_limit_to_raise(
        self, core, server, options, hint
    ):
        server.writes(GOOD, usage={**USAGE, "output_tokens": 16_000}, stop_reason="max_tokens")
        with pytest.raises(GenerationFailed) as failed:
            await core.generate(ask(attempts=1, **options))
        assert failed.value.hint == hint

    async def test_a_request_that_exactly_fits_is_sent(self, core, server):
        server.writes(GOOD, usage={**USAGE, "output_tokens": 1_000})
        await core.generate(ask(budget_usd=0.0125))
        assert server.requests[0].body["max_tokens"] == 1_000

    async def test_the_longest_answer_is_fitted_to_what_is_left(self, core, server):
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask(budget_usd=0.0525))
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask(budget_usd=1))
        assert [request.body["max_tokens"] for request in server.requests] == [5_000, 16_000]

    async def test_a_repair_gets_what_the_first_attempt_left(self, core, server):
        server.writes(BAD, usage={**USAGE, "output_tokens": 1_000})
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask(budget_usd=0.0125 + 0.012))
        assert [request.body["max_tokens"] for request in server.requests] == [2_200, 1_000]

    async def test_the_budget_of_the_session_counts_what_was_spent_before(self, core, server):
        server.writes(GOOD, usage={**USAGE, "output_tokens": 3_000})
        await core.generate(ask())
        await core.configure(core.settings.model_copy(update={"budget": 0.0445}))
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask())
        assert server.requests[1].body["max_tokens"] == 1_000
        server.writes(GOOD, usage=USAGE)
        with pytest.raises(BudgetReached, match=r"in %config FactMagics\.budget is left"):
            await core.generate(ask(budget_usd=5))
        assert len(server.requests) == 2

    async def test_without_a_counter_a_byte_counts_as_a_token(self, home):
        with ModelServer(counts=False) as server:
            settings = load_settings({}, home.parent, {"FACT_HOME": str(home), **server.environment()})
            async with FactCore(settings) as core:
                server.writes(GOOD, usage=USAGE)
                await core.generate(ask(budget_usd=0.05))
                request = server.requests[0]
                size = len(f"{request.system}{request.text}".encode())
                most = request.body["max_tokens"]
                assert size * 2.5e-6 + most * 1e-5 < 0.05 < (size + 100) * 2.5e-6 + (most + 1) * 1e-5

    async def test_an_answer_can_be_limited_without_a_budget(self, core, server):
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask(max_tokens=500))
        assert server.requests[0].body["max_tokens"] == 500

    async def test_an_answer_that_reaches_its_limit_says_how_long_it_could_be(self, core, server):
        server.reply(f"```python\n{GOOD}", usage={**USAGE, "output_tokens": 2_000})
        with pytest.raises(GenerationFailed, match="its limit of 1,250 tokens was reached"):
            await core.generate(ask(budget_usd=0.015, attempts=1))

    async def test_a_shorter_limit_of_the_answer_is_enough_within_a_budget(self, core, server):
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask(budget_usd=0.0075, max_tokens=500))
        assert server.requests[0].body["max_tokens"] == 500

    async def test_a_model_without_a_price_needs_a_limit_of_its_answer(self, core, server):
        server.writes(GOOD, usage=USAGE)
        with pytest.raises(BudgetReached, match=r"no known price.*--max-tokens N"):
            await core.generate(ask(model="claude-nothing-9", budget_usd=1))
        assert not server.requests
        await core.generate(ask(model="claude-nothing-9", budget_usd=1, max_tokens=700))
        assert server.requests[0].body["max_tokens"] == 700
        assert await stored(core) == [None, None]

    async def test_a_budget_of_nothing_still_allows_what_costs_nothing(self, core, server):
        server.writes(GOOD, usage=USAGE)
        await core.generate(ToolSpec("double", TEXT))
        await core.generate(ToolSpec("double", TEXT, budget_usd=0))
        with pytest.raises(BudgetReached):
            await core.generate(ask(budget_usd=0))

    @pytest.mark.parametrize(
        "fields", [{"budget_usd": -1}, {"budget_usd": float("nan")}, {"budget_usd": "abc"}, {"max_tokens": 0}]
    )
    def test_a_malformed_budget_is_one_line(self, fields):
        with pytest.raises(FactError) as refused:
            ask(**fields)
        assert next(iter(fields)) in refused.value.line


@pytest.mark.slow
class TestBehindLiteLLM:
    async def test_models_behind_litellm_are_paid_and_limited_too(self, core, server):
        server.writes(GOOD, usage={"input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 500})
        await core.generate(ask(model="openai/gpt-4.1-mini", budget_usd=0.01))
        body = server.requests[0].body
        # A byte counts as a token here, and a million tokens cost $0.40 in and $1.60 out.
        size = len(f"{server.requests[0].system}{server.requests[0].text}".encode())
        assert 1_000 < body["max_tokens"] < (0.01 - size * 4e-7) / 1.6e-6
        assert await stored(core) == [pytest.approx(1_000 * 4e-7 + 500 * 1e-7 + 100 * 1.6e-6)]

    async def test_a_local_model_has_no_price_and_is_allowed_within_a_budget(self, core, server):
        server.writes(GOOD)
        await core.generate(ask(model="ollama/small-coder:latest", budget_usd=0))
        assert await stored(core) == [None]


class TestBrokenRequests:
    @pytest.mark.parametrize("ending", ["cut", "dropped", "reset"])
    async def test_a_broken_stream_holds_its_reservation_and_has_no_price(self, core, server, ending):
        server.breaks(f"```python\n{GOOD}" * 40, ending, usage=USAGE)
        with pytest.raises(FactError):
            await core.generate(ask(budget_usd=0.0525, attempts=1))
        assert await stored(core) == [None]
        assert float(core.spending.held) == pytest.approx(0.0525)
        assert (core.spending.spent, core.spending.reserved) == (0, 0)

    async def test_a_stopped_request_holds_its_reservation(self, core, server):
        server.writes(GOOD, pace=1, usage=USAGE)
        work = asyncio.ensure_future(core.generate(ask(budget_usd=0.0525)))
        await asyncio.to_thread(server.wait_for_request)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert float(core.spending.held) == pytest.approx(0.0525)

    @pytest.mark.parametrize("status", [400, 401, 404])
    async def test_a_refused_request_releases_its_reservation(self, core, server, status):
        server.fails(status)
        with pytest.raises(ProviderError):
            await core.generate(ask(budget_usd=0.05))
        assert (core.spending.held, core.spending.reserved, core.spending.unknown) == (0, 0, 0)

    async def test_retries_after_refusals_share_one_reservation(self, core, server):
        server.fails(529, retry_after=0)
        server.fails(503, retry_after=0)
        server.writes(GOOD, usage=USAGE)
        await core.generate(ask(budget_usd=0.02))
        assert len(server.requests) == 3
        assert await stored(core) == [pytest.approx(0.003)]

    async def test_a_retry_after_a_lost_connection_is_paid_as_a_second_request(self, core, server):
        server.breaks(GOOD, "dropped", after=0, usage=USAGE)
        server.writes(GOOD, usage=USAGE)
        with pytest.raises(BudgetReached, match="the same request again"):
            await core.generate(ask(budget_usd=0.02))
        assert len(server.requests) == 1
        assert (float(core.spending.held), core.spending.reserved) == (pytest.approx(0.02), 0)

    async def test_a_stop_in_the_pause_after_a_refusal_costs_nothing(self, core, server):
        server.fails(529, retry_after=20)
        paused = asyncio.Event()

        def listen(event: object) -> None:
            if isinstance(event, Noticed) and "asking again" in event.text:
                paused.set()

        work = asyncio.ensure_future(core.generate(ask(budget_usd=0.05), listen))
        await paused.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert (core.spending.held, core.spending.reserved, core.spending.unknown) == (0, 0, 0)

    async def test_an_unreachable_server_costs_nothing(self, core, server):
        server.close()
        with pytest.raises(ProviderError):
            await core.generate(ask(budget_usd=0.05))
        assert (core.spending.held, core.spending.reserved) == (0, 0)


class TestAtOnce:
    async def test_requests_at_once_share_the_budget_and_wait_for_each_other(self, settings, server):
        settings = settings.model_copy(update={"budget": 0.0125 + 4 * 0.003})
        for _ in range(5):
            server.writes(GOOD, usage=USAGE)
        async with FactCore(settings) as core:
            # The first reserves nearly everything; the others are sent as it gives back what it did not need.
            await asyncio.gather(*(core.generate(ask(budget_usd=1)) for _ in range(5)))
            assert float(core.spending.spent) == pytest.approx(0.015) == spent(server)
            with pytest.raises(BudgetReached):
                await core.generate(ask())

    async def test_what_cannot_fit_is_refused_at_once(self, settings, server):
        settings = settings.model_copy(update={"budget": 0.02})
        for _ in range(3):
            server.writes(GOOD, usage={**USAGE, "output_tokens": 1_000})
        async with FactCore(settings) as core:
            done = await asyncio.gather(*(core.generate(ask()) for _ in range(3)), return_exceptions=True)
        assert sorted(isinstance(each, BudgetReached) for each in done) == [False, True, True]
        assert spent(server) < 0.02


async def _generations(settings: Settings, server: ModelServer, seed: int, number: int) -> None:
    """Generate with random budgets, usages and failures; the budgets hold, and costs agree with the server."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    async with FactCore(settings) as core:
        known: list[float | None] = []
        for _ in range(number):
            budget, before = (
                chance.choice([0.01, 0.02, 0.05, 0.2]) * chance.uniform(0.5, 1.5),
                len(server.charges),
            )
            planned = []
            for _ in range(3):
                written = chance.randrange(3_000)
                usage = Usage(
                    chance.randrange(1, 3_000),
                    chance.randrange(1, 4_000),
                    chance.randrange(3_000),
                    written,
                    0,
                )
                planned.append(usage)
                kind = chance.random()
                if kind < 0.15:
                    server.breaks(
                        f"```python\n{GOOD}" * 20, chance.choice(["cut", "dropped"]), after=50, usage=usage
                    )
                else:
                    server.writes(GOOD if kind < 0.6 else BAD, usage=usage)
            await _one(core, server, budget, before, planned)
            server._script.clear()
            known += [
                float(charge.cost(PRICES)) if charge.is_complete else None
                for charge in server.charges[before:]
            ]
        rows = [row.cost_usd for row in (await core.list_generations(limit=None))[::-1] if row.text]
        assert rows == [None if cost is None else pytest.approx(cost, abs=1e-12) for cost in known]
        assert sum(filter(None, rows)) == pytest.approx(sum(filter(None, known)), abs=1e-9)
        assert float(core.spending.spent) == pytest.approx(sum(filter(None, known)), abs=1e-9)
        assert core.spending.reserved == 0


async def _one(core: FactCore, server: ModelServer, budget: float, before: int, planned: list[Usage]) -> None:
    try:
        await core.generate(ask(budget_usd=budget))
    except BudgetReached:
        paid = server.charges[before:]
        following = planned[len(paid)]
        tokens = following.input_tokens + following.cache_read_tokens + following.cache_creation_tokens
        # A broken answer may have cost up to all that was left, so nothing more fits.
        spent_at_most = sum(float(charge.cost(PRICES)) for charge in paid)
        if all(charge.is_complete for charge in paid):
            assert spent_at_most + tokens * 2.5e-6 + 0.01 > budget - 1e-9, "this request would have fitted"
    except GenerationFailed:
        assert len(server.charges) > before
    assert sum(float(charge.cost(PRICES)) for charge in server.charges[before:]) <= budget + 1e-9


class TestManyGenerations:
    async def test_budgets_hold_in_thirty_random_generations(self, settings, server):
        await _generations(settings, server, 1, 30)

    @pytest.mark.thorough
    @pytest.mark.parametrize("seed", range(2, 11))
    async def test_budgets_hold_in_three_hundred_random_generations(self, settings, server, seed):
        await _generations(settings, server, seed, 30)
