"""Choose the model of an attempt: the requested one, a fallback, or the one that ``--escalate`` names."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from fact_magics.errors import FactError, ProviderError
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from fact_magics.providers.base import Provider

_ANY = "*"
_MOST_FAILURES = 3
_SECONDS = 60.0


class Breaker:
    """Counts failed requests, and skips a model with too many of them for a minute.

    Parameters
    ----------
    clock : callable
        Returns a time in seconds that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: defaultdict[str, list[float]] = defaultdict(list)

    def failed(self, model: str, requests: int) -> None:
        """Count the failed requests to a model."""
        self._failures[model] = [*self._recent(model), *[self._clock()] * requests]

    def is_open(self, model: str) -> bool:
        """Tell whether to skip a model, because too many of its requests failed within the last minute."""
        return len(self._recent(model)) >= _MOST_FAILURES

    def _recent(self, model: str) -> list[float]:
        since = self._clock() - _SECONDS
        return [moment for moment in self._failures.get(model, ()) if moment > since]


class Team:
    """The providers of one generation; each is opened when it is needed first.

    Parameters
    ----------
    choose : callable
        Returns the provider for a model's name; None means the default model.
    fallbacks : mapping of str to tuple of str
        For a model's name, or ``*`` for any other, the models to ask in its place.
    breaker : Breaker
        Shared by all generations of a core.
    attempts : int
        The number of the last attempt, which `escalate` writes.
    may_be_shelf : bool
        Whether the shelf can answer the request.
    """

    def __init__(
        self,
        choose: Callable[[str | None], Awaitable[Provider]],
        fallbacks: Mapping[str, tuple[str, ...]],
        breaker: Breaker,
        attempts: int,
        *,
        may_be_shelf: bool,
    ) -> None:
        self._choose = choose
        self._fallbacks = fallbacks
        self._breaker = breaker
        self._attempts = attempts
        self._may_be_shelf = may_be_shelf
        self._opened: list[Provider] = []
        self._names: dict[Provider, str] = {}  # as in the settings
        self._waiting: dict[Provider, Iterator[str]] = {}
        self._first: Provider
        self._last: Provider

    async def open(self, model: str | None, escalate: str | None) -> tuple[Provider, tuple[str, ...]]:
        """Return the provider of the first attempt, and lines about models that are skipped.

        Raises
        ------
        ProviderError, MissingExtra
            One of the two models can't be used.
        """
        first = await self._open(model)
        lines: tuple[str, ...] = ()
        name = self._names[first]
        self._first = first
        if self._breaker.is_open(name):
            instead, lines = await self._next(first, f"{name} failed {_MOST_FAILURES} times within a minute")
            self._first = instead or first
        self._last = self._first
        if escalate not in (None, name):
            self._last = await self._open(escalate)
            if self._last.name == SHELF:
                raise ProviderError(
                    "The shelf can't write the last attempt.",
                    hint="Name a model with --escalate, or leave it out.",
                )
            await self._last.open()  # LiteLLM knows its providers only after its import
        return self._first, lines

    def of(self, attempt: int) -> Provider:
        """Return the provider of an attempt, counted from 1."""
        return self._last if attempt >= self._attempts else self._first

    async def instead(
        self, failed: Provider, error: ProviderError
    ) -> tuple[Provider | None, tuple[str, ...]]:
        """Return the provider to ask after one has failed, or None, and lines about the change."""
        name = self._names[failed]
        self._breaker.failed(name, error.requests)
        following, lines = await self._next(failed, error.message.rstrip("."))
        if following is not None:
            if failed is self._last:
                self._last = following
            if failed is self._first:
                self._first = following
        return following, lines

    async def _next(self, failed: Provider, why: str) -> tuple[Provider | None, tuple[str, ...]]:
        """Open the next model to fall back on that can be used."""
        lines = []
        waiting = self._waiting[failed]
        for name in waiting:
            if self._breaker.is_open(name) or (name == SHELF and not self._may_be_shelf):
                continue
            try:
                provider = await self._open(name)
            except FactError as error:
                lines.append(f"{name} can't be asked instead: {error.message}")
                continue
            self._waiting[provider] = waiting
            return provider, (*lines, f"{why}; {name} is asked instead")
        return None, tuple(lines)

    async def _open(self, model: str | None) -> Provider:
        provider = await self._choose(model)
        self._opened.append(provider)
        self._names[provider] = model or provider.model
        self._waiting[provider] = self._after(self._names[provider])
        return provider

    def _after(self, name: str) -> Iterator[str]:
        """Yield the fallbacks of a model, then the fallbacks of each of them; each model once."""
        seen = {name}
        queue = [*self._of(name)]
        while queue:
            following = queue.pop(0)
            if following not in seen:
                seen.add(following)
                yield following
                queue = [*self._of(following), *queue]

    def _of(self, name: str) -> tuple[str, ...]:
        return self._fallbacks.get(name, self._fallbacks.get(_ANY, ()))

    async def aclose(self) -> None:
        """Close every provider."""
        for provider in self._opened:
            await provider.aclose()
