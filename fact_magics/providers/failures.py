"""Error messages for failed requests to a model, and the decision whether a retry can help."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from fact_magics.errors import ProviderError
from fact_magics.redaction import MASK, Redactor
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_KEY = "none-needed"
"""Sent instead of a missing key, because a client without a key would look for one in the environment."""

_LONGEST_QUOTE = 300
# Servers shorten or mask the keys that they quote, so that these look different from whole keys.
_KEY_LIKE = re.compile(
    r"\b[Bb]earer\s+\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|ghp|r8|pplx)[-_][A-Za-z0-9_*.-]{8,}"
    r"|\b(?:AIza|AKIA|ASIA)[A-Za-z0-9_*-]{12,}"
)

_LATER = "Run the cell again in a while, or name another model with --model."
# What happened and what to do next, by HTTP status. The entries for 400 and 500 also serve for the other
# statuses from 400 to 499 and from 500 on.
_REFUSALS = {
    400: (
        "{0.name} refused the request (HTTP {1}).",
        "If the reason is not clear, name another model with --model.",
    ),
    401: ("{0.name} refused the key.", "Check {0.key_name}, then run the cell again."),
    402: ("{0.name} has an unpaid bill for this account.", "See the account's billing page."),
    403: (
        "The key may not use {0.model} at {0.name}.",
        "Name another model with --model, or use another key.",
    ),
    404: ("{0.name} does not know the model {0.model}.", "Check the name given to --model or FACT_MODEL."),
    413: ("The request is too large for {0.model}.", "Shorten the text, or the values inserted into it."),
    429: ("{0.name} accepts no more requests for now.", _LATER),
    500: ("{0.name} failed (HTTP {1}).", _LATER),
    529: ("{0.name} is overloaded.", _LATER),
}
# At an address that a user set, 404 without a word about the model means that the address is wrong.
_NOT_FOUND = (
    "{0.host} answered that it does not serve this address (HTTP {1}).",
    "Check the address in {0.url_name}, then the name given to --model or FACT_MODEL.",
)
_RETRY_REASONS = {408: "request timeout", 429: "too many requests", 529: "overloaded"}


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits and retries of a provider.

    Attributes
    ----------
    retries : int
        How many times a request is repeated if it fails before any text comes.
    first_delay_seconds : float
        The pause before the first retry; each further pause is twice as long.
    longest_delay_seconds : float
        The longest pause, even if the server's ``retry-after`` asks for more.
    connect_seconds : float
        How long a connection may take to open.
    silence_seconds : float
        How long a server may send nothing before its answer counts as stalled.
    """

    retries: int = 2
    first_delay_seconds: float = 1.0
    longest_delay_seconds: float = 8.0
    connect_seconds: float = 10.0
    silence_seconds: float = 120.0

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Return the pause in seconds before retry number `attempt`, counted from 1."""
        wished = self.first_delay_seconds * 2 ** (attempt - 1) if retry_after is None else retry_after
        return min(wished, self.longest_delay_seconds)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request."""

    error: ProviderError  # to be raised if no retry helps
    retry_reason: str = ""  # why the request is repeated, in two or three words; empty if a retry can't help
    retry_after: float | None = None  # the pause that the server asks for, in seconds


