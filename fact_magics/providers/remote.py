"""Base class of the providers that ask a model over a connection: retries and error messages."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from fact_magics.errors import FactError, ProviderError
from fact_magics.providers.base import Asking, Billing, Finished, Retrying, TextDelta, ThinkingDelta
from fact_magics.providers.endpoints import NO_KEY
from fact_magics.providers.failures import Patience, causes
from fact_magics.redaction import RedactedStream, Redactor

if TYPE_CHECKING:
    import re
    from collections.abc import AsyncGenerator, Iterable, Mapping
    from decimal import Decimal

    from fact_magics.providers.base import Lifetime, Prompt, ProviderEvent
    from fact_magics.providers.failures import Failure, Service

_NOT_FOUND = 404
_NOT_CONNECTED = ("ConnectError", "ConnectTimeout", "ProxyError")


class Begun:
    """The server has accepted the request, which may therefore have to be paid."""


class RemoteProvider(ABC):
    """Streams candidates over a connection that opens at the first request.

    Parameters
    ----------
    secrets : iterable of str
        Keys, passwords and tokens, which are masked in everything that comes from the server.
    """

    name: str
    notice = ""
    may_run_away = True
    is_local = False
    prices: Mapping[str, Decimal] = MappingProxyType({})
    _lifetime: Lifetime = ""
    _service: Service
    # The parts of a request that some servers refuse, and how their messages mention them.
    _dispensable: Mapping[str, re.Pattern[str]] = MappingProxyType({})

    def __init__(self, model: str, patience: Patience | None, secrets: Iterable[str]) -> None:
        self.model = model
        self._redactor = Redactor(secret for secret in secrets if secret != NO_KEY)
        self._patience = patience or Patience()
        self._closed = False
        self._omitted: set[str] = set()  # of `_dispensable`: what this model's server refused

    @property
    def billing(self) -> Billing:
        """How requests are paid."""
        return Billing(self.count_tokens, self.prices, self._lifetime)

    def most_answers(self, prompt: Prompt) -> None:
        """Return None: a model may give any number of different answers."""
        del prompt

    async def count_tokens(self, prompt: Prompt) -> int | None:
        """Open the client; return None, because most providers have no counter."""
        del prompt
        await self.open()
        return None

    @property
    def waiting_notice(self) -> str:
        """One line for a wait without an answer, about a server that may have to load its model first."""
        if not self.is_local:
            return ""
        limit = f"{self._patience.silence_seconds:g} s"
        more = f"; to change that, set {self._patience.setting}" if self._patience.setting else ""
        return f"{self.model} has not answered yet, and may still be loading. It is given {limit}{more}."

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Ask the model, as documented for `Provider.stream`; yield `Retrying` before each retry's pause.

        After the first text there is no retry, because the text would be shown twice. A server that refuses
        a part of the request that is not essential is asked again without that part. A server that is loading
        its model is asked again until it has been silent for too long.
        """
        retries, clock = 0, asyncio.get_running_loop().time
        deadline = clock() + self._patience.silence_seconds
        is_lost = False  # whether the request before may have to be paid, and this was not said yet
        while True:
            answered = begun = False
            try:
                await self.open()
                yield Asking(is_lost)
                async with aclosing(self._redacted_attempt(prompt)) as events:
                    async for event in events:
                        if isinstance(event, Begun):
                            begun = True
                            continue
                        answered = answered or isinstance(event, TextDelta)
                        yield event
                    return
            except ProviderError as error:
                error.may_have_cost = begun
                raise
            except FactError:
                raise
            except Exception as error:  # noqa: BLE001 - an SDK may raise any error, even its HTTP library's
                if getattr(error, "status_code", None) == _NOT_FOUND:
                    known = (*self._service.known_models, *(await self._names()))
                    self._service = replace(self._service, known_models=known)
                failure = self._explain(error)
                failure.error.may_have_cost = begun or not (failure.is_free or _never_connected(error))
            is_lost = failure.error.may_have_cost
            if not answered and self._does_without(failure.refusal):
                continue
            is_loading = failure.is_loading and clock() < deadline
            most = math.inf if is_loading and self._patience.retries else self._patience.retries
            too_long = (failure.retry_after or 0) > self._patience.longest_retry_after_seconds
            if answered or not failure.retry_reason or too_long or retries >= most:
                # Raised outside the handler. Otherwise the SDK's exception, which contains the key, would be
                # its context.
                failure.error.requests = retries + 1
                raise failure.error
            retries += 1
            delay = self._patience.delay(retries, failure.retry_after)
            if failure.is_loading:  # a pause of 0 would be repeated without end
                delay = max(delay, self._patience.first_delay_seconds)
            yield Retrying(failure.retry_reason, delay, retries, is_lost)
            is_lost = False
            await asyncio.sleep(delay)

    def _does_without(self, refusal: str) -> bool:
        """Omit the part of the requests that a refusal mentions; tell whether a new request may succeed."""
        refused = {part for part, words in self._dispensable.items() if words.search(refusal)}
        new = refused - self._omitted
        self._omitted |= new
        return bool(new)

    async def _redacted_attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent | Begun, None]:
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

    async def _names(self) -> Iterable[str]:
        """Return the names of the server's models, to suggest one; by default, none."""
        return ()

    @abstractmethod
    async def open(self) -> object:
        """Import the SDK and make its client, as `Provider.open`."""

    async def aclose(self) -> None:
        """Close this provider's own connections."""
        self._closed = True
        await self._disconnect()

    def _check_open(self) -> None:
        if self._closed:
            raise ProviderError(f"The connection to {self.model} was closed.", hint="Run the cell again.")

    @abstractmethod
    def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent | Begun, None]: ...

    @abstractmethod
    def _explain(self, error: Exception) -> Failure: ...

    @abstractmethod
    async def _disconnect(self) -> None: ...


def _never_connected(error: BaseException) -> bool:
    """Tell whether an HTTP library found no server, among the causes of an error."""
    return any(type(cause).__name__ in _NOT_CONNECTED for cause in causes(error))
