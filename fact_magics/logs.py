"""The log: lines of JSON, without secrets, in a file of bounded size.

The log does not touch structlog's global configuration or the loggers of the standard library, because they
belong to the notebook's user.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog

from fact_magics.owners import exposure, refuse_exposed
from fact_magics.redaction import Redactor
from fact_magics.text import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping
    from pathlib import Path

FILE_NAME = "fact_magics.log"

_MAX_BYTES = 5 * 1024 * 1024
_KEPT = 3
_TURN_SECONDS = 60.0
_PLAIN_NUMBER = 1e15  # numbers below are the same in Python and in JSON
_KEPT_MEMBERS = 256
_LONGEST_KEPT = 256


class Log:
    """A log of events, one JSON object a line, made by `open_log`.

    No method raises. After the first line that can't be written, the log writes nothing more.

    Attributes
    ----------
    redactor : Redactor
        Masks the secrets in every line; it knows all values that `add_secret` registered.
    """

    def __init__(
        self, file: LogFile, redactor: Redactor, level: str, bound: Mapping[str, object] | None = None
    ) -> None:
        self._file = file
        self.redactor = redactor
        self._bound = dict(bound or {})
        self._forms: object = None
        self._kept: dict[tuple[str, object], str] = {}  # rendered members, and of numbers the names alone
        self.keep(level)

    def keep(self, level: str) -> None:
        """Write only events of this level and above, here and in logs that `bind` makes from now on."""
        self._level = level
        number = logging.getLevelNamesMapping().get(level.strip().upper(), logging.INFO)
        self._logger = structlog.wrap_logger(
            self._file,
            processors=[structlog.processors.format_exc_info, self._rendered],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            context_class=dict,
            cache_logger_on_first_use=True,
        ).bind(**self._bound)

    def bind(self, /, **fields: object) -> Log:
        """Make a log for the same file that adds these fields to every line."""
        return Log(self._file, self.redactor, self._level, {**self._bound, **fields})

    def add_secret(self, secret: str) -> None:
        """Register a value that must never be written."""
        self.redactor.add(secret)

    def info(self, event: str, /, **fields: object) -> None:
        """Write an event of normal work."""
        self._write("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Write an event that should not have happened; ``exc_info=error`` adds a traceback."""
        self._write("warning", event, fields)

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        self._file.close()

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        with suppress(Exception):  # a field's repr may be code of the user or of a tool
            getattr(self._logger, level)(event, **fields)

    def _rendered(self, _: object, level: str, event: MutableMapping[str, Any]) -> str:
        forms = self.redactor.forms if self.redactor.has_secrets else None
        if forms is not self._forms:  # a secret was registered, and a kept text may hold it
            self._forms = forms
            self._kept.clear()
        parts = [self._member(name, held) for name, held in event.items()]
        return f'{{{", ".join(parts)}, "level": "{level}", "timestamp": "{utc_now()}"}}'

    def _member(self, name: str, held: object) -> str:
        """Render a field as a member of the object. Those of two runs mostly differ in numbers alone."""
        kind = type(held)
        is_number = (kind is int or kind is float) and -_PLAIN_NUMBER < held < _PLAIN_NUMBER  # type: ignore[operator]
        key = (name, None if is_number else held) if is_number or kind is str else None
        kept = self._kept.get(key) if key is not None else None
        if kept is None:
            redacted = self.redactor.value(held, name)
            kept = f"{json.dumps(self.redactor.text(name))}: "
            if not is_number or redacted != held:
                return self._keep_member(key if redacted == held else None, f"{kept}{json.dumps(redacted)}")
            self._keep_member(key, kept)
        return f"{kept}{held!r}" if is_number else kept

    def _keep_member(self, key: tuple[str, object] | None, member: str) -> str:
        if key is not None and len(self._kept) < _KEPT_MEMBERS and len(member) < _LONGEST_KEPT:
            self._kept[key] = member
        return member


class LogFile:
    """A log file shared by processes. When full, it becomes ``.1``, the old ``.1`` becomes ``.2``, and so on.

    The first line creates the file (0600) and its directory (0700). Each line is one `write` in append mode,
    so that the lines of several kernels don't mix.
    """

    def __init__(self, path: Path, *, max_bytes: int = _MAX_BYTES) -> None:
        self.path = path
        self.is_silent = False
        self._max_bytes = max_bytes
        self._descriptor: int | None = None
        self._lock = Lock()

    def msg(self, line: str) -> None:
        """Append a line, unless an earlier line could not be written."""
        if self.is_silent:
            return
        data = line.encode() + b"\n"
        with self._lock:
            try:
                os.write(self._current(), data)
            except OSError:
                self.is_silent = True
                self._close()

    info = warning = msg  # structlog calls the method named after the level

    def close(self) -> None:
        """Close the file; closing twice is not an error."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _current(self) -> int:
        if self._descriptor is not None:
            ours = os.fstat(self._descriptor)
            with suppress(FileNotFoundError):
                if ours.st_size < self._max_bytes and os.path.samestat(self.path.stat(), ours):
                    return self._descriptor
            self._close()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if exposure(self.path.parent, self.path):
            raise PermissionError
        with suppress(FileNotFoundError):
            if self.path.stat().st_size >= self._max_bytes:
                self._rotate()
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._descriptor

    def _rotate(self) -> None:
        # Only one kernel at a time may rename the files. Meanwhile the others write to their open file.
        turn = self.path.with_name(f"{self.path.name}.turn")
        try:
            os.close(os.open(turn, os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            with suppress(FileNotFoundError):
                # The kernel that made it was killed; the clock may have been set back since.
                if abs(time.time() - turn.stat().st_mtime) > _TURN_SECONDS:
                    turn.unlink()
            return
        try:
            if self.path.stat().st_size >= self._max_bytes:
                for number in range(_KEPT, 0, -1):
                    older = self.path.with_name(f"{self.path.name}.{number}")
                    newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
                    with suppress(FileNotFoundError):
                        newer.replace(older)
        finally:
            turn.unlink(missing_ok=True)


def open_log(directory: Path, level: str = "INFO", secrets: Iterable[str] = ()) -> Log:
    """Open ``fact_magics.log`` in a directory; the first line creates both.

    Parameters
    ----------
    directory : Path
        ``FACT_HOME/logs``.
    level : str
        ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``, in upper or lower case; any other text means ``INFO``.
    secrets : iterable of str
        Values that must never be written.

    Raises
    ------
    SettingsError
        The directory or the file belongs to another user, or other users can write to it.
    """
    refuse_exposed(directory, directory / FILE_NAME)
    return Log(LogFile(directory / FILE_NAME), Redactor(secrets), level)
