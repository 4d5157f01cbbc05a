"""The provider for all models except Anthropic's, through LiteLLM."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import re
import sys
from contextlib import aclosing, suppress
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fact_magics.attempt import Usage
from fact_magics.config.settings import secrets_of_providers
from fact_magics.errors import FactError, MissingExtra, did_you_mean
from fact_magics.providers.base import LOCAL_MAX_TOKENS, MAX_TOKENS, Finished, TextDelta, ThinkingDelta
from fact_magics.providers.endpoints import NO_KEY, is_local, is_loopback
from fact_magics.providers.failures import SYSTEM_REFUSED, Service, causes
from fact_magics.providers.local import KINDS
from fact_magics.providers.names import WELL_KNOWN, hosted_models
from fact_magics.providers.remote import Begun, RemoteProvider
from fact_magics.providers.route import Route, address_of
from fact_magics.quiet import quieten
from fact_magics.redaction import secrets_in_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
    from types import ModuleType

    import httpx
    from pydantic import SecretStr

    from fact_magics.config.model_list import Deployment
    from fact_magics.providers.base import Prompt, ProviderEvent, StopReason
    from fact_magics.providers.failures import Failure, Patience

_STOP_REASONS: dict[str, StopReason] = {"length": "length", "content_filter": "refused"}
_NAMES_SECONDS = 3.0
_LONGEST_NAME = 100
_INSTALL = 'Run: pip install "fact_magics[litellm]"'
_PREFIX_OF_MESSAGE = re.compile(r"^(?:(?:litellm\.)?\w+(?:Error|Exception)(?:: | - ))+")


class LiteLLMProvider(RemoteProvider):
    """Streams candidates from any ``provider/model`` that LiteLLM can reach.

    If a server ends a stream too early, LiteLLM reports a normal end, and the token counts are unknown.
    `Finished` then has the stop reason ``end``, not ``cut`` as from Anthropic's provider. So an answer with
    an unclosed code fence is incomplete, whatever its stop reason.

    Parameters
    ----------
    model : str
        The name with its prefix: ``openai/gpt-5``, ``groq/llama-4``.
    settings : mapping of str to SecretStr
        Keys, endpoints and API versions by LiteLLM's names (``OPENAI_API_KEY``, ``OPENAI_BASE_URL``). They
        are passed with each call and never written to the environment.
    patience : Patience, optional
        Retries and time limits.
    notice : str, optional
        One line that the cell shows about the choice of this model.
    known_models : iterable of str, optional
        Names to suggest if the model's provider is unknown, besides those that its server lists.
    own : Deployment, optional
        An entry of ``config.yaml``. If it has a key or an endpoint, `settings` are not used.
    secrets : iterable of str, optional
        Further values to mask in what the server sends, beside those of `settings` and `own`.

    Raises
    ------
    MissingExtra
        LiteLLM is not installed.
    """

    name = "litellm"
    _dispensable = MappingProxyType(
        {
            "stream_options": re.compile(r"stream[_ ]options|include_usage"),
            "system": SYSTEM_REFUSED,
        }
    )

    def __init__(
        self,
        model: str,
        settings: Mapping[str, SecretStr],
        *,
        patience: Patience | None = None,
        notice: str = "",
        own: Deployment | None = None,
        known_models: Iterable[str] = (),
        secrets: Iterable[str] = (),
    ) -> None:
        if not has_litellm():
            provider = model.partition("/")[0]
            known = ("anthropic", *KINDS, *WELL_KNOWN)
            close = "" if provider in known else did_you_mean(provider, known)
            raise MissingExtra(
                f"{model} is reached through LiteLLM, which is not installed.", hint=f"{close} {_INSTALL}"
            )
        if own is not None and own.endpoint is not None:
            secrets = (*secrets, *secrets_in_url(own.endpoint))
        if own is not None and own.key is not None:
            secrets = (*secrets, own.key.get_secret_value())
        super().__init__(model, patience, (*secrets_of_providers(settings), *secrets))
        self.notice = notice
        self._settings = settings
        self._own = own if own is not None and own.has_own_access else None
        self._opened: tuple[ModuleType, Route] | None = None
        self.is_local = is_local(address_of(model, settings, self._own))
        self._service = Service(
            "LiteLLM",
            model,
            time_name=self._patience.setting,
            known_models=tuple(known_models),
            redactor=self._redactor,
        )

    async def open(self) -> tuple[ModuleType, Route]:
        """Import LiteLLM and find out where requests for the model go; nothing is sent."""
        if self._opened is None:
            litellm = await asyncio.to_thread(load_litellm)
            self._check_open()
            route = Route(litellm, self._service, self._settings, self._own, self._patience)
            self._service = route.service
            self._opened = litellm, route
        return self._opened

    async def count_models(self) -> int | None:
        """Count the models in the provider's list; this costs nothing and proves that the key is valid.

        None means that the provider has no list at OpenAI's path, or shows its list without a key, too. The
        errors are those of `stream`.
        """
        try:
            return await self._count_models()
        except FactError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `stream`
            failure = self._explain(error)
        raise failure.error

    async def _count_models(self) -> int | None:
        _, route = await self.open()
        if not self._service.url:
            return None
        key = route.arguments["api_key"]
        listed, to_anyone = await self._list_models(key, NO_KEY)
        if listed.status_code in (404, 405, 501):  # the address has no list of models
            return None
        if not listed.is_success:
            raise self._service.refused(listed.status_code, _message(listed), listed.headers).error
        try:
            count = len(listed.json()["data"])
        except (ValueError, LookupError, TypeError):
            raise self._service.not_understood().error from None
        return None if to_anyone.is_success and key != NO_KEY else count

    async def _list_models(self, *keys: str) -> list[httpx.Response]:
        """Ask for the list at OpenAI's path, once with each key."""
        import httpx

        address, limit = self._service.url, self._patience
        timeout = httpx.Timeout(limit.silence_seconds, connect=limit.connect_seconds)
        # httpx follows no redirects by default, so the keys are sent to this address only.
        async with httpx.AsyncClient(timeout=timeout, trust_env=not is_loopback(address)) as client:
            url = f"{address.rstrip('/')}/models"
            asked = (client.get(url, headers={"authorization": f"Bearer {key}"}) for key in keys)
            return await asyncio.gather(*asked)

    async def _names(self) -> Iterable[str]:
        provider, service = self.model.partition("/")[0], self._service
        names: Iterable[str] = ()
        with suppress(Exception):  # without the names, the error is still clear
            litellm, route = await self.open()
            async with asyncio.timeout(_NAMES_SECONDS):
                if service.has_own_address:
                    (listed,) = await self._list_models(route.arguments["api_key"] or NO_KEY)
                    names = [str(model["id"]) for model in listed.json()["data"]]
                else:
                    names = hosted_models(litellm.model_cost, provider)
        prefix = f"{provider}/"
        shown = (f"{prefix}{name.removeprefix(prefix)}" for name in names if len(name) <= _LONGEST_NAME)
        return tuple(map(self._redactor.mask, shown))

    async def _disconnect(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and opened[1].http_client is not None:
            await opened[1].http_client.aclose()

    async def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent | Begun, None]:
        litellm, route = await self.open()
        silence = self._patience.silence_seconds
        try:
            async with asyncio.timeout(silence):
                stream = await litellm.acompletion(
                    messages=self._messages(prompt),
                    stream=True,
                    stream_options=None if "stream_options" in self._omitted else {"include_usage": True},
                    # A fallback: the shorter limit above ends a stalled request first, with a clear error.
                    timeout=silence * 2,
                    max_tokens=self._max_tokens(litellm, prompt),
                    max_retries=0,
                    num_retries=0,
                    **route.arguments,
                )
        except litellm.ContentPolicyViolationError:
            yield Finished("refused", Usage(), self.model)
            return
        yield Begun()
        answer = _Answer(self.model)
        try:
            async with aclosing(stream):
                while True:
                    async with asyncio.timeout(silence):
                        chunk = await anext(stream, None)
                    if chunk is None:
                        break
                    for delta in answer.read(chunk):
                        yield delta
        except Exception as error:
            if not (answer.has_text and _transport_error(error)):
                raise
            answer.stop_reason = "cut"
        if not stream.chunks:
            raise self._service.not_understood().error
        yield answer.finished(stream.chunks)

    def _messages(self, prompt: Prompt) -> list[dict[str, str]]:
        if "system" in self._omitted:
            prompt = prompt.without_system
        rules = [{"role": "system", "content": prompt.system}] if prompt.system else []
        return rules + [{"role": turn.role, "content": turn.text} for turn in prompt.messages]

    def _max_tokens(self, litellm: ModuleType, prompt: Prompt) -> int | None:
        # Looked up in the table, because LiteLLM's own function asks Ollama about its models.
        names = (self.model, self.model.partition("/")[2])
        known = [litellm.model_cost.get(name, {}) for name in names]
        thinks = any(entry.get("supports_reasoning") for entry in known)
        if prompt.max_tokens is not None:
            # A check, which has no spec, asks for one token. OpenAI refuses a limit that leaves no room for
            # thinking, instead of cutting the answer.
            if thinks and prompt.max_tokens == 1 and prompt.spec is None:
                return None
            highest = (entry.get("max_output_tokens") for entry in known)
            return min((prompt.max_tokens, *(most for most in highest if isinstance(most, int) and most > 0)))
        if not self.is_local:
            return None
        return MAX_TOKENS if thinks else LOCAL_MAX_TOKENS

    def _explain(self, error: Exception) -> Failure:
        lost = _transport_error(error)
        if isinstance(error, TimeoutError) or "Timeout" in type(lost).__name__ != "ConnectTimeout":
            return self._service.silent(self._patience.silence_seconds)
        if lost is not None:
            return self._service.unreachable(lost)
        # LiteLLM reports data that it can't read as an error of the server.
        chain = list(causes(error))
        is_unreadable = any(isinstance(cause, json.JSONDecodeError | UnicodeDecodeError) for cause in chain)
        if is_unreadable and not any(type(cause).__name__ == "HTTPStatusError" for cause in chain):
            return self._service.not_understood()
        message = _PREFIX_OF_MESSAGE.sub("", str(getattr(error, "message", error)))
        status = getattr(error, "status_code", None)
        if not isinstance(status, int):
            return self._service.failed(error, message)
        headers = getattr(error, "litellm_response_headers", None) or {}
        return self._service.refused(status, message, headers, getattr(error, "body", ""))


