"""The log: lines of JSON, without secrets, in a file of bounded size.

structlog's global configuration and the loggers of the standard library belong to the notebook's user, so the
log does not touch them.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog

from fact_magics.text import utc_now

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

FILE_NAME = "fact_magics.log"

_MAX_BYTES = 5 * 1024 * 1024
_KEPT = 3
_TURN_SECONDS = 60.0

MASK = "[redacted]"

_DEEPEST = 8
_LONGEST = 4_096
_SHORTEST_SECRET = 4
_WORD_BITS = 64

_SECRET_NAME = re.compile(
    r"key|token|secret|authori[sz]ation|passw|passphrase|credential|cookie|bearer", re.IGNORECASE
)
# Under these names a number is a secret too; under the others it counts tokens or keys.
_SECRET_NUMBER_NAME = re.compile(r"secret|passw|passphrase|credential", re.IGNORECASE)

# The forms of keys from well-known issuers.
_SECRET_SHAPE = re.compile(
    r"""
    -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\s\S]*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | \b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{12,}              # Anthropic, OpenAI, OpenRouter, Stripe
    | \b(?:gsk|hf|r8|xai|pplx|glpat|npm|pypi|dop_v1)[-_][A-Za-z0-9_-]{16,}
    | \bgh[opsur]_[A-Za-z0-9]{16,} | \bgithub_pat_[A-Za-z0-9_]{16,}
    | \bxox[a-z]-[A-Za-z0-9-]{10,}
    | \bAIza[A-Za-z0-9_-]{30,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*  # a JSON web token
    """,
    re.VERBOSE,
)
# Text that is called a secret by its surroundings: a header, the password in a URL, an assignment.
_CALLED_SECRET = (
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"(://[^\s/:@\"']*:)[^\s/@\"']+@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"((?:key|token|secret|passwd|password|authori[sz]ation)[\"']?\s{0,8}[=:]\s{0,8}[\"']?)"
            r"(?!bearer\b|basic\b|\[redacted)[^\s\"',;&)}\]]{6,}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)


class Redactor:
    """Replaces secrets in values that are about to be logged.

    Four kinds of text are secret: one under a telling name (``api_key``, ``Authorization``), one in the form
    of an issuer's key, one that its surroundings call a secret, and a registered value in any escaped form.

    Parameters
    ----------
    secrets : iterable of str
        Exact values. Those under four characters are ignored, because they would match in every line.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._exact: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Register a value."""
        if len(secret) < _SHORTEST_SECRET:
            return
        readable = json.dumps(secret, ensure_ascii=False)
        self._known |= {secret, readable[1:-1], json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        with suppress(UnicodeEncodeError):
            self._known |= {quote(secret, safe=""), quote(secret)}
        # The longest first, because one secret may be the beginning of another.
        longest_first = sorted(self._known, key=len, reverse=True)
        self._exact = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Mask the secrets in a text, and cut it at 4,096 characters."""
        head = text[: 2 * _LONGEST]
        redacted = head if self._exact is None else self._exact.sub(MASK, head)
        redacted = _SECRET_SHAPE.sub(MASK, redacted)
        for pattern, replacement in _CALLED_SECRET:
            redacted = pattern.sub(replacement, redacted)
        if len(head) == len(text) and len(redacted) <= _LONGEST:
            return redacted
        # The end of the head may hold only a part of a secret, so the cut is well before it.
        kept = redacted[: max(0, min(_LONGEST, len(redacted) - _LONGEST // 2))]
        return f"{kept}… ({len(text)} characters)"

    def value(self, value: object, name: str = "", depth: int = 0) -> object:
        """Mask the secrets in a field of any type; a type that JSON does not have is replaced by its repr."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return MASK if _SECRET_NUMBER_NAME.search(name) else _readable_number(value)
        if _SECRET_NAME.search(name):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping) and depth < _DEEPEST:
            return {self.text(str(key)): self.value(item, str(key), depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)) and depth < _DEEPEST:
            return [self.value(item, name, depth + 1) for item in value]
        # The repr of an object is code of the notebook, which may raise anything.
        with suppress(Exception):
            return self.text(repr(value))
        return f"<{type(value).__name__}>"


def _readable_number(value: float) -> object:
    """Replace a number that some readers of JSON can't read by a text."""
    if isinstance(value, int):
        bits = value.bit_length()
        return value if bits < _WORD_BITS else f"an integer of {bits} bits"
    return value if math.isfinite(value) else repr(value)


class Log:
    """A log of events, one JSON object a line. No method raises; a log that can't be written falls silent.

    Made by `open_log`.
    """

    def __init__(
        self, file: LogFile, redactor: Redactor, level: str, bound: Mapping[str, object] | None = None
    ) -> None:
        self._file = file
        self._redactor = redactor
        self._bound = dict(bound or {})
        self.keep(level)

    def keep(self, level: str) -> None:
        """Write events of this level and above from now on, also in logs that are bound from now on."""
        self._level = level
        number = logging.getLevelNamesMapping().get(level.strip().upper(), logging.INFO)
        self._logger = structlog.wrap_logger(
            self._file,
            processors=[
                structlog.processors.add_log_level,
                _timed,
                structlog.processors.format_exc_info,
                self._redacted,
                structlog.processors.JSONRenderer(serializer=json.dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            context_class=dict,
            cache_logger_on_first_use=True,
        ).bind(**self._bound)

    @property
    def fault(self) -> str:
        """Why nothing is written any more, in a sentence; empty while the log can be written."""
        return self._file.fault

    def bind(self, /, **fields: object) -> Log:
        """Make a log that adds these fields to every line of the same file."""
        return Log(self._file, self._redactor, self._level, {**self._bound, **fields})

    def add_secret(self, secret: str) -> None:
        """Register a value that must never be written."""
        self._redactor.add(secret)

    def info(self, event: str, /, **fields: object) -> None:
        """Write an event that belongs to normal work."""
        self._write("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Write an event that should not have happened."""
        self._write("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Write a failure; ``exc_info=error`` adds its traceback."""
        self._write("error", event, fields)

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        self._file.close()

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        # A field may be any object, whose repr is code of the user or of a tool.
        with suppress(Exception):
            getattr(self._logger, level)(event, **fields)

    def _redacted(self, _: object, __: str, event: MutableMapping[str, Any]) -> dict[str, object]:
        return {self._redactor.text(name): self._redactor.value(value, name) for name, value in event.items()}


class LogFile:
    """A file for several processes; at its bound it is renamed to ``.1``, ``.1`` to ``.2``, and so on.

    The file (0600) and its directory (0700) are made with the first line. Each line is one `write` to a
    descriptor in append mode, so that the lines of several kernels don't mix.
    """

    def __init__(self, path: Path, *, max_bytes: int = _MAX_BYTES) -> None:
        self.path = path
        self.fault = ""
        self._max_bytes = max_bytes
        self._descriptor: int | None = None
        self._lock = Lock()

    def msg(self, line: str) -> None:
        """Append a line; structlog calls this method under the name of the level."""
        if self.fault:
            return
        data = line.encode() + b"\n"
        with self._lock:
            try:
                os.write(self._current(), data)
            except OSError as error:
                self.fault = f"The log {self.path} can't be written: {error.strerror}. Nothing is logged."
                self._close()

    debug = info = warning = error = msg

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
            if ours.st_size < self._max_bytes and _same_file(self.path, ours):
                return self._descriptor
            self._close()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self.path.stat().st_size >= self._max_bytes:
                self._set_aside()
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._descriptor

    def _set_aside(self) -> None:
        # Only one kernel may rename the files; meanwhile the others write to the file that they have open.
        turn = self.path.with_name(f"{self.path.name}.turn")
        try:
            os.close(os.open(turn, os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            with suppress(FileNotFoundError):
                if time.time() - turn.stat().st_mtime > _TURN_SECONDS:  # the kernel that made it was killed
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
    """Open ``fact_magics.log`` in a directory; both are made with the first line.

    Parameters
    ----------
    directory : Path
        ``FACT_HOME/logs``.
    level : str
        ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``, in upper or lower case; any other text means ``INFO``.
    secrets : iterable of str
        Values that must never be written.
    """
    return Log(LogFile(directory / FILE_NAME), Redactor(secrets), level)


def _timed(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = utc_now()
    return event


def _same_file(path: Path, ours: os.stat_result) -> bool:
    try:
        theirs = path.stat()
    except FileNotFoundError:
        return False
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)
