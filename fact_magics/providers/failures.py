"""Error messages for failed requests to a model, and the decision whether a retry can help."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from fact_magics.errors import ProviderError, suggestion
from fact_magics.redaction import MASK, Redactor
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_KEY = "none-needed"
"""Sent instead of a missing key, because a client without a key would look for one in the environment."""

_LONGEST_QUOTE = 300
_MOST_DOUBLINGS = 20
_VERSION = re.compile(r"/v\d")
_LOCAL_ENDS = (".local", ".lan", ".internal")
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
        "{0.asked} refused the request (HTTP {1}).",
        "If the reason is not clear, name another model with --model.",
    ),
    401: ("{0.asked} refused the key.", "Check {0.key_name}, then run the cell again."),
    402: ("{0.asked} has an unpaid bill for this account.", "See the account's billing page."),
    403: (
        "The key may not use {0.model} at {0.asked}.",
        "Name another model with --model, or use another key.",
    ),
    404: (
        "{0.asked} does not know the model {0.model}.",
        "{0.close_names}Check the name given to --model or FACT_MODEL.",
    ),
    413: ("The request is too large for {0.model}.", "Shorten the text, or the values inserted into it."),
    429: ("{0.asked} accepts no more requests for now.", _LATER),
    500: ("{0.asked} failed (HTTP {1}).", _LATER),
    529: ("{0.asked} is overloaded.", _LATER),
}
# At an address that a user set, 404 without a word about the model means that the address is wrong.
_NOT_FOUND = (
    "{0.host} answered that it does not serve this address (HTTP {1}).",
    "{0.address_hint} Then check the name given to --model or FACT_MODEL.",
)
# A server that has just started answers so, if it does not keep the client waiting.
_LOADING = ("{0.asked} is still loading the model (HTTP {1}).", "{0.time_hint}")
_IS_LOADING = re.compile(r"\bloading\b", re.IGNORECASE)
# Some servers answer 500 to a role or an option that they can't process.
_UNPROCESSABLE = (400, 422, 500, 501)
_RETRY_REASONS = {408: "request timeout", 429: "too many requests", 529: "overloaded"}
# Servers that a person runs, whose name says more than their address does.
_SELF_HOSTED = ("Ollama", "LM Studio", "vLLM")


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
        How long a server may send nothing before its answer counts as stalled, and how long it may answer
        that it is loading a model.
    setting : str
        The name of the setting that holds `silence_seconds`, for messages; empty if there is none.
    """

    retries: int = 2
    first_delay_seconds: float = 1.0
    longest_delay_seconds: float = 8.0
    connect_seconds: float = 10.0
    silence_seconds: float = 120.0
    setting: str = ""

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Return the pause in seconds before retry number `attempt`, counted from 1."""
        wished = (
            self.first_delay_seconds * 2 ** min(attempt - 1, _MOST_DOUBLINGS)
            if retry_after is None
            else retry_after
        )
        return min(wished, self.longest_delay_seconds)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request."""

    error: ProviderError  # to be raised if no retry helps
    retry_reason: str = ""  # why the request is repeated, in two or three words; empty if a retry can't help
    retry_after: float | None = None  # the pause that the server asks for, in seconds
    is_loading: bool = False  # the server says that it is loading a model
    refusal: str = ""  # the server's words, if it says that it can't process the request
    is_free: bool = False  # the server refused the request, so that it costs nothing


