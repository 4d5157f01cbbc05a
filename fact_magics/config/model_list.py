"""The models of a ``config.yaml`` in LiteLLM's form, with their names, keys and endpoints.

Many projects have a file of this name, so a file without a ``model_list`` in LiteLLM's form is ignored. Of
the other settings, those in `file_options` are read. LiteLLM's proxy also reads databases, variables, other
files and Python modules to import; all of these are ignored here.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr

from fact_magics.config.file_options import read_options
from fact_magics.config.safe_yaml import Unusable, load_texts
from fact_magics.config.trust import (
    LARGEST_BYTES,
    MOST_ENTRIES,
    is_own,
    is_trusted,
    read_found,
    trust_command,
    waiting_note,
    why_untrusted,
)
from fact_magics.text import inert, plural
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CONFIG_FILE = "config.yaml"

ADDRESSES = ("api_base", "base_url")
"""The parameters that hold the address of an API."""

REFERENCE = "os.environ/"
"""The beginning of a parameter whose value is in a variable."""

PRICES = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
)
"""The prices that an entry may have in its ``model_info``."""

_KEY = "model_list"
# Matches model_list as a key, at the start of a line or in braces, but not inside another text.
_MARK = re.compile(rb"""(?:^|[{,])[ \t]*["']?model_list["']?[ \t]*:""", re.MULTILINE)
_MOST_EVENTS = 20_000
_LONGEST = 1_000
_LONGEST_NAME = 100
_NAMES_SHOWN = 5
NEED_TRUST: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {
        "fallbacks": ("fallbacks", {}),
        "retries": ("num_retries", None),
        "reuse": ("cache", True),
        "metrics": ("metrics", False),
    }
)
"""The options that a file can't set without trust, each with its name in the file and its usual value.

Fallbacks send requests elsewhere, metrics open a port, and the others could make the user pay for more
requests.
"""

# For the models of these providers, LiteLLM signs in with an account of the environment or the machine.
_SIGN_BY_THE_ENVIRONMENT = (
    "vertex_ai", "bedrock", "sagemaker", "amazon_", "aws_", "watsonx", "oci", "sap", "gigachat", "snowflake",
    "databricks", "github", "chatgpt", "gdc",
)  # fmt: skip
_LONGEST_TIMEOUT = 86_400.0
_HIGHEST_PRICE = 1_000
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of a ``model_list``: a model under a name that the user chose.

    Attributes
    ----------
    name : str
        The name for ``--model`` and ``FACT_MODEL``.
    model : str
        LiteLLM's name for the model; empty if it comes from a variable that can't be read.
    source : str
        Path of the file.
    key : SecretStr or None
        The API key.
    endpoint : str or None
        The base address of the API; only `key` may be sent there.
    version : str or None
        Version of the API.
    timeout_seconds : float or None
        How long the endpoint may be silent.
    prices : dict of str to Decimal
        Prices per token in US dollars, by the names of `PRICES`.
    problem, hint : str
        Why the model can't be used, and what to do next; both empty if it can.
    missing : str
        The variable that the model needs and that is not set; otherwise empty.
    """

    name: str
    model: str
    source: str
    key: SecretStr | None = None
    endpoint: str | None = field(default=None, repr=False)  # it may contain a password
    version: str | None = None
    timeout_seconds: float | None = None
    prices: dict[str, Decimal] = field(default_factory=dict)
    problem: str = ""
    hint: str = ""
    missing: str = ""

    @property
    def place(self) -> str:
        """Where the model is defined, for messages."""
        return f"the entry {self.name} of {self.source}"

    @property
    def has_own_access(self) -> bool:
        """Whether the entry has a key or an endpoint, so that those of the other settings are not used."""
        return self.key is not None or self.endpoint is not None


class ConfigFile(NamedTuple):
    """The nearest file with a ``model_list``, its models in order, and at most one note about its problems.

    The path is empty if there is no such file. `options` are values for fields of `Settings`, by their names.
    """

    path: str = ""
    deployments: tuple[Deployment, ...] = ()
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = MappingProxyType({})

    @property
    def default(self) -> str | None:
        """The name of the first model, if that model can be used."""
        first = next(iter(self.deployments), None)
        return first.name if first is not None and not first.problem else None


def read_config_file(
    directory: Path, home: Path, environment: Mapping[str, str], rival: str = ""
) -> ConfigFile:
    """Read the nearest ``config.yaml`` with a ``model_list``, from `directory` upward; never raises.

    `home` holds the list of trusted files. A trusted file may refer to variables in `environment`, as
    ``os.environ/NAME``. `rival` is the key or endpoint of a higher source, as in `why_untrusted`.
    """
    files = find_model_lists(directory)
    for path, content in files:
        try:
            document = read_document(content)
        except Unusable as problem:
            return ConfigFile(str(path), (), (f"{inert(str(path))} is not used: it {problem}.",))
        if document is None:
            continue
        if is_trusted(path, home, content):
            return _read(document, path, environment)
        # The nearest file would hide the user's own file farther up.
        farther = (f"{inert(str(other))} has a {_KEY} too" for other, _ in files if is_own(other))
        return _read(document, path, None, why_untrusted(path, rival or next(farther, "")))
    return ConfigFile()


def find_model_lists(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Find the files with a ``model_list``, from `directory` upward, with their contents."""
    for folder in (directory, *directory.parents):
        path = folder / CONFIG_FILE
        with suppress(OSError):  # a file that can't be read may belong to another program
            content = read_found(path)
            if content is not None and _MARK.search(content):
                yield path, content


def _read(
    document: dict[Any, Any], path: Path, environment: Mapping[str, str] | None, why: str = ""
) -> ConfigFile:
    """Read a file; `environment` is None if the file is not trusted, `why` is from `why_untrusted`."""
    found: list[Deployment] = []
    problems: list[str] = []
    for number, entry in enumerate(document[_KEY], start=1):
        try:
            found += _deployments(entry, path, environment, all_wait=bool(why))
        except Unusable as problem:
            problems.append(f"entry {number} of its model_list {problem}")
    notes: list[str] = []
    options, useless, ignored = read_options(document)
    waiting = [deployment.name for deployment in found if environment is None and deployment.problem]
    if environment is None:
        waiting += [name for key, (name, usual) in NEED_TRUST.items() if options.pop(key, usual) != usual]
    if waiting:
        notes.append(waiting_note(_first(waiting), why, path))
    if problems:
        rest = f" ({plural(len(problems) - 1, 'other')} too)" if len(problems) > 1 else ""
        notes.append(f"{problems[0]}, so it is left out{rest}")
    notes += (f"{problem}, so it is left out" for problem in useless)
    if ignored:
        notes.append(f"ignored, because it has no meaning here: {_first(ignored)}")
    note = (f"{inert(str(path))}: {'; '.join(notes)}",) if notes else ()
    return ConfigFile(str(path), tuple(found), note, options)


def _first(names: Sequence[str]) -> str:
    """List the first names, and count the others."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join((*names[:_NAMES_SHOWN], *([f"{more} more"] if more > 0 else [])))


def has_own_meaning(name: str) -> bool:
    """Return whether a name means a model even without a ``config.yaml``."""
    return name == SHELF or name.startswith("claude-") or all(name.partition("/"))


def signs_in(provider: str) -> bool:
    """Tell whether LiteLLM asks a provider with an account of the environment or the machine, as of AWS."""
    return provider.startswith(_SIGN_BY_THE_ENVIRONMENT)


def _deployments(
    entry: Any, source: Path, environment: Mapping[str, str] | None, *, all_wait: bool
) -> list[Deployment]:
    """Read an entry: one deployment, or none if its name or model is a pattern with ``*``.

    `environment` is None if the file is not trusted. Then a deployment is unusable if `all_wait`, or if it
    could send a key or a request elsewhere, or let an account of the machine pay: if it has an endpoint,
    refers to a variable, takes a name that means a model even without the file, or has a model of a provider
    that signs in by itself.
    """
    name, texts, params = read_entry(entry)
    if "*" in name or "*" in texts["model"]:
        return []
    if name == SHELF:
        raise Unusable(f"takes the name {SHELF}, which is reserved for the shelf")
    timeout = _seconds(params)
    # Prices that are too low would bypass a budget, so those of a file that is not trusted don't count.
    prices = {} if environment is None else _prices(entry)
    literal = {key: text for key, text in texts.items() if not text.startswith(REFERENCE)}
    references = {key: text.removeprefix(REFERENCE) for key, text in texts.items() if key not in literal}
    secret = SecretStr(literal["api_key"]) if "api_key" in literal else None
    unusable = Deployment(name, literal.get("model", ""), str(source), secret)
    has_endpoint = not texts.keys().isdisjoint(ADDRESSES)
    provider, slash, _ = texts["model"].partition("/")
    # LiteLLM knows models of such providers by names without a provider, too.
    may_sign_in = signs_in(provider) if slash else not provider.startswith("claude-")
    needs_trust = references or has_endpoint or has_own_meaning(name) or may_sign_in
    if environment is None and (all_wait or needs_trust):
        shown = inert(str(source))
        problem = f"{name} is defined in {shown}, which is not trusted to choose where requests go."
        hint = f"Read the file, then trust it: {trust_command(source)}"
        return [replace(unusable, problem=problem, hint=hint)]
    for key, variable in references.items():
        value = (environment or {}).get(variable)
        if not value:
            problem = f"{name} takes its {key} from {variable}, which is not set."
            hint = f"Set it, or change {inert(str(source))}."
            return [replace(unusable, problem=problem, hint=hint, missing=variable)]
        literal[key] = value
    if "://" in literal["model"]:
        raise Unusable("has an address as its litellm_params.model")
    secret = SecretStr(literal["api_key"]) if "api_key" in literal else None
    endpoint = literal.get("api_base") or literal.get("base_url")
    version = literal.get("api_version")
    return [Deployment(name, literal["model"], str(source), secret, endpoint, version, timeout, prices)]


def read_entry(entry: Any) -> tuple[str, dict[str, str], dict[Any, Any]]:
    """Return the name of an entry, its parameters that are texts, and all of its parameters."""
    name = _text(entry, "model_name", _LONGEST_NAME)
    params = _field(entry, "litellm_params")
    if not isinstance(params, dict):
        raise Unusable("has no litellm_params")
    texts = {
        key: text for key in ("model", "api_key", *ADDRESSES, "api_version") if (text := _text(params, key))
    }
    if name is None or "model" not in texts:
        raise Unusable("has no model_name" if name is None else "has no litellm_params.model")
    return name, texts, params


def _field(mapping: Any, name: str) -> Any:
    """Read a field of a mapping, or else of the mapping that is merged into it with ``<<``."""
    if not isinstance(mapping, dict):
        raise Unusable("is not a mapping")
    merged = mapping.get("<<")
    return mapping.get(name, merged.get(name) if isinstance(merged, dict) else None)


def _text(mapping: Any, name: str, longest: int = _LONGEST) -> str | None:
    value = _field(mapping, name)
    if value is None or (isinstance(value, str) and value.strip() in _NOTHING):
        return None
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise Unusable(f"has a value for {name} that is not a short text")
    return value.strip()


def _seconds(params: dict[Any, Any]) -> float | None:
    text = _text(params, "timeout")
    if text is None:
        return None
    with suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds) and 0 < seconds <= _LONGEST_TIMEOUT:
            return seconds
    raise Unusable(f"has a timeout that is not a number of seconds from 0 to {_LONGEST_TIMEOUT:.0f}")


def _prices(entry: Any) -> dict[str, Decimal]:
    """Read the prices of an entry, which take precedence over a price list."""
    info = _field(entry, "model_info")
    prices: dict[str, Decimal] = {}
    for name in PRICES if isinstance(info, dict) else ():
        text = _text(info, name)
        if text is not None:
            with suppress(InvalidOperation):
                price = Decimal(text)
                if price.is_finite() and 0 <= price <= _HIGHEST_PRICE:
                    prices[name] = price
                    continue
            raise Unusable(
                f"has a value for {name} that is not a price in dollars, such as 0.000002 (or 2e-06)"
            )
    return prices


def read_document(content: bytes) -> dict[Any, Any] | None:
    """Parse a file; return None if it has no ``model_list`` in LiteLLM's form."""
    document = load_texts(content, LARGEST_BYTES, _MOST_EVENTS)
    entries = document.get(_KEY) if isinstance(document, dict) else None
    if not isinstance(entries, list) or not any(
        isinstance(entry, dict) and ("litellm_params" in entry or "model_name" in entry) for entry in entries
    ):
        return None
    if len(entries) > MOST_ENTRIES:
        raise Unusable(f"lists more than {MOST_ENTRIES} models")
    found: dict[Any, Any] = document
    return found
