"""List what a trusted settings file decides: hosts, names of keys, models and places, but no secrets."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from fact_magics.config.env_file import ENDPOINTS, parse_env_file
from fact_magics.config.file_options import read_options
from fact_magics.config.model_list import ADDRESSES, NEED_TRUST, REFERENCE, read_document, read_entry
from fact_magics.config.safe_yaml import Unusable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ADDRESSES = (*ENDPOINTS, "FACT_CACHE_URL")
_KEYS = ("_API_KEY", "SECRET_KEY")
_PLACES = ("FACT_HOME", "DATABASE_URL")
_VARIABLE = re.compile(r"\$\{([^}:]+)")


class Contents(NamedTuple):
    """The decisions of a settings file, for display.

    Attributes
    ----------
    hosts : tuple of str
        Hosts that requests or answers go to. If a host is in a variable or can't be read, the name of its
        setting stands here instead.
    keys : tuple of str
        Names of the keys that the file holds or takes from the environment.
    models : tuple of str
        Names of models; for an entry of a ``model_list``, also the model behind the name.
    places : tuple of str
        Names of the settings that say where data is kept.
    variables : tuple of str
        Environment variables that the file reads.
    options : tuple of str
        Other settings that need trust, with their values: those that decide about costs and ports.
    """

    hosts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def contents(path: Path, content: bytes) -> Contents:
    """Describe a ``.env``, or a ``config.yaml`` if the path has such an ending; never raises."""
    read = _of_config_file if path.suffix in (".yaml", ".yml") else _of_env_file
    found = read(content)
    return Contents(*(tuple(dict.fromkeys(texts)) for texts in found))


def _of_env_file(content: bytes) -> Contents:
    values, _ = parse_env_file(content, interpolate=False)
    return Contents(
        hosts=tuple(_host(value, name) for name, value in values.items() if name.endswith(_ADDRESSES)),
        keys=tuple(name for name in values if name.endswith(_KEYS)),
        models=tuple(value for name, value in values.items() if name == "FACT_MODEL"),
        places=tuple(name for name in values if name in _PLACES),
        variables=tuple(name for value in values.values() for name in _VARIABLE.findall(value)),
        options=tuple(f"{name}: {value}" for name, value in values.items() if name == "FACT_MODEL_TIMEOUT"),
    )


def _of_config_file(content: bytes) -> Contents:
    entries: list[tuple[str, Mapping[str, str]]] = []
    values: dict[str, Any] = {}
    with suppress(Unusable):
        document = read_document(content) or {"model_list": []}
        values = read_options(document).values
        for entry in document["model_list"]:
            with suppress(Unusable):
                name, texts, _ = read_entry(entry)
                entries.append((name, texts))
    return Contents(
        hosts=tuple(
            _host(texts[key], f"{key} of {name}")
            for name, texts in entries
            for key in ADDRESSES
            if key in texts
        ),
        keys=tuple(
            texts["api_key"].removeprefix(REFERENCE)
            if texts["api_key"].startswith(REFERENCE)
            else f"api_key of {name}"
            for name, texts in entries
            if "api_key" in texts
        ),
        models=(
            *(f"{name} ({texts['model']})" for name, texts in entries),
            *(f"{', '.join(names)} if {name} fails" for name, names in values.get("fallbacks", {}).items()),
        ),
        variables=tuple(
            text.removeprefix(REFERENCE)
            for _, texts in entries
            for text in texts.values()
            if text.startswith(REFERENCE)
        ),
        options=tuple(
            f"{name}: {values[field]}".lower()
            for field, (name, _) in NEED_TRUST.items()
            if field in values and field != "fallbacks"  # named with the models
        ),
    )


def _host(address: str, setting: str) -> str:
    """Return the host and port of an address, without the user and password that it may hold."""
    host = ""
    if "${" not in address:
        with suppress(ValueError):
            host = urlsplit(address).netloc.rpartition("@")[2]
    return host or setting
