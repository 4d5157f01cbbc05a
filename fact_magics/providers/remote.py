"""Base of the providers that ask a model over a connection: when to ask again, and how failures read."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import aclosing
from typing import TYPE_CHECKING

from fact_magics.errors import ProviderError
from fact_magics.providers.base import Retrying, TextDelta
from fact_magics.providers.failures import Patience

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fact_magics.providers.base import Prompt, ProviderEvent
    from fact_magics.providers.failures import Failure


class RemoteProvider(ABC):
    """Streams candidates over a connection that opens at the first request.

    Parameters
    ----------
    model : str
        Its name, as the provider takes it.
    patience : Patience, optional
        Retries and time limits.
    notice : str
        What the cell says about this choice.
    """

    def __init__(self, model: str, patience: Patience | None, notice: str) -> None:
        self.model = model
        self.notice = notice
        self._patience = patience or Patience()
        self._closed = False

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Ask until an answer brings text or fails for good, with a `Retrying` event before each pause.

        Once text has come, nothing is asked again: the text would be shown twice. See `Provider.stream`.
        """
        for number in range(1, self._patience.retries + 2):
            answered = False
            try:
                async with aclosing(self._attempt(prompt)) as events:
                    async for event in events:
                        answered = answered or isinstance(event, TextDelta)
                        yield event
                    return
            except ProviderError:
                raise
            except Exception as error:  # noqa: BLE001 - SDKs raise their HTTP library's errors raw, and their own bugs
                failure = self._explain(error)
            if answered or not failure.can_retry or number > self._patience.retries:
                # Outside the handler: an SDK's exception holds the request, with the key in its headers.
                raise failure.error
            delay = self._patience.delay(number, failure.retry_after)
            yield Retrying(failure.reason, delay, number)
            await asyncio.sleep(delay)

    @abstractmethod
    async def open(self) -> None:
        """Prepare the connection, as the first request does by itself; nothing is sent.

        Raises
        ------
        ProviderError, MissingExtra
            The model can't be asked: no key, no such provider, a library that can't be imported.
        """

    async def aclose(self) -> None:
        """Close the connections that are this provider's own."""
        self._closed = True
        await self._disconnect()

    def _check_open(self) -> None:
        if self._closed:
            raise ProviderError(f"The connection to {self.model} was closed.", hint="Run the cell again.")

    @abstractmethod
    def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Ask once."""

    @abstractmethod
    def _explain(self, error: Exception) -> Failure:
        """Explain an exception of `_attempt`."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close what is open."""
