"""Suggest names of models like one that nobody knows."""

from __future__ import annotations

import importlib.util
import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fact_magics.errors import did_you_mean, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# LiteLLM's table of models. Reading the file is much faster than importing LiteLLM.
_TABLE = "model_prices_and_context_window_backup.json"
_SHORTEST_PART = 3
_MOST = 3

WELL_KNOWN = (
    "openai", "gemini", "mistral", "groq", "deepseek", "xai", "openrouter", "together_ai", "fireworks_ai",
    "cohere", "perplexity", "azure", "cerebras", "sambanova", "nvidia_nim", "deepinfra", "huggingface",
    "replicate", "moonshot", "dashscope", "zai", "minimax", "nebius", "novita", "hyperbolic", "ai21",
    "codestral", "volcengine", "vercel_ai_gateway",
)  # fmt: skip
"""LiteLLM's names of the providers that need no more than a key, the most used ones first."""


def close_names(name: str, known: Sequence[str]) -> str:
    """Suggest names for one without a provider: `known` ones first, else those in LiteLLM's table.

    Returns
    -------
    str
        A sentence such as ``Did you mean 'openai/gpt-5'?``, or an empty text.
    """
    if len(name) >= _SHORTEST_PART and (whole := [full for full in known if name.lower() in full]):
        return suggestion(whole)
    if close := did_you_mean(name, known):
        return close
    table = _stored_table()
    # The models of Azure have the names that their owners give them.
    providers = (provider for provider in WELL_KNOWN if provider != "azure")
    names = (full for provider in providers for full in hosted_models(table, provider))
    hosted: dict[str, str] = {}
    for full in names:
        hosted.setdefault(full.partition("/")[2], full)
    found = [name] if name in hosted else get_close_matches(name, hosted, n=_MOST, cutoff=0.7)
    return suggestion([hosted[match] for match in found])


def hosted_models(table: Mapping[str, Any], provider: str) -> tuple[str, ...]:
    """Return the names of a provider's models in LiteLLM's table, as a cell can write them."""
    prefix = f"{provider}/"
    models = (
        name
        for name, facts in table.items()
        if facts.get("litellm_provider") == provider and facts.get("mode") in ("chat", "responses")
    )
    return tuple(name if name.startswith(prefix) else f"{prefix}{name}" for name in models)


def _stored_table() -> Mapping[str, Any]:
    try:
        spec = importlib.util.find_spec("litellm")
        (directory,) = (spec and spec.submodule_search_locations) or ("",)
        table: Any = json.loads((Path(directory) / _TABLE).read_text("utf-8"))
    except (ImportError, OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}
