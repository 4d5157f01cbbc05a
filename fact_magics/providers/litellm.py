"""Any other model, through LiteLLM."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import re
from contextlib import aclosing
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from fact_magics.errors import MissingExtra, ProviderError, did_you_mean
from fact_magics.providers.base import Finished, TextDelta, ThinkingDelta, Usage
from fact_magics.providers.failures import (
    NO_KEY,
    Failure,
    Patience,
    checked_key,
    checked_url,
    failure_by_silence,
    failure_of_status,
    failure_to_connect,
    failure_unknown,
    is_loopback,
    quote,
)
from fact_magics.providers.remote import RemoteProvider

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping
    from types import ModuleType

    from fact_magics.config_file import Deployment
    from fact_magics.providers.base import Prompt, ProviderEvent, StopReason

OLLAMA_URL = "http://127.0.0.1:11434"

_STOP_REASONS: dict[str, StopReason] = {"length": "length", "content_filter": "refused"}
# The names that differ from PROVIDER_API_KEY.
_KEY_NAMES = {
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_API_KEY"),
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY"),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
}
_INSTALL = 'Run: pip install "fact_magics[litellm]"'
_PREFIX_OF_MESSAGE = re.compile(r"^(?:(?:litellm\.)?\w+(?:Error|Exception)(?:: | - ))+")
_SERVICES = {"openai": "OpenAI", "ollama_chat": "Ollama", "azure": "Azure", "gemini": "Gemini"}
# They sign in with what the environment or the machine's account holds, whatever key they are given.
_SIGN_BY_THE_ENVIRONMENT = (
    "vertex_ai", "bedrock", "sagemaker", "amazon_", "aws_", "watsonx", "oci", "sap", "gigachat", "snowflake",
    "databricks", "github", "chatgpt", "gdc",
)  # fmt: skip
# Whose requests LiteLLM makes with its own HTTP handler; the other local ones go through OpenAI's client.
_OWN_HANDLER = ("ollama_chat", "hosted_vllm")


class LiteLLMProvider(RemoteProvider):
    """Streams candidates from any ``provider/model`` that LiteLLM can reach.

    LiteLLM reports a stream that was cut as ended by the model, with token counts of its own making, so
    `Finished` says ``end`` where Anthropic's provider says ``cut``: whoever reads the answer takes an
    unclosed code fence as truncation, whatever the stop reason.

    Parameters
    ----------
    model : str
        With its prefix: ``openai/gpt-5``, ``ollama/qwen3-coder``.
    settings : mapping of str to SecretStr
        Keys, endpoints and API versions by LiteLLM's names (``OPENAI_API_KEY``, ``OPENAI_BASE_URL``), the
        endpoints already judged fit to be sent their keys. They are passed with each call, never written
        to the environment.
    patience : Patience, optional
        Retries and time limits.
    notice : str, optional
        What the cell says about this choice.
    own : Deployment, optional
        Where it has a key or an endpoint, these are used and none of `settings`.

    Raises
    ------
    MissingExtra
        LiteLLM is not installed.
    """

    name = "litellm"

    def __init__(
        self,
        model: str,
        settings: Mapping[str, SecretStr],
        *,
        patience: Patience | None = None,
        notice: str = "",
        own: Deployment | None = None,
    ) -> None:
        require_litellm(model)
        super().__init__(model, patience, notice)
        self._settings = settings
        self._own = own if own is not None and (own.key is not None or own.endpoint is not None) else None
        self._route: _Route | None = None

    async def _disconnect(self) -> None:
        route, self._route = self._route, None
        if route is not None and route.http_client is not None:
            await route.http_client.aclose()

    async def _attempt(self, prompt: Prompt) -> AsyncGenerator[ProviderEvent, None]:
        litellm = await asyncio.to_thread(load_litellm)
        route = self._open(litellm)
        silence = self._patience.silence_seconds
        try:
            async with asyncio.timeout(silence):
                stream = await litellm.acompletion(
                    messages=[
                        {"role": "system", "content": prompt.system},
                        *({"role": turn.role, "content": turn.text} for turn in prompt.messages),
                    ],
                    stream=True,
                    stream_options={"include_usage": True},
                    # Its own limit only backs up the one above, which tells a stall from other failures.
                    timeout=silence * 2,
                    max_retries=0,
                    num_retries=0,
                    **route.arguments,
                )
        except litellm.ContentPolicyViolationError:
            yield Finished("refused", Usage(), self.model)
            return
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
        yield answer.finished()

    def _open(self, litellm: ModuleType) -> _Route:
        self._check_open(self.model)
        if self._route is None:
            self._route = _Route(litellm, self.model, self._settings, self._own, self._patience)
        return self._route

    def _explain(self, error: Exception) -> Failure:
        service = self._route.service if self._route else "LiteLLM"
        url = self._route.url if self._route else ""
        lost = _transport_error(error)
        if isinstance(error, TimeoutError) or "Timeout" in type(lost).__name__ != "ConnectTimeout":
            return failure_by_silence(service=service, seconds=self._patience.silence_seconds)
        if lost is not None:
            return failure_to_connect(service=service, url=url)
        held = [*self._settings.values(), *([self._own.key] if self._own and self._own.key else [])]
        said = quote(
            _PREFIX_OF_MESSAGE.sub("", str(getattr(error, "message", error))),
            [secret.get_secret_value() for secret in held],
        )
        status = getattr(error, "status_code", None)
        if not isinstance(status, int):
            return failure_unknown(error, model=self.model, said=said)
        headers = getattr(error, "litellm_response_headers", None) or {}
        return failure_of_status(
            status,
            model=self.model,
            service=service,
            key_name=self._route.key_name if self._route else "its key",
            said=said,
            headers=headers,
        )


class _Route:
    """Where a model's requests go, with what key, and through which client.

    Attributes
    ----------
    service, url, key_name : str
        Who is asked, where (empty where only LiteLLM knows), and the setting of its key.
    arguments : dict
        What `litellm.acompletion` is told about it.
    http_client
        The client to close, where it is ours.
    """

    def __init__(
        self,
        litellm: ModuleType,
        model: str,
        settings: Mapping[str, SecretStr],
        own: Deployment | None,
        patience: Patience,
    ) -> None:
        if model.startswith("ollama/"):
            # LiteLLM's ollama/ flattens the conversation to one string, without the model's own template.
            model = f"ollama_chat/{model.removeprefix('ollama/')}"
        self._provider = _provider_of(litellm, model)
        self.service = _SERVICES.get(self._provider, self._provider)
        prefix = "OLLAMA" if self._provider == "ollama_chat" else re.sub(r"\W", "_", self._provider).upper()
        key_names = _KEY_NAMES.get(self._provider, (f"{prefix}_API_KEY",))
        self.key_name = key_names[0]
        if own is not None:
            _check_it_takes_the_key(self._provider, own)
            self.key_name = f"the api_key in the entry {own.name} of {own.source}"
            settings = _settings_of(own, prefix)
        key = next(
            (checked_key(settings[name].get_secret_value(), name) for name in key_names if name in settings),
            None,
        )
        self.url = _endpoint(prefix, settings, key) or (OLLAMA_URL if prefix == "OLLAMA" else "")
        if key is None and (is_loopback(self.url) or (own is not None and self.url)):
            key = NO_KEY  # OpenAI's client wants one, servers on this machine seldom do
        if key is None:
            _check_no_key_needed(litellm, model, key_names)
        self.arguments: dict[str, Any] = {"model": model, "api_key": key, "api_base": self.url or None}
        if f"{prefix}_API_VERSION" in settings:
            self.arguments["api_version"] = settings[f"{prefix}_API_VERSION"].get_secret_value()
        self.http_client: Any = None
        if is_loopback(self.url):
            self._open_own_client(key or "", patience)

    def _open_own_client(self, key: str, patience: Patience) -> None:
        """Reach this machine past the environment's proxies, which LiteLLM's own clients would ask."""
        import httpx

        timeout = httpx.Timeout(patience.silence_seconds * 2, connect=patience.connect_seconds)
        if self._provider in _OWN_HANDLER:
            from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

            handler = AsyncHTTPHandler(timeout=timeout, transport=httpx.AsyncHTTPTransport())
            self.arguments["client"], self.http_client = handler, handler.client
        else:
            from openai import AsyncOpenAI

            self.http_client = httpx.AsyncClient(timeout=timeout, trust_env=False)
            self.arguments["client"] = AsyncOpenAI(
                api_key=key, base_url=self.url, http_client=self.http_client, timeout=timeout, max_retries=0
            )


class _Answer:
    """What the chunks of one answer have said so far."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.has_text = False
        self.stop_reason: StopReason = "end"
        self.usage = Usage()

    def read(self, chunk: Any) -> Iterator[TextDelta | ThinkingDelta]:
        """Take in one chunk; yield the text that it brings."""
        self.model = getattr(chunk, "model", None) or self.model
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

    def finished(self) -> Finished:
        """Return the last event."""
        usage = Usage() if self.stop_reason == "cut" else self.usage
        return Finished(self.stop_reason, usage, self.model)


