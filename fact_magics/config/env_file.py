"""The nearest ``.env``: what it sets, and what waits until the user trusts it."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

from dotenv import dotenv_values

from fact_magics.config.trust import LARGEST_BYTES, is_trusted, read_found, trust_command, why_untrusted
from fact_magics.text import inert
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

ENDPOINTS = ("_BASE_URL", "_API_BASE")
"""How the names of the providers' addresses end."""

PROVIDER_NAMES = ("_API_KEY", "_API_VERSION", *ENDPOINTS)
"""How the names of the providers' settings end."""

# These decide where data goes and whose signatures are accepted.
_NEEDS_TRUST = ("FACT_HOME", "DATABASE_URL", "FACT_CACHE_URL", "SECRET_KEY")


class EnvFile(NamedTuple):
    """The nearest ``.env``: its usable values, its path, and at most one note about its problems.

    `withheld` names the keys, and ``FACT_MODEL``, that can't be used until the user trusts the file.
    """

    values: dict[str, str]
    path: str = ""
    withheld: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_env_file(
    directory: Path, home: Path, known: Collection[str], higher: Collection[str], rival: str
) -> EnvFile:
    """Read the nearest ``.env``, from `directory` upward; never raises.

    Parameters
    ----------
    home : Path
        The directory of the list of trusted files.
    known : collection of str
        The names of our own settings.
    higher : collection of str
        The names that a higher source sets.
    rival : str
        The key or endpoint of a higher source, with its source, as in `why_untrusted`.
    """
    path = _nearest(directory)
    if path is None:
        return EnvFile({})
    shown = inert(str(path))
    try:
        content = read_found(path) or b""
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return EnvFile({}, notes=(f"{shown} could not be read.",))
    if len(content) > LARGEST_BYTES:
        return EnvFile({}, notes=(f"{shown} is not used: it is larger than {LARGEST_BYTES:,} bytes.",))
    trusted = is_trusted(path, home, content)
    # Interpolation would let an untrusted file read secrets in the environment.
    values = {
        name: value
        for name, value in dotenv_values(stream=StringIO(text), interpolate=trusted).items()
        if value and (name.endswith(PROVIDER_NAMES) or (name in known and name.isupper()))
    }
    if trusted:
        return EnvFile(values, str(path))
    places = [name for name in values if name in _NEEDS_TRUST or name.endswith(ENDPOINTS)]
    # A key was most likely made for the endpoint beside it, so it must not be sent to another one.
    withheld = {key for key in map(key_of, places) if key in values}
    if why := why_untrusted(path, rival):
        withheld |= {name for name, value in values.items() if _chooses_a_model(name, value)}
    waiting = [name for name in values if name in places or (name in withheld and name not in higher)]
    usable = {name: value for name, value in values.items() if name not in (*places, *withheld)}
    when = f"you trust the file, because {why}" if why else "you run"
    named = inert(", ".join(waiting))
    note = f"{named} from {shown} can be used only after {when}: {trust_command(path)}"
    return EnvFile(usable, str(path), tuple(withheld), (note,) if waiting else ())


def key_of(endpoint: str) -> str:
    """Return the name of the key that belongs to an endpoint."""
    return endpoint.removesuffix("_BASE_URL").removesuffix("_API_BASE") + "_API_KEY"


def _chooses_a_model(name: str, value: str) -> bool:
    return name.endswith(PROVIDER_NAMES) or (name == "FACT_MODEL" and value != SHELF)


def _nearest(directory: Path) -> Path | None:
    for folder in (directory, *directory.parents):
        path = folder / ".env"
        with suppress(OSError):  # skip directories that can't be read
            if path.is_file():
                return path
    return None
