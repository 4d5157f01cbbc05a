"""`Settings`, and the sources from which they are read.

The first source that has a value decides:

1. ``%config FactMagics.NAME`` in the notebook, or a value that a script passes;
2. the environment;
3. the nearest ``.env``, from the notebook's directory upward;
4. the nearest ``config.yaml`` in LiteLLM's form;
5. the default.

Each of the two files may come from a stranger. A file can't choose where keys, requests and data go, until
the user trusts it with ``%fact trust``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dotenv import dotenv_values
from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from fact_magics.config.model_list import Deployment, read_config_file, trust_command
from fact_magics.config.trust import LARGEST_BYTES, is_trusted, read_found
from fact_magics.errors import SettingsError
from fact_magics.redaction import secrets_in_environment, secrets_in_url
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Mapping

# These decide where data goes and whose signatures are accepted.
_NEEDS_TRUST = ("FACT_HOME", "DATABASE_URL", "FACT_CACHE_URL", "SECRET_KEY")
_ENDPOINTS = ("_BASE_URL", "_API_BASE")
# Their endpoints may be set without a key: Ollama needs none, and Anthropic takes only ANTHROPIC_API_KEY.
_KEYLESS = ("OLLAMA", "ANTHROPIC")
_PROVIDER_NAMES = ("_API_KEY", "_API_VERSION", *_ENDPOINTS)
_ENVIRONMENT = "the environment"
_SQLITE = "sqlite:///"

# The value and the source of each name.
Found = dict[str, tuple[Any, str]]


class Settings(BaseModel):
    """All settings, and the source of each value.

    Attributes
    ----------
    home : Path
        The directory of the database and the logs; ``FACT_HOME``.
    database : str
        ``sqlite:///PATH``, or empty for a file in `home`; ``DATABASE_URL``.
    model : str or None
        The model for cells that don't name one; ``FACT_MODEL``.
    anthropic_api_key, anthropic_base_url
        Anthropic's key and endpoint; the endpoint is None if the key comes from another source.
    live : {"auto", "off"}
        Whether cells show live views.
    isolation : {"auto", "require", "process"}
        What happens if the system can't restrict files and network.
    limits : dict
        Limits of a run, except time and memory: ``processes``, ``threads``, ``open_files`` (counts),
        ``disk_mb``, ``file_mb``, ``printed_mb``, ``result_mb``. A missing limit has its default.
    trust_home : Path
        The directory of the list of trusted files. A found file can't choose it.
    providers : dict
        Keys and endpoints of other providers, by their names in the environment.
    models : tuple of Deployment
        The models of the ``config.yaml``.
    origins : dict
        The source of each field that was set, and of each entry of `providers`, by name.
    notes : tuple of str
        One line about each value that was found but is not used.
    withheld : tuple of str
        Names of keys that are not used because the same untrusted file also sets their endpoints.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, validate_default=True)

    home: Path = Field(
        default_factory=lambda: user_data_path("fact_magics", appauthor=False), validation_alias="FACT_HOME"
    )
    database: str = Field(default="", validation_alias="DATABASE_URL")
    model: str | None = Field(default=None, validation_alias="FACT_MODEL")
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    # Not in the repr, because an address may contain a password.
    anthropic_base_url: str | None = Field(default=None, validation_alias="ANTHROPIC_BASE_URL", repr=False)
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="LOG_LEVEL"
    )
    secret_key: SecretStr | None = Field(default=None, validation_alias="SECRET_KEY")
    live: Literal["auto", "off"] = "auto"
    isolation: Literal["auto", "require", "process"] = "auto"
    limits: dict[str, Any] = Field(default_factory=dict)
    trust_home: Path = Field(default_factory=lambda: own_home({}, os.environ, Path.cwd()))
    providers: dict[str, SecretStr] = Field(default_factory=dict)
    models: tuple[Deployment, ...] = ()

    origins: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("limits")
    @classmethod
    def _known(cls, limits: dict[str, Any]) -> dict[str, Any]:
        from fact_magics.sandbox.limits import read_limits

        try:
            read_limits(limits)
        except ValueError as error:
            raise PydanticCustomError("limits", "{problem}", {"problem": str(error)}) from None
        return limits

    def origin(self, name: str) -> str:
        """Name the source of a value: ``%config``, ``the environment``, a path, or ``default``."""
        return self.origins.get(name, "default")

    @property
    def database_path(self) -> Path:
        """The database file.

        Raises
        ------
        SettingsError
            ``DATABASE_URL`` is a SQLite URL without a path.
        """
        if not self.database:
            return self.home / "fact_magics.db"
        path = self.database.removeprefix(_SQLITE)
        if path == self.database or not path:
            raise SettingsError(
                f"DATABASE_URL from {self.origin('database')} is not a SQLite URL with a path.",
                hint="Write sqlite:///relative/path.db or sqlite:////absolute/path.db, or remove it.",
            )
        return Path(path).expanduser().absolute()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for redaction: keys, and the passwords and tokens in addresses."""
        held = [self.anthropic_api_key, self.secret_key]
        held += [model.key for model in self.models]
        addresses = [self.anthropic_base_url, *(model.endpoint for model in self.models)]
        return (
            *(value.get_secret_value() for value in held if value is not None),
            *secrets_of_providers(self.providers),
            *(secret for address in addresses if address for secret in secrets_in_url(address)),
            *secrets_in_environment(),
        )


def secrets_of_providers(providers: Mapping[str, SecretStr]) -> tuple[str, ...]:
    """Return the keys among the settings of providers, and the passwords and tokens in their addresses."""
    values = {name: value.get_secret_value() for name, value in providers.items()}
    addresses = (value for name, value in values.items() if name.endswith(_ENDPOINTS))
    return (
        *(value for name, value in values.items() if name.endswith("_API_KEY")),
        *(secret for address in addresses for secret in secrets_in_url(address)),
    )


# The name of each field in the environment. A field that can't be set there keeps its own name.
_NAMES = {field: str(info.validation_alias or field) for field, info in Settings.model_fields.items()}
_FIELDS = {name: field for field, name in _NAMES.items()}


def load_settings(overrides: Mapping[str, Any], directory: Path, environment: Mapping[str, str]) -> Settings:
    """Read the settings as they are now.

    Parameters
    ----------
    overrides : mapping
        The values set in the notebook or the script, by field name. None means that a value is not set.
    directory : Path
        The notebook's directory. Relative paths in values start here, and the search for ``.env`` and
        ``config.yaml`` goes upward from here.
    environment : mapping
        Environment variables.

    Raises
    ------
    SettingsError
        A value can't be used; the message names it and its source.
    """
    notes: list[str] = []
    home = own_home(overrides, environment, directory)
    file = read_config_file(directory, home, environment)
    read, env_file, withheld = _read_env_file(directory, home, notes)
    notes += file.notes
    found: Found = {}
    for given, source in (  # a later source replaces an earlier one
        ({"FACT_MODEL": file.default} if file.default else {}, file.path),
        (read, env_file),
        (_relevant({name: value for name, value in environment.items() if value}), _ENVIRONMENT),
        ({_NAMES[field]: value for field, value in overrides.items() if value is not None}, "%config"),
    ):
        found.update({name: (value, source) for name, value in given.items()})
    _drop_foreign_database(found, notes)
    _drop_strange_endpoints(found, notes)

    values: dict[str, Any] = {_FIELDS.get(name, name): value for name, (value, _) in found.items()}
    values |= {
        "providers": {name: value for name, value in values.items() if name.endswith(_PROVIDER_NAMES)},
        "models": file.deployments,
        "origins": {_FIELDS.get(name, name): source for name, (_, source) in found.items()},
        "notes": tuple(notes),
        "withheld": tuple(name for name in withheld if name not in found),
        "trust_home": home,
    }
    if isinstance(chosen := values.get("home"), str | Path):
        values["home"] = _place(chosen, directory, "FACT_HOME")
    url = str(values.get("database", ""))
    if (path := url.removeprefix(_SQLITE)) not in ("", url):
        values["database"] = f"{_SQLITE}{_place(path, directory, 'DATABASE_URL')}"
    if isinstance(level := values.get("log_level"), str):
        values["log_level"] = level.lower()
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _unusable(error, found) from None


def own_home(overrides: Mapping[str, Any], environment: Mapping[str, str], directory: Path) -> Path:
    """Find the home without reading found files, because the home holds the list of trusted files.

    A relative path starts at `directory`.
    """
    chosen = overrides.get("home") or environment.get("FACT_HOME")
    return _place(chosen or user_data_path("fact_magics", appauthor=False), directory, "FACT_HOME")


def _place(path: str | Path, directory: Path, name: str) -> Path:
    """Expand ``~`` in the path of the setting `name`, and resolve a relative path from `directory`."""
    try:
        return (directory / Path(path).expanduser()).absolute()
    except RuntimeError:
        raise SettingsError(
            f"{name} can't be used: {inert(str(path))} names a user who does not exist.",
            hint="Write an absolute path.",
        ) from None


def _relevant(variables: Mapping[str, str]) -> dict[str, str]:
    """Select the variables that are settings: ours in upper or lower case, and those of providers.

    Some fields, such as ``live``, can't be set in the environment: a variable ``LIVE`` is another program's.
    """
    ours = {name.upper(): value for name, value in variables.items()}
    return {
        **{name: value for name, value in variables.items() if name.endswith(_PROVIDER_NAMES)},
        **{name: value for name, value in ours.items() if name in _FIELDS and name.isupper()},
    }


def _read_env_file(directory: Path, home: Path, notes: list[str]) -> tuple[dict[str, str], str, list[str]]:
    """Read the nearest ``.env`` and return the usable values, its path and the names of withheld keys."""
    path = _nearest_env_file(directory)
    if path is None:
        return {}, "", []
    shown = inert(str(path))
    try:
        content = read_found(path) or b""
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        notes.append(f"{shown} could not be read.")
        return {}, "", []
    if len(content) > LARGEST_BYTES:
        notes.append(f"{shown} is not used: it is larger than {LARGEST_BYTES:,} bytes.")
        return {}, "", []
    trusted = is_trusted(path, home, content)
    # Interpolation would let an untrusted file read secrets in the environment.
    read = dotenv_values(stream=StringIO(text), interpolate=trusted)
    values = {
        name: value
        for name, value in read.items()
        if value and (name.endswith(_PROVIDER_NAMES) or (name in _FIELDS and name.isupper()))
    }
    withheld: list[str] = []
    distrusted = [name for name in values if name in _NEEDS_TRUST or name.endswith(_ENDPOINTS)]
    if distrusted and not trusted:
        for name in distrusted:
            del values[name]
            # The key was most likely made for that endpoint, so it must not be sent to another one.
            if values.pop(_key_of(name), None):
                withheld.append(_key_of(name))
        notes.append(
            f"{', '.join(distrusted)} from {shown} can be used only after you run: {trust_command(path)}"
        )
    return values, str(path), withheld


def _nearest_env_file(directory: Path) -> Path | None:
    for folder in (directory, *directory.parents):
        path = folder / ".env"
        with suppress(OSError):  # skip directories that can't be read
            if path.is_file():
                return path
    return None


def _key_of(endpoint: str) -> str:
    return endpoint.removesuffix("_BASE_URL").removesuffix("_API_BASE") + "_API_KEY"


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
    """Ignore an endpoint if its key comes from another source, or is missing from the file that sets it."""
    for name in [name for name in found if name.endswith(_ENDPOINTS)]:
        key, source = _key_of(name), found[name][1]
        if key in found and found[key][1] != source:
            reason = f"{key} comes from {found[key][1]}"
        elif key not in found and source != _ENVIRONMENT and not name.startswith(_KEYLESS):
            # The provider may accept a key with another name, from another source.
            reason = f"the file holds no {key}"
        else:
            continue
        del found[name]
        notes.append(f"{name} from {source} is not used: {reason}.")


def _unusable(error: ValidationError, found: Found) -> SettingsError:
    first = error.errors(include_input=False, include_url=False)[0]
    field = str(first["loc"][0])
    name = _NAMES.get(field, field)
    source = found.get(name, (None, "the settings"))[1]
    return SettingsError(f"{name} from {source} can't be used: {first['msg']}.", hint="Correct or remove it.")
