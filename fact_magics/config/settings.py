"""`Settings`: every setting, and where its value came from."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from platformdirs import user_data_path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from fact_magics.config.env_file import ENDPOINTS, USUAL_TIMEOUT_SECONDS
from fact_magics.config.model_list import Deployment  # noqa: TC001 - Pydantic needs it at run time
from fact_magics.errors import SettingsError
from fact_magics.redaction import secrets_in_environment, secrets_in_url
from fact_magics.text import inert, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT = "the environment"
CONFIG = "%config"
_LONGEST_SHOWN = 80
_LONGEST_TIMEOUT = 86_400
_SQLITE = "sqlite:///"


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
    cache_url : str or None
        The Redis server of a cache that machines share; ``FACT_CACHE_URL``. Without `secret_key` it is not
        used.
    model_timeout : float
        How many seconds a model's server may send nothing before the request is given up, such as while it
        loads the model; ``FACT_MODEL_TIMEOUT``. An entry of ``config.yaml`` may have a timeout of its own.
    replay : Path or None
        A recording whose answers are used instead of asking models; ``FACT_REPLAY``.
    live : {"auto", "off"}
        Whether cells show live views.
    probe : {"auto", "off"}
        Whether a cell finds out, after a proof, how far the examples go; ``FACT_PROBE``.
    isolation : {"auto", "require", "process"}
        What happens if the system can't restrict files and network.
    limits : dict
        Limits of a run, except time and memory: ``processes``, ``threads``, ``open_files`` (counts),
        ``disk_mb``, ``file_mb``, ``printed_mb``, ``result_mb``. A missing limit has its default.
    history : {"strict", "best-effort"}
        While rows can't be stored because the disk is full or read-only: whether each run says so, or only
        the first. The rows wait in memory in either case, as long as there is room.
    budget : float or None
        The most that the requests of a session may cost, in US dollars.
    prune_older_than : str or None
        Once a day, remove the runs that are older than this, such as ``90d``.
    trust_home : Path
        The directory of the list of trusted files. A found file can't choose it.
    providers : dict
        Keys and endpoints of other providers, by their names in the environment.
    models : tuple of Deployment
        The models of the ``config.yaml``.
    fallbacks : dict
        The models to ask if a model fails, by the model's name; ``*`` means any other model.
    reuse : bool
        Whether an equal request returns the tool that was accepted before, without asking a model.
    metrics : bool
        Whether the counters of ``%fact metrics`` are served on this machine from the first cell on.
    retries : int or None
        How many times a failed request is repeated, 0 to 10; None for the default.
    origins : dict
        The source of each field that was set, and of each entry of `providers`, by name.
    notes : tuple of str
        One line about each value that was found but is not used.
    withheld : tuple of str
        Names of the keys, ``FACT_MODEL`` and ``FACT_REPLAY``, that wait for the user to trust their file.
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
    # Not in the repr either, for the same reason.
    cache_url: str | None = Field(default=None, validation_alias="FACT_CACHE_URL", repr=False)
    model_timeout: float = Field(default=USUAL_TIMEOUT_SECONDS, validation_alias="FACT_MODEL_TIMEOUT")
    replay: Path | None = Field(default=None, validation_alias="FACT_REPLAY")
    live: Literal["auto", "off"] = "auto"
    probe: Literal["auto", "off"] = Field(default="auto", validation_alias="FACT_PROBE")
    isolation: Literal["auto", "require", "process"] = "auto"
    limits: dict[str, Any] = Field(default_factory=dict)
    history: Literal["strict", "best-effort"] = "strict"
    budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    prune_older_than: str | None = None
    trust_home: Path = Field(default_factory=lambda: own_home({}, os.environ, Path.cwd()))
    providers: dict[str, SecretStr] = Field(default_factory=dict)
    models: tuple[Deployment, ...] = ()
    fallbacks: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    reuse: bool = True
    metrics: bool = False
    retries: int | None = Field(default=None, ge=0, le=10)

    origins: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @field_validator("home", "replay")
    @classmethod
    def _absolute(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        return None if path is None else _place(path, _directory(info))

    @field_validator("database")
    @classmethod
    def _absolute_url(cls, database: str, info: ValidationInfo) -> str:
        if not database:
            return ""
        path = database.removeprefix(_SQLITE)
        if path in ("", database):
            problem = "its form must be sqlite:///relative/path.db or sqlite:////absolute/path.db"
            raise PydanticCustomError("url", "{problem}", {"problem": problem})
        return f"{_SQLITE}{_place(path, _directory(info))}"

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_lower_case(cls, level: Any) -> Any:
        return level.strip().lower() if isinstance(level, str) else level

    @field_validator("model_timeout", mode="before")
    @classmethod
    def _seconds(cls, given: Any) -> float:
        with suppress(TypeError, ValueError):
            if not isinstance(given, bool) and 0 < (seconds := float(given)) <= _LONGEST_TIMEOUT:
                return seconds
        problem = f"it must be a number of seconds above 0 and at most {_LONGEST_TIMEOUT:,}"
        raise PydanticCustomError("seconds", "{problem}", {"problem": problem})

    @field_validator("prune_older_than")
    @classmethod
    def _age(cls, given: str | None) -> str | None:
        from fact_magics.store.since import age

        try:
            if given is not None:
                age(given)
        except ValueError as error:
            problem = f"{shorten(inert(repr(given)), _LONGEST_SHOWN)} {error}"
            raise PydanticCustomError("age", "{problem}", {"problem": problem}) from None
        return given

    @field_validator("fallbacks")
    @classmethod
    def _without_circles(cls, fallbacks: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        from graphlib import CycleError, TopologicalSorter

        try:
            TopologicalSorter(fallbacks).prepare()
        except CycleError as error:
            circle = shorten(inert(" → ".join(reversed(error.args[1]))), _LONGEST_SHOWN)
            problem = f"the models fall back on each other in a circle: {circle}"
            raise PydanticCustomError("circle", "{problem}", {"problem": problem}) from None
        return fallbacks

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
    def sources(self) -> dict[str, str]:
        """The source of each value that was set, by the value's name in the environment."""
        return {NAMES.get(field, field): source for field, source in self.origins.items()}

    @property
    def database_path(self) -> Path:
        """The database file."""
        return Path(self.database.removeprefix(_SQLITE)) if self.database else self.home / "fact_magics.db"

    @property
    def log_directory(self) -> Path:
        """The directory of the log files."""
        return self.home / "logs"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for redaction: keys, and the passwords and tokens in addresses."""
        held = [self.anthropic_api_key, self.secret_key]
        held += [model.key for model in self.models]
        addresses = [self.anthropic_base_url, self.cache_url, *(model.endpoint for model in self.models)]
        return (
            *(value.get_secret_value() for value in held if value is not None),
            *secrets_of_providers(self.providers),
            *(secret for address in addresses if address for secret in secrets_in_url(address)),
            *secrets_in_environment(),
        )


def secrets_of_providers(providers: Mapping[str, SecretStr]) -> tuple[str, ...]:
    """Return the keys among the settings of providers, and the passwords and tokens in their addresses."""
    values = {name: value.get_secret_value() for name, value in providers.items()}
    addresses = (value for name, value in values.items() if name.endswith(ENDPOINTS))
    return (
        *(value for name, value in values.items() if name.endswith("_API_KEY")),
        *(secret for address in addresses for secret in secrets_in_url(address)),
    )


# The name of each field in the environment. A field that can't be set there keeps its own name.
NAMES = {field: str(info.validation_alias or field) for field, info in Settings.model_fields.items()}
FIELDS = {name: field for field, name in NAMES.items()}


def own_home(overrides: Mapping[str, Any], environment: Mapping[str, str], directory: Path) -> Path:
    """Find the home without reading found files, because the home holds the list of trusted files.

    A relative path is resolved against `directory`.

    Raises
    ------
    SettingsError
        The path in ``FACT_HOME`` can't be used, or this user has no home directory.
    """
    given = {CONFIG: overrides.get("home"), ENVIRONMENT: environment.get("FACT_HOME")}
    named = ((source, path) for source, path in given.items() if path and str(path).strip())
    source, chosen = next(named, ("default", None))
    try:
        return _place(chosen or _default_home(), directory)
    except PydanticCustomError as error:
        refused = unusable("FACT_HOME", source, error.message())
        raise refused from None


def _default_home() -> Path:
    try:
        return user_data_path("fact_magics", appauthor=False)
    except RuntimeError:  # there is no HOME, and the user has no entry in the list of users
        raise SettingsError(
            "This user has no home directory for the database and the logs.",
            hint="Name a directory in the environment variable FACT_HOME.",
        ) from None


def _directory(info: ValidationInfo) -> Path:
    return info.context if isinstance(info.context, Path) else Path.cwd()


def _place(path: str | Path, directory: Path) -> Path:
    """Expand ``~`` in a path, and resolve a relative path against `directory`."""
    shown = shorten(inert(str(path)), _LONGEST_SHOWN)
    if "\0" in str(path):
        raise PydanticCustomError("path", "{path} contains a null character", {"path": shown})
    try:
        return (directory / Path(path).expanduser()).absolute()
    except RuntimeError:
        problem = "{path} names a user who does not exist"
        raise PydanticCustomError("path", problem, {"path": shown}) from None


def unusable(name: str, source: str, problem: str) -> SettingsError:
    """Return the error for a value that can't be used; it names the value's source."""
    return SettingsError(f"{name} from {source} can't be used: {problem}.", hint="Correct or remove it.")