@dataclass(frozen=True, slots=True)
class Service:
    """A service that hosts a model. The methods explain failed requests."""

    name: str
    model: str = ""
    url: str = ""  # empty if only the client library has the address
    key_name: str = "its key"  # the setting that holds the key, for messages
    url_name: str = "its address"
    has_own_address: bool = False  # whether the user set the address
    redactor: Redactor = field(default_factory=Redactor, repr=False)  # masks secrets in quoted messages

    def refused(self, status: int, message: object, headers: Mapping[str, str]) -> Failure:
        """Explain an HTTP error status, or the equivalent status of an error event in a stream.

        `message` comes from the server. `headers` are the response headers, with lower-case names.
        """
        retry_after = read_retry_after(headers.get("retry-after"), time.time())
        happened, hint = _REFUSALS.get(status) or _REFUSALS[500 if status >= 500 else 400]
        if status == 404 and self.has_own_address and self.model not in str(message):
            happened, hint = _NOT_FOUND
        parts = [happened.format(self, status)]
        if retry_after and retry_after >= 1:
            parts.append(f"It asks for a pause of {retry_after:.0f} s.")
        if quoted := quote(message, self.redactor):
            parts.append(f"It said: “{quoted}”.")
        error = ProviderError(" ".join(parts), hint=hint.format(self))
        reason = _RETRY_REASONS.get(status) or (f"server error {status}" if status >= 500 else "")
        return Failure(error, "" if headers.get("x-should-retry") == "false" else reason, retry_after)

    def unreachable(self) -> Failure:
        """Explain a connection that did not open, or broke before any text came."""
        hint = (
            "Check that it is running and that its address is right."
            if is_loopback(self.url)
            else "Check the network connection and the proxy settings, then run the cell again."
        )
        error = ProviderError(f"Could not connect to {self.name} at {self.host}.", hint=hint)
        return Failure(error, "no connection")

    def silent(self, seconds: float) -> Failure:
        """Explain an answer that stalled."""
        happened = f"{self.name} sent nothing for {seconds:g} s, so the request was given up."
        return Failure(ProviderError(happened, hint="Run the cell again."))

    def not_understood(self) -> Failure:
        """Explain an answer that is not in the provider's protocol, such as a login page."""
        happened = f"{self.host} sent an answer that is not a valid {self.name} response."
        return Failure(ProviderError(happened, hint=f"Check the address in {self.url_name}."))

    def failed(self, error: Exception, message: object) -> Failure:
        """Explain an exception of an unknown kind by its message."""
        quoted = quote(message, self.redactor) or "no message"
        happened = f"The request to {self.model} failed with {type(error).__name__}: {quoted}."
        return Failure(
            ProviderError(happened, hint="Run the cell again, or name another model with --model.")
        )

    @property
    def host(self) -> str:
        """The host and port that are asked."""
        return host_of(self.url) or "its address"


def quote(text: object, redactor: Redactor) -> str:
    """Return a server's message on one line, shortened if long, with secrets and key-like text masked."""
    redacted = _KEY_LIKE.sub(MASK, redactor.message(str(text or "")))
    line = inert(" ".join(redacted.split()))
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


def read_retry_after(value: str | None, now: float) -> float | None:
    """Return the pause in seconds that a ``retry-after`` header asks for.

    `value` is a number of seconds or an HTTP date; `now` is the current Unix time. The result is never
    negative; None means that the header is missing or malformed.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def is_loopback(url: str) -> bool:
    """Tell whether `url` points to this machine, which no proxy can reach."""
    host = _parts(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def host_of(url: str) -> str:
    """Return the host and port of an address, without any user name and password."""
    return _parts(url).netloc.rpartition("@")[2]


def checked_url(url: str, setting: str) -> str:
    """Return `url` without surrounding whitespace; raise `ProviderError` if it is not an HTTP address."""
    stripped = url.strip()
    parts = _parts(stripped)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProviderError(
            f"{setting} is not an http or https address.", hint="Write it like https://host:port."
        )
    return stripped


def checked_key(key: str, setting: str) -> str:
    """Return `key` without surrounding whitespace; raise `ProviderError` if it can't be a key.

    An HTTP library would also refuse such a key, but its error message would quote the key.
    """
    stripped = key.strip()
    if not stripped:
        raise ProviderError(f"{setting} is empty.", hint="Set it in the environment or in .env.")
    if not all("!" <= character <= "~" for character in stripped):
        raise ProviderError(
            f"{setting} contains spaces, line breaks or non-ASCII characters, which a key never has.",
            hint="Copy the key again.",
        )
    return stripped


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
