"""The list of files that the user trusts, kept in ``FACT_HOME`` with the hashes of their contents.

The folder of a notebook may come from anywhere. A file found there can't choose where keys, requests and the
history go, until the user trusts the file. When the file changes, it is no longer trusted.
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
"""The maximum size of a settings file."""

_LIST = "trusted.json"


def read_found(path: Path) -> bytes | None:
    """Read a file once, so that the content that is checked is also the content that is used.

    Returns
    -------
    bytes or None
        None if the path is not a regular file. A larger file is cut after `LARGEST_BYTES` + 1 bytes.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(LARGEST_BYTES + 1)


def is_trusted(path: Path, home: Path, content: bytes) -> bool:
    """Return whether the user trusts a file with the content that `read_found` returned."""
    try:
        return _read(home).get(str(path.resolve())) == _digest(content)
    except OSError:
        return False


def trust(path: Path, home: Path) -> None:
    """Trust a file with its present content.

    Raises
    ------
    SettingsError
        The file can't be read, or the list can't be written.
    """
    try:
        content = read_found(path)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such file")
        trusted = {**_read(home), str(path.resolve()): _digest(content)}
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


def _digest(content: bytes) -> str:
    if len(content) > LARGEST_BYTES:
        raise OSError(errno.EFBIG, "it is larger than a settings file can be")
    return hashlib.sha256(content).hexdigest()