class _Answer:
    """One answer, collected from LiteLLM's chunks."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._prefix = f"{model.partition('/')[0]}/"
        self.has_text = False
        self.stop_reason: StopReason = "end"
        self.usage = Usage()

    def read(self, chunk: Any) -> Iterator[TextDelta | ThinkingDelta]:
        """Add one chunk; yield its text."""
        if answered := getattr(chunk, "model", None):
            # The provider is part of a model's name in cells and in the history.
            bare = str(answered).removeprefix(self._prefix)
            self.model = f"{self._prefix}{bare}"
        if getattr(chunk, "usage", None) is not None:
            self.usage = _usage(chunk.usage)
        for choice in chunk.choices:
            if choice.finish_reason:
                self.stop_reason = _STOP_REASONS.get(choice.finish_reason, "end")
            thinking = getattr(choice.delta, "reasoning_content", None)
            if isinstance(thinking, str) and thinking:
                yield ThinkingDelta(thinking)
            text = choice.delta.content
            if isinstance(text, str) and text:
                self.has_text = True
                yield TextDelta(text)

    def finished(self, chunks: Iterable[Any]) -> Finished:
        """Return the last event; `chunks` are the server's, which may have no token counts."""
        is_counted = any(getattr(chunk, "usage", None) is not None for chunk in chunks)
        usage = self.usage if is_counted and self.stop_reason != "cut" else Usage()
        return Finished(self.stop_reason, usage, self.model)


