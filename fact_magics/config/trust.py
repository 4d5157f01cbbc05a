"""The files that a person trusts, by the hashes of their contents, listed in ``FACT_HOME``.

The folder of a notebook may come from anywhere, so a file found there may choose where keys, requests and the
history go only once the person trusts it. A file that changes is no longer trusted.
"""

from __future__ import annotations

import errno
import hashlib
import json
from typing import TYPE_CHECKING

from fact_magics.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_BYTES = 1_000_000
"""Bound of the size of a settings file."""

_LIST = "trusted.json"


def read_found(path: Path) -> bytes | None:
    """Read a file once, so that the content that is judged is the one that is used.

    Returns
    -------
    bytes or None
        None if there is no regular file; the first `LARGEST_BYTES` + 1 bytes of one that is too large.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(LARGEST_BYTES + 1)


def is_trusted(path: Path, home: Path, content: bytes | None = None) -> bool:
    """Tell whether a person trusts a file with its present content, or with the `content` that was read."""
    try:
        known = _read(home).get(str(path.resolve()))
        return known is not None and known == _digest(_read_all(path) if content is None else content)
    except OSError:
        return False


def trust(path: Path, home: Path) -> None:
    """Trust a file as it is now.

    Raises
    ------
    SettingsError
        The file can't be read, or the list can't be written.
    """
    try:
        trusted = {**_read(home), str(path.resolve()): _digest(_read_all(path))}
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = home / f"{_LIST}.partial"
        unfinished.write_text(json.dumps(trusted, indent=1), encoding="utf-8")
        unfinished.replace(home / _LIST)
    except OSError as error:
        raise SettingsError(
            f"{path} can't be trusted: {error.strerror}.", hint="Give the path of a file that you can read."
        ) from None


def _read(home: Path) -> dict[str, str]:
    try:
        read = json.loads((home / _LIST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _read_all(path: Path) -> bytes:
    content = read_found(path)
    if content is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such file")
    return content


def _digest(content: bytes) -> str:
    if len(content) > LARGEST_BYTES:
        raise OSError(errno.EFBIG, "it is larger than a settings file can be")
    return hashlib.sha256(content).hexdigest()
