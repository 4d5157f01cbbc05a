"""Whether models answer: each is asked for a token, or its provider for a list, all at once and briefly."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fact_magics.errors import FactError
from fact_magics.providers.base import Message, Prompt
from fact_magics.providers.choose import choose, local_models, ollama_url
from fact_magics.providers.failures import Patience, Service, checked_url
from fact_magics.providers.litellm import LiteLLMProvider
from fact_magics.providers.remote import RemoteProvider
from fact_magics.text import plural

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import TypeAlias

    from fact_magics.config import Settings
    from fact_magics.providers.base import Provider
    from fact_magics.providers.catalogue import Listed

    # Asks one model. Returns what to say about the answer, or None where it proves nothing.
    Question: TypeAlias = Callable[[], Awaitable[str | None]]

LIMIT_SECONDS = 10.0

_AT_ONCE = 8
# A provider's own limit knows better who was silent, so it comes first.
_GRACE_SECONDS = 0.5
_GREETING = Prompt("Answer with one word.", (Message("user", "Hello"),), max_tokens=1)


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of asking one model.

    Attributes
    ----------
    works : bool or None
        None where nothing was proven.
    took_ms : float
        From the question to the first sign of an answer, or to the failure.
    said : str
        How many models a list has; or, in a sentence, why the model does not work.
    hint : str
        What to do about a failure.
    """

    works: bool | None
    took_ms: float
    said: str = ""
    hint: str = ""


async def check(
    settings: Settings, listed: Iterable[Listed], limit_seconds: float = LIMIT_SECONDS
) -> dict[str, Checked]:
    """Ask each model that is ready and says how to ask it; never raises for what a provider does.

    Models are asked through `choose`, as a generation does, so that a key is sent to no endpoint but its own.

    Parameters
    ----------
    limit_seconds : float
        How long each may take.

    Returns
    -------
    dict of str to Checked
        By the names of those that were asked.
    """
    patience = Patience(retries=0, connect_seconds=limit_seconds, silence_seconds=limit_seconds)
    free = asyncio.Semaphore(_AT_ONCE)
    asked = [one for one in listed if one.state == "ready" and one.how]
    async with AsyncExitStack() as opened:
        # One after another, before any clock runs: it keeps the processor busy, the first time for seconds.
        questions = [await _question(settings, one, patience, opened) for one in asked]

        async def ask(one: Listed, question: Question) -> Checked:
            async with free:
                return await _ask(one, question, limit_seconds)

        results = await asyncio.gather(*map(ask, asked, questions))
    return {one.name: result for one, result in zip(asked, results, strict=True)}


async def _question(settings: Settings, one: Listed, patience: Patience, opened: AsyncExitStack) -> Question:
    if one.how == "local list":
        return partial(_is_local, settings, one)
    question: Question
    provider: Provider
    try:
        if one.how == "list":
            provider = lister = LiteLLMProvider(one.name, settings.providers, patience=patience)
            question = partial(_lists, lister)
        else:
            provider = await choose(settings, one.name, patience=patience)
            question = partial(_answers, provider)
    except FactError as error:
        return partial(_refuse, error)
    opened.push_async_callback(provider.aclose)
    if isinstance(provider, RemoteProvider):
        with suppress(Exception):  # the question meets it again, and explains it
            await provider.open()
    return question


async def _ask(one: Listed, question: Question, limit_seconds: float) -> Checked:
    started = time.perf_counter()
    error: FactError | None = None
    said: str | None = None
    try:
        async with asyncio.timeout(limit_seconds + _GRACE_SECONDS):
            said = await question()
    except TimeoutError:
        error = Service(one.provider).silent(limit_seconds).error
    except FactError as raised:
        error = raised
    took = (time.perf_counter() - started) * 1000
    if error is not None:
        return Checked(False, took, error.message, error.hint)
    return Checked(None if said is None else True, took, said or "")


async def _refuse(error: FactError) -> str:
    raise error


async def _answers(provider: Provider) -> str:
    async with aclosing(provider.stream(_GREETING)) as events:
        await anext(events, None)
    return ""


async def _lists(provider: LiteLLMProvider) -> str | None:
    count = await provider.count_models()
    return None if count is None else plural(count, "model")


async def _is_local(settings: Settings, one: Listed) -> str:
    """Look for a model in its Ollama's list: asking the model itself would load it."""
    own = next((known for known in settings.models if known.name == one.name), None)
    named = own.endpoint if own is not None else None
    url = checked_url(named, "its api_base") if named else ollama_url(settings)
    name = one.model.partition("/")[2]
    ollama = Service("Ollama", name, url)
    models = await local_models(url)
    if not models:
        raise ollama.unreachable().error
    if name not in models and f"{name}:latest" not in models:
        raise ollama.refused(404, "", {}).error
    return ""
