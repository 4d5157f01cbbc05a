"""Check whether models answer: ask up to eight at the same time, and give each a few seconds."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fact_magics.attempt import Attempt
from fact_magics.errors import FactError
from fact_magics.providers.base import Message, Prompt
from fact_magics.providers.choose import choose
from fact_magics.providers.failures import Patience, Service
from fact_magics.providers.litellm import LiteLLMProvider
from fact_magics.providers.local import LocalProvider
from fact_magics.providers.spending import Ledger, Purse
from fact_magics.text import plural, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fact_magics.config import Settings
    from fact_magics.providers.base import Provider
    from fact_magics.providers.catalogue import Listed

LIMIT_SECONDS = 10.0

_AT_ONCE = 8
# The provider's own limit expires first, because the provider's error describes the service better.
_GRACE_SECONDS = 0.5
_GREETING = Prompt("Answer with one word.", (Message("user", "Hello"),), max_tokens=1)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of asking one model."""

    works: bool | None  # None if the answer proves nothing
    took_ms: float  # the time until the first sign of an answer, or until the failure
    said: str = ""  # the number of models in a list, or a sentence that says why the model does not work
    hint: str = ""  # what to do about a failure


async def check(
    settings: Settings,
    listed: Iterable[Listed],
    limit_seconds: float = LIMIT_SECONDS,
    purse: Purse | None = None,
) -> dict[str, CheckResult]:
    """Ask each model that may be usable and can be checked; return the results by the models' names.

    Each model may take `limit_seconds`. Providers' errors become results and are not raised. Providers are
    made as for a generation, so each key is sent to its own endpoint only. `purse` pays the requests; by
    default, there is no budget.
    """
    patience = Patience(retries=0, connect_seconds=limit_seconds, silence_seconds=limit_seconds)
    purse = purse or Ledger().purse()
    free = asyncio.Semaphore(_AT_ONCE)
    asked = [model for model in listed if model.is_usable and model.how]
    async with AsyncExitStack() as opened:
        # Importing SDKs keeps the processor busy for seconds, so it is done before any time is measured.
        providers = [await _open(settings, model, patience, opened) for model in asked]

        async def ask(model: Listed, provider: Provider | FactError) -> CheckResult:
            async with free:
                return await _check(model, provider, limit_seconds, purse)

        results = await asyncio.gather(*map(ask, asked, providers))
    return {model.name: result for model, result in zip(asked, results, strict=True)}


async def _open(
    settings: Settings, model: Listed, patience: Patience, opened: AsyncExitStack
) -> Provider | FactError:
    """Return the provider to ask, or the error that prevents it."""
    provider: Provider
    try:
        if model.how == "list":
            provider = LiteLLMProvider(
                model.name, settings.providers, patience=patience, secrets=settings.secrets
            )
        else:
            provider = await choose(settings, model.name, patience=patience)
    except FactError as error:
        return error
    opened.push_async_callback(provider.aclose)
    if not isinstance(provider, LocalProvider):
        with suppress(Exception):  # the request raises the error again, with an explanation
            await provider.open()
    return provider


async def _check(
    model: Listed, provider: Provider | FactError, limit_seconds: float, purse: Purse
) -> CheckResult:
    started = time.perf_counter()
    works: bool | None = False
    said, hint = "", ""
    try:
        async with asyncio.timeout(limit_seconds + _GRACE_SECONDS):
            answered = await _ask(provider, model, purse)
        works, said = (None, "") if answered is None else (True, answered)
    except TimeoutError:
        silent = Service(model.host or model.provider).silent(limit_seconds).error
        said, hint = silent.message, silent.hint
    except FactError as error:
        said, hint = error.message, error.hint
    return CheckResult(works, (time.perf_counter() - started) * 1000, said, hint)


async def _ask(provider: Provider | FactError, model: Listed, purse: Purse) -> str | None:
    """Return a remark about the answer, which may be empty, or None if the answer proves nothing."""
    if isinstance(provider, FactError):
        raise provider
    if isinstance(provider, LocalProvider):
        await provider.find()
    elif isinstance(provider, LiteLLMProvider) and model.how == "list":
        count = await provider.count_models()
        return None if count is None else plural(count, "model")
    else:
        unkept = Attempt(1, provider.name, provider.model, utc_now())
        async with aclosing(purse.stream(provider, _GREETING, unkept)) as events:
            await anext(events, None)
    return ""
