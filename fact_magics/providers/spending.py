"""The cost of requests to models, and budgets that no request may exceed.

Before a request is sent under a budget, the most that it can cost is reserved: all its input at the highest
price that its marks for the prompt cache allow, and its longest answer. The reservation then ends in one of
three ways. When the request ends, its real cost replaces the reservation. If its real cost is unknown, as
after a broken stream, the reservation is held for good. If nothing was sent, or if the server refused the
request, the reservation is released.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import BudgetReached, FactError, ProviderError
from fact_magics.providers.base import MAX_TOKENS, Asking, Finished, Retrying
from fact_magics.providers.local import KINDS
from fact_magics.providers.prices import find_prices
from fact_magics.text import usd

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fact_magics.attempt import Attempt, Usage
    from fact_magics.providers.base import Billing, Prompt, Provider, ProviderEvent
    from fact_magics.providers.prices import Prices

LEAST_TOKENS = 1_000
"""The shortest limit of an answer that is still enough for a tool."""

# Servers that people run themselves.
_OWN_SERVERS = frozenset({*KINDS, "llamafile", "hosted_vllm"})


@dataclass(slots=True)
class Account:
    """The money of a cell or of a session, in US dollars.

    Attributes
    ----------
    setting : str
        What sets the limit, for messages.
    spent, held, reserved : Decimal
        The cost of ended requests; the most that ended requests of unknown cost can have cost; and the most
        that the requests under way can cost.
    unknown : int
        The number of requests whose cost is unknown.
    """

    setting: str
    limit: Decimal | None = None
    spent: Decimal = Decimal()
    held: Decimal = Decimal()
    reserved: Decimal = Decimal()
    unknown: int = 0

    @property
    def left(self) -> Decimal:
        """What is left of the limit."""
        return (self.limit or Decimal()) - self.spent - self.held - self.reserved


class Reserved(NamedTuple):
    """A request as it is to be sent, its prices, and what it can cost at most."""

    prompt: Prompt
    prices: Prices | None = None
    reserved: Decimal = Decimal()


class Ledger:
    """The money of a session, which its cells and their requests share."""

    def __init__(self) -> None:
        self.session = Account("%config FactMagics.budget")
        self._changed = asyncio.Event()

    def purse(self, budget_usd: float | None = None, max_tokens: int | None = None) -> Purse:
        """Return the money of a cell with a budget of its own; `max_tokens` limits each of its answers."""
        return Purse(self, Account("--budget", exact(budget_usd)), max_tokens)

    async def wait_for_change(self) -> None:
        """Wait until a request that is under way has ended."""
        await self._changed.wait()

    def change(self) -> None:
        """Wake those who wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()


