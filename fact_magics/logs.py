"""The log: lines of JSON, without secrets, in a file of bounded size.

The log does not touch structlog's global configuration or the loggers of the standard library, because they
belong to the notebook's user.
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
from functools import lru_cache
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
_SHORT = 64
_REMEMBERED = 512
_WORD_BITS = 64

_SECRET_NAME = re.compile(
    r"key|token|secret|authori[sz]ation|passw|passphrase|credential|cookie|bearer", re.IGNORECASE
)
# Numbers in fields with these names are secret, too. In the other fields, they only count tokens or keys.
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
# Text whose surroundings show that it is a secret: in a header, a URL with a password, an assignment.
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

    A text is secret if the name of its field suggests it (``api_key``, ``Authorization``), if it has the form
    of a known issuer's key, if the text around it suggests it, or if it is a registered value, even escaped.

    Parameters
    ----------
    secrets : iterable of str
        Exact values to mask. Values of fewer than four characters are ignored, because they would match in
        every line.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._exact: re.Pattern[str] | None = None
        # The names of fields, and values such as a tool's name, come again in every line.
        self._short = lru_cache(maxsize=_REMEMBERED)(self._redacted)
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Register a value to mask."""
        if len(secret) < _SHORTEST_SECRET:
            return
        readable = json.dumps(secret, ensure_ascii=False)
        self._known |= {secret, readable[1:-1], json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        with suppress(UnicodeEncodeError):
            self._known |= {quote(secret, safe=""), quote(secret)}
        # The longest first, because one secret may be the beginning of another.
        longest_first = sorted(self._known, key=len, reverse=True)
        self._exact = re.compile("|".join(map(re.escape, longest_first)))
        self._short.cache_clear()

    def text(self, text: str) -> str:
        """Mask the secrets in a text, and cut it at 4,096 characters."""
        return self._short(text) if len(text) <= _SHORT else self._redacted(text)

    def _redacted(self, text: str) -> str:
        head = text[: 2 * _LONGEST]
        redacted = head if self._exact is None else self._exact.sub(MASK, head)
        redacted = _SECRET_SHAPE.sub(MASK, redacted)
        for pattern, replacement in _CALLED_SECRET:
            redacted = pattern.sub(replacement, redacted)
        if len(head) == len(text) and len(redacted) <= _LONGEST:
            return redacted
        # A secret may be cut in two at the end of the head, so the text is cut well before that.
        kept = redacted[: max(0, min(_LONGEST, len(redacted) - _LONGEST // 2))]
        return f"{kept}… ({len(text)} characters)"

    def value(self, value: object, name: str = "", depth: int = 0) -> object:
        """Mask the secrets in a field of any type; return the repr of a value that JSON can't represent."""
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
        # repr() may run code of the notebook, which may raise anything.
        with suppress(Exception):
            return self.text(repr(value))
        return f"<{type(value).__name__}>"


def _readable_number(value: float) -> object:
    """Return the number, or a text if some JSON parsers can't read the number."""
    if isinstance(value, int):
        bits = value.bit_length()
        return value if bits < _WORD_BITS else f"an integer of {bits} bits"
    return value if math.isfinite(value) else repr(value)


class Log:
    """A log of events, one JSON object a line, made by `open_log`.

    No method raises. After the first line that can't be written, the log writes nothing more.
    """

    def __init__(
        self, file: LogFile, redactor: Redactor, level: str, bound: Mapping[str, object] | None = None
    ) -> None:
        self._file = file
        self._redactor = redactor
        self._bound = dict(bound or {})
        self.keep(level)

    def keep(self, level: str) -> None:
        """Write only events of this level and above, here and in logs that `bind` makes from now on."""
        self._level = level
        number = logging.getLevelNamesMapping().get(level.strip().upper(), logging.INFO)
        self._logger = structlog.wrap_logger(
            self._file,
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                self._timed_and_redacted,
                structlog.processors.JSONRenderer(serializer=json.dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            context_class=dict,
            cache_logger_on_first_use=True,
        ).bind(**self._bound)

    def bind(self, /, **fields: object) -> Log:
        """Make a log for the same file that adds these fields to every line."""
        return Log(self._file, self._redactor, self._level, {**self._bound, **fields})

    def add_secret(self, secret: str) -> None:
        """Register a value that must never be written."""
        self._redactor.add(secret)

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

    def _timed_and_redacted(self, _: object, __: str, event: MutableMapping[str, Any]) -> dict[str, object]:
        redacted = {
            self._redactor.text(name): self._redactor.value(value, name) for name, value in event.items()
        }
        return {**redacted, "timestamp": utc_now()}


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
    """Open ``fact_magics.log`` in a directory; the first line creates both.

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
