"""What a request reserves is charged or released once, however the request ends."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fact_magics.attempt import Attempt, Usage
from fact_magics.errors import BudgetReached, MissingExtra, ProviderError
from fact_magics.providers.base import (
    Asking,
    Billing,
    Finished,
    Message,
    Prompt,
    Retrying,
    TextDelta,
    ThinkingDelta,
)
from fact_magics.providers.spending import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fact_magics.providers.base import ProviderEvent

PROMPT = Prompt("rules", (Message("user", "write"),))
# Claude Sonnet costs $2 for a million tokens in, and $10 for a million out.
RESERVED = Decimal("0.002") + 16_000 * Decimal("0.00001")
COST = Decimal("0.002") + 100 * Decimal("0.00001")
USAGE = Usage(input_tokens=1_000, output_tokens=100)

# Failed requests before the last one, and whether each may have to be paid.
FAILURES = {"refused": False, "lost": True, "refused in silence": False, "lost in silence": True}
# How the last request ends, and whether it may have to be paid without a known price.
ENDINGS = {
    "answered": False,
    "cut": True,
    "refused": False,
    "broken": True,
    "fault": True,
    "not installed": False,
    "stopped while it opens": False,
    "stopped while it waits": True,
    "stopped while it answers": True,
    "stopped in the pause": False,
    "stopped in the pause after a loss": False,  # the loss was charged when the pause began
}


class Scripted:
    """A provider whose requests fail and end as told, and which then waits to be stopped."""

    name, model, notice, waiting_notice = "anthropic", "claude-sonnet-5-5", "", ""
    may_run_away = is_local = False
    billing: ClassVar[Billing]

    def __init__(self, failures: list[str], ending: str) -> None:
        self.failures, self.ending = failures, ending
        self.stuck = asyncio.Event()
        self.billing = Billing(self.count_tokens, {}, "")

    async def count_tokens(self, _: Prompt) -> int:
        return 1_000

    async def stream(self, _: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        unsaid = False
        for number, failure in enumerate(self.failures, start=1):
            yield Asking(unsaid)
            unsaid = failure == "lost in silence"
            if not failure.endswith("silence"):
                yield Retrying("overloaded", 1.0, number, FAILURES[failure])
        if self.ending in ("not installed", "stopped while it opens"):
            if self.failures and self.failures[-1].endswith("silence"):  # the next request follows at once
                yield Asking(unsaid)
                yield Retrying("overloaded", 1.0, 8)
            if self.ending == "not installed":
                raise MissingExtra("LiteLLM is not installed.")
            await self._wait()
        yield Asking(unsaid)
        async with aclosing(self._last()) as events:
            async for event in events:
                yield event

    async def _last(self) -> AsyncGenerator[ProviderEvent, None]:
        match self.ending:
            case "answered" | "cut":
                yield TextDelta("def")
                yield Finished("end" if self.ending == "answered" else "cut", USAGE, self.model)
            case "refused":
                raise ProviderError("It refused.")
            case "broken":
                yield ThinkingDelta("hm")
                error = ProviderError("It broke.")
                error.may_have_cost = True
                raise error
            case "fault":
                raise RuntimeError
            case "stopped while it answers":
                yield TextDelta("def")
            case "stopped in the pause":
                yield Retrying("overloaded", 1.0, 9)
            case "stopped in the pause after a loss":
                yield Retrying("no connection", 1.0, 9, may_have_cost=True)
        await self._wait()

    async def _wait(self) -> None:
        if self.ending.startswith("stopped"):
            self.stuck.set()
            await asyncio.Event().wait()


async def run(provider: Scripted, limit: Decimal, *, cancels: bool) -> tuple[Ledger, Attempt, str]:
    """Ask within a budget; stop the work as told. Return the kind of the error too."""
    ledger, attempt = Ledger(), Attempt(1, "anthropic", provider.model, "")
    ledger.session.limit = limit
    raised = ""

    async def consume() -> None:
        async with aclosing(ledger.purse().stream(provider, PROMPT, attempt)) as events:
            async for event in events:
                assert not isinstance(event, Asking)
                is_last = isinstance(event, Retrying) and event.attempt == 9
                if not cancels and (is_last or isinstance(event, TextDelta)) and "stopped" in provider.ending:
                    return  # as a cell whose answer repeats itself

    work = asyncio.ensure_future(consume())
    stuck = asyncio.ensure_future(provider.stuck.wait())
    await asyncio.wait({work, stuck}, return_when=asyncio.FIRST_COMPLETED)
    stuck.cancel()
    work.cancel()
    try:
        with suppress(asyncio.CancelledError):
            await work
    except (ProviderError, MissingExtra, BudgetReached, RuntimeError) as error:
        raised = type(error).__name__
    return ledger, attempt, raised


@settings(deadline=None, max_examples=150)
@given(
    failures=st.lists(st.sampled_from(sorted(FAILURES)), max_size=3),
    ending=st.sampled_from(sorted(ENDINGS)),
    cancels=st.booleans(),
)
@example(failures=["refused"], ending="stopped in the pause", cancels=True)
@example(failures=[], ending="stopped while it opens", cancels=True)
@example(failures=["lost in silence"], ending="answered", cancels=True)
def test_each_exit_charges_or_releases_once(failures, ending, cancels):
    ledger, attempt, _ = asyncio.run(run(Scripted(failures, ending), Decimal(10), cancels=cancels))
    account = ledger.session
    losses = sum(FAILURES[failure] for failure in failures)
    losses += ENDINGS[ending] or ending == "stopped in the pause after a loss"
    assert account.reserved == 0
    assert account.held == losses * RESERVED
    assert account.unknown == losses
    assert account.spent == (COST if ending == "answered" else 0)
    is_known = ending == "answered" and not losses
    assert attempt.cost_usd == (pytest.approx(float(COST)) if is_known else None)


@settings(deadline=None, max_examples=30)
@given(failures=st.lists(st.sampled_from(sorted(FAILURES)), min_size=1, max_size=3))
def test_a_repeated_request_that_no_longer_fits_is_not_sent(failures):
    ledger, _, raised = asyncio.run(run(Scripted(failures, "answered"), RESERVED, cancels=False))
    is_lost = any(FAILURES[failure] for failure in failures)
    assert raised == ("BudgetReached" if is_lost else "")
    assert (ledger.session.held, ledger.session.reserved) == (RESERVED if is_lost else 0, 0)
    assert ledger.session.spent == (0 if is_lost else COST)