class Purse:
    """The money of one cell; the session is charged for it too."""

    def __init__(self, ledger: Ledger, cell: Account, max_tokens: int | None) -> None:
        self._ledger = ledger
        self._accounts = (cell, ledger.session)
        self._max_tokens = max_tokens

    async def reserve(self, provider: Provider, prompt: Prompt, count: int) -> list[Reserved]:
        """Reserve the most that equal requests can cost, for as many of them as fit into the budgets.

        The requests share what is left. `stream` takes them out of the list; `release` returns the others.

        Raises
        ------
        BudgetReached
            None of the requests fits.
        """
        billing: Billing | None = getattr(provider, "billing", None)
        if billing is None:
            return [Reserved(prompt)] * count
        return await self._reserve(provider, billing, prompt, count)

    def release(self, requests: list[Reserved]) -> None:
        """Return what was reserved for requests that are not sent."""
        while requests:
            self._release(requests.pop())

    async def stream(
        self, provider: Provider, prompt: Prompt, attempt: Attempt, reserved: list[Reserved] | None = None
    ) -> AsyncGenerator[ProviderEvent, None]:
        """Ask the provider as `Provider.stream` does, within the budgets; record the price in the attempt.

        Parameters
        ----------
        reserved : list of Reserved, optional
            What `reserve` returned for this prompt; one request is taken out of it.

        Raises
        ------
        BudgetReached
            The request could cost more than is left, so it was not sent.
        """
        # A provider that does not say how it is paid costs nothing.
        billing: Billing | None = getattr(provider, "billing", None)
        if billing is None:
            async with aclosing(provider.stream(prompt)) as events:
                async for event in events:
                    yield event
            return
        request = reserved.pop() if reserved else (await self._reserve(provider, billing, prompt, 1))[0]
        attempt.max_tokens = request.prompt.max_tokens
        usage: Usage | None = None
        is_due = has_broken = False  # whether what is reserved now may have to be paid
        try:
            async with aclosing(provider.stream(request.prompt)) as events:
                async for event in events:
                    if isinstance(event, Asking | Retrying):
                        is_due = False
                        if event.may_have_cost:
                            has_broken = True
                            self._hold(request)
                            self._reserve_again(provider, request)
                        if isinstance(event, Asking):
                            is_due = True
                            continue
                    elif isinstance(event, Finished):
                        usage = None if event.stop_reason == "cut" else event.usage
                        if request.prices is None:  # LiteLLM's table may be there only now
                            request = request._replace(prices=await _find(event.model, billing))
                    yield event
        except FactError as error:
            is_due = is_due and getattr(error, "may_have_cost", False)
            raise
        finally:
            if is_due:
                self._settle(request, usage, attempt)
            else:
                self._release(request)
            if has_broken:  # the costs of its first request are unknown
                attempt.cost_usd = attempt.saved_usd = None

    async def _reserve(
        self, provider: Provider, billing: Billing, prompt: Prompt, count: int
    ) -> list[Reserved]:
        """Reserve the most that requests can cost; limit their answers to what the budgets allow."""
        limited = [account for account in self._accounts if account.limit is not None]
        if self._max_tokens is not None:
            prompt = replace(prompt, max_tokens=self._max_tokens)
        most = prompt.max_tokens or MAX_TOKENS
        counted = None
        if limited:
            counted = await billing.count_tokens(prompt)
            prices = await find_prices(provider.model, billing.prices)
        else:
            prices = await _find(provider.model, billing)
        if prices is None:
            if limited and self._max_tokens is None:
                _refuse_unpriced(provider)
            return [Reserved(prompt)] * count
        number = _most_tokens(prompt) if counted is None else counted
        without = prices.dearest(number, 0, billing.lifetime)
        each = prices.dearest(number, 1, billing.lifetime) - without
        if limited:
            needed = without + each * min(LEAST_TOKENS, most)
            while (tightest := min(limited, key=_left)).left < needed:
                if any(account.left + account.reserved < needed for account in limited):
                    asked = f"{number:,} tokens in, {min(LEAST_TOKENS, most):,} out"
                    raise _refusal(provider, asked, needed, tightest)
                await self._ledger.wait_for_change()
            if needed:
                count = min(count, int(tightest.left // needed))
            if each:
                most = min(most, int((tightest.left / count - without) // each))
            prompt = replace(prompt, max_tokens=most)
        request = Reserved(prompt, prices, without + each * most)
        self._add(request.reserved * count)
        return [request] * count

    def _reserve_again(self, provider: Provider, request: Reserved) -> None:
        """Reserve the same once more, for a retry of a request that may have to be paid."""
        limited = [account for account in self._accounts if account.limit is not None]
        if limited and (tightest := min(limited, key=_left)).left < request.reserved:
            self._add(request.reserved)  # the caller releases it
            raise _refusal(provider, "the same request again", request.reserved, tightest)
        self._add(request.reserved)

    def _add(self, amount: Decimal) -> None:
        for account in self._accounts:
            account.reserved += amount

    def _release(self, request: Reserved) -> None:
        self._add(-request.reserved)
        self._ledger.change()

    def _hold(self, request: Reserved) -> None:
        for account in self._accounts:
            account.held += request.reserved
            account.unknown += 1
        self._release(request)

    def _settle(self, request: Reserved, usage: Usage | None, attempt: Attempt) -> None:
        prices = request.prices
        cost = prices.cost(usage) if prices is not None and usage is not None else None
        if prices is None or usage is None or cost is None:
            self._hold(request)
            return
        saved = prices.saved(usage)
        attempt.cost_usd, attempt.saved_usd = float(cost), None if saved is None else float(saved)
        for account in self._accounts:
            account.spent += cost
        self._release(request)


def exact(budget: float | None) -> Decimal | None:
    """Return a budget as the decimal number that was written."""
    return None if budget is None else Decimal(str(budget))


async def _find(model: str, billing: Billing) -> Prices | None:
    """Find prices; ignore an unreadable list, which matters only within a budget."""
    with suppress(ProviderError):
        return await find_prices(model, billing.prices)
    return None


def _left(account: Account) -> Decimal:
    return account.left


def _most_tokens(prompt: Prompt) -> int:
    """Return the most tokens that a prompt can have: one for each byte, with its roles."""
    texts = [prompt.system, *([turn.role, turn.text] for turn in prompt.messages)]
    return len(json.dumps(texts, ensure_ascii=False).encode("utf-8", "replace"))


def _refuse_unpriced(provider: Provider) -> None:
    if not (provider.is_local and provider.model.partition("/")[0] in _OWN_SERVERS):
        raise BudgetReached(
            f"{provider.model} has no known price, so it can't be asked within a budget.",
            hint="Limit its answers with --max-tokens N, or write its prices into the model_info of its "
            "entry in config.yaml.",
        )


def _refusal(provider: Provider, asked: str, needed: Decimal, tightest: Account) -> BudgetReached:
    """Say what a request needs, and how to go on."""
    limit, left = tightest.limit or Decimal(), max(Decimal(), tightest.left)
    missing = needed - tightest.left
    rounded_up = missing.quantize(Decimal(1).scaleb(missing.adjusted() - 2), ROUND_CEILING)
    return BudgetReached(
        f"The request to {provider.model} needs at least {usd(needed)} ({asked}), but {usd(left)} of the "
        f"{usd(limit)} in {tightest.setting} is left, so it was not sent.",
        hint=f"Raise the budget by {usd(rounded_up)} or more, or name a cheaper model with --model.",
    )
