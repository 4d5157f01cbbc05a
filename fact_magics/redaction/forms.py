"""Search for registered secrets in every form in which they may appear.

A text is searched three times: as it is, with its escapes decoded, and with its line breaks also removed. The
time is linear in the text.
"""

from __future__ import annotations

import base64
import json
import math
import re
from bisect import bisect_left, bisect_right
from html import unescape
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SHORTEST_KEY = 8
"""Shorter values are masked only where they stand alone, and not in other encodings."""

SHORTEST_WRAPPED = 16
"""Only values of at least this length are found across line breaks. Shorter ones could match by chance."""

# One character, escaped once or several times: in a URL (as UTF-8), in JSON or Python, or in HTML.
_LEAD = r"%(?:25){0,4}"
_NEXT = rf"{_LEAD}[89ABab][0-9A-Fa-f]"
_ESCAPE = re.compile(
    rf"{_LEAD}[CcDd][0-9A-Fa-f]{_NEXT}"
    rf"|{_LEAD}[Ee][0-9A-Fa-f](?:{_NEXT}){{2}}"
    rf"|{_LEAD}[Ff][0-7](?:{_NEXT}){{3}}"
    rf"|{_LEAD}[0-7][0-9A-Fa-f]"
    r"|\\{1,16}(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[nrt\"'/])?"
    r"|&(?:amp;){0,4}(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|amp|quot|apos|lt|gt);"
)
_PERCENT = re.compile(r"%(?:25)*")
_AMPERSAND = re.compile(r"&(?:amp;)+(?=.)")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
# A line break inside a word, also with the marks of a continued Python string or of quoted text.
_BEFORE_BREAK = r"[\"']?(?<![ \t])[ \t]{0,80}[\\+]?"
_LINE_ENDS = r"\r\n\x0b\x0c\x85\u2028\u2029"
_NEXT_LINE = rf"(?:\r\n|[{_LINE_ENDS}])[ \t]{{0,80}}(?:[#>|*]{{1,3}}[ \t]{{0,8}})?"
# What terminals don't show: a change of colour, which highlighters put into words, and marks without width.
_UNSEEN_BEGIN = r"\x1b\xad\u200b-\u200d\u2060\ufeff"
_UNSEEN = rf"\x1b\[[0-9;]{{0,20}}m|(?!\x1b)[{_UNSEEN_BEGIN}]"
_BREAK = re.compile(rf"{_BEFORE_BREAK}(?:{_NEXT_LINE}){{1,3}}[\"']?|(?:{_UNSEEN}){{1,8}}")
# An escape or a line break that is incomplete at the end of a text; the next text may complete it.
_UNFINISHED_ESCAPE = re.compile(
    rf"(?:(?:{_LEAD}(?:[CcDd][0-9A-Fa-f]|[Ee][0-9A-Fa-f](?:{_NEXT})?|[Ff][0-7](?:{_NEXT}){{0,2}}))?"
    r"%(?:25){0,4}[0-9A-Fa-f]?"
    rf"|{_LEAD}(?:[CcDd][0-9A-Fa-f]|[Ee][0-9A-Fa-f](?:{_NEXT})?|[Ff][0-7](?:{_NEXT}){{0,2}})"
    r"|\\{1,16}(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?)?|&(?:amp;){0,4}#?[0-9A-Za-z]{0,7})\Z"
)
_UNFINISHED_BREAK = re.compile(
    rf"(?:{_UNSEEN}){{0,8}}\x1b(?:\[[0-9;]{{0,20}})?\Z|(?:{_UNSEEN}){{1,8}}\Z"
    rf"|{_BEFORE_BREAK}(?:{_NEXT_LINE}){{0,3}}[\"']?\Z"
)
_FROM_URL_SAFE = str.maketrans("-_", "+/")
_TO_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


_Trace: TypeAlias = "Callable[[int], int]"


def _both(first: _Trace, second: _Trace) -> _Trace:
    return lambda position: second(first(position))


