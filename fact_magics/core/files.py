"""Find and check files that are passed as ``Path`` arguments, and identify them by their content.

The tool reads the files during its run. So their contents are part of the run's key, and the answer is kept
only if no file changed during the run.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import OrderedDict
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import CellError, InvalidInput
from fact_magics.permissions import Permission, Protected, covers, danger, places
from fact_magics.text import one_line
from fact_magics.tool import Returned
from fact_magics.values import ToolObject, brief, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fact_magics.tool import Example

    # Device, inode, size, and the times of the last changes of content and of metadata, in nanoseconds.
    _State = tuple[int, int, int, int, int]

# Two changes within one tick of the file system's clock get the same time. A tick is at most 2 s (on FAT).
_TICK_NS = 2_000_000_000
_REMEMBERED = 1_024
_MOST_FILES = 1_000
_MOST_PROBLEMS = 10
_BUFFER = 1 << 20
_KIND = type(Path())
# Without O_NONBLOCK, opening would block if a pipe has replaced the file meanwhile.
_READING = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


class InputFile(NamedTuple):
    """A file that a run may read because it was passed as an argument.

    Attributes
    ----------
    path : str
        The absolute path that the tool gets; links are not resolved.
    real : str
        The absolute path with links resolved.
    state : tuple of int
        Device, inode, size and times of the last changes, which show whether the file has changed.
    digest : bytes
        Digest of the content; empty if the run's answer is not kept.
    settled : bool
        Whether the last change was so long ago that any later change will alter `state`.
    """

    path: str
    real: str
    state: _State
    digest: bytes
    settled: bool

    @property
    def permission(self) -> str:
        """The permission to read this file."""
        return Permission("read", self.real).text


class InputFiles:
    """Finds the files that inputs name, and remembers the digests of their contents. Works on any thread.

    Parameters
    ----------
    protected : Protected
        Places whose files are dangerous to pass. Relative paths are resolved against its `directory`.
    """

    def __init__(self, protected: Protected) -> None:
        self.protected = protected
        self._digests: OrderedDict[tuple[str, _State], bytes] = OrderedDict()
        self._lock = Lock()

    def take(
        self,
        name: str,
        validated: Mapping[str, object],
        given: Mapping[str, object],
        permissions: tuple[str, ...],
        *,
        digests: bool,
    ) -> tuple[dict[str, object], tuple[InputFile, ...]]:
        """Find the files that a validated input names.

        Parameters
        ----------
        name : str
            The tool's name, for messages.
        given : mapping
            The input before it was validated. A path that is missing here is a default of the tool, not an
            input file.
        permissions : tuple of str
            Permissions of the run. A path that they cover is not an input file: it may be a directory, or
            not exist.
        digests : bool
            Whether to read the contents. This takes time, so don't do it on an event loop.

        Returns
        -------
        (dict, tuple of InputFile)
            The input with absolute paths, but without default paths that don't exist; and the files.

        Raises
        ------
        InvalidInput
            A path does not lead to a readable file, or needs a permission. Each path has a detail line.
        """
        found: dict[str, InputFile] = {}
        problems: list[str] = []

        def take_path(passed: Callable[[], frozenset[Path]], path: Path, place: str) -> Path:
            if not places.is_possible(str(path)):
                problems.append(f"{place}: {_shown(str(path))} is not a path")
                return path
            expanded = _expanded(path)
            full = expanded if expanded.is_absolute() else self.protected.directory / expanded
            real = Path(os.path.realpath(full))
            if str(full) in found or covers(permissions, real):
                return full
            if path not in passed():
                if places.missing(real):
                    raise _LeftToToolError
                problems.append(
                    f"{place}: {_shown(str(path))} is only a default; pass this path if the tool must read it"
                )
                return full
            try:
                found[str(full)] = self._find(str(full), real, digests=digests)
            except _UnfitError as unfit:
                problems.append(f"{place}: {unfit}")
            return full

        taken = {}
        for field, value in validated.items():
            passed = cache(partial(_paths_in, given.get(field)))
            with suppress(_LeftToToolError):
                taken[field] = _replaced(value, field, partial(take_path, passed))
        if len(found) > _MOST_FILES:
            problems = [f"{len(found):,} files are too many; add --allow read:DIR for their directory"]
        if problems:
            more = len(problems) - _MOST_PROBLEMS
            first, *others = problems[:_MOST_PROBLEMS] + ([f"… and {more:,} more"] if more > 0 else [])
            raise InvalidInput(
                first,
                hint=f"{name}() was not run: a path can't be passed. It may read only files that are passed.",
                details=others,
            )
        return taken, tuple(found.values())

    def refuse_unfit(self, examples: Iterable[Example], permissions: tuple[str, ...]) -> None:
        """Raise `CellError` if an example can't be run because a path in its call can't be passed."""
        for example in examples:
            if not isinstance(example.expected, Returned):
                continue
            given = {**{f"{index}": value for index, value in enumerate(example.args)}, **example.kwargs}
            try:
                self.take("", given, given, permissions, digests=False)
            except InvalidInput as unfit:
                problem = unfit.message.partition(": ")[2]
                raise CellError(
                    f"The example {one_line(example.source)} can't be run: {problem}.",
                    hint=f"Relative paths are resolved against {self.protected.directory}.",
                ) from None

    def are_unchanged(self, files: Iterable[InputFile]) -> bool:
        """Tell whether the files have not changed since `take` found them; may read them again."""
        for file in files:
            try:
                if os.path.realpath(file.path) != file.real or _state(Path(file.real).stat()) != file.state:
                    return False
                if not file.settled and _read(file.real)[1] != file.digest:
                    return False
            except (OSError, _UnfitError):
                return False
        return True

    def _find(self, path: str, real: Path, *, digests: bool) -> InputFile:
        try:
            status = real.stat()
        except OSError as error:
            raise _UnfitError(_unreadable(path, error)) from None
        if stat.S_ISDIR(status.st_mode):
            raise _UnfitError(
                f"{_shown(path)} is a directory; add --allow read:{_shown(path)} to grant all of it"
            )
        if not stat.S_ISREG(status.st_mode):
            raise _UnfitError(f"{_shown(path)} is not a regular file")
        state = _state(status)
        with self._lock:
            known = self._digests.get((str(real), state))
            if known is not None:
                self._digests.move_to_end((str(real), state))
                return InputFile(path, str(real), state, known, settled=True)
        self._refuse_dangerous(path, real)
        if not digests:
            if not os.access(real, os.R_OK):
                raise _UnfitError(f"{_shown(path)} can't be read: permission denied")
            return InputFile(path, str(real), state, b"", settled=True)
        begun = time.time_ns()
        try:
            state, digest = _read(str(real))
        except OSError as error:
            raise _UnfitError(_unreadable(path, error)) from None
        settled = max(state[3:]) <= begun - _TICK_NS
        if settled:
            with self._lock:
                self._digests[str(real), state] = digest
                if len(self._digests) > _REMEMBERED:
                    self._digests.popitem(last=False)
        return InputFile(path, str(real), state, digest, settled)

    def _refuse_dangerous(self, path: str, real: Path) -> None:
        permission = Permission("read", str(real))
        found = danger(permission, self.protected)
        if found is None:
            return
        if found.never:
            raise _UnfitError(f"{_shown(path)} can't be passed: {found.reason}")
        raise _UnfitError(
            f"{_shown(path)} is dangerous to pass: {found.reason}; if the tool must read it, add "
            f"--allow {_shown(permission.text)} --yes-really"
        )


class _UnfitError(Exception):
    """A path can't be passed; the message says why."""


