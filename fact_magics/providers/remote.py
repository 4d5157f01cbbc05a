"""What all providers share that ask a model over a connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from fact_magics.errors import ProviderError
from fact_magics.providers.failures import Patience, with_retries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fact_magics.providers.base import Prompt, ProviderEvent
    from fact_magics.providers.failures import Failure


class RemoteProvider(ABC):
    """Streams candidates over a connection that opens at the first request, and asks again where that helps.

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

    def stream(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Ask, and give the answer as it comes; see `Provider.stream`."""
        return with_retries(lambda: self._attempt(prompt), self._explain, self._patience)

    @abstractmethod
    async def open(self) -> None:
        """Make ready to ask, as the first request does by itself; nothing is sent.

        Raises
        ------
        ProviderError, MissingExtra
            It can't be asked: no key, no such provider, a library that can't be imported.
        """

    async def aclose(self) -> None:
        """Close the connections that are this provider's own."""
        self._closed = True
        await self._disconnect()

    def _check_open(self, service: str) -> None:
        if self._closed:
            raise ProviderError(f"This connection to {service} was closed.", hint="Run the cell again.")

    @abstractmethod
    def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        """Ask once."""

    @abstractmethod
    def _explain(self, error: Exception) -> Failure:
        """Say what an exception of `_attempt` means."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close what is open."""