class _View(NamedTuple):
    """A text after replacements, whose positions can be traced back to the original text."""

    text: str
    starts: list[int]  # where the parts of the text begin, in ascending order
    origins: list[int]  # where these parts begin in the original text
    ends: list[int]  # where these parts end in the original text

    def origin(self, position: int) -> int:
        """Return where the character at `position` begins in the original text."""
        part = bisect_right(self.starts, position) - 1
        return self.origins[part] + position - self.starts[part]

    def end(self, position: int) -> int:
        """Return where the character before `position` ends in the original text."""
        part = bisect_right(self.starts, position - 1) - 1
        if part + 1 < len(self.starts) and position == self.starts[part + 1]:
            return self.ends[part]
        return self.origins[part] + position - self.starts[part]


def _view(text: str, unit: re.Pattern[str], replace: Callable[[str], str]) -> _View | None:
    """Replace each match of `unit`; return None if there is none."""
    pieces: list[str] = []
    origins: list[int] = []
    ends: list[int] = []
    position = 0
    for match in unit.finditer(text):
        for piece, start, end in (
            (text[position : match.start()], position, match.start()),
            (replace(match[0]), match.start(), match.end()),
        ):
            if piece:
                pieces.append(piece)
                origins.append(start)
                ends.append(end)
        position = match.end()
    if not position:
        return None
    pieces.append(text[position:])
    origins.append(position)
    ends.append(len(text))
    starts = [0, *accumulate(map(len, pieces))][:-1]
    return _View("".join(pieces), starts, origins, ends)


def _decoded(escape: str) -> str:
    """Decode one match of `_ESCAPE`."""
    if escape[0] == "%":
        return unquote(_PERCENT.sub("%", escape), errors="replace")
    if escape[0] == "&":
        return unescape(_AMPERSAND.sub("&", escape))
    code = escape.lstrip("\\")
    if not code:
        return "\\"
    return chr(int(code[1:], 16)) if len(code) > 1 else _CONTROLS.get(code, code)


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda match: _decoded(match[0]), text)


