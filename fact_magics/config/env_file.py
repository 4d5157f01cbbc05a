"""Read the nearest ``.env``, and hold back the values that need the user's trust."""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from fact_magics.config.model_list import find_model_lists, signs_in
from fact_magics.config.trust import (
    LARGEST_BYTES,
    MOST_ENTRIES,
    is_own,
    is_trusted,
    read_found,
    waiting_note,
    why_untrusted,
)
from fact_magics.text import inert
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

ENDPOINTS = ("_BASE_URL", "_API_BASE", "OLLAMA_HOST")
"""The endings of the names of endpoints."""

PROVIDER_NAMES = ("_API_KEY", "_API_VERSION", *ENDPOINTS)
"""The endings of the names of providers' settings."""

# These decide where data goes and whose signatures are accepted.
_NEEDS_TRUST = ("FACT_HOME", "DATABASE_URL", "FACT_CACHE_URL", "SECRET_KEY")

USUAL_TIMEOUT_SECONDS = 120.0
"""How long a model's server may be silent if no setting says so."""

# Reading takes about 20 µs a line, and the file is read for each cell.
_MOST_LINES = 5_000
_NO_TEXT = "\N{REPLACEMENT CHARACTER}"


class EnvFile(NamedTuple):
    """The nearest ``.env``: its usable values, its path, and notes about its problems.

    `withheld` names the keys, and the settings of models, that wait for the user to trust the file.
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
        A key or an endpoint that a higher source sets, with the name of that source, as in `why_untrusted`.
    """
    paths = _upward(directory)
    path = next(paths, None)
    if path is None:
        return EnvFile({})
    shown = inert(str(path))
    try:
        content = read_found(path) or b""
    except OSError:
        return EnvFile({}, notes=(f"{shown} could not be read.",))
    if excess := _excess(content):
        return EnvFile({}, notes=(f"{shown} is not used: it {excess}.",))
    trusted = is_trusted(path, home, content)
    # Interpolation would let an untrusted file read secrets in the environment.
    read, unreadable = parse_env_file(content, interpolate=trusted)
    values = {
        name: value
        for name, value in read.items()
        if name.endswith(PROVIDER_NAMES) or (name in known and name.isupper())
    }
    if len(values) > MOST_ENTRIES:
        return EnvFile(
            {}, notes=(f"{shown} is not used: it has more than {MOST_ENTRIES} keys and settings.",)
        )
    notes = [f"Line {line} of {shown} is left out: {why}." for line, why in unreadable[:1]]
    if trusted:
        return EnvFile(values, str(path), (), tuple(notes))
    places = [name for name in values if name in _NEEDS_TRUST or name.endswith(ENDPOINTS)]
    # A key was most likely made for the endpoint beside it, so it must not be sent to another one.
    withheld = {key for key in map(key_of, places) if key in values}
    choices = {name for name, value in values.items() if _decides_costs(name, value)}
    why = why_untrusted(path, rival or _farther(path, paths)) if choices else ""
    if why:
        withheld |= choices
    elif signs_in(values.get("FACT_MODEL", "").partition("/")[0]):
        withheld.add("FACT_MODEL")
    # Because a replay sends nothing, keys set elsewhere don't matter. But its answers are code.
    if "FACT_REPLAY" in values and (exposed := why_untrusted(path, "")):
        withheld.add("FACT_REPLAY")
        why = why or exposed
    waiting = [name for name in values if name in places or (name in withheld and name not in higher)]
    if waiting:
        notes.append(waiting_note(f"{inert(', '.join(waiting))} from {shown}", why, path))
    usable = {name: value for name, value in values.items() if name not in (*places, *withheld)}
    return EnvFile(usable, str(path), tuple(withheld), tuple(notes))


def _excess(content: bytes) -> str:
    if len(content) > LARGEST_BYTES:
        return f"is larger than {LARGEST_BYTES:,} bytes"
    return f"has more than {_MOST_LINES:,} lines" if content.count(b"\n") > _MOST_LINES else ""


def parse_env_file(content: bytes, *, interpolate: bool) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Return the values of a ``.env``; and the numbers of the lines that can't be read, each with the reason.

    A line can't be read if it is not an assignment, or if its value is not UTF-8 or UTF-16. Empty values are
    left out.
    """
    try:
        is_utf16 = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
        text = content.decode("utf-16") if is_utf16 else content.decode("utf-8-sig", "replace")
    except UnicodeDecodeError:
        return {}, [(1, "the file is not valid UTF-16; save it as UTF-8")]
    readable, unreadable = [], []
    for binding in parse_stream(StringIO(text)):
        line = binding.original.string
        number = binding.original.line + line[: -len(line.lstrip())].count("\n")
        if binding.error:
            unreadable.append((number, "it is not NAME=VALUE"))
        elif _NO_TEXT in f"{binding.key}{binding.value}":
            unreadable.append((number, f"{binding.key} is not UTF-8; save the file as UTF-8"))
        else:
            readable.append(line)
    # The unreadable lines are left out, because python-dotenv prints a warning for each of them.
    read = dotenv_values(stream=StringIO("".join(readable)), interpolate=interpolate)
    return {name: value for name, value in read.items() if value}, unreadable


def key_of(endpoint: str) -> str:
    """Return the name of the key that belongs to an endpoint."""
    return re.sub(r"_(BASE_URL|API_BASE|HOST)$", "", endpoint) + "_API_KEY"


def _decides_costs(name: str, value: str) -> bool:
    """Tell whether a setting decides what a request costs, or who pays it."""
    if name == "FACT_MODEL_TIMEOUT":
        # A request that is given up too early is paid, and has no result.
        with suppress(ValueError):
            return float(value) < USUAL_TIMEOUT_SECONDS
    return name.endswith(PROVIDER_NAMES) or (name == "FACT_MODEL" and value != SHELF)


def _farther(nearest: Path, paths: Iterable[Path]) -> str:
    """Name a setting of the user's own files farther up that the nearest file would hide; empty if none.

    The setting is a key in a ``.env``, or the models of a ``config.yaml``.
    """
    for path in filter(is_own, paths):
        with suppress(OSError):
            values, _ = parse_env_file(read_found(path) or b"", interpolate=False)
            for name in values:
                if name.endswith("_API_KEY"):
                    return f"{name} is already set in {inert(str(path))}"
    models = (path for path, _ in find_model_lists(nearest.parent.parent) if is_own(path))
    return next((f"{inert(str(path))} already names models" for path in models), "")


def _upward(directory: Path) -> Iterator[Path]:
    for folder in (directory, *directory.parents):
        path = folder / ".env"
        with suppress(OSError):  # skip directories that can't be read
            if path.is_file():
                yield path
