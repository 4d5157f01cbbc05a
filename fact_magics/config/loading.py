"""Read `Settings` from their sources.

The first source that has a value decides:

1. ``%config FactMagics.NAME`` in the notebook, or a value that a script passes;
2. the environment;
3. the nearest ``.env``, from the notebook's directory upward;
4. the nearest ``config.yaml`` in LiteLLM's form;
5. the default.

Each of the two files may come from a stranger. A file can't choose where keys, requests and data go, until
the user trusts it with ``%fact trust``. Without trust, it can choose a model or set a key only if it belongs
to this user, no other user can change it, and no key is set elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fact_magics.config.env_file import ENDPOINTS, PROVIDER_NAMES, key_of, read_env_file
from fact_magics.config.model_list import read_config_file
from fact_magics.config.settings import CONFIG, ENVIRONMENT, FIELDS, NAMES, Settings, own_home, unusable
from fact_magics.config.trust import refuse_exposed_list
from fact_magics.errors import SettingsError
from fact_magics.owners import refuse_exposed
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Servers on this machine. They need no key, and are used only if no model's key is set.
_LOCAL = ("OLLAMA", "LM_STUDIO", "LLAMA_CPP")
# Their endpoints may be set without a key; Anthropic takes only ANTHROPIC_API_KEY.
_KEYLESS = (*_LOCAL, "ANTHROPIC")
# Keys that many notebooks have, but that are not keys of models.
_NO_MODELS = (*_LOCAL, "WANDB", "COMET", "NEPTUNE", "KAGGLE", "LANGCHAIN", "LANGSMITH", "SERPAPI", "TAVILY")

# The value and the source of each name.
Found = dict[str, tuple[Any, str]]


def load_settings(overrides: Mapping[str, Any], directory: Path, environment: Mapping[str, str]) -> Settings:
    """Read the settings as they are now.

    Parameters
    ----------
    overrides : mapping
        The values set in the notebook or the script, by field name. None and an empty text mean that a value
        is not set.
    directory : Path
        The notebook's directory. Relative paths in values are resolved against it. The search for ``.env``
        and ``config.yaml`` begins there and goes upward.
    environment : mapping
        Environment variables.

    Raises
    ------
    SettingsError
        A value can't be used; the message names it and its source. Or the home or the list of trusted files
        belongs to another user, or other users can write to it.
    """
    notes: list[str] = []
    home = own_home(overrides, environment, directory)
    refuse_exposed_list(home)
    higher: Found = {
        **_from(
            _relevant({name: value for name, value in environment.items() if _is_set(value)}), ENVIRONMENT
        ),
        **_from({NAMES[field]: value for field, value in overrides.items() if _is_set(value)}, CONFIG),
    }
    env_file = read_env_file(directory, home, FIELDS, higher, _rival(higher))
    found = {**_from(env_file.values, env_file.path), **higher}
    file = read_config_file(directory, home, environment, _rival(found))
    if file.default:
        found = {**_from({"FACT_MODEL": file.default}, file.path), **found}
    found = {**_from(file.options, file.path), **found}
    notes += (*env_file.notes, *file.notes)
    _drop_foreign_database(found, notes)
    _drop_strange_endpoints(found, notes)
    while True:
        values: dict[str, Any] = {FIELDS.get(name, name): value for name, (value, _) in found.items()}
        values |= {
            "providers": {name: value for name, value in values.items() if name.endswith(PROVIDER_NAMES)},
            "models": file.deployments,
            "origins": {FIELDS.get(name, name): source for name, (_, source) in found.items()},
            "notes": tuple(notes),
            "withheld": tuple(name for name in env_file.withheld if name not in found),
            "trust_home": home,
        }
        try:
            settings = Settings.model_validate(values, context=directory)
        except ValidationError as error:
            _drop_unusable(error, found, notes)
        else:
            refuse_exposed(settings.home)
            return settings


def _is_set(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


def _from(values: Mapping[str, Any], source: str) -> Found:
    return {name: (value, source) for name, value in values.items()}


def _rival(found: Found) -> str:
    """Say which key or endpoint of a model is set, and where; empty if there is none.

    Of the endpoints without a key, only Anthropic's counts. Others may belong to other programs, such as
    ``JUPYTERHUB_BASE_URL``.
    """
    for name, (_, source) in found.items():
        is_key = name.endswith("_API_KEY") and not name.startswith(_NO_MODELS)
        if is_key or name == "ANTHROPIC_BASE_URL":
            return f"{name} is already set in {inert(source)}"
    return ""


def _relevant(variables: Mapping[str, str]) -> dict[str, str]:
    """Select the variables that are settings: ours in upper or lower case, and those of providers.

    Some fields, such as ``live``, can't be set in the environment: a variable ``LIVE`` is another program's.
    """
    ours = {name.upper(): value for name, value in variables.items()}
    return {
        **{name: value for name, value in variables.items() if name.endswith(PROVIDER_NAMES)},
        **{name: value for name, value in ours.items() if name in FIELDS and name.isupper()},
    }


def _drop_foreign_database(found: Found, notes: list[str]) -> None:
    """Ignore a ``DATABASE_URL`` that was set for another program."""
    url, source = found.get("DATABASE_URL", ("", ""))
    scheme = str(url).partition(":")[0]
    if url and not scheme.startswith("sqlite"):
        del found["DATABASE_URL"]
        notes.append(
            f"DATABASE_URL from {source} is for {scheme}, not SQLite, so the default database is used."
        )


def _drop_strange_endpoints(found: Found, notes: list[str]) -> None:
    """Ignore an endpoint if its key comes from another source, or if its file does not hold the key."""
    for name in [name for name in found if name.endswith(ENDPOINTS)]:
        key, source = key_of(name), found[name][1]
        if key in found and found[key][1] != source:
            reason = f"{key} comes from {found[key][1]}"
        elif key not in found and source != ENVIRONMENT and not name.startswith(_KEYLESS):
            # The provider may accept a key with another name, from another source.
            reason = f"the file holds no {key}"
        else:
            continue
        del found[name]
        notes.append(f"{name} from {source} is not used: {reason}.")


def _drop_unusable(error: ValidationError, found: Found, notes: list[str]) -> None:
    """Drop values of files that can't be used; raise `SettingsError`, which names all other bad values.

    A ``LOG_LEVEL`` of the environment is ignored too, because it may be meant for another program. Fallbacks
    are never ignored, because requests would then go to another model than the user wants.
    """
    refused: list[SettingsError] = []
    dropped: dict[str, str] = {}
    for problem in error.errors(include_input=False, include_url=False):
        field = str(problem["loc"][0])
        name = NAMES.get(field, field)
        source = found.get(name, (None, "the settings"))[1]
        said = problem["msg"].replace("Input should be", "it must be", 1)
        is_own = source == CONFIG or (source == ENVIRONMENT and name != "LOG_LEVEL") or name == "fallbacks"
        if name not in found or is_own:
            refused.append(unusable(name, source, said))
        else:
            dropped[name] = f"{name} from {inert(source)} is not used: {said}."
    if refused:
        first, *others = refused
        raise SettingsError(
            first.message, hint=first.hint, details=[other.message for other in others]
        ) from None
    for name, note in dropped.items():
        del found[name]
        notes.append(note)