class Forms:
    """All forms of the registered values, and the search for these forms."""

    def __init__(self, secrets: Iterable[str]) -> None:
        plain: set[str] = set()
        alone: set[str] = set()
        encoded: set[str] = set()
        hexadecimal: set[str] = set()
        for secret in secrets:
            if len(secret) < SHORTEST_KEY:
                alone |= {secret, _plain(secret)}
                continue
            plain |= {secret, _plain(secret), _BREAK.sub("", _plain(secret))}
            data = secret.encode("utf-8", "surrogatepass")
            # `_ESCAPE` takes a backslash of the secret as part of an escape that follows the backslash.
            plain |= {form[1:-1] for form in (json.dumps(secret), repr(secret), repr(data)[1:])}
            # As the repr of bytes decodes, and with the spaces of a query.
            plain |= {data.decode("latin-1"), secret.replace(" ", "+")}
            if len(secret) >= SHORTEST_WRAPPED:
                plain |= {secret.upper(), secret.lower(), secret.swapcase()}
            encoded |= set(_base64_forms(data))
            hexadecimal |= {data.hex(), data.hex(":"), data.hex(" ")}
        # A pattern for each character. The first is literal, because `re` then skips most of a text quickly.
        patterns = [list(map(re.escape, form)) for form in plain]
        patterns += [[form[0], *map(_either_alphabet, form[1:])] for form in encoded]
        patterns += [
            [first, *map(_either_case, form[1:])]
            for form in hexadecimal
            for first in {form[0], form[0].upper()}
        ]
        for form in alone:
            first, *rest = map(re.escape, form)
            patterns.append([rf"{first}(?<!\w{first})", *rest, r"(?!\w)"])
        # The longest first, because one secret may be the beginning of another.
        patterns.sort(key=len, reverse=True)
        self._longest = len(patterns[0])
        self._pattern = _any(patterns)
        wrapped = [pattern for pattern in patterns if len(pattern) >= SHORTEST_WRAPPED]
        self._wrapped = _any(wrapped) if wrapped else None
        # The possible beginnings of a secret: an escape; the first three characters of a form; or one or two
        # characters of a form before an escape, a line break or the end of the text.
        end = rf"(?:{_BEFORE_BREAK}(?:[{_LINE_ENDS}]|\Z)|[%&\\{_UNSEEN_BEGIN}])"
        beginnings = [[*pattern[:size], end] for pattern in patterns for size in (1, 2)]
        beginnings += [pattern[:3] for pattern in patterns]
        self._start = _any([[r"%(?:[0-9A-Fa-f]|\Z)"], [r"\\"], [r"&(?:[#a-z]|\Z)"], *beginnings])
        # The sorted forms and their first characters, to find an incomplete form at the end of a text.
        self._families = [
            (sorted(forms), re.compile("[" + "".join(re.escape(form[0]) for form in forms) + "]"), table)
            for forms, table in ((plain | alone, {}), (encoded, _FROM_URL_SAFE), (hexadecimal, _TO_LOWER))
            if forms
        ]

    def _views(self, text: str) -> Iterator[tuple[re.Pattern[str], str, _Trace, _Trace]]:
        """Yield a pattern, the text to search, and functions that map a match's start and end back."""
        yield self._pattern, text, int, int
        decoded = _view(text, _ESCAPE, _decoded)
        if decoded is not None:
            yield self._pattern, decoded.text, decoded.origin, decoded.end
        if self._wrapped is None:
            return
        joined = _view(text if decoded is None else decoded.text, _BREAK, lambda _: "")
        if joined is not None and decoded is None:
            yield self._wrapped, joined.text, joined.origin, joined.end
        elif joined is not None and decoded is not None:
            start, end = _both(joined.origin, decoded.origin), _both(joined.end, decoded.end)
            yield self._wrapped, joined.text, start, end

    def start(self, text: str, position: int) -> re.Match[str] | None:
        """Find the first place from `position` on where a secret may begin, by a quick search."""
        return self._start.search(text, position)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the ranges of a text that hold secrets, in order and without overlaps."""
        found = sorted(
            (origin(match.start()), end(match.end()))
            for pattern, view, origin, end in self._views(text)
            for match in pattern.finditer(view)
        )
        merged: list[tuple[int, int]] = []
        for start, end in found:
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def unfinished(self, text: str) -> int:
        """Return where an incomplete secret may begin at the end of a text; the text's length if nowhere."""
        ends = {len(text)}
        first = len(text)
        if escape := _UNFINISHED_ESCAPE.search(text, max(0, len(text) - 64)):
            first = escape.start()
            ends.add(escape.start())
        for end in tuple(ends):
            if self._wrapped and (gap := _UNFINISHED_BREAK.search(text, max(0, end - 400), end)):
                ends.add(gap.start())
        for end in ends:
            for _, view, origin, _ in self._views(text[:end]):
                beginning = self._beginning(view)
                if beginning < len(view):
                    first = min(first, origin(beginning))
        return first

    def _beginning(self, text: str) -> int:
        """Return where the longest incomplete form at the end of a text begins; the text's length if none."""
        offset = max(0, len(text) - self._longest)
        tail = text[offset:]
        first = len(tail)
        for forms, starts, table in self._families:
            folded = tail.translate(table) if table else tail
            for match in starts.finditer(folded, 0, first):
                rest = folded[match.start() :]
                at = bisect_left(forms, rest)
                if at < len(forms) and forms[at].startswith(rest):
                    first = match.start()
                    break
        return offset + first


def _base64_forms(data: bytes) -> Iterator[str]:
    """Yield the characters that stand for `data` in base64, wherever it begins within other data."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode()
        # Leave out the characters that also depend on the data before or after.
        whole = (before + len(data)) * 8 // 6
        yield text[math.ceil(before * 8 / 6) : whole].lstrip("+/")


def _any(patterns: Iterable[Iterable[str]]) -> re.Pattern[str]:
    return re.compile("|".join(dict.fromkeys(map("".join, patterns))))


def _either_alphabet(character: str) -> str:
    return {"+": "[+-]", "/": "[/_]"}.get(character, character)


def _either_case(character: str) -> str:
    return f"[{character}{character.upper()}]" if character.isalpha() else re.escape(character)
