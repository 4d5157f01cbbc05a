"""The settings of a ``config.yaml`` beside its models, in LiteLLM's form.

The sections ``router_settings`` and ``litellm_settings`` may set ``fallbacks``, ``default_fallbacks``,
``num_retries``, ``cache``, ``success_callback`` and ``callbacks``. LiteLLM's proxy has many more settings;
these have no meaning here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# If both sections have a setting, the first section takes precedence.
_SECTIONS = ("router_settings", "litellm_settings")
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_MOST_RETRIES = 10
_METRICS = "prometheus"
_ENTRY = frozenset({"model_name", "litellm_params", "model_info", "<<"})
_PARAMS = frozenset({"model", "api_key", "api_base", "base_url", "api_version", "timeout", "<<"})
# In a file with a typing error, a key may stand where a name should.
_NAME = re.compile(r"[A-Za-z_. ]{1,60}")
_HIDDEN = "a name that is not shown"


class Options(NamedTuple):
    """What a file sets beside its models.

    Attributes
    ----------
    values : dict
        Values by the names of the fields of `Settings`: ``fallbacks``, ``retries``, ``reuse``, ``metrics``.
    problems : tuple of str
        A sentence about each value that can't be used.
    ignored : tuple of str
        The names of settings that have no meaning here, without duplicates.
    """

    values: dict[str, Any]
    problems: tuple[str, ...]
    ignored: tuple[str, ...]


def read_options(document: dict[Any, Any]) -> Options:
    """Read the settings of a parsed file, whose values are all texts, lists and mappings."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    ignored = [*_strange(document)]
    for section in _SECTIONS:
        settings = document.get(section) or {}
        if not isinstance(settings, dict):
            problems.append(f"{section} is not a mapping")
            continue
        for name, value in settings.items():
            if name in ("success_callback", "callbacks"):
                callbacks = value if isinstance(value, list) else [value]
                values["metrics"] = values.get("metrics", False) or _METRICS in callbacks
                ignored += (f"{name} {other}" for other in callbacks if other not in (_METRICS, ""))
                continue
            field, read = _READERS.get(name, ("", None))
            if read is None:
                ignored.append(f"{section}.{name}")
                continue
            try:
                known = read(value)
            except ValueError as problem:
                problems.append(f"{section}.{name} {problem}")
                continue
            if isinstance(known, dict):
                values[field] = {**known, **values.get(field, {})}
            else:
                values.setdefault(field, known)
    names = (name if _NAME.fullmatch(name) else _HIDDEN for name in ignored)
    return Options(values, tuple(problems), tuple(dict.fromkeys(names)))


def _strange(document: dict[Any, Any]) -> Iterator[str]:
    """Yield the names outside the sections that have no meaning here."""
    entries = [entry for entry in document["model_list"] if isinstance(entry, dict)]
    params = [entry["litellm_params"] for entry in entries if isinstance(entry.get("litellm_params"), dict)]
    # A mapping that entries merge in with << may stand under any name.
    merged = [mapping["<<"] for mapping in (*entries, *params) if "<<" in mapping]
    for name, value in document.items():
        if name not in ("model_list", *_SECTIONS) and not any(value is other for other in merged):
            yield name
    yield from (name for entry in entries for name in entry if name not in _ENTRY)
    yield from (f"litellm_params.{name}" for known in params for name in known if name not in _PARAMS)


def _fallbacks(value: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for item in value if isinstance(value, list) else [None]:
        if not isinstance(item, dict):
            raise ValueError("is not a list of {model: [other models]}")  # noqa: TRY004 - a bad value of a file
        for model, names in item.items():
            found[str(model)] = (*found.get(model, ()), *_names(names))
    return found


def _default_fallbacks(value: Any) -> dict[str, tuple[str, ...]]:
    return {"*": _names(value)}


def _names(value: Any) -> tuple[str, ...]:
    names = value if isinstance(value, list) else None
    if names is None or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("is not a list of model names")
    return tuple(name.strip() for name in names)


def _retries(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and int(value) <= _MOST_RETRIES:
        return int(value)
    raise ValueError(f"is not a whole number from 0 to {_MOST_RETRIES}")


def _switch(value: Any) -> bool:
    word = value.lower() if isinstance(value, str) else ""
    if word not in _TRUE | _FALSE:
        raise ValueError("is neither true nor false")
    return word in _TRUE


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "fallbacks": ("fallbacks", _fallbacks),
    "default_fallbacks": ("fallbacks", _default_fallbacks),
    "num_retries": ("retries", _retries),
    "cache": ("reuse", _switch),
}
