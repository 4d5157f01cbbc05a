"""The prices of models: from ``config.yaml``, the list of ``genai-prices``, or else LiteLLM's table.

All prices are exact decimals in US dollars. Nothing here uses the network.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fact_magics.collector import uncollected
from fact_magics.errors import ProviderError
from fact_magics.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fact_magics.attempt import Usage
    from fact_magics.providers.base import Lifetime

# LiteLLM's names for prices per token, and those of `genai-prices` for prices per million tokens. Prices of
# the cache of one hour are not read, because LiteLLM's table has had wrong ones.
_OF_LITELLM = {
    "input_cost_per_token": "input_mtok",
    "output_cost_per_token": "output_mtok",
    "cache_read_input_token_cost": "cache_read_mtok",
    "cache_creation_input_token_cost": "cache_write_mtok",
}
_TIER = re.compile(r"(.+)_above_(\d+)k_tokens")
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of one model; `table` is a ``ModelPrice`` of ``genai-prices``."""

    table: Any

    def cost(self, usage: Usage) -> Decimal | None:
        """Return what a request cost; None if a count or a price is unknown."""
        read, written = usage.cache_read_tokens or 0, usage.cache_creation_tokens or 0
        for_an_hour = usage.cache_creation_1h_tokens or 0
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        # Only the price of five minutes is known; that of an hour is higher.
        if for_an_hour and self.table.cache_write_mtok is not None and self.table.cache_write_1h_mtok is None:
            return None
        return self._cost(
            usage.input_tokens + read + written, usage.output_tokens, read, written, for_an_hour
        )

    def saved(self, usage: Usage) -> Decimal | None:
        """Return the price that reading tokens from the provider's prompt cache saved."""
        cost, read = self.cost(usage), usage.cache_read_tokens or 0
        if cost is None or usage.input_tokens is None or usage.output_tokens is None:
            return None
        written, for_an_hour = usage.cache_creation_tokens or 0, usage.cache_creation_1h_tokens or 0
        read_in = usage.input_tokens + read + written
        return max(Decimal(), self._cost(read_in, usage.output_tokens, 0, written, for_an_hour) - cost)

    def dearest(self, input_tokens: int, output_tokens: int, lifetime: Lifetime) -> Decimal:
        """Return the most that a request can cost if its input is marked for a cache of this `lifetime`."""
        number = input_tokens
        ways = [self._cost(number, output_tokens)]
        if lifetime:
            ways.append(self._cost(number, output_tokens, written=number))
        if lifetime == "1h":
            ways.append(self._cost(number, output_tokens, written=number, for_an_hour=number))
        return max(ways)

    @property
    def per_million(self) -> tuple[Decimal, Decimal]:
        """The prices of a million tokens in and out, in a request that is not long."""
        return self._rate("input_mtok"), self._rate("output_mtok")

    def _rate(self, name: str) -> Decimal:
        price = getattr(self.table, name)
        return Decimal(getattr(price, "base", price))

    def _cost(
        self, number: int, output_tokens: int, read: int = 0, written: int = 0, for_an_hour: int = 0
    ) -> Decimal:
        from genai_prices import Usage as Counts

        counts = Counts(
            input_tokens=number,
            output_tokens=output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=for_an_hour,
        )
        return Decimal(self.table.calc_price(counts)["total_price"])


async def find_prices(model: str, own: Mapping[str, Decimal] | None = None) -> Prices | None:
    """Find the prices of a model, or None if they are unknown.

    Parameters
    ----------
    model : str
        The name as ``--model`` takes it. A name without a prefix is one of Anthropic's.
    own : mapping, optional
        The prices per token from an entry of ``config.yaml``, by LiteLLM's names. They count first.

    Raises
    ------
    ProviderError
        The list of ``genai-prices`` can't be read.
    """
    # The first call creates thousands of objects.
    snapshot = await asyncio.to_thread(_snapshot)
    provider, slash, name = model.partition("/")
    if not slash:
        provider, name = "anthropic", model
    table = _listed(snapshot(), provider, name) or _from_litellm(_in_litellm(provider, name))
    if own:
        table |= _from_litellm(own)
    if not {"input_mtok", "output_mtok"} <= table.keys():
        return None
    return Prices(import_module("genai_prices.types").ModelPrice(**table))


def _listed(snapshot: Any, provider: str, name: str) -> dict[str, Any]:
    try:
        _, found = snapshot.find_provider_model(name, None, provider, None)
    except LookupError:
        return {}
    prices = vars(found.get_prices(datetime.now(UTC)))
    return {key: price for key, price in prices.items() if price is not None}


def _in_litellm(provider: str, name: str) -> Mapping[str, Any]:
    """Look into LiteLLM's table, if LiteLLM was imported to ask a model."""
    known: Mapping[str, Any] = getattr(sys.modules.get("litellm"), "model_cost", {})
    bare = known.get(name, {})
    entry: Mapping[str, Any] = known.get(f"{provider}/{name}") or (
        bare if bare.get("litellm_provider") == provider else {}
    )
    # A price of 0 in this table often means that the price is unknown.
    return entry if entry.get("input_cost_per_token") and entry.get("output_cost_per_token") else {}


def _from_litellm(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Read the prices of an entry in LiteLLM's form; those above a number of tokens are tiers."""
    types = import_module("genai_prices.types")
    prices: dict[str, Any] = {}
    tiers: dict[str, list[Any]] = {}
    for name, value in entry.items():
        tier = _TIER.fullmatch(name)
        key = _OF_LITELLM.get(tier[1] if tier else name)
        if key is None or value is None:
            continue
        # The shortest text of a float is the price that was written.
        price = Decimal(str(value)) * _MILLION
        if tier:
            tiers.setdefault(key, []).append(types.Tier(start=int(tier[2]) * 1000, price=price))
        else:
            prices[key] = price
    for key in tiers.keys() & prices.keys():
        prices[key] = types.TieredPrices(base=prices[key], tiers=tiers[key])
    return prices


@cache
def _snapshot() -> Any:
    """Load the list; return the function that gives the list now in use."""
    try:
        with uncollected():  # loading creates only objects that stay
            get = import_module("genai_prices.data_snapshot").get_snapshot
            get()
    except Exception as error:  # noqa: BLE001 - a damaged list may raise any error
        raise ProviderError(
            f"The price list of genai-prices can't be read: {one_line(str(error), 200)}.",
            hint="Reinstall it with: pip install --force-reinstall genai-prices",
        ) from None
    return get
