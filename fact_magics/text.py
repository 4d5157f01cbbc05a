"""Functions that make untrusted text safe and short enough to show, and that write times."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

# Control characters (ANSI escapes begin with one), and marks that reorder text on screen, break lines or
# carry letters that only models see. Tab, line feed and the characters that join letters are harmless.
_ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200e\u200f\u2028-\u202e\u2061-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)

# What colours text in a terminal, or moves the cursor.
_TERMINAL_CODE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

# Characters that nothing shows, although Python accepts some of them in names.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
# Cyrillic letters, then capital Greek ones and the omicron, and the ASCII letters that look the same.
_LOOK_ALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u051b\u051d"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0405\u0406\u0408"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf",
    "aeopcyxijsdhqwABEKMHOPCTXSIJABEZHIKMNOPTYXo",
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
    """Make printed text inert, except for the carriage returns that progress bars need.

    Codes for colours and cursor movements are removed.
    """
    if "\x1b" in text:
        text = _TERMINAL_CODE.sub("", text)
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


def clipped(text: str, limit: int) -> str:
    """Fold text into one line of at most `limit` characters, cut between two words if it is longer."""
    folded = " ".join(text.split())
    if len(folded) <= limit:
        return inert(folded)
    end = folded.rfind(" ", limit // 2, limit - 1)
    return inert(f"{folded[:end]} …" if end > 0 else f"{folded[: limit - 1]}…")


def wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    """Break a line between words so that its parts fit into `width`; a longer word is not broken.

    The line's own indentation is kept, and `indent` begins each further part.
    """
    if len(text) <= width:
        return [text]
    from textwrap import wrap  # imported here because loading the extension must be fast

    return wrap(
        text,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def distance(one: str, other: str, most: int) -> int:
    """Count the typing errors between two words; the count stops at ``most + 1``.

    A typing error is a missing, additional or wrong character, or two characters in the wrong order.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, character in enumerate(one, start=1):
        earlier, before, row = before, row, [i]
        for j, wanted in enumerate(other, start=1):
            errors = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (character != wanted))
            if i > 1 and j > 1 and character == other[j - 2] and one[i - 2] == wanted:
                errors = min(errors, earlier[j - 2] + 1)
            row.append(errors)
        if min(row) > most:
            return most + 1
    return row[-1]


def quoted(text: str, limit: int = 60) -> str:
    """Quote text as Python does, cut at `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def normalised(name: str) -> str:
    """Return a name as Python reads it: ``ﬁle``, written with a ligature, means ``file``."""
    if name.isascii():
        return name
    from unicodedata import normalize  # imported here because loading the extension must be fast

    return normalize("NFKC", name)


def odd_character(name: str, other: str = "") -> str:
    """Describe a character that people can't see, or take for an ASCII letter; return "" if there is none.

    Without `other`, a look-alike counts only in a name that also contains ASCII letters, because whole words
    of other alphabets are good names. With `other`, it counts only if the two names look the same.
    """
    if name.isascii() or (other and _look(name) != _look(other)):
        return ""
    is_mixed = bool(other) or any("a" <= character <= "z" for character in name.lower())
    for character in name:
        is_alike = is_mixed and (ord(character) in _LOOK_ALIKES or (other and not character.isascii()))
        if (is_alike and character not in other) or _INVISIBLE.match(character):
            from unicodedata import name as name_of

            return f"U+{ord(character):04X} ({name_of(character, 'no name')})"
    return ""


def _look(name: str) -> str:
    """Return what people see: without invisible characters, and with ASCII letters for their look-alikes."""
    return _INVISIBLE.sub("", normalised(name)).translate(_LOOK_ALIKES)


def plural(number: int, noun: str) -> str:
    """Write a count: ``1 attempt``, ``3 attempts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def byte_size(number: int) -> str:
    """Write a number of bytes: ``512 bytes``, ``3.4 kB``, ``1.2 MB``."""
    if number < 1_000:
        return plural(number, "byte")
    return f"{number / 1e3:,.1f} kB" if number < 1_000_000 else f"{number / 1e6:,.1f} MB"


def usd(amount: float | Decimal) -> str:
    """Write a price with cents, or with three digits if it is small: ``$1.20``, ``$0.0123``."""
    number = float(amount)
    places = 2 if number >= 1 or number <= 0 else max(2, 2 - floor(log10(number)))
    whole, _, cents = f"{number:,.{places}f}".partition(".")
    return f"${whole}.{cents.rstrip('0').ljust(2, '0')}"


def duration(milliseconds: float) -> str:
    """Write a duration: ``0 ms``, ``8 µs``, ``0.4 ms``, ``12 ms``, ``3.2 s``, ``4 min 10 s``."""
    if milliseconds <= 0:
        return "0 ms"
    if milliseconds < 0.0995:
        return f"{max(1, round(milliseconds * 1_000))} µs"
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1_000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{round(seconds) // 60} min {round(seconds) % 60} s"


def ago(seconds: float) -> str:
    """Write a time in the past: ``just now``, ``5 min ago``, ``3 days ago``."""
    for size, noun in ((86_400, "day"), (3_600, "hour")):
        if seconds >= size:
            return f"{plural(int(seconds // size), noun)} ago"
    if seconds >= 60:
        return f"{int(seconds // 60)} min ago"
    return "just now" if seconds < 5 else f"{int(seconds)} s ago"


def now() -> datetime:
    """Return the present time in UTC, to the millisecond, as the database stores it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def utc_now() -> str:
    """Return the present time as the database stores it: ``2026-11-22T09:28:00.123Z``."""
    return utc_text(now())


def utc_text(moment: datetime) -> str:
    """Write an aware `datetime` in UTC, so that the texts sort in the order of time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def without_surrogates(text: str) -> str:
    """Join pairs of surrogates, and replace lone ones by U+FFFD, because UTF-8 can't encode them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
