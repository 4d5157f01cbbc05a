"""Error messages for failed requests to a model, and the decision whether a retry can help."""

from __future__ import annotations

import math
import random
import re
import socket
import ssl
import time
from dataclasses import dataclass, field
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from fact_magics.errors import ProviderError, suggestion
from fact_magics.providers.endpoints import host_of, is_local, is_loopback, parts_of, proxy_of
from fact_magics.redaction import MASK, Redactor
from fact_magics.text import duration, inert, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST_QUOTE = 300
_MOST_DOUBLINGS = 20
_VERSION = re.compile(r"/v\d")
# Servers shorten or mask the keys that they quote, so that these look different from whole keys.
_KEY_LIKE = re.compile(
    r"\b[Bb]earer\s+\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|ghp|r8|pplx)[-_][A-Za-z0-9_*.-]{8,}"
    r"|\b(?:AIza|AKIA|ASIA)[A-Za-z0-9_*-]{12,}"
)

_LATER = "Run the cell again {1}, or name another model with --model."
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
    408: ("{0.asked} did not answer in time (HTTP {1}).", _LATER),
    409: ("{0.asked} could not process the request now (HTTP {1}).", _LATER),
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
# A retry does not help. Some providers send these errors with the status of too many requests.
_SPENT = (
    "{0.asked} accepts no more requests, because the account's spending limit is reached.",
    "Raise the limit or add credit in the account's settings, or name another model with --model.",
)
_IS_SPENT = re.compile(
    r"spend(?:ing)?[_ ]limit|(?:api|organization|project)[_ ]usage[_ ]limit|insufficient[_ ]quota"
    r"|credit[_ ]balance|billing[_ ](?:hard[_ ])?limit",
    re.IGNORECASE,
)
_IS_TOO_LONG = re.compile(
    r"prompt is too long|context[_ ](?:length|window|size)|maximum context|too many (?:input )?tokens"
    r"|input (?:is )?too long",
    re.IGNORECASE,
)
# A server that has just started answers so, if it does not keep the client waiting.
_LOADING = ("{0.asked} is still loading the model (HTTP {1}).", "{0.time_hint}")
_IS_LOADING = re.compile(r"\bloading\b", re.IGNORECASE)
# Some servers answer 500 to a role or an option that they can't process.
_UNPROCESSABLE = (400, 422, 500, 501)
_RETRY_REASONS = {408: "request timeout", 409: "conflict", 429: "too many requests", 529: "overloaded"}
# Errors of HTTP libraries for a connection that opened and then broke.
_BROKEN = ("ReadError", "WriteError", "RemoteProtocolError", "ConnectionResetError", "BrokenPipeError")
# Servers that a person runs, whose name says more than their address does.
_SELF_HOSTED = ("Ollama", "LM Studio", "llama.cpp", "vLLM")

