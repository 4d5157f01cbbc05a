"""The endpoint and the key for a model of LiteLLM. An endpoint receives only a key from the same source."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from fact_magics.config.model_list import signs_in
from fact_magics.errors import ProviderError, did_you_mean
from fact_magics.providers.endpoints import NO_KEY, checked_key, checked_url, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from fact_magics.config.model_list import Deployment
    from fact_magics.providers.failures import Patience, Service

# Providers whose key is not simply named PROVIDER_API_KEY.
_KEY_NAMES = {
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_API_KEY"),
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY"),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
}
_SERVICES = {"openai": "OpenAI", "azure": "Azure", "gemini": "Gemini", "hosted_vllm": "vLLM"}
# Providers whose servers usually serve OpenAI's protocol under /v1.
_UNDER_V1 = ("openai", "hosted_vllm", "litellm_proxy")
# Addresses that are built into the SDKs, but not into LiteLLM.
_PUBLIC_URLS = {"openai": "https://api.openai.com/v1"}
_AZURE_TOKEN = "AZURE_OPENAI_AD_TOKEN"  # noqa: S105 - the name of a variable


class Route:
    """The endpoint, the key and the client for a model's requests.

    The parameters are those of `LiteLLMProvider`; `service` has the model's name and the secrets.

    Attributes
    ----------
    service : Service
        The given service, completed with its name, its address and the names of its settings.
    arguments : dict
        The arguments of `litellm.acompletion` that determine where a request goes.
    http_client
        The client to close; None if LiteLLM uses its own.
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
        provider, usual_url = _provider_of(litellm, model, service.known_models)
        prefix, names = _prefix(provider), key_names(provider)
        key_name = names[0]
        if own is not None:
            if own.endpoint is not None and signs_in(provider):
                raise ProviderError(
                    f"The entry {own.name} sets an api_base, and {provider} would send your own account's"
                    " credentials to that address.",
                    hint=f"Remove api_base from this entry of {own.source}, or use another provider.",
                )
            key_name = f"the api_key in {own.place}"
            secret = own.key.get_secret_value() if own.key else None
            entry = {"API_KEY": secret, "API_BASE": own.endpoint, "API_VERSION": own.version}
            settings = {f"{prefix}_{name}": SecretStr(text) for name, text in entry.items() if text}
        key = next(
            (checked_key(settings[name].get_secret_value(), name) for name in names if name in settings),
            None,
        )
        url_name, url = _endpoint(provider, settings, key)
        if provider.startswith("azure"):
            _refuse_azure_token(provider, url)
        if key is None and (is_loopback(url) or (own is not None and url)):
            key = NO_KEY  # OpenAI's client needs a key, but servers on this machine rarely do
        if key is None:
            _check_no_key_needed(litellm, model, names)
        known = url or _PUBLIC_URLS.get(provider) or usual_url
        self.service = replace(
            service,
            name=_SERVICES.get(provider, provider),
            url=known if known.startswith(("http://", "https://")) else "",
            key_name=key_name,
            url_name=url_name if own is None else f"the api_base in {own.place}",
            has_own_address=bool(url),
            usual_path="/v1" if url and provider in _UNDER_V1 else "",
            answer_name="chat completion",
        )
        self.arguments: dict[str, Any] = {"model": model, "api_key": key, "api_base": url or None}
        if f"{prefix}_API_VERSION" in settings:
            self.arguments["api_version"] = settings[f"{prefix}_API_VERSION"].get_secret_value()
        self.http_client: Any = None
        if is_loopback(url):
            self._open_own_client(provider, key or "", patience)

    def _open_own_client(self, provider: str, key: str, patience: Patience) -> None:
        """Open a client that, unlike LiteLLM's, ignores the environment's proxies."""
        import httpx

        timeout = httpx.Timeout(patience.silence_seconds * 2, connect=patience.connect_seconds)
        if provider == "hosted_vllm":  # LiteLLM calls it with its own HTTP handler
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


def address_of(model: str, settings: Mapping[str, SecretStr], own: Deployment | None) -> str:
    """Return the address that is set for a model; else an empty text."""
    if own is not None:
        return own.endpoint or ""
    names = endpoint_names(model.partition("/")[0])
    return next((settings[name].get_secret_value() for name in names if name in settings), "")


def _prefix(provider: str) -> str:
    return re.sub(r"\W", "_", provider).upper()


def _provider_of(litellm: ModuleType, model: str, names: Sequence[str]) -> tuple[str, str]:
    """Return a model's provider, and LiteLLM's usual address for it, which may be empty."""
    # For an unknown provider, this function raises an error with a page of advice. It also has bugs.
    with contextlib.suppress(Exception):
        _, provider, _, address = litellm.get_llm_provider(model)
        if provider:
            return str(provider), str(address or "")
    prefix = model.partition("/")[0]
    known = [str(getattr(provider, "value", provider)) for provider in litellm.provider_list]
    raise ProviderError(
        f"LiteLLM does not know the provider {prefix!r}.",
        hint=did_you_mean(model, names)
        or did_you_mean(prefix, known)
        or "Name a model as provider/model, such as openai/gpt-5.",
    )


def _endpoint(provider: str, settings: Mapping[str, SecretStr], key: str | None) -> tuple[str, str]:
    """Return the address that is set, which may be empty, after the name of its setting."""
    names = endpoint_names(provider)
    for name in names:
        if name in settings:
            url = checked_url(settings[name].get_secret_value(), name)
            # The client adds this path.
            return name, url.rstrip("/").removesuffix("/chat/completions")
    for name in names:
        # LiteLLM would use this address. The settings omit it because the key comes from another source.
        if key is not None and os.environ.get(name):
            raise ProviderError(
                f"{name} is set in the environment, but the key is set in another place, so the"
                " key is not sent to that address.",
                hint=f"Set both in one place, or remove {name}.",
            )
    return names[0], ""


def _refuse_azure_token(provider: str, url: str) -> None:
    # OpenAI's client prefers this token to any key that it is given.
    is_from_environment = any(os.environ.get(name, "").strip() == url for name in endpoint_names(provider))
    if os.environ.get(_AZURE_TOKEN) and url and not is_from_environment:
        raise ProviderError(
            f"{_AZURE_TOKEN} is set in the environment, and would be sent to an address from another source.",
            hint=f"Remove {_AZURE_TOKEN} from the environment, or set the address there too.",
        )


def _check_no_key_needed(litellm: ModuleType, model: str, names: tuple[str, ...]) -> None:
    missing = litellm.validate_environment(model)["missing_keys"]
    wanted = [name for name in missing if name.endswith("_API_KEY")]
    if wanted:
        name = next((name for name in names if name in wanted), wanted[0])
        raise ProviderError(
            f"{model} needs a key, and none is set.",
            hint=f"Put {name} in the environment or in .env, then run the cell again.",
        )
