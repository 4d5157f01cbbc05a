"""Claude, by Anthropic's own SDK."""

from __future__ import annotations

import asyncio
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from fact_magics.providers.base import Finished, TextDelta, ThinkingDelta
from fact_magics.providers.failures import (
    Patience,
    checked_key,
    checked_url,
    failure_by_silence,
    failure_of_protocol,
    failure_of_status,
    failure_to_connect,
    failure_unknown,
    is_loopback,
    quote,
)
from fact_magics.providers.remote import RemoteProvider
from fact_magics.tool import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anthropic import AsyncAnthropic, Omit
    from anthropic.types import MessageParam, TextBlockParam, ThinkingConfigAdaptiveParam
    from pydantic import SecretStr

    from fact_magics.providers.base import Prompt, ProviderEvent, StopReason
    from fact_magics.providers.failures import Failure

PUBLIC_URL = "https://api.anthropic.com"
MAX_TOKENS = 16_000

_SERVICE = "Anthropic"
_STOP_REASONS: dict[str, StopReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
# The kinds of a stream's `error` event, and the HTTP status that means the same.
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
        Another endpoint than Anthropic's, already judged fit to be sent this key. The environment is
        not asked for one.
    patience : Patience, optional
        Retries and time limits.
    notice : str, optional
        What the cell says about this choice.
    told_in : str, optional
        Where key and endpoint stand, if that is an entry of a file and not their usual variables.

    Raises
    ------
    ProviderError
        The key can't be one, or the address none.
    """

    name = "anthropic"

    def __init__(
        self,
        model: str,
        key: SecretStr,
        *,
        base_url: str | None = None,
        patience: Patience | None = None,
        notice: str = "",
        told_in: str = "",
    ) -> None:
        super().__init__(model, patience, notice)
        self._key_name = f"The api_key in {told_in}" if told_in else "ANTHROPIC_API_KEY"
        self._url_name = f"The api_base in {told_in}" if told_in else "ANTHROPIC_BASE_URL"
        self._key = checked_key(key.get_secret_value(), self._key_name)
        self._base_url = checked_url(base_url, self._url_name) if base_url else PUBLIC_URL
        self._client: AsyncAnthropic | None = None

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def open(self) -> None:
        """Import the SDK and make its client; nothing is sent."""
        # It takes most of a second, which the loop's other work need not wait for.
        await asyncio.to_thread(import_module, "anthropic.resources.messages")
        self._open()

    async def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        await self.open()
        import httpx2

        answer = _Answer(self.model)
        stream = await self._open().messages.create(
            model=self.model,
            max_tokens=prompt.max_tokens or MAX_TOKENS,
            system=_system(prompt.system),
            messages=_messages(prompt),
            stream=True,
            thinking=_thinking(self.model),
        )
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
            raise self._not_understood().error
        yield answer.finished()

    def _open(self) -> AsyncAnthropic:
        self._check_open(_SERVICE)
        if self._client is None:
            import anthropic
            import httpx2

            patience = self._patience
            timeout = httpx2.Timeout(patience.silence_seconds, connect=patience.connect_seconds)
            self._client = anthropic.AsyncAnthropic(
                api_key=self._key,
                base_url=self._base_url,
                timeout=timeout,
                max_retries=0,
                # A proxy can't reach this machine's loopback, and would be sent the key. The SDK's default
                # client reads the proxy variables whatever trust_env says, so this one is plain.
                http_client=httpx2.AsyncClient(timeout=timeout, trust_env=False)
                if is_loopback(self._base_url)
                else None,
            )
        return self._client

    def _explain(self, error: Exception) -> Failure:
        import anthropic
        import httpx2

        if isinstance(error, anthropic.APIStatusError):
            return self._explain_status(error)
        cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
        if isinstance(cause, httpx2.TimeoutException) and not isinstance(cause, httpx2.ConnectTimeout):
            return failure_by_silence(service=_SERVICE, seconds=self._patience.silence_seconds)
        if isinstance(cause, httpx2.TransportError | OSError) or cause is not error:
            return failure_to_connect(service=_SERVICE, url=self._base_url)
        if isinstance(error, httpx2.InvalidURL | httpx2.RequestError | ValueError):
            return self._not_understood()
        return failure_unknown(error, model=self.model, said=quote(error, [self._key]))

    def _not_understood(self) -> Failure:
        return failure_of_protocol(service=_SERVICE, url=self._base_url, setting=self._url_name)

    def _explain_status(self, error: Any) -> Failure:
        headers = error.response.headers
        status = error.status_code
        if status < 400:
            status = _STATUS_OF_TYPE.get(error.type or "", 500)
        return failure_of_status(
            status,
            model=self.model,
            service=_SERVICE,
            key_name=self._key_name,
            said=quote(error.api_message, [self._key]),
            headers=headers,
        )


_COUNTS = ("output_tokens", "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class _Answer:
    """What the events of one answer have said so far."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.started = False
        self.has_text = False
        self.stop_reason: str | None = None
        self.counts: dict[str, int] = {}

    def read(self, event: Any) -> TextDelta | ThinkingDelta | None:
        """Take in one event of the SDK; return its text, if it brings any."""
        match event.type:
            case "message_start":
                self.started = True
                self.model = event.message.model or self.model
                # Its output count is only of what was written until then.
                self._count(event.message.usage, _COUNTS[1:])
            case "content_block_start":
                return self._text(event.content_block)
            case "content_block_delta":
                return self._text(event.delta)
            case "message_delta":
                self.stop_reason = event.delta.stop_reason or self.stop_reason
                self._count(event.usage, _COUNTS)
        return None

    def _text(self, block: Any) -> TextDelta | ThinkingDelta | None:
        if block.type in ("text", "text_delta") and block.text:
            self.has_text = True
            return TextDelta(block.text)
        if block.type in ("thinking", "thinking_delta") and block.thinking:
            return ThinkingDelta(block.thinking)
        return None

    def _count(self, usage: Any, names: tuple[str, ...]) -> None:
        # The counts of a later event are totals, not additions.
        for name in names:
            count = getattr(usage, name, None)
            if isinstance(count, int):
                self.counts[name] = count

    def finished(self) -> Finished:
        stop_reason: StopReason = "cut"
        if self.stop_reason is not None:
            stop_reason = _STOP_REASONS.get(self.stop_reason, "end")
        return Finished(
            stop_reason,
            Usage(
                input_tokens=self.counts.get("input_tokens"),
                output_tokens=self.counts.get("output_tokens"),
                cache_read_tokens=self.counts.get("cache_read_input_tokens"),
                cache_creation_tokens=self.counts.get("cache_creation_input_tokens"),
            ),
            self.model,
        )


def _system(text: str) -> list[TextBlockParam]:
    # One block, so that everything before the conversation is one cached prefix.
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


def _messages(prompt: Prompt) -> list[MessageParam]:
    return [cast("MessageParam", {"role": turn.role, "content": turn.text}) for turn in prompt.messages]


def _thinking(model: str) -> ThinkingConfigAdaptiveParam | Omit:
    # From Claude 5 on, thinking is on by default and silent; summaries show that something happens. Older
    # models either don't think unless asked, or refuse "adaptive".
    from anthropic import omit

    generation = re.match(r"claude-[a-z]+-(\d+)(?:-|$)", model)
    if generation and int(generation[1]) >= 5:
        return {"type": "adaptive", "display": "summarized"}
    return omit
