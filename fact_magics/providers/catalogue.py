"""The models that a cell can name, and the key or package that each one lacks; no request is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from fact_magics.config.model_list import has_own_meaning
from fact_magics.providers.choose import CLAUDE_MODELS
from fact_magics.providers.endpoints import host_of, is_loopback
from fact_magics.providers.litellm import has_litellm
from fact_magics.providers.local import KINDS, address_of_kind, local_name
from fact_magics.providers.names import WELL_KNOWN
from fact_magics.providers.route import endpoint_names, key_names
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fact_magics.config import Settings
    from fact_magics.config.model_list import Deployment
    from fact_magics.providers.local import LocalServer

ANY = "…"
"""Stands for any model of the provider in a name such as ``openai/…``."""

# "ready": a local server has the model, or none is needed. "not checked": no setting is missing.
State: TypeAlias = Literal["ready", "not checked", "needs key", "needs trust", "needs LiteLLM", "not known"]
# The models of local servers, named as in a cell.
Local: TypeAlias = tuple[str, ...]
# How a model is checked: by asking it or looking for it, by counting the provider's models, or not at all.
How: TypeAlias = Literal["answer", "list", ""]

# Servers on this machine or its network: they need an address and usually no key.
_SERVERS = ("hosted_vllm", "litellm_proxy")
_ANTHROPIC_KEY = "ANTHROPIC_API_KEY"
_LATEST = ":latest"
_DATE = r"(?:-\d{4}-?\d{2}-?\d{2})?"


@dataclass(frozen=True, slots=True)
class Listed:
    """A name that ``--model`` takes."""

    name: str  # "openai/…" means any model of the provider
    model: str  # the model that this name stands for; empty if it is not known yet
    provider: str  # LiteLLM's name of the provider, or "shelf"
    setting: str = ""  # the variable that holds the key or address; empty if there is none
    origin: str = ""  # where the setting or the name comes from: a file, the environment, a local server
    host: str = ""  # where requests go, if not to the provider's usual address
    state: State = "not checked"  # whether the model is usable, as far as is known without asking it
    lacks: str = ""  # the variable that is missing
    how: How = ""  # how to check the model

    @property
    def is_usable(self) -> bool:
        """Whether nothing is known to be missing."""
        return self.state in ("ready", "not checked")

    @property
    def is_any(self) -> bool:
        """Whether the name means any model of a provider."""
        return self.name.endswith(f"/{ANY}")


def catalogue(
    settings: Settings, local: Sequence[LocalServer] = (), used: Iterable[str] = ()
) -> tuple[Listed, ...]:
    """List each name that a cell can give, once, with the meaning that `choose` gives to the name.

    The order is: models of ``config.yaml``, Anthropic's models, ``FACT_MODEL``, models of `local` servers,
    other providers, models that were `used` before (named as in a cell), and the shelf.
    """
    # An entry named like a model (claude-…) does not replace that model until the entry can be used.
    waiting = [own for own in settings.models if own.problem and has_own_meaning(own.name)]
    counting = [own for own in settings.models if own not in waiting]
    found: dict[str, Listed] = {}
    models = tuple(f"{server.prefix}/{model}" for server in local for model in server.models)
    configured = (_own(settings, own, models) for own in counting)
    for listed in filter(None, (*configured, *_by_the_settings(settings, models))):
        found.setdefault(listed.name, listed)
    for name in used:
        is_known = any(is_same_model(known.model, name) for known in found.values())
        if not is_known and (before := _named(settings, name, models)):
            found.setdefault(before.name, before)
    for own in waiting:
        found.setdefault(own.name, _own(settings, own, models))
    return (*found.values(), Listed(SHELF, SHELF, SHELF, origin="shipped with fact_magics", state="ready"))


def _by_the_settings(settings: Settings, local: Local) -> Iterator[Listed | None]:
    """Yield the models that keys, addresses and ``FACT_MODEL`` make available, and None for the others."""
    if settings.anthropic_api_key is not None or _ANTHROPIC_KEY in settings.withheld:
        yield from (_named(settings, model, local) for model in CLAUDE_MODELS)
    yield _named(settings, (settings.model or "").strip(), local)
    yield from (_named(settings, model, local) for model in local)
    yield from (_all_of(settings, provider) for provider in (*WELL_KNOWN, *_SERVERS))


def is_same_model(asked: str, answered: str) -> bool:
    """Tell whether `answered` is the model `asked`, perhaps with a date or Ollama's ``:latest`` appended.

    `asked` is a name as in a cell. `answered` begins with the provider's name, except in older rows, where
    only the names of Anthropic's models do.
    """
    if asked.startswith("claude-"):
        asked = f"anthropic/{asked}"
    elif "/" not in answered:
        asked = asked.rpartition("/")[2]
    asked, answered = asked.removesuffix(_LATEST), answered.removesuffix(_LATEST)
    return bool(asked) and re.fullmatch(re.escape(asked) + _DATE, answered) is not None


def _named(settings: Settings, name: str, local: Local) -> Listed | None:
    """Describe a model by its own name; return None if `name` is not a model name."""
    bare = name.removeprefix("anthropic/")
    if not bare.startswith("claude-"):
        if "://" in name or not all(name.partition("/")):
            return None
        of_server = local_name(name)
        return _by_server(settings, of_server, local) if of_server else _by_litellm(settings, name)
    listed = Listed(bare, bare, "anthropic", _ANTHROPIC_KEY)
    if settings.anthropic_api_key is not None:
        host = host_of(settings.anthropic_base_url or "")
        return replace(listed, origin=settings.origin("anthropic_api_key"), host=host, how="answer")
    if _ANTHROPIC_KEY in settings.withheld:
        return replace(listed, state="needs trust")
    return replace(listed, setting="", state="needs key", lacks=_ANTHROPIC_KEY)


def _by_server(settings: Settings, model: str, local: Local) -> Listed:
    """Describe a model of a local server."""
    provider = model.partition("/")[0]
    setting, url = address_of_kind(provider, settings.providers)
    is_set = setting in settings.providers
    origin = settings.origin(setting) if is_set else f"the local {KINDS[provider].title}"
    state: State = "ready" if model in local or f"{model}:latest" in local else "not known"
    return Listed(model, model, provider, setting if is_set else "", origin, host_of(url), state)


def _by_litellm(settings: Settings, model: str) -> Listed:
    provider = model.partition("/")[0]
    keys, endpoints = key_names(provider), endpoint_names(provider)
    key = next((name for name in keys if name in settings.providers), "")
    endpoint = next((name for name in endpoints if name in settings.providers), "")
    setting = key or endpoint
    origin = settings.origin(setting) if setting else ""
    url = settings.providers[endpoint].get_secret_value() if endpoint else ""
    listed = Listed(model, model, provider, setting, origin, host_of(url))
    withheld = next((name for name in keys if name in settings.withheld), "")
    if withheld and not key:
        return replace(listed, setting=withheld, state="needs trust")
    if not has_litellm():
        return replace(listed, state="needs LiteLLM")
    if provider == "azure" and key and not endpoint:
        return replace(listed, state="needs key", lacks=endpoints[0])
    if key or is_loopback(url):
        return replace(listed, how="answer")
    if provider in WELL_KNOWN:
        return replace(listed, state="needs key", lacks=keys[0])
    return replace(listed, state="not known")


def _own(settings: Settings, own: Deployment, local: Local) -> Listed:
    """Describe an entry of ``config.yaml``."""
    listed = _named(settings, own.model, local) or Listed(own.name, own.model, "", state="not known")
    listed = replace(listed, name=own.name, model=own.model, setting="", origin=own.source)
    if own.problem:
        state: State = "needs key" if own.missing else "needs trust"
        return replace(listed, host="", state=state, lacks=own.missing, how="")
    if not own.has_own_access:
        return listed
    listed = replace(listed, host=host_of(own.endpoint or ""), lacks="")
    if listed.provider not in ("anthropic", *KINDS) and not has_litellm():
        return replace(listed, state="needs LiteLLM", how="")
    return replace(listed, state="not checked", how="answer")


def _all_of(settings: Settings, provider: str) -> Listed | None:
    """Describe a provider's models in one entry; return None if neither its key nor its address was found."""
    names = {*key_names(provider), *endpoint_names(provider)}
    if names.isdisjoint(settings.providers) and names.isdisjoint(settings.withheld):
        return None
    listed = _by_litellm(settings, f"{provider}/{ANY}")
    return replace(listed, model="", how="list" if listed.how else "")
