"""Settings: where each comes from, which wins, and which a found file may not give.

Highest first: what the notebook set with ``%config``, the environment, the nearest ``.env``, the nearest
``config.yaml`` in LiteLLM's form, the default.
"""

from __future__ import annotations

from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dotenv import dotenv_values
from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from fact_magics.config.model_list import Deployment, read_config_file, trust_command
from fact_magics.config.trust import LARGEST_BYTES, is_trusted, read_found
from fact_magics.errors import SettingsError
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Mapping

# What decides where data and requests go, and whose signature is believed: a found file may say it only once
# it is trusted.
_NEEDS_TRUST = ("FACT_HOME", "DATABASE_URL", "FACT_CACHE_URL", "SECRET_KEY")
_ENDPOINTS = ("_BASE_URL", "_API_BASE")
# Ollama takes no key, and Anthropic one of this name only.
_KEYLESS = ("OLLAMA", "ANTHROPIC")
_PROVIDER_NAMES = ("_API_KEY", "_API_VERSION", *_ENDPOINTS)


class Settings(BaseSettings):
    """Everything that can be set, and where each value came from.

    Attributes
    ----------
    home : Path
        Database and logs; ``FACT_HOME``.
    database : str
        ``sqlite:///PATH``; ``DATABASE_URL``. Empty: a file in `home`.
    model : str or None
        The model when a cell names none; ``FACT_MODEL``.
    anthropic_api_key, anthropic_base_url
        The endpoint is None unless it came from the same source as the key.
    live : {"auto", "off"}
        Whether cells show live views.
    isolation : {"auto", "require", "process"}
        What to do where files and network can't be enforced.
    limits : dict
        Limits of a run besides its time and memory: ``processes``, ``threads``, ``open_files`` (counts),
        ``disk_mb``, ``file_mb``, ``printed_mb``, ``result_mb``. Those that are not named keep their defaults.
    providers : dict
        Other providers' keys and endpoints, by their names in the environment.
    models : tuple of Deployment
        The models that a ``config.yaml`` names.
    origins : dict
        Where each field that is no default came from, and each of `providers` by its name.
    notes : tuple of str
        What was found and not used, one line each.
    withheld : tuple of str
        Keys of a found file that are not used because the file also chooses where they go.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    home: Path = Field(
        default_factory=lambda: user_data_path("fact_magics", appauthor=False), validation_alias="FACT_HOME"
    )
    database: str = Field(default="", validation_alias="DATABASE_URL")
    model: str | None = Field(default=None, validation_alias="FACT_MODEL")
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    anthropic_base_url: str | None = Field(default=None, validation_alias="ANTHROPIC_BASE_URL")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="LOG_LEVEL"
    )
    secret_key: SecretStr | None = Field(default=None, validation_alias="SECRET_KEY")
    live: Literal["auto", "off"] = "auto"
    isolation: Literal["auto", "require", "process"] = "auto"
    limits: dict[str, Any] = Field(default_factory=dict)
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the merging to `load_settings`, which keeps track of where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def origin(self, name: str) -> str:
        """Say where a value came from: ``%config``, ``the environment``, a path, or ``default``."""
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
        path = self.database.removeprefix("sqlite:///")
        if path == self.database or not path:
            raise SettingsError(
                f"DATABASE_URL from {self.origin('database')} is no usable SQLite URL.",
                hint="Write sqlite:///relative/path.db or sqlite:////absolute/path.db, or remove it.",
            )
        return Path(path).expanduser().absolute()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for redaction."""
        held = [self.anthropic_api_key, self.secret_key]
        held += [value for name, value in self.providers.items() if name.endswith("_API_KEY")]
        held += [model.key for model in self.models]
        return tuple(value.get_secret_value() for value in held if value is not None)


def load_settings(overrides: Mapping[str, Any], directory: Path, environment: Mapping[str, str]) -> Settings:
    """Read the settings as they are now.

    Parameters
    ----------
    overrides : mapping
        What the notebook or the script set, by field name; None values count as not set.
    directory : Path
        The notebook's: the nearest ``.env`` and ``config.yaml`` are looked for from here upward.
    environment : mapping
        Environment variables.

    Raises
    ------
    SettingsError
        A value that can't be used, with its name and where it came from.
    """
    fields = {str(field.validation_alias or name): name for name, field in Settings.model_fields.items()}
    notes: list[str] = []
    withheld: list[str] = []
    # Each name's value and its source; later sources win.
    found: dict[str, tuple[Any, str]] = {}
    home = own_home(overrides, environment)
    file = read_config_file(directory, home, environment)
    if file.default is not None:
        _add(found, {"FACT_MODEL": file.default}, file.path)
    _add(found, *_from_file(directory, home, notes, withheld))
    notes += file.notes
    _add(found, _from_environment(environment), "the environment")
    _add(found, {_alias(name): value for name, value in overrides.items() if value is not None}, "%config")
    _drop_foreign_database(found, notes)
    _drop_strange_endpoints(found, notes)

    values = {fields[name]: value for name, (value, _) in found.items() if name in fields}
    values["models"] = file.deployments
    values["providers"] = {
        name: value
        for name, (value, _) in found.items()
        if name.endswith(_PROVIDER_NAMES) and name not in fields
    }
    if isinstance(values.get("log_level"), str):
        values["log_level"] = values["log_level"].lower()
    try:
        return Settings(
            **values,
            origins={fields.get(name, name): source for name, (_, source) in found.items()},
            notes=tuple(notes),
            withheld=tuple(name for name in withheld if name not in found),
        )
    except ValidationError as error:
        raise _unusable(error, found, {name: alias for alias, name in fields.items()}) from None


