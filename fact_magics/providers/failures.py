"""How a request to a model fails: one line for people, and whether asking again can help."""

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
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NO_KEY = "none-needed"
"""Sent in place of a missing key: clients want one, and would look for it in the environment."""

_LONGEST_QUOTE = 300
_KEY_LIKE = re.compile(
    r"\b[Bb]earer\s+\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|ghp|r8|pplx)[-_][A-Za-z0-9_*.-]{8,}"
    r"|\b(?:AIza|AKIA|ASIA)[A-Za-z0-9_*-]{12,}"
)

_LATER = "Run the cell again in a while, or name another model with --model."
# By status: the reason in two words, what happened, what to do next.
_REFUSALS = {
    401: ("key refused", "{0.name} refused the key.", "Check {0.key_name}, then run the cell again."),
    402: ("billing", "{0.name} has an unpaid bill for this account.", "See the account's billing page."),
    403: (
        "not permitted",
        "The key may not use {0.model} at {0.name}.",
        "Name another model with --model, or use another key.",
    ),
    404: (
        "unknown model",
        "{0.name} does not know the model {0.model}.",
        "Check the name given to --model or FACT_MODEL.",
    ),
    413: ("too large", "The request is too large for {0.model}.", "Shorten the text, or what it inserts."),
    429: ("too many requests", "{0.name} accepts no more requests for now.", _LATER),
    529: ("overloaded", "{0.name} is overloaded.", _LATER),
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a provider waits, and how often it asks again.

    Attributes
    ----------
    retries : int
        How many times a request that brought no text is made again.
    first_delay_seconds : float
        The pause before the first retry; it doubles with each one.
    longest_delay_seconds : float
        No pause is longer, whatever the server's ``retry-after`` says.
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
        """Return the pause before retry number `attempt`, counted from 1, in seconds."""
        wished = self.first_delay_seconds * 2 ** (attempt - 1) if retry_after is None else retry_after
        return min(wished, self.longest_delay_seconds)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request.

    Attributes
    ----------
    error : ProviderError
        What the user reads if no retry helps.
    reason : str
        The same in two or three words.
    can_retry : bool
        Whether the same request may succeed a little later.
    retry_after : float or None
        The pause that the server asked for, in seconds.
    """

    error: ProviderError
    reason: str
    can_retry: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """Who is asked for a model; explains what can go wrong there.

    Attributes
    ----------
    name, model, url : str
        The service, the model, and the address; an empty address where only a library knows it.
    key_name, url_name : str
        The settings of its key and of its address, for messages.
    secrets : tuple of str
        Are removed from what the server's messages quote.
    """

    name: str
    model: str = ""
    url: str = ""
    key_name: str = "its key"
    url_name: str = "its address"
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def refused(self, status: int, message: object, headers: Mapping[str, str]) -> Failure:
        """Explain an HTTP error status, or an error event inside a stream.

        Parameters
        ----------
        status : int
            As the server sent it; of an error event, the status that goes with its type.
        message : object
            The server's own words.
        headers : mapping of str to str
            Of the response, by lower-case name: how long to wait, and whether asking again makes sense.
        """
        retry_after = read_retry_after(headers.get("retry-after"), time.time())
        known = _REFUSALS.get(status)
        if known is None and status >= 500:
            known = (f"server error {status}", f"{{0.name}} failed (HTTP {status}).", _LATER)
        reason, happened, hint = known or (
            f"bad request ({status})",
            f"{{0.name}} refused the request (HTTP {status}).",
            "If the reason is not clear, name another model with --model.",
        )
        parts = [happened.format(self)]
        if retry_after and retry_after >= 1:
            parts.append(f"It asks for a pause of {retry_after:.0f} s.")
        if quoted := quote(message, self.secrets):
            parts.append(f"It said: “{quoted}”.")
        error = ProviderError(" ".join(parts), hint=hint.format(self))
        can_retry = (status in (408, 429) or status >= 500) and headers.get("x-should-retry") != "false"
        return Failure(error, reason, can_retry, retry_after)

    def unreachable(self) -> Failure:
        """Explain a connection that did not open, or broke before any text came."""
        hint = (
            "Check that it is running and that its address is right."
            if is_loopback(self.url)
            else "Check the network connection and the proxy settings, then run the cell again."
        )
        error = ProviderError(f"No connection to {self.name} at {self._host}.", hint=hint)
        return Failure(error, "no connection", can_retry=True)

    def silent(self, seconds: float) -> Failure:
        """Explain an answer that stalled."""
        happened = f"{self.name} sent nothing for {seconds:g} s, so the request was given up."
        return Failure(ProviderError(happened, hint="Run the cell again."), "stalled")

    def not_understood(self) -> Failure:
        """Explain an answer that is not in the provider's protocol: a login page, another service."""
        happened = f"The answer from {self._host} is not an answer of {self.name}."
        return Failure(
            ProviderError(happened, hint=f"Check the address in {self.url_name}."), "not understood"
        )

    def failed(self, error: Exception, message: object) -> Failure:
        """Explain an exception of no known kind by its message."""
        quoted = quote(message, self.secrets) or "no message"
        happened = f"Asking {self.model} failed with {type(error).__name__}: {quoted}."
        hint = "Run the cell again, or name another model with --model."
        return Failure(ProviderError(happened, hint=hint), "failed")

    @property
    def _host(self) -> str:
        return host_of(self.url) or "its address"


def quote(text: object, secrets: Iterable[str] = ()) -> str:
    """Return a server's words on one line, bounded, without secrets and anything that looks like one."""
    line = inert(" ".join(str(text or "").split()))
    for secret in filter(None, secrets):
        line = line.replace(secret, "[redacted]")
    line = _KEY_LIKE.sub("[redacted]", line)
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


def read_retry_after(value: str | None, now: float) -> float | None:
    """Read a ``retry-after`` header: seconds, or an HTTP date.

    Parameters
    ----------
    value : str or None
        The header.
    now : float
        The time to count a date from, in seconds since the epoch.

    Returns
    -------
    float or None
        Seconds, never negative; None where the header is missing or makes no sense.
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
    """Tell whether `url` points at this machine, where no proxy can lead."""
    host = _parts(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def host_of(url: str) -> str:
    """Give the host and port of an address, without the user and password that it may hold."""
    return _parts(url).netloc.rpartition("@")[2]


def checked_url(url: str, setting: str) -> str:
    """Return `url` without surrounding blanks.

    Raises
    ------
    ProviderError
        It is not an http or https address; the message names the `setting` that holds it.
    """
    stripped = url.strip()
    parts = _parts(stripped)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProviderError(
            f"{setting} is not an http or https address.", hint="Write it like https://host:port."
        )
    return stripped


def checked_key(key: str, setting: str) -> str:
    """Return `key` without surrounding blanks.

    Raises
    ------
    ProviderError
        It is empty, or holds characters that an HTTP library would refuse and quote in its error.
    """
    stripped = key.strip()
    if not stripped:
        raise ProviderError(f"{setting} is empty.", hint="Set it in the environment or in .env.")
    if not all("!" <= character <= "~" for character in stripped):
        raise ProviderError(
            f"{setting} holds characters that are never part of a key: blanks, line ends, or not ASCII.",
            hint="Copy the key again.",
        )
    return stripped


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
