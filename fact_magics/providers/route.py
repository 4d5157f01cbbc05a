"""Where a model's requests go, and with which key: an endpoint is sent no key but the one set with it."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from fact_magics.errors import ProviderError, did_you_mean
from fact_magics.providers.failures import NO_KEY, checked_key, checked_url, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from fact_magics.config.model_list import Deployment
    from fact_magics.providers.failures import Patience, Service

OLLAMA_URL = "http://127.0.0.1:11434"

# Names that differ from PROVIDER_API_KEY.
_KEY_NAMES = {
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_API_KEY"),
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY"),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
}
_SERVICES = {"openai": "OpenAI", "ollama_chat": "Ollama", "azure": "Azure", "gemini": "Gemini"}
# Addresses that LiteLLM leaves to SDKs.
_PUBLIC_URLS = {"openai": "https://api.openai.com/v1"}
# Providers that sign in with the environment's or the machine's own account, whatever key they are given.
_SIGN_BY_THE_ENVIRONMENT = (
    "vertex_ai", "bedrock", "sagemaker", "amazon_", "aws_", "watsonx", "oci", "sap", "gigachat", "snowflake",
    "databricks", "github", "chatgpt", "gdc",
)  # fmt: skip
# Local providers that LiteLLM asks with its own HTTP handler; the others go through OpenAI's client.
_OWN_HANDLER = ("ollama_chat", "hosted_vllm")


class Route:
    """Where a model's requests go, with which key, and through which client.

    Parameters
    ----------
    litellm : module
        The imported library.
    service : Service
        The model, and what must not be quoted.
    settings, own
        As `LiteLLMProvider` takes them.
    patience : Patience
        Time limits of a client that is opened here.

    Attributes
    ----------
    service : Service
        The same with its name, its address, and the settings of its key and address.
    arguments : dict
        The arguments of `litellm.acompletion` that say where a request goes.
    http_client
        The client to close, where it is ours.
    """

    def __init__(
        self,
        litellm: ModuleType,
        service: Service,
        settings: Mapping[str, SecretStr],
        own: Deployment | None,
        patience: Patience,
    ) -> None:
        model = service.model
        if model.startswith("ollama/"):
            # LiteLLM's ollama/ flattens the conversation to one string, without the model's own template.
            model = f"ollama_chat/{model.removeprefix('ollama/')}"
        self._provider, usual_url = _provider_of(litellm, model)
        prefix, names = _prefix(self._provider), key_names(self._provider)
        key_name = names[0]
        if own is not None:
            _check_it_takes_the_key(self._provider, own)
            key_name = f"the api_key in the entry {own.name} of {own.source}"
            settings = _settings_of(own, prefix)
        key = next(
            (checked_key(settings[name].get_secret_value(), name) for name in names if name in settings),
            None,
        )
        url = _endpoint(self._provider, settings, key) or (OLLAMA_URL if prefix == "OLLAMA" else "")
        if key is None and (is_loopback(url) or (own is not None and url)):
            key = NO_KEY  # OpenAI's client needs one, servers on this machine rarely do
        if key is None:
            _check_no_key_needed(litellm, model, names)
        known = url or _PUBLIC_URLS.get(self._provider) or usual_url
        known = known if known.startswith(("http://", "https://")) else ""
        self.service = replace(
            service,
            name=_SERVICES.get(self._provider, self._provider),
            url=known,
            key_name=key_name,
            url_name=endpoint_names(self._provider)[0],
        )
        self.arguments: dict[str, Any] = {"model": model, "api_key": key, "api_base": url or None}
        if f"{prefix}_API_VERSION" in settings:
            self.arguments["api_version"] = settings[f"{prefix}_API_VERSION"].get_secret_value()
        self.http_client: Any = None
        if is_loopback(url):
            self._open_own_client(key or "", patience)

    def _open_own_client(self, key: str, patience: Patience) -> None:
        """Open a client that ignores the environment's proxies, which LiteLLM's own clients would use."""
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
                api_key=key,
                base_url=self.service.url,
                http_client=self.http_client,
                timeout=timeout,
                max_retries=0,
            )


def key_names(provider: str) -> tuple[str, ...]:
    """Return the names of the settings that may hold a provider's key, the usual one first."""
    return _KEY_NAMES.get(provider, (f"{_prefix(provider)}_API_KEY",))


def endpoint_names(provider: str) -> tuple[str, ...]:
    """Return the names of the settings that may hold a provider's address, the usual one first."""
    return f"{_prefix(provider)}_API_BASE", f"{_prefix(provider)}_BASE_URL"


def _prefix(provider: str) -> str:
    return "OLLAMA" if provider == "ollama_chat" else re.sub(r"\W", "_", provider).upper()


def _provider_of(litellm: ModuleType, model: str) -> tuple[str, str]:
    """Return a model's provider, and the address that LiteLLM would ask, where it gives one."""
    # It raises a bad request with a page of advice, and sometimes fails by a bug of its own.
    with contextlib.suppress(Exception):
        _, provider, _, address = litellm.get_llm_provider(model)
        if provider:
            return str(provider), str(address or "")
    prefix = model.partition("/")[0]
    known = [str(getattr(provider, "value", provider)) for provider in litellm.provider_list]
    raise ProviderError(
        f"LiteLLM does not know the provider {prefix!r}.",
        hint=did_you_mean(prefix, known) or "Name a model as provider/model, such as openai/gpt-5.",
    )


def _settings_of(own: Deployment, prefix: str) -> dict[str, SecretStr]:
    """Return an entry's key, endpoint and version under their names in the environment."""
    told = {"API_BASE": own.endpoint, "API_VERSION": own.version}
    named = {f"{prefix}_{name}": SecretStr(text) for name, text in told.items() if text}
    return named if own.key is None else {**named, f"{prefix}_API_KEY": own.key}


def _check_it_takes_the_key(provider: str, own: Deployment) -> None:
    if own.endpoint is not None and provider.startswith(_SIGN_BY_THE_ENVIRONMENT):
        raise ProviderError(
            f"{own.name} has its own endpoint, but {provider} would sign in with this user's own account.",
            hint=f"Remove its api_base from {own.source}, or use another provider for it.",
        )


def _endpoint(provider: str, settings: Mapping[str, SecretStr], key: str | None) -> str:
    names = endpoint_names(provider)
    for name in names:
        if name in settings:
            return checked_url(settings[name].get_secret_value(), name)
    for name in names:
        # LiteLLM would read it by itself; the settings left it out because its key comes from another source.
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
            f"{model} needs a key, and none is set.",
            hint=f"Put {name} in the environment or in .env, then run the cell again.",
        )
