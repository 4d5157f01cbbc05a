from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from fact_magics.providers.base import Asking, Finished, Message, Prompt, TextDelta
from fact_magics.providers.failures import Patience
from fact_magics.tool import ToolSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from fact_magics.providers.base import Provider, ProviderEvent


@pytest.fixture
def prompt() -> Prompt:
    return Prompt(
        system="You write tools.",
        messages=(
            Message("user", "Write slugify, für “Größe”."),
            Message("assistant", "def slugify(): pass"),
            Message("user", "It returned None."),
        ),
        spec=ToolSpec("slugify", "Turn a title into a slug."),
    )


@pytest.fixture
def patience() -> Patience:
    """Retry at once; a server that is silent for long has stalled."""
    return Patience(
        first_delay_seconds=0.01,
        longest_delay_seconds=0.02,
        longest_retry_after_seconds=0.05,
        jitter=0.0,
        silence_seconds=30.0,
    )


async def _shown(provider: Provider, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
    async with aclosing(provider.stream(prompt)) as events:
        async for event in events:
            if not isinstance(event, Asking):
                yield event


class Answer:
    """The events of one stream, taken apart."""

    def __init__(self, events: list[ProviderEvent]) -> None:
        self.events = events

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def finished(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last

    def of(self, kind: type) -> list[ProviderEvent]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def shown() -> Callable[[Provider, Prompt], AsyncGenerator[ProviderEvent, None]]:
    """Return a function that yields what a cell shows of an answer: all events except `Asking`."""
    return _shown


@pytest.fixture
def ask(prompt: Prompt) -> Callable[..., Awaitable[Answer]]:
    """Return a function that streams the prompt's answer, collecting into `events` even if it raises."""

    async def collect(
        provider: Provider, events: list[ProviderEvent] | None = None, prompt: Prompt = prompt
    ) -> Answer:
        events = [] if events is None else events
        try:
            async for event in _shown(provider, prompt):
                events.append(event)
        finally:
            await provider.aclose()
        return Answer(events)

    return collect