def _alias(field: str) -> str:
    return str(Settings.model_fields[field].validation_alias or field)


def _add(found: dict[str, tuple[Any, str]], values: Mapping[str, Any], source: str) -> None:
    found.update({name: (value, source) for name, value in values.items()})


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    named = EnvSettingsSource(Settings, env_ignore_empty=True)
    # Only these names: a variable that happens to be called as another field is somebody else's.
    aliases = {str(field.validation_alias) for field in Settings.model_fields.values()}
    named.env_vars = {
        name.lower(): value for name, value in environment.items() if value and name.upper() in aliases
    }
    known = {name: value for name, value in named().items() if name.isupper()}
    return {
        **{name: value for name, value in environment.items() if name.endswith(_PROVIDER_NAMES) and value},
        **known,
    }


def own_home(overrides: Mapping[str, Any], environment: Mapping[str, str]) -> Path:
    """Find the home that no found file has a say in: where the list of trusted files is kept."""
    chosen = overrides.get("home") or environment.get("FACT_HOME")
    home = Path(chosen) if chosen else user_data_path("fact_magics", appauthor=False)
    return home.expanduser().absolute()


def _from_file(
    directory: Path, home: Path, notes: list[str], withheld: list[str]
) -> tuple[dict[str, str], str]:
    path = _nearest(directory, ".env")
    if path is None:
        return {}, ""
    shown = inert(str(path))
    try:
        content = read_found(path) or b""
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        notes.append(f"{shown} could not be read.")
        return {}, ""
    if len(content) > LARGEST_BYTES:
        notes.append(f"{shown} is not used: it is larger than {LARGEST_BYTES:,} bytes.")
        return {}, ""
    trusted = is_trusted(path, home, content)
    # Interpolation would let the file read the environment's secrets.
    read = dotenv_values(stream=StringIO(text), interpolate=trusted)
    # Only what has a name in the environment: how tools are isolated is the notebook's to say.
    known = {
        str(field.validation_alias) for field in Settings.model_fields.values() if field.validation_alias
    }
    values = {
        name: value
        for name, value in read.items()
        if value and (name in known or name.endswith(_PROVIDER_NAMES))
    }
    if not trusted:
        distrusted = [name for name in values if name in _NEEDS_TRUST or name.endswith(_ENDPOINTS)]
        for name in distrusted:
            del values[name]
            key = name.removesuffix("_BASE_URL").removesuffix("_API_BASE") + "_API_KEY"
            # The key was most likely made for that endpoint: it goes nowhere else.
            if values.pop(key, None):
                withheld.append(key)
        if distrusted:
            command = trust_command(path)
            notes.append(f"{shown} sets {', '.join(distrusted)}, which counts only after: {command}")
    return values, str(path)


def _nearest(directory: Path, name: str) -> Path | None:
    for folder in (directory, *directory.parents):
        path = folder / name
        with suppress(OSError):  # a directory that can't be looked into holds nothing of ours
            if path.is_file():
                return path
    return None


def _drop_foreign_database(found: dict[str, tuple[Any, str]], notes: list[str]) -> None:
    """Leave another program's database alone: the name is a common one."""
    url, source = found.get("DATABASE_URL", ("", ""))
    scheme = str(url).partition(":")[0]
    if url and not scheme.startswith("sqlite"):
        del found["DATABASE_URL"]
        notes.append(
            f"DATABASE_URL from {source} is for {scheme}, not SQLite, so the default database is used."
        )


def _drop_strange_endpoints(found: dict[str, tuple[Any, str]], notes: list[str]) -> None:
    """Use an endpoint only with a key from the same source."""
    for name in [name for name in found if name.endswith(_ENDPOINTS)]:
        key = name.removesuffix("_BASE_URL").removesuffix("_API_BASE") + "_API_KEY"
        source = found[name][1]
        if key in found and found[key][1] != source:
            del found[name]
            notes.append(f"{name} from {source} is not used: {key} comes from {found[key][1]}.")
        elif key not in found and source != "the environment" and not name.startswith(_KEYLESS):
            # The provider may take its key under another name, and from another source.
            del found[name]
            notes.append(f"{name} from {source} is not used: the file holds no {key}.")


def _unusable(
    error: ValidationError, found: Mapping[str, tuple[Any, str]], aliases: Mapping[str, str]
) -> SettingsError:
    first = error.errors(include_input=False, include_url=False)[0]
    field = str(first["loc"][0])
    name = aliases.get(field, field)
    source = found.get(name, (None, "the settings"))[1]
    return SettingsError(f"{name} from {source} can't be used: {first['msg']}.", hint="Correct or remove it.")