class _LeftToToolError(Exception):
    """A default path was not passed and does not exist; the tool fills in the default itself."""


def _paths_in(given: object) -> frozenset[Path]:
    return frozenset(map(Path, _texts(normalise(given))))


def _texts(value: object) -> Iterator[str]:
    """Yield each string and each path in a normalised value, as strings."""
    match value:
        case str() | Path():
            yield str(value)
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from _texts(item)
        case dict():
            yield from _texts([*value, *value.values()])
        case ToolObject():
            yield from _texts(list(value.fields.values()))


def _replaced(value: object, place: str, take: Callable[[Path, str], Path]) -> object:
    """Copy a validated value, and replace each path in the copy by the result of `take`."""
    match value:
        case Path():
            return take(value, place) if type(value) is _KIND else value
        case list() | tuple():
            items = [_replaced(item, f"{place}[{index}]", take) for index, item in enumerate(value)]
            return items if type(value) is list else tuple(items)
        case set() | frozenset():
            return type(value)(_replaced(item, f"{place}[{brief(item, 40)}]", take) for item in value)
        case dict():
            return {
                _replaced(key, place, take): _replaced(item, f"{place}[{brief(key, 40)}]", take)
                for key, item in value.items()
            }
        case ToolObject():
            fields = {}
            for name, item in value.fields.items():
                with suppress(_LeftToToolError):
                    fields[name] = _replaced(item, f"{place}[{name!r}]", take)
            return ToolObject(value.class_name, fields)
    return value


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # there is no such user, so this is the name of a file
        return path


def _read(real: str) -> tuple[_State, bytes]:
    """Return a file's state before it is read, and the digest of its content."""
    with os.fdopen(os.open(real, _READING), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _UnfitError(f"{_shown(real)} is not a regular file")
        digest = hashlib.blake2b(digest_size=20)
        buffer = memoryview(bytearray(_BUFFER))
        while size := file.readinto(buffer):
            digest.update(buffer[:size])
    return _state(status), digest.digest()


def _state(status: os.stat_result) -> _State:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _unreadable(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"no such file: {_shown(path)}"
    return f"{_shown(path)} can't be read: {(error.strerror or str(error)).lower()}"


def _shown(text: str) -> str:
    return one_line(text, 300)