def require_litellm(model: str) -> None:
    """Check that LiteLLM is installed, without importing it.

    Raises
    ------
    MissingExtra
        It is not.
    """
    if not has_litellm():
        raise MissingExtra(f"{model} is reached through LiteLLM, which is not installed.", hint=_INSTALL)


def has_litellm() -> bool:
    """Tell whether LiteLLM is installed."""
    try:
        return importlib.util.find_spec("litellm") is not None
    except (ImportError, ValueError):
        return False


def load_litellm() -> ModuleType:
    """Import LiteLLM, which takes seconds, and keep it from printing and from fetching anything.

    Raises
    ------
    MissingExtra
        It is installed, but can't be imported.
    """
    # Read at its import: without them it fetches a price list and loads a .env file by itself.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    try:
        litellm = import_module("litellm")
    except ImportError as error:
        raise MissingExtra(f"LiteLLM is installed but can't be imported: {error}.", hint=_INSTALL) from None
    litellm.suppress_debug_info = True  # type: ignore[attr-defined]
    # Its aiohttp sessions report themselves as unclosed when a loop ends; httpx's clients don't.
    litellm.disable_aiohttp_transport = True  # type: ignore[attr-defined]
    if "LITELLM_LOG" not in os.environ:
        for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
            _silence(logging.getLogger(name))
    return litellm