@dataclass(frozen=True, slots=True)
class Service:
    """A service that hosts a model. The methods explain failed requests."""

    name: str
    model: str = ""
    url: str = ""  # empty if only the client library has the address
    key_name: str = "its key"  # the setting that holds the key, for messages
    url_name: str = "its address"
    has_own_address: bool = False  # whether the user set the address
    usual_path: str = ""  # the end of most servers' addresses
    answer_name: str = "response"  # what the server's answers are called
    time_name: str = ""  # the setting that says how long the server may be silent
    known_models: tuple[str, ...] = ()  # names like `model`, to suggest one if it is misspelt
    redactor: Redactor = field(default_factory=Redactor, repr=False)  # masks secrets in quoted messages

    def refused(self, status: int, message: object, headers: Mapping[str, str]) -> Failure:
        """Explain an HTTP error status, or the equivalent status of an error event in a stream.

        `message` comes from the server. `headers` are the response headers, with lower-case names.
        """
        retry_after = read_retry_after(headers.get("retry-after"), time.time())
        happened, hint = _REFUSALS.get(status) or _REFUSALS[500 if status >= 500 else 400]
        is_loading = status == 503 and _IS_LOADING.search(str(message)) is not None
        if is_loading:
            happened, hint = _LOADING
        elif status in (404, 405) and self.has_own_address and not self._is_about_model(str(message)):
            happened, hint = _NOT_FOUND
        parts = [happened.format(self, status)]
        if retry_after and retry_after >= 1:
            parts.append(f"It asks for a pause of {retry_after:.0f} s.")
        if quoted := quote(message, self.redactor):
            parts.append(f"It said: “{quoted}”.")
        error = ProviderError(" ".join(parts), hint=hint.format(self))
        reason = _RETRY_REASONS.get(status) or (f"server error {status}" if status >= 500 else "")
        if is_loading:
            reason = "still loading the model"
        if headers.get("x-should-retry") == "false":
            reason = ""
        refusal = str(message) if status in _UNPROCESSABLE else ""
        return Failure(error, reason, retry_after, is_loading and bool(reason), refusal, is_free=True)

    def _is_about_model(self, message: str) -> bool:
        """Tell whether a message names the model, with or without its provider."""
        names = filter(None, (self.model, self.model.partition("/")[2]))
        return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in names)

    def unreachable(self) -> Failure:
        """Explain a connection that did not open, or broke before any text came."""
        hint = (
            "Check that it is running and that its address is right."
            if is_loopback(self.url)
            else "Check the network connection and the proxy settings, then run the cell again."
        )
        name = "the server" if self.asked == self.host else self.name
        place = f"{name} at {self.host}"
        return Failure(ProviderError(f"Could not connect to {place}.", hint=hint), "no connection")

    def silent(self, seconds: float) -> Failure:
        """Explain an answer that stalled."""
        happened = f"{self.asked} sent nothing for {seconds:g} s, so the request was given up."
        return Failure(ProviderError(happened, hint=self.time_hint))

    def not_understood(self) -> Failure:
        """Explain an answer that is not in the provider's protocol, such as a login page."""
        happened = f"{self.host} sent an answer that is not a valid {self.answer_name}."
        return Failure(ProviderError(happened, hint=self.address_hint))

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

    @property
    def asked(self) -> str:
        """The receiver of the requests: the provider, or the host if the user set the address."""
        if not self.has_own_address:
            return self.name
        return f"{self.name} at {self.host}" if self.name in _SELF_HOSTED else self.host

    @property
    def address_hint(self) -> str:
        """What to check if something else than a model answers at the address."""
        parts = _parts(self.url)
        if not self.usual_path or _VERSION.search(parts.path):
            return f"Check the address in {self.url_name}."
        usual = f"{parts.scheme}://{self.host}{self.usual_path}"
        return (
            f"Check the address in {self.url_name}: most servers want {self.usual_path} at its end ({usual})."
        )

    @property
    def close_names(self) -> str:
        """Known names that resemble the model's, as the beginning of a hint; may be empty."""
        provider, _, model = self.model.rpartition("/")
        # Compared without the provider, which all of them may share.
        names = {name.removeprefix(f"{provider}/"): name for name in self.known_models if name != self.model}
        close = suggestion([names[match] for match in get_close_matches(model, names)])
        return f"{close} " if close else ""

    @property
    def time_hint(self) -> str:
        """What to do if the server was given up."""
        reason = "It may still be loading the model. " if is_local(self.url) else ""
        more = f", or give it more time: {self.time_name}" if self.time_name else ""
        return f"{reason}Run the cell again{more}."


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


def is_local(url: str) -> bool:
    """Tell whether `url` points to this machine or to its network."""
    host = _parts(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        # Names without a dot exist in local networks only, such as those of containers.
        return is_loopback(url) or bool(host and "." not in host) or host.endswith(_LOCAL_ENDS)
    return address.is_loopback or address.is_private


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
