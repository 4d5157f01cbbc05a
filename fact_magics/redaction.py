"""Keeping secrets out of what is written down."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import quote

MASK = "[redacted]"

_DEEPEST = 8
_LONGEST = 4_096
_SHORTEST_SECRET = 4
_WORD_BITS = 64

_SECRET_NAME = re.compile(
    r"key|token|secret|authori[sz]ation|passw|passphrase|credential|cookie|bearer", re.IGNORECASE
)
# A number under these is a secret too; under the others it counts tokens, or keys.
_SECRET_NUMBER_NAME = re.compile(r"secret|passw|passphrase|credential", re.IGNORECASE)

# What issuers' keys look like, wherever they stand.
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
# What a text itself calls one: a header, a URL's password, an assignment.
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
    """Replaces secrets in anything that is about to be written down.

    A secret is: any text under a name that speaks of one (``api_key``, ``Authorization``); what looks like an
    issuer's key; what the text itself calls one; and every value that was registered, however it is escaped.

    Parameters
    ----------
    secrets : iterable of str
        Exact values. Those under four characters are ignored: they would tear holes in every line.
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
        # The longest first: one secret may begin another.
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
        # Well before the end of the head, where a secret may be torn in two.
        kept = redacted[: max(0, min(_LONGEST, len(redacted) - _LONGEST // 2))]
        return f"{kept}… ({len(text)} characters)"

    def value(self, value: object, name: str = "", depth: int = 0) -> object:
        """Mask the secrets in a field of any type; what JSON has no form for becomes its repr."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return MASK if _SECRET_NUMBER_NAME.search(name) else _number(value)
        if _SECRET_NAME.search(name):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping) and depth < _DEEPEST:
            return {self.text(str(key)): self.value(item, str(key), depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)) and depth < _DEEPEST:
            return [self.value(item, name, depth + 1) for item in value]
        # The repr of a notebook's object is the notebook's code.
        with suppress(Exception):
            return self.text(repr(value))
        return f"<{type(value).__name__}>"


def _number(value: float) -> object:
    """Keep a number that any reader of JSON can read."""
    if isinstance(value, int):
        bits = value.bit_length()
        return value if bits < _WORD_BITS else f"an integer of {bits} bits"
    return value if math.isfinite(value) else repr(value)
