"""Base class of the providers that ask a model over a connection: retries and error messages."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from fact_magics.errors import ProviderError
from fact_magics.providers.base import Finished, Retrying, TextDelta, ThinkingDelta
from fact_magics.providers.failures import NO_KEY, Patience
from fact_magics.redaction import RedactedStream, Redactor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from fact_magics.providers.base import Prompt, ProviderEvent
    from fact_magics.providers.failures import Failure


class RemoteProvider(ABC):
    """Streams candidates over a connection that opens at the first request.

    Parameters
    ----------
    secrets : iterable of str
        Keys, passwords and tokens, which are masked in everything that comes from the server.
    """

    notice = ""
    may_run_away = True

    def __init__(self, model: str, patience: Patience | None, secrets: Iterable[str]) -> None:
        self.model = model
        self._redactor = Redactor(secret for secret in secrets if secret != NO_KEY)
        self._patience = patience or Patience()
        self._closed = False

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Ask the model, as documented for `Provider.stream`; yield `Retrying` before each retry's pause.

        After the first text there is no retry, because the text would be shown twice.
        """
        for number in range(1, self._patience.retries + 2):
            answered = False
            try:
                async with aclosing(self._redacted_attempt(prompt)) as events:
                    async for event in events:
                        answered = answered or isinstance(event, TextDelta)
                        yield event
                    return
            except ProviderError:
                raise
            except Exception as error:  # noqa: BLE001 - an SDK may raise any error, even its HTTP library's
                failure = self._explain(error)
            if answered or not failure.retry_reason or number > self._patience.retries:
                # Raised outside the handler. Otherwise the SDK's exception, which contains the key, would be
                # its context.
                raise failure.error
            delay = self._patience.delay(number, failure.retry_after)
            yield Retrying(failure.retry_reason, delay, number)
            await asyncio.sleep(delay)

    async def _redacted_attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        text, thinking = RedactedStream(self._redactor), RedactedStream(self._redactor)
        try:
            async with aclosing(self._attempt(prompt)) as events:
                async for event in events:
                    match event:
                        case TextDelta(piece):
                            if known := text.feed(piece):
                                yield TextDelta(known)
                        case ThinkingDelta(piece):
                            if known := thinking.feed(piece):
                                yield ThinkingDelta(known)
                        case Finished():
                            if known := text.end():
                                yield TextDelta(known)
                            yield replace(event, model=self._redactor.mask(event.model))
                        case _:
                            yield event
        except Exception:
            if known := text.end():
                yield TextDelta(known)
            raise

    @abstractmethod
    async def open(self) -> object:
        """Import the SDK and make its client, as the first request does, but send nothing.

        The errors are `MissingExtra`, or `ProviderError` for an unknown provider or a missing key.
        """

    async def aclose(self) -> None:
        """Close this provider's own connections."""
        self._closed = True
        await self._disconnect()

    def _check_open(self) -> None:
        if self._closed:
            raise ProviderError(f"The connection to {self.model} was closed.", hint="Run the cell again.")

    @abstractmethod
    def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]: ...

    @abstractmethod
    def _explain(self, error: Exception) -> Failure: ...

    @abstractmethod
    async def _disconnect(self) -> None: ...
