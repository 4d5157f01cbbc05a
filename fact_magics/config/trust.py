"""The list of files that the user trusts, kept in ``FACT_HOME`` with the hashes of their contents.

The folder of a notebook may come from anywhere. A file found there can't choose where keys, requests and the
history go, until the user trusts the file. When the file changes, it is no longer trusted.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fact_magics.atomic import write_atomically
from fact_magics.errors import SettingsError
from fact_magics.owners import Exposure, exposure, refuse_exposed
from fact_magics.text import inert, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST_BYTES = 1_000_000
"""The maximum size of a settings file."""

MOST_ENTRIES = 100
"""The maximum number of keys and settings, or of models, in a file; each key slows down their masking."""

_LIST = "trusted.json"
_LONGEST_SHOWN = 200


def trust_command(path: Path) -> str:
    """Return the command that trusts a found file."""
    return f"%fact trust {shlex.quote(inert(str(path)))}"


def waiting_note(named: str, why: str, path: Path) -> str:
    """Say that settings of a file wait for the user's trust; `why` is from `why_untrusted`."""
    reason = f", because {why}" if why else ""
    return f"{named} can't be used yet{reason}; to trust the file, run: {trust_command(path)}"


def is_own(path: Path) -> bool:
    """Return whether only this user, or root, can change a found file or its directory."""
    return _exposure(path) is None


def why_untrusted(path: Path, rival: str) -> str:
    """Return why a found file can't choose a model or a key without trust; empty if it can.

    Parameters
    ----------
    path : Path
        The file.
    rival : str
        A key or an endpoint that a higher source sets, with its source; empty if there is none. Without the
        found file, it decides where requests go.
    """
    if rival:
        return rival
    found = _exposure(path)
    if found is None:
        return ""
    return f"{'the file' if found.path == path else 'its directory'} {found.reason}"


def _exposure(path: Path) -> Exposure | None:
    return exposure(path, path.parent, path.resolve().parent)


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
        refuse_exposed_list(home)
        return _read(home).get(str(path.resolve())) == _digest(content)
    except (SettingsError, OSError):
        return False


def refuse_exposed_list(home: Path) -> None:
    """Raise `SettingsError` if the list or its directory is not safe from other users, as in `exposure`."""
    refuse_exposed(home, home / _LIST)


def trust(path: Path, home: Path) -> bytes:
    """Trust a file with its present content, and return this content.

    The list is replaced as a whole by a new file that only the user can access (0600). A link in its place is
    replaced, not followed.

    Raises
    ------
    SettingsError
        The file can't be read, or the list can't be written or is not safe from other users.
    """
    try:
        content = _content(path)
        digest = _digest(content)
    except OSError as error:
        raise SettingsError(
            f"{path} can't be trusted: {error.strerror}.", hint="Give the path of a file that you can read."
        ) from None
    refuse_exposed_list(home)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(home):
            trusted = json.dumps({**_read(home), str(path.resolve()): digest}, indent=1)
            write_atomically(home / _LIST, trusted.encode(), mode=0o600)
    except OSError as error:
        raise SettingsError(
            f"The list of trusted files in {shorten(str(home), _LONGEST_SHOWN)} can't be written:"
            f" {error.strerror}.",
            hint="Free some space there, or point FACT_HOME at a directory that you can write.",
        ) from None
    return content


def _content(path: Path) -> bytes:
    content = read_found(path)
    if content is None:
        problem = "it is not a regular file" if path.exists() else "there is no such file"
        raise OSError(errno.EINVAL, problem)
    return content


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep other kernels from changing the list meanwhile, where the system can lock a directory."""
    try:
        import fcntl
    except ImportError:  # on Windows
        yield
        return
    descriptor = os.open(home, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network drives have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(home: Path) -> dict[str, str]:
    try:
        read = json.loads((home / _LIST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _digest(content: bytes) -> str:
    if len(content) > LARGEST_BYTES:
        raise OSError(errno.EFBIG, "it is larger than a settings file can be")
    return hashlib.sha256(content).hexdigest()