def _silence(logger: logging.Logger) -> None:
    for handler in [*logger.handlers]:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)
    if not logger.handlers:
        # Without a handler of its own, logging's last resort would print to stderr.
        logger.addHandler(logging.NullHandler())


def _provider_of(litellm: ModuleType, model: str) -> str:
    with contextlib.suppress(
        Exception
    ):  # it raises a bad request with a page of advice, and sometimes its own bugs
        provider = litellm.get_llm_provider(model)[1]
        if provider:
            return str(provider)
    prefix = model.partition("/")[0]
    known = [str(getattr(provider, "value", provider)) for provider in litellm.provider_list]
    raise ProviderError(
        f"LiteLLM knows no provider {prefix!r}.",
        hint=did_you_mean(prefix, known) or "Name a model as provider/model, such as openai/gpt-5.",
    )


def _settings_of(own: Deployment, prefix: str) -> dict[str, SecretStr]:
    """Give an entry's key, endpoint and version the names that they have in the environment."""
    told = {"API_BASE": own.endpoint, "API_VERSION": own.version}
    named = {f"{prefix}_{name}": SecretStr(text) for name, text in told.items() if text}
    return named if own.key is None else {**named, f"{prefix}_API_KEY": own.key}


def _check_it_takes_the_key(provider: str, own: Deployment) -> None:
    if own.endpoint is not None and provider.startswith(_SIGN_BY_THE_ENVIRONMENT):
        raise ProviderError(
            f"{own.name} has its own endpoint, where {provider} would sign in by this user's own account.",
            hint=f"Remove its api_base from {own.source}, or reach it by another provider.",
        )


def _endpoint(prefix: str, settings: Mapping[str, SecretStr], key: str | None) -> str:
    names = (f"{prefix}_API_BASE", f"{prefix}_BASE_URL")
    for name in names:
        if name in settings:
            return checked_url(settings[name].get_secret_value(), name)
    for name in names:
        # LiteLLM would read it by itself; the settings left it out because its key comes from elsewhere.
        if key is not None and os.environ.get(name):
            raise ProviderError(
                f"{name} is in the environment but its key is not, so the key is not sent there.",
                hint=f"Set both in one place, or remove {name}.",
            )
    return ""


def _check_no_key_needed(litellm: ModuleType, model: str, names: tuple[str, ...]) -> None:
    missing = litellm.validate_environment(model)["missing_keys"]
    wanted = [name for name in missing if name.endswith("_API_KEY")]
    if wanted:
        name = next((name for name in names if name in wanted), wanted[0])
        raise ProviderError(
            f"{model} needs a key and none is set.",
            hint=f"Put {name} in the environment or in .env, then run the cell again.",
        )


def _usage(usage: Any) -> Usage:
    def count(value: object) -> int | None:
        return value if isinstance(value, int) else None

    details = getattr(usage, "prompt_tokens_details", None)
    read = count(getattr(details, "cached_tokens", None))
    written = count(getattr(usage, "cache_creation_input_tokens", None))
    prompt = count(getattr(usage, "prompt_tokens", None))
    return Usage(
        # LiteLLM counts what the cache served as input too.
        input_tokens=None if prompt is None else max(0, prompt - (read or 0) - (written or 0)),
        output_tokens=count(getattr(usage, "completion_tokens", None)),
        cache_read_tokens=read,
        cache_creation_tokens=written,
    )


def _transport_error(error: BaseException) -> BaseException | None:
    """Return what broke the connection, where that is what LiteLLM's own exceptions were made of."""
    import httpx

    seen: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is None or current in seen:
            continue
        if isinstance(current, httpx.TransportError | ConnectionError):
            return current
        seen.append(current)
        queue += [current.__cause__, current.__context__, getattr(current, "original_exception", None)]
    return None
