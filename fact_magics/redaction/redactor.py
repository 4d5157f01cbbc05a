"""`Redactor` replaces secrets in text, and `RedactedStream` in text that comes in pieces."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

from fact_magics.redaction.forms import SHORTEST_KEY, SHORTEST_WRAPPED, Forms

MASK = "[redacted]"

_DEEPEST = 8
_LONGEST = 4_096
_WORD_BITS = 64
_SHORT = 64
_REMEMBERED = 512
# Shorter values are never masked, because they would match in every line.
_SHORTEST_SECRET = 4

# Values made of these words stand for a missing key, such as "lm-studio" or "no-key-needed". They protect
# nothing, and masking them would tear names of programs and models out of messages.
_PLACEHOLDER_WORDS = (
    "a", "an", "any", "anything", "api", "apikey", "changeme", "cpp", "dummy", "empty", "example", "fake",
    "free", "here", "insert", "is", "key", "llama", "llamacpp", "lm", "lmstudio", "local", "localhost", "me",
    "mock", "model", "my", "na", "necessary", "need", "needed", "nil", "no", "none", "not", "nothing", "null",
    "ollama", "openai", "optional", "placeholder", "proxy", "replace", "required", "sample", "server", "set",
    "sk", "some", "studio", "test", "testing", "the", "this", "token", "unused", "vllm", "whatever", "with",
    "x", "xx", "xxx", "xxxx", "your",
)  # fmt: skip
_BETWEEN_WORDS = re.compile(r"[\W_]+")

_SECRET_NAME = re.compile(
    r"key|token|secret|authori[sz]ation|passw|passphrase|credential|cookie|bearer", re.IGNORECASE
)
# Numbers in fields with these names are secret, too. In the other fields, they only count tokens or keys.
_SECRET_NUMBER_NAME = re.compile(r"secret|passw|passphrase|credential", re.IGNORECASE)
# Names of the parameters that carry a secret in the query of an address.
_SECRET_PARAMETER = re.compile(
    r"key|token|secret|passw|pwd|auth|credential|bearer|^(?:code|pass|sig|signature)$", re.IGNORECASE
)
_SECRET_VARIABLE = re.compile(r"(?:TOKEN|SECRET|PASSWORD|_KEY)$")
_UNGUESSABLE = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[^\s/~.:]\S{15,}")

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
    | (?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*  # a JSON web token
    """,
    re.VERBOSE,
)
# Text whose surroundings show that it is a secret: in a header, or in an address.
_IN_A_HEADER = (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}")
_IN_AN_ADDRESS = (
    # The user name is bounded, so that the search stays linear.
    (re.compile(r"(://[^\s/:@\"']{0,256}:)[^\s/@\"']+@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"([?&][\w.-]{0,40}(?:key|token|secret|passw\w*|auth|sig|signature)=)[^\s&#\"'<>]{6,}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_IN_AN_ASSIGNMENT = (
    re.compile(
        r"((?:key|token|secret|passwd|password|authori[sz]ation)[\"']?\s{0,8}[=:]\s{0,8}[\"']?)"
        r"(?!bearer\b|basic\b|\[redacted)[^\s\"',;&)}\]]{6,}",
        re.IGNORECASE,
    ),
    rf"\1{MASK}",
)


class Redactor:
    """Replaces secrets in text, and in values that are about to be logged.

    A registered value is found in every usual form: as it is; percent-encoded, or escaped for JSON, Python or
    HTML, in part or as a whole; in base64, alone or within other data; in hexadecimal; wrapped over lines.

    Parameters
    ----------
    secrets : iterable of str
        The values to mask. Values of fewer than four characters are ignored. Values of fewer than eight are
        masked only where they stand alone, and ignored if they are a word or a number, such as ``test``.
        Placeholders such as ``not-needed`` are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._forms: Forms | None = None
        # Names of fields, and values such as a tool's name, are repeated in every line of the log.
        self._short = lru_cache(maxsize=_REMEMBERED)(self._redacted)
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Register a value to mask."""
        is_short_word = len(secret) < SHORTEST_KEY and (secret.isalpha() or secret.isdigit())
        is_guessable = is_short_word or _is_placeholder(secret)
        if len(secret) >= _SHORTEST_SECRET and not is_guessable and secret not in self._secrets:
            self._secrets.add(secret)
            self._forms = None
            self._short.cache_clear()

    def extended(self, secrets: Iterable[str]) -> Redactor:
        """Return a redactor that also masks other values; this one if there are none."""
        more = [secret for secret in secrets if secret not in self._secrets]
        return Redactor((*self._secrets, *more)) if more else self

    @property
    def has_secrets(self) -> bool:
        """Whether any value is registered."""
        return bool(self._secrets)

    def holds(self, text: str) -> bool:
        """Tell quickly whether a text contains a registered value as it is, in no other form."""
        return any(secret in text for secret in tuple(self._secrets))

    @property
    def forms(self) -> Forms:
        """The registered values in every form, prepared for the search."""
        forms = self._forms
        if forms is None:
            secrets = tuple(self._secrets)
            forms = Forms(secrets)
            if len(secrets) == len(self._secrets):  # another thread may have registered a value meanwhile
                self._forms = forms
        return forms

    def mask(self, text: str) -> str:
        """Mask the registered values in a text of any length, and change nothing else."""
        return _masked(text, self.forms.spans(text)) if self._secrets else text

    def message(self, text: str) -> str:
        """Mask registered values, keys of well-known issuers, and secrets in headers and addresses."""
        redacted = _SECRET_SHAPE.sub(MASK, self.mask(text))
        for pattern, replacement in (_IN_A_HEADER, *_IN_AN_ADDRESS):
            redacted = pattern.sub(replacement, redacted)
        return redacted

    def text(self, text: str) -> str:
        """Mask as `message` does, and what is assigned to names like ``api_key``; cut at 4,096 characters."""
        return self._short(text) if len(text) <= _SHORT else self._redacted(text)

    def _redacted(self, text: str) -> str:
        head = text[: 2 * _LONGEST]
        pattern, replacement = _IN_AN_ASSIGNMENT
        redacted = pattern.sub(replacement, self.message(head))
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


class RedactedStream:
    """Masks the registered values of a redactor in a text that comes in pieces.

    Text that may begin a secret is held back until more text has come.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._last = ""  # the character before the held text, which decides whether a word begins there

    def feed(self, piece: str) -> str:
        """Add a piece, and return the masked text that is known by now; it may be empty."""
        if not self._redactor.has_secrets:
            return piece
        forms = self._redactor.forms
        before = len(self._last)
        text = self._last + self._held + piece
        spans: list[tuple[int, int]] = []
        until = len(text)
        if (start := forms.start(text, before)) and start.end() == until:
            until = start.start()
        elif start:
            spans = forms.spans(text)
            until = max(forms.unfinished(text), before)
            # A longer secret may begin with one that is complete.
            until = min((span[0] for span in spans if span[0] < until < span[1]), default=until)
        self._held, self._last = text[until:], text[max(0, until - 1) : until]
        return _masked(text[:until], [span for span in spans if span[1] <= until])[before:]

    def end(self) -> str:
        """Return the rest of the text."""
        before, text = len(self._last), self._last + self._held
        self._held = ""
        return self._redactor.mask(text)[before:]


def _is_placeholder(value: str) -> bool:
    """Tell whether a value only stands for a key, such as ``your-api-key`` or ``xxxxxxxx``."""
    words = [word for word in _BETWEEN_WORDS.split(value.lower()) if word]
    return len(set(value)) == 1 or (bool(words) and all(word in _PLACEHOLDER_WORDS for word in words))


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts: list[str] = []
    position = 0
    for start, end in spans:
        parts += [text[position:start], MASK]
        position = end
    return "".join((*parts, text[position:]))


def _readable_number(value: float) -> object:
    """Return the number, or a text if some JSON parsers can't read the number."""
    if isinstance(value, int):
        bits = value.bit_length()
        return value if bits < _WORD_BITS else f"an integer of {bits} bits"
    return value if math.isfinite(value) else repr(value)


def secrets_in_url(url: str) -> tuple[str, ...]:
    """Return the secrets that an address contains: its password, and keys or tokens in its query."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return ()
    found = [value for name, value in parse_qsl(parts.query) if _SECRET_PARAMETER.search(name)]
    found += [value.replace(" ", "+") for value in found if " " in value]
    if password:
        found += [password, f"{user}:{password}"]
    elif len(user) >= SHORTEST_WRAPPED:  # a token in place of the user name
        found.append(user)
    return tuple(found)


def secrets_in_environment(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the passwords in proxy variables, and the keys that client libraries read by themselves.

    A value is such a key if its name says so and nobody could guess it, because a password such as
    ``postgres`` also occurs in ordinary text.
    """
    variables = os.environ if environment is None else environment
    proxies = (value for name, value in variables.items() if name.lower().endswith("_proxy"))
    keys = (value for name, value in variables.items() if _SECRET_VARIABLE.search(name))
    return (
        *(secret for address in proxies for secret in secrets_in_url(address)),
        *filter(is_unguessable, keys),
    )


def is_unguessable(value: str) -> bool:
    """Tell whether a value is so long and mixed that it stands in no text by chance."""
    return _UNGUESSABLE.fullmatch(value) is not None
