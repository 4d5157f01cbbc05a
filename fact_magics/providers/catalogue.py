"""Which models a cell can name here and now, and what each of them still needs; nobody is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from fact_magics.config.model_list import has_own_meaning
from fact_magics.providers.choose import CLAUDE_MODELS, ModelSettings
from fact_magics.providers.failures import host_of, is_loopback
from fact_magics.providers.litellm import has_litellm
from fact_magics.providers.route import endpoint_names, key_names
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fact_magics.config.model_list import Deployment

ANY = "…"
"""Stands, after a provider's slash, for all the names that the provider knows."""

State: TypeAlias = Literal["ready", "needs key", "needs trust", "needs LiteLLM", "not known"]
How: TypeAlias = Literal["answer", "list", "local list", ""]

# A key that some other program reads has the same form of name, so these alone are taken for a model's.
WELL_KNOWN = (
    "openai", "gemini", "mistral", "groq", "deepseek", "xai", "openrouter", "together_ai", "fireworks_ai",
    "cohere", "perplexity", "azure", "cerebras", "sambanova", "nvidia_nim", "deepinfra", "huggingface",
    "replicate", "moonshot", "dashscope", "zai", "minimax", "nebius", "novita", "hyperbolic", "ai21",
    "codestral", "volcengine", "vercel_ai_gateway",
)  # fmt: skip
# Servers on this machine or nearby, which need an address and mostly no key.
_SERVERS = ("hosted_vllm", "lm_studio", "litellm_proxy")
_OLLAMA = ("ollama", "ollama_chat")
_ANTHROPIC_KEY = "ANTHROPIC_API_KEY"
_DATE = r"(?:-\d{4}-?\d{2}-?\d{2})?"


class CatalogueSettings(ModelSettings, Protocol):
    """What this module reads of the settings."""

    @property
    def withheld(self) -> Sequence[str]:
        """Keys that wait until the file which holds them is trusted."""

    def origin(self, name: str) -> str:
        """Say where a value came from."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a cell can name.

    Attributes
    ----------
    name : str
        What ``--model`` takes. ``openai/…`` stands for all of a provider's models.
    model : str
        What is asked under this name; empty where that is not known yet.
    provider : str
        By LiteLLM's name of it; ``shelf`` is none.
    setting : str
        The variable that makes it reachable; empty where `origin` says all.
    origin : str
        Where that stands: a file, the environment; or who told of the model.
    host : str
        Where requests go, if that is not the provider's usual address.
    state : str
        Whether it can be asked, as far as can be told without asking; ``not known`` where it can't.
    lacks : str
        The variable that is missing.
    how : {"answer", "list", "local list", ""}
        By what to find out whether it answers: a token, the provider's list of models, a local Ollama's.
    """

    name: str
    model: str
    provider: str
    setting: str = ""
    origin: str = ""
    host: str = ""
    state: State = "ready"
    lacks: str = ""
    how: How = ""

    @property
    def is_any(self) -> bool:
        """Whether it stands for all of a provider's models."""
        return self.name.endswith(f"/{ANY}")


class Local(NamedTuple):
    """A local Ollama that answered: its address, and the models that it has."""

    url: str
    models: tuple[str, ...]


def catalogue(
    settings: CatalogueSettings, local: Local | None = None, used: Iterable[str] = ()
) -> tuple[Listed, ...]:
    """List what a cell can name: a person's own names, Anthropic's, local ones, other providers', used ones.

    Parameters
    ----------
    settings : CatalogueSettings
        Keys, endpoints and names.
    local : Local, optional
        What a local Ollama has.
    used : iterable of str
        Models that were asked before, as a cell would name them.

    Returns
    -------
    tuple of Listed
        Each name once, meaning what `choose` takes it for; the shelf is last.
    """
    # A name that says by itself which model is meant goes on saying it until its entry counts.
    waiting = [own for own in settings.models if own.problem and has_own_meaning(own.name)]
    counting = [own for own in settings.models if own not in waiting]
    found: dict[str, Listed] = {}
    for listed in (*(_own(settings, own, local) for own in counting), *_by_the_settings(settings, local)):
        found.setdefault(listed.name, listed)
    for name in used:
        is_known = any(is_same_model(known.model, name) for known in found.values())
        if not is_known and (before := _named(settings, name, local)):
            found.setdefault(before.name, before)
    for own in waiting:
        found.setdefault(own.name, _own(settings, own, local))
    return (*found.values(), Listed(SHELF, SHELF, SHELF, origin="shipped with fact_magics"))