def has_litellm() -> bool:
    """Tell whether LiteLLM is installed."""
    try:
        return importlib.util.find_spec("litellm") is not None
    except (ImportError, ValueError):
        return False


def load_litellm() -> ModuleType:
    """Import LiteLLM, which takes seconds; keep it from printing and from using the network."""
    # Without these variables the import fetches a price list and loads a .env file.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    mode = os.environ.get("LITELLM_MODE", "PRODUCTION")
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    try:
        litellm = import_module("litellm")
    except ImportError as error:
        raise MissingExtra(f"LiteLLM is installed but can't be imported: {error}.", hint=_INSTALL) from None
    finally:
        os.environ["LITELLM_MODE"] = mode
    litellm.suppress_debug_info = True  # type: ignore[attr-defined]
    # LiteLLM's aiohttp sessions print a warning if they are still open when a loop ends; httpx clients don't.
    litellm.disable_aiohttp_transport = True  # type: ignore[attr-defined]
    # The loop that reads the answer notices repetitions itself, and keeps what came before them.
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize  # type: ignore[attr-defined]
    quieten("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx", "httpcore", "aiohttp")
    if "LITELLM_LOG" not in os.environ:
        for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
            logger = logging.getLogger(name)
            for handler in [*logger.handlers]:
                writes_file = isinstance(handler, logging.FileHandler)
                if isinstance(handler, logging.StreamHandler) and not writes_file:
                    logger.removeHandler(handler)
            if not logger.handlers:
                logger.addHandler(logging.NullHandler())  # without a handler, logging prints to stderr
    return litellm


def _message(answer: Any) -> str:
    """Return the message of an error response in OpenAI's form, else its whole text."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return str(answer.text)


def _usage(usage: Any) -> Usage:
    def count(value: object) -> int | None:
        return value if isinstance(value, int) else None

    details = getattr(usage, "prompt_tokens_details", None)
    read = count(getattr(details, "cached_tokens", None))
    written = count(getattr(usage, "cache_creation_input_tokens", None))
    prompt = count(getattr(usage, "prompt_tokens", None))
    return Usage(
        # LiteLLM's count of input tokens includes the cached ones.
        input_tokens=None if prompt is None else max(0, prompt - (read or 0) - (written or 0)),
        output_tokens=count(getattr(usage, "completion_tokens", None)),
        cache_read_tokens=read,
        cache_creation_tokens=written,
    )


def _transport_error(error: BaseException) -> BaseException | None:
    """Return the connection error among the causes of `error`, if there is one."""
    import httpx

    kinds = (httpx.TransportError, ConnectionError)
    return next((cause for cause in causes(error) if isinstance(cause, kinds)), None)
