"""The provider for Claude, through Anthropic's SDK."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fact_magics.attempt import Usage
from fact_magics.errors import ProviderError
from fact_magics.providers.base import MAX_TOKENS, Finished, TextDelta, ThinkingDelta
from fact_magics.providers.endpoints import checked_key, checked_url, is_loopback
from fact_magics.providers.failures import Service
from fact_magics.providers.prompt_cache import CacheMemory, marked, missed
from fact_magics.providers.remote import Begun, RemoteProvider
from fact_magics.quiet import quieten
from fact_magics.redaction import secrets_in_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from anthropic import AsyncAnthropic
    from pydantic import SecretStr

    from fact_magics.providers.base import Prompt, ProviderEvent, StopReason
    from fact_magics.providers.failures import Failure, Patience
    from fact_magics.providers.prompt_cache import Marked

_PUBLIC_URL = "https://api.anthropic.com"
WIRE_PATH = re.compile(r"/v1(?:/messages)?/*$")
"""The end of an address that Anthropic's SDK adds by itself, and other clients don't."""
_STOP_REASONS: dict[str, StopReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
# The types of a stream's `error` event, and the HTTP status with the same meaning.
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicProvider(RemoteProvider):
    """Streams candidates from the Messages API.

    Parameters
    ----------
    model : str
        A model's name without a prefix, such as ``claude-sonnet-5-5``.
    key : SecretStr
        The API key.
    base_url : str, optional
        The endpoint that receives the requests and the key, instead of Anthropic's. This class does not read
        it from the environment.
    patience : Patience, optional
        Retries and time limits.
    source : str, optional
        The file entry that sets the key and the endpoint. Messages mention it; by default they mention the
        environment variables.
    known_models : iterable of str, optional
        Names to suggest if the server does not know the model.
    secrets : iterable of str, optional
        Further values to mask in what the server sends, besides the key and secrets in the address.

    Raises
    ------
    ProviderError
        The key or the address is malformed.
    """

    name = "anthropic"
    may_run_away = False
    _max_tokens = MAX_TOKENS
    _lifetime = "5m"
    # Gateways and local servers that speak Anthropic's protocol don't know all of it.
    _dispensable = MappingProxyType(
        {name: re.compile(rf"\b{name}\b") for name in ("thinking", "cache_control", "diagnostics")}
    )

    def __init__(
        self,
        model: str,
        key: SecretStr,
        *,
        base_url: str | None = None,
        patience: Patience | None = None,
        source: str = "",
        known_models: Iterable[str] = (),
        secrets: Iterable[str] = (),
    ) -> None:
        key_name = f"The api_key in {source}" if source else "ANTHROPIC_API_KEY"
        url_name = f"The api_base in {source}" if source else "ANTHROPIC_BASE_URL"
        self._key = checked_key(key.get_secret_value(), key_name)
        # The SDK adds the path, which other clients expect in the address.
        self._base_url = WIRE_PATH.sub("", checked_url(base_url, url_name)) if base_url else _PUBLIC_URL
        super().__init__(model, patience, (self._key, *secrets_in_url(self._base_url), *secrets))
        self._service = Service(
            "Anthropic",
            model,
            self._base_url,
            key_name,
            url_name,
            has_own_address=bool(base_url),
            answer_name="Anthropic response",
            time_name=self._patience.setting,
            known_models=tuple(known_models),
            redactor=self._redactor,
        )
        self._asked_model = model  # as the server knows it
        self._client: AsyncAnthropic | None = None
        self.cache_memory = CacheMemory()  # the core puts the one of its session in its place

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def open(self) -> AsyncAnthropic:
        """Import the SDK and make its client; nothing is sent."""
        if self._client is None:
            # The import takes most of a second, so it runs outside the event loop.
            await asyncio.to_thread(import_module, "anthropic.resources.messages")
        self._check_open()
        if self._client is None:
            import anthropic
            import httpx2

            quieten("anthropic", "httpx2", "httpcore2")
            if not is_loopback(self._base_url):
                _check_proxies()
            patience = self._patience
            timeout = httpx2.Timeout(patience.silence_seconds, connect=patience.connect_seconds)
            self._client = anthropic.AsyncAnthropic(
                api_key=self._key,
                base_url=self._base_url,
                default_headers=_withheld_headers(self._base_url),
                timeout=timeout,
                max_retries=0,
                # A proxy can't reach this machine's loopback, and would receive the key. The SDK's default
                # client reads the proxy variables even with trust_env=False, so a plain client is used.
                http_client=httpx2.AsyncClient(timeout=timeout, trust_env=False)
                if is_loopback(self._base_url)
                else None,
            )
        return self._client

    async def count_tokens(self, prompt: Prompt) -> int | None:
        """Ask the server how many tokens the input of a request has; None if it does not say so."""
        client = await self.open()
        try:
            counted = await client.messages.count_tokens(**self._input(self._marked(prompt)))
        except Exception:  # noqa: BLE001 - not all servers count; of other problems, the request itself tells
            return None
        return counted.input_tokens if isinstance(counted.input_tokens, int) else None

    def _input(self, asked: Marked) -> dict[str, Any]:
        from anthropic import omit

        return {
            "model": self._asked_model,
            "system": asked.system or omit,
            "messages": asked.messages,
            "thinking": omit if "thinking" in self._omitted else _thinking(self._asked_model),
        }

    def _marked(self, prompt: Prompt) -> Marked:
        return marked(prompt, "" if "cache_control" in self._omitted else self._asked_model)

    async def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent | Begun, None]:
        client = await self.open()
        import httpx2
        from anthropic import omit

        answer = _Answer(self._asked_model)
        memory, place = self.cache_memory, (self._base_url, self._asked_model)
        if "diagnostics" in self._omitted:
            memory.without_diagnostics.add(self._base_url)
        asked = self._marked(prompt)
        explains = asked.has_marks and self._base_url not in memory.without_diagnostics
        stream: Any = await client.messages.create(
            max_tokens=prompt.max_tokens or self._max_tokens,
            stream=True,
            diagnostics={"previous_message_id": memory.previous(place)} if explains else omit,
            **self._input(asked),
        )
        yield Begun()
        async with stream:
            try:
                async for event in stream:
                    delta = answer.read(event)
                    if delta is not None:
                        yield delta
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                if not answer.has_text:
                    raise
        if not answer.started:
            raise self._service.not_understood().error
        finished = answer.finished()
        if explains:
            memory.remember(place, answer.message_id)
            finished = replace(finished, notice=missed(finished.usage, answer.diagnostics))
        yield finished

    def _explain(self, error: Exception) -> Failure:
        import anthropic
        import httpx2

        service = self._service
        if isinstance(error, anthropic.APIStatusError):
            status = error.status_code
            if status < 400:  # an error event in a stream that began with a success status
                status = _STATUS_OF_TYPE.get(error.type or "", 500)
            return service.refused(status, error.api_message, error.response.headers, error.body)
        cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
        if isinstance(cause, httpx2.TimeoutException) and not isinstance(cause, httpx2.ConnectTimeout):
            return service.silent(self._patience.silence_seconds)
        if isinstance(cause, httpx2.TransportError | OSError) or cause is not error:
            return service.unreachable(cause)
        if isinstance(error, httpx2.InvalidURL | httpx2.RequestError | ValueError):
            return service.not_understood()
        return service.failed(error, error)


def _check_proxies() -> None:
    """Raise `ProviderError` for a malformed proxy, about which the SDK would print a traceback."""
    from urllib.request import getproxies

    import httpx2

    for name, url in getproxies().items():
        if name in ("http", "https", "all") and url:
            try:
                httpx2.Proxy(url if "://" in url else f"http://{url}")
            except (ValueError, httpx2.InvalidURL):
                raise ProviderError(
                    f"{name.upper()}_PROXY is not the address of a proxy.",
                    hint="Write it like http://host:port, or remove it from the environment.",
                ) from None


def _withheld_headers(url: str) -> Any:
    """Return the headers that the SDK would take from the environment, marked as not to be sent to `url`.

    They may hold a token for the endpoint that the environment names.
    """
    from anthropic import Omit

    if url == (os.environ.get("ANTHROPIC_BASE_URL") or _PUBLIC_URL).strip():
        return None
    lines = os.environ.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n")
    return {line.partition(":")[0].strip(): Omit() for line in lines if ":" in line}


# The SDK's names for the token counts, mapped to ours.
_COUNTS = {
    "output_tokens": "output_tokens",
    "input_tokens": "input_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_creation_tokens",
}


class _Answer:
    """One answer, collected from the SDK's events."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.started = False
        self.has_text = False
        self.stop_reason: str | None = None
        self.message_id = ""
        self.diagnostics: Any = None
        self.counts: dict[str, int] = {}

    def read(self, event: Any) -> TextDelta | ThinkingDelta | None:
        """Add one event; return its text, if it has any."""
        match event.type:
            case "message_start":
                self.started = True
                self.model = event.message.model or self.model
                self.message_id, self.diagnostics = event.message.id, event.message.diagnostics
                self._count(event.message.usage)
                self.counts.pop("output_tokens", None)  # here it counts only the tokens written so far
            case "content_block_start":
                return self._text(event.content_block)
            case "content_block_delta":
                return self._text(event.delta)
            case "message_delta":
                self.stop_reason = event.delta.stop_reason or self.stop_reason
                self._count(event.usage)
        return None

    def _text(self, block: Any) -> TextDelta | ThinkingDelta | None:
        if block.type in ("text", "text_delta") and block.text:
            self.has_text = True
            return TextDelta(block.text)
        if block.type in ("thinking", "thinking_delta") and block.thinking:
            return ThinkingDelta(block.thinking)
        return None

    def _count(self, usage: Any) -> None:
        # Later events report totals, not increments.
        for name, own in _COUNTS.items():
            count = getattr(usage, name, None)
            if isinstance(count, int):
                self.counts[own] = count
        for_an_hour = getattr(getattr(usage, "cache_creation", None), "ephemeral_1h_input_tokens", None)
        if isinstance(for_an_hour, int):
            self.counts["cache_creation_1h_tokens"] = for_an_hour

    def finished(self) -> Finished:
        reason: StopReason = "cut" if self.stop_reason is None else _STOP_REASONS.get(self.stop_reason, "end")
        return Finished(reason, Usage(**self.counts), self.model)


def _thinking(model: str) -> Any:
    # Claude 5 and later models think by default, but don't send their thinking; summaries let the cell show
    # progress. Older models think only on request, or refuse "adaptive".
    from anthropic import omit

    generation = re.match(r"claude-[a-z]+-(\d+)(?:-|$)", model)
    if generation and int(generation[1]) >= 5:
        return {"type": "adaptive", "display": "summarized"}
    return omit
