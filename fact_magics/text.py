"""Functions that make untrusted text safe and short enough to show, and that write times."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# Control characters (ANSI escapes begin with one), and marks that reorder text on screen, break lines or
# carry letters that only models see. Tab, line feed and the characters that join letters are harmless.
_ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200e\u200f\u2028-\u202e\u2061-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


_ASCII_ESCAPES = {code: _escaped(chr(code)) for code in range(128) if _ACTIVE.match(chr(code))}


def inert(text: str) -> str:
    r"""Write controls, ANSI escapes and reordering marks as visible escapes: ``\x1b``, ``\u202e``."""
    if text.isascii():  # `translate` is eight times as fast for such text
        return text.translate(_ASCII_ESCAPES)
    return _ACTIVE.sub(lambda match: _escaped(match[0]), text)


def printable(text: str) -> str:
    """Make printed text inert, except for the carriage returns that progress bars need."""
    return "\r".join(inert(part) for part in text.split("\r"))


def shorten(text: str, limit: int, *, unit: str = "characters") -> str:
    """Cut text at `limit` and note how much was cut."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more {unit})"


def shorten_middle(text: str, limit: int) -> str:
    """Cut the middle out of text and note how much was cut; a quarter of `limit` is kept for the end."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    return f"{text[: limit - tail]}\n… ({len(text) - limit:,} more characters) …\n{text[-tail:]}"


def one_line(text: str, limit: int = 80) -> str:
    """Fold text into one line of at most `limit` characters; escapes may then make it longer."""
    folded = " ".join(text.split())
    return inert(folded if len(folded) <= limit else folded[: limit - 1] + "…")


def plural(number: int, noun: str) -> str:
    """Write a count: ``1 attempt``, ``3 attempts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(milliseconds: float) -> str:
    """Write a duration: ``0.4 ms``, ``12 ms``, ``3.2 s``, ``4 min 10 s``."""
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1_000
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def ago(seconds: float) -> str:
    """Write a time in the past: ``just now``, ``5 min ago``, ``3 days ago``."""
    for size, noun in ((86_400, "day"), (3_600, "hour")):
        if seconds >= size:
            return f"{plural(int(seconds // size), noun)} ago"
    if seconds >= 60:
        return f"{int(seconds // 60)} min ago"
    return "just now" if seconds < 5 else f"{int(seconds)} s ago"


def utc_now() -> str:
    """Return the present time as the database stores it: ``2026-11-22T09:28:00.123Z``."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """Write an aware `datetime` in UTC, so that the texts sort in the order of time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