SYSTEM_REFUSED = re.compile(
    r"system[\w '\"`]{0,20}(?:role|message|prompt|instruction)|roles?\b[^.]{0,30}\bsystem\b"
    r"|only (?:the )?user(?:,| and) (?:model|assistant) roles|roles must alternate"
    r"|developer instruction",
    re.IGNORECASE,
)
"""How servers say that their model has no system role."""


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
        The longest pause between retries, unless the server's ``retry-after`` asks for another.
    longest_retry_after_seconds : float
        The longest pause that a server may ask for. If it asks for more, the request fails.
    jitter : float
        The random part of a pause, 0 to 1, so that clients don't all retry at the same time.
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
    longest_retry_after_seconds: float = 30.0
    jitter: float = 0.25
    connect_seconds: float = 10.0
    silence_seconds: float = 120.0
    setting: str = ""

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Return the pause in seconds before retry number `attempt`, counted from 1."""
        if retry_after is not None:
            return retry_after
        pause: float = self.first_delay_seconds * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)
        chance = random.random()  # noqa: S311 - not a secret
        return min(pause, self.longest_delay_seconds) * (1 - self.jitter * chance)


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
    newer: str = ""  # what else to do if the server does not know its address
    time_name: str = ""  # the setting that says how long the server may be silent
    known_models: tuple[str, ...] = ()  # names like `model`, to suggest one if it is misspelt
    redactor: Redactor = field(default_factory=Redactor, repr=False)  # masks secrets in quoted messages

    def refused(self, status: int, message: object, headers: Mapping[str, str], code: object = "") -> Failure:
        """Explain an HTTP error status, or the equivalent status of an error event in a stream.

        `message` and `code` come from the server; `code` may be the whole error as data. `headers` are the
        response headers, with lower-case names.
        """
        retry_after = read_retry_after(headers.get("retry-after"), time.time())
        happened, hint = _REFUSALS.get(status) or _REFUSALS[500 if status >= 500 else 400]
        is_loading = status == 503 and _IS_LOADING.search(str(message)) is not None
        is_spent = status in (400, 403, 429) and _IS_SPENT.search(f"{code} {message}") is not None
        if is_spent:
            happened, hint = _SPENT
        elif status in _UNPROCESSABLE and _IS_TOO_LONG.search(f"{code} {message}"):
            happened, hint = _REFUSALS[413]
        elif is_loading:
            happened, hint = _LOADING
        elif status in (404, 405) and self.has_own_address and not self._is_about_model(str(message)):
            happened, hint = _NOT_FOUND
        parts = [happened.format(self, status)]
        later = "in a while"
        if retry_after and retry_after >= 1:
            parts.append(f"It asks for a pause of {_pause(retry_after)}.")
            later = "after that"
        if quoted := quote(message, self.redactor):
            parts.append(f"It said: “{quoted}”.")
        error = ProviderError(" ".join(parts), hint=hint.format(self, later))
        reason = _RETRY_REASONS.get(status) or (f"server error {status}" if status >= 500 else "")
        if is_loading:
            reason = "still loading the model"
        if headers.get("x-should-retry") == "false" or is_spent:
            reason = ""
        refusal = str(message) if status in _UNPROCESSABLE else ""
        return Failure(error, reason, retry_after, is_loading and bool(reason), refusal, is_free=True)

    def _is_about_model(self, message: str) -> bool:
        """Tell whether a message names the model, with or without its provider."""
        names = filter(None, (self.model, self.model.partition("/")[2]))
        return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in names)

    def unreachable(self, error: BaseException | None = None) -> Failure:
        """Explain a connection that did not open, or broke before any text came, by the SDK's error."""
        name = "the server" if self.asked == self.host else self.name
        proxy = proxy_of(self.url)
        place = f"{name} at {self.host}{f' through the proxy {proxy}' if proxy else ''}"
        why, hint = "", "Check the network connection and the proxy settings, then run the cell again."
        if proxy:
            hint = "Check the network connection, and the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY."
        elif is_loopback(self.url):
            hint = "Check that it is running and that its address is right."
        reason = "no connection"
        for cause in causes(error):
            if type(cause).__name__ == "ProxyError":
                why, reason = f": the proxy answered “{quote(cause, self.redactor)}”", ""
            elif isinstance(cause, socket.gaierror):
                why = ": its name can't be resolved"
            elif isinstance(cause, ssl.SSLCertVerificationError):
                why, reason = f": its certificate is not trusted ({cause.verify_message})", ""
                hint = "Check the address, and the certificates in SSL_CERT_FILE."
            elif isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLWantReadError):
                why, reason = ": it does not answer in TLS", ""
                hint = f"Check the address in {self.url_name}: http:// may be right instead of https://."
            elif isinstance(cause, ConnectionRefusedError):
                why = ": the connection was refused"
            elif type(cause).__name__ == "ConnectTimeout":
                why = ": it did not accept the connection in time"
            elif type(cause).__name__ in _BROKEN:
                happened = f"The connection to {place} broke before any text came."
                return Failure(ProviderError(happened, hint=_LATER.format(self, "in a while")), reason)
        return Failure(ProviderError(f"Could not connect to {place}{why}.", hint=hint), reason)

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
        parts = parts_of(self.url)
        if self.newer:
            return f"Check the address in {self.url_name}, {self.newer}."
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


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and the errors that led to it, each once, the outermost first."""
    seen: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop(0)
        if current is not None and current not in seen:
            seen.append(current)
            yield current
            queue += [current.__cause__, current.__context__, getattr(current, "original_exception", None)]


def _pause(seconds: float) -> str:
    for size, noun in ((86_400, "day"), (3_600, "hour")):
        if seconds >= size:
            return plural(round(seconds / size), noun)
    return duration(seconds * 1_000)


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