def _by_the_settings(settings: CatalogueSettings, local: Local | None) -> Iterator[Listed]:
    """List what keys, addresses and ``FACT_MODEL`` make nameable."""
    if settings.anthropic_api_key is not None or _ANTHROPIC_KEY in settings.withheld:
        yield from (_claude(settings, model) for model in CLAUDE_MODELS)
    names = [
        (settings.model or "").strip(),
        *(f"ollama/{model}" for model in (local.models if local else ())),
    ]
    yield from filter(None, (_named(settings, name, local) for name in names))
    yield from filter(None, (_all_of(settings, provider) for provider in (*WELL_KNOWN, *_SERVERS)))


def is_same_model(asked: str, answered: str) -> bool:
    """Tell whether a model that was asked would have answered under that name: its own, or that and a date.

    Parameters
    ----------
    asked : str
        As a cell names it.
    answered : str
        With its provider; without, as older rows have it, it was not Anthropic's.
    """
    if asked.startswith("claude-"):
        asked = f"anthropic/{asked}"
    elif "/" not in answered:
        asked = asked.rpartition("/")[2]
    return bool(asked) and re.fullmatch(re.escape(asked) + _DATE, answered) is not None


def _named(settings: CatalogueSettings, name: str, local: Local | None) -> Listed | None:
    """List what a name means by itself; None for what is no model's name."""
    bare = name.removeprefix("anthropic/")
    if bare.startswith("claude-"):
        return _claude(settings, bare)
    if "://" in name or not all(name.partition("/")):
        return None
    return _by_litellm(settings, name, local)


def _claude(settings: CatalogueSettings, model: str) -> Listed:
    listed = Listed(model, model, "anthropic", _ANTHROPIC_KEY)
    if settings.anthropic_api_key is not None:
        host = host_of(settings.anthropic_base_url or "")
        return replace(listed, origin=settings.origin("anthropic_api_key"), host=host, how="answer")
    if _ANTHROPIC_KEY in settings.withheld:
        return replace(listed, state="needs trust")
    return replace(listed, setting="", state="needs key", lacks=_ANTHROPIC_KEY)


def _by_litellm(settings: CatalogueSettings, model: str, local: Local | None) -> Listed:
    provider = model.partition("/")[0]
    keys, endpoints = key_names(provider), endpoint_names(provider)
    key = next((name for name in keys if name in settings.providers), "")
    endpoint = next((name for name in endpoints if name in settings.providers), "")
    setting = key or endpoint
    url = settings.providers[endpoint].get_secret_value() if endpoint else ""
    listed = Listed(
        model, model, provider, setting, settings.origin(setting) if setting else "", host_of(url)
    )
    withheld = next((name for name in keys if name in settings.withheld), "")
    if withheld and not key:
        return replace(listed, setting=withheld, state="needs trust")
    if provider in _OLLAMA:
        listed = _by_ollama(listed, local)
    if not has_litellm():
        return replace(listed, state="needs LiteLLM")
    if provider in _OLLAMA:
        return listed
    if provider == "azure" and key and not endpoint:
        return replace(listed, state="needs key", lacks=endpoints[0])
    if key or is_loopback(url):
        return replace(listed, how="answer")
    if provider in WELL_KNOWN:
        return replace(listed, state="needs key", lacks=keys[0])
    return replace(listed, state="not known")


def _by_ollama(listed: Listed, local: Local | None) -> Listed:
    if local is None:
        return replace(listed, state="not known")
    name = listed.model.partition("/")[2]
    is_there = name in local.models or f"{name}:latest" in local.models
    origin = listed.origin or "the local Ollama"
    return replace(listed, origin=origin, host=host_of(local.url), state="ready" if is_there else "not known")


def _own(settings: CatalogueSettings, own: Deployment, local: Local | None) -> Listed:
    """List a name of the person's own."""
    listed = _named(settings, own.model, local) or Listed(own.name, own.model, "", state="not known")
    listed = replace(listed, name=own.name, model=own.model, setting="", origin=own.source)
    if own.problem:
        state: State = "needs key" if own.missing else "needs trust"
        return replace(listed, host="", state=state, lacks=own.missing, how="")
    if own.key is None and own.endpoint is None:
        return listed
    is_claude = listed.provider == "anthropic"
    how: How = "local list" if listed.provider in _OLLAMA else "answer"
    state = "ready" if is_claude or has_litellm() else "needs LiteLLM"
    return replace(
        listed, host=host_of(own.endpoint or ""), state=state, lacks="", how=how if state == "ready" else ""
    )


def _all_of(settings: CatalogueSettings, provider: str) -> Listed | None:
    """List a provider whose key, or whose address, is set."""
    names = {*key_names(provider), *endpoint_names(provider)}
    if names.isdisjoint(settings.providers) and names.isdisjoint(settings.withheld):
        return None
    listed = _by_litellm(settings, f"{provider}/{ANY}", None)
    return replace(listed, model="", how="list" if listed.how else "")
