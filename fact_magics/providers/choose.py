"""Choose a provider: the one named by the cell or the settings, else the best available one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from fact_magics.config.model_list import has_own_meaning
from fact_magics.errors import ProviderError
from fact_magics.providers.anthropic import AnthropicProvider
from fact_magics.providers.endpoints import NO_KEY
from fact_magics.providers.failures import Patience
from fact_magics.providers.litellm import LiteLLMProvider
from fact_magics.providers.local import LocalProvider, local_name, local_servers
from fact_magics.providers.names import close_names
from fact_magics.redaction import Redactor
from fact_magics.text import quoted
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.config import Settings
    from fact_magics.config.model_list import Deployment
    from fact_magics.providers.base import Provider
    from fact_magics.providers.local import LocalServer
    from fact_magics.providers.remote import RemoteProvider

DEFAULT_MODEL = "claude-sonnet-5-5"

CLAUDE_MODELS = (DEFAULT_MODEL, "claude-opus-5-5", "claude-haiku-5-5")
"""Anthropic's current models."""

_TIMEOUT_SETTING = "FACT_MODEL_TIMEOUT in the environment, or %config FactMagics.model_timeout"
_FORMS = "Write claude-…, provider/model (such as openai/gpt-5), or shelf."


async def choose(
    settings: Settings,
    model: str | None,
    *,
    patience: Patience | None = None,
    local: Sequence[LocalServer] | None = None,
) -> Provider:
    """Return the provider for a model's name.

    ``shelf`` means the shelf. A name from ``config.yaml`` means the model of that entry. ``claude-…`` and
    ``anthropic/claude-…`` mean Anthropic. ``ollama/…``, ``lm_studio/…`` and ``llama_cpp/…`` mean a local
    server. Any other ``provider/model`` means LiteLLM. If neither the cell nor the settings name a `model`,
    the choice is Anthropic if its key is set, else a local server that has a model, else the shelf. `local`
    are the servers that answer; by default, they are asked.

    Raises
    ------
    ProviderError
        The name has none of these forms, or the model's key is missing.
    MissingExtra
        The model needs LiteLLM, which is not installed.
    """
    if patience is None:
        patience = Patience(silence_seconds=settings.model_timeout, setting=_TIMEOUT_SETTING)
        if settings.retries is not None:
            patience = replace(patience, retries=settings.retries)
    name = (model or settings.model or "").strip()
    if not name:
        return await _best_available(settings, patience, local)
    if name == SHELF:
        return _shelf()
    own = next((known for known in settings.models if known.name == name), None)
    if own is not None and not (own.problem and has_own_meaning(name)):
        provider = _deployed(settings, own, patience)
        provider.prices = own.prices
        return provider
    # Someone may have mixed up the lines of the key and the model.
    shown = quoted(Redactor(settings.secrets).message(name))
    # Some providers accept a URL as a model's name, and would send their key to it.
    if "://" in name:
        raise ProviderError(f"{shown} is an address, not a model name.", hint=_FORMS)
    bare = name.removeprefix("anthropic/")
    if bare.startswith("claude-"):
        return _anthropic(settings, bare, patience)
    if all(name.partition("/")):
        return _gateway(settings, name, patience)
    # The name may itself be the model of the settings.
    known = [other for other in known_models(settings) if other != name]
    close = await asyncio.to_thread(close_names, name, known)
    raise ProviderError(f"{shown} is not a model name.", hint=f"{close} {_FORMS}")


def first_imports(settings: Settings) -> tuple[str, ...]:
    """List the modules of the first request to the settings' model, if it goes through Anthropic's SDK.

    The list is empty for LiteLLM, because its import changes the process's environment and loggers.
    """
    name = settings.model or DEFAULT_MODEL
    asked = next((known.model for known in settings.models if known.name == name), name)
    if settings.anthropic_api_key is None or not asked.removeprefix("anthropic/").startswith("claude-"):
        return ()
    # The SDK comes last, after its own imports, so that no import takes longer than necessary.
    return ("httpx2", "httpcore2", "anyio._backends._asyncio", "anthropic.resources.messages")


def known_models(settings: Settings) -> tuple[str, ...]:
    """List names for completion and suggestions: from the settings, Anthropic's current models, the shelf."""
    own = (settings.model,) if settings.model else ()
    named = (model.name for model in settings.models if not model.problem)
    return tuple(dict.fromkeys((*own, *named, *CLAUDE_MODELS, SHELF)))


async def _best_available(
    settings: Settings, patience: Patience, local: Sequence[LocalServer] | None
) -> Provider:
    if settings.anthropic_api_key is not None:
        return _anthropic(settings, DEFAULT_MODEL, patience)
    if settings.models and settings.models[0].problem:
        # `config.yaml` sets a default model, so any other model would be a guess.
        raise ProviderError(settings.models[0].problem, hint=settings.models[0].hint)
    if servers := local if local is not None else await local_servers(settings):
        server = servers[0]
        notice = f"no key is set, so {server.models[0]} on the local {server.name} server is used"
        return _gateway(settings, f"{server.prefix}/{server.models[0]}", patience, notice=notice)
    return _shelf()


def _gateway(
    settings: Settings, model: str, patience: Patience, *, notice: str = "", own: Deployment | None = None
) -> RemoteProvider:
    """Return the provider for a ``provider/model``: a local server, or else LiteLLM."""
    local = local_name(model)
    provider = LocalProvider if local else LiteLLMProvider
    return provider(
        local or model,
        settings.providers,
        patience=patience,
        notice=notice,
        own=own,
        known_models=known_models(settings),
        secrets=settings.secrets,
    )


def _anthropic(settings: Settings, model: str, patience: Patience) -> RemoteProvider:
    key, url = settings.anthropic_api_key, settings.anthropic_base_url
    if key is None:
        raise ProviderError(
            f"{model} needs an Anthropic key, and none is set.",
            hint="Put ANTHROPIC_API_KEY in the environment or in .env, then run the cell again.",
        )
    return AnthropicProvider(
        model,
        key,
        base_url=url,
        patience=patience,
        known_models=known_models(settings),
        secrets=settings.secrets,
    )


def _deployed(settings: Settings, own: Deployment, patience: Patience) -> RemoteProvider:
    """Return the provider for an entry in ``config.yaml``, which may have its own key and endpoint."""
    if own.problem:
        raise ProviderError(own.problem, hint=own.hint)
    if own.timeout_seconds is not None:
        setting = f"the timeout in {own.place}"
        patience = replace(patience, silence_seconds=own.timeout_seconds, setting=setting)
    bare = own.model.removeprefix("anthropic/")
    if not bare.startswith("claude-"):
        return _gateway(settings, own.model, patience, own=own)
    if not own.has_own_access:
        return _anthropic(settings, bare, patience)
    # An endpoint written for LiteLLM may already end with the path that Anthropic's SDK appends.
    url = (own.endpoint or "").rstrip("/").removesuffix("/v1/messages")
    return AnthropicProvider(
        bare,
        own.key or SecretStr(NO_KEY),
        base_url=url or None,
        patience=patience,
        source=own.place,
        known_models=known_models(settings),
        secrets=settings.secrets,
    )


def _shelf() -> Provider:
    from fact_magics.providers.shelf import ShelfProvider

    return ShelfProvider()
