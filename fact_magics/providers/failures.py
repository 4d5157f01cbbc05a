"""How a request to a model fails: one line for people, and whether asking again can help."""

from __future__ import annotations

import asyncio
import math
import re
import time
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from fact_magics.errors import ProviderError
from fact_magics.providers.base import Retrying, TextDelta
from fact_magics.text import inert

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

    from fact_magics.providers.base import ProviderEvent

NO_KEY = "none-needed"
"""Sent where no key is: clients want one, and would look for it in the environment."""

_LONGEST_QUOTE = 300
_KEY_LIKE = re.compile(
    r"\b[Bb]earer\s+\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|ghp|r8|pplx)[-_][A-Za-z0-9_*.-]{8,}"
    r"|\b(?:AIza|AKIA|ASIA)[A-Za-z0-9_*-]{12,}"
)

_LATER = "Run the cell again in a while, or name another model with --model."
# Status: what it is in two words, what happened, what to do next.
_REFUSALS = {
    401: (
        "key refused",
        "{service} refused the key.",
        "Check {key_name} where it is set, then run the cell again.",
    ),
    402: ("billing", "{service} wants its bill settled first.", "See the account's billing page."),
    403: (
        "not permitted",
        "The key may not use {model} at {service}.",
        "Name another model with --model, or use another key.",
    ),
    404: (
        "unknown model",
        "{service} knows no model {model}.",
        "Check the name given to --model or FACT_MODEL.",
    ),
    413: ("too large", "The request is too large for {model}.", "Shorten the text, or what it inserts."),
    429: ("too many requests", "{service} takes no more requests for now.", _LATER),
    529: ("overloaded", "{service} is overloaded.", _LATER),
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
        What the user reads if it stays so.
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


async def with_retries(
    attempt: Callable[[], AsyncGenerator[ProviderEvent, None]],
    explain: Callable[[Exception], Failure],
    patience: Patience,
) -> AsyncGenerator[ProviderEvent, None]:
    """Run `attempt` until one brings text or fails for good, with a `Retrying` event before each pause.

    Once text has come, nothing is asked again: the text would be shown twice.

    Raises
    ------
    ProviderError
        What `explain` made of the last attempt's exception.
    """
    for number in range(1, patience.retries + 2):
        answered = False
        try:
            async with aclosing(attempt()) as events:
                async for event in events:
                    answered = answered or isinstance(event, TextDelta)
                    yield event
                return
        except ProviderError:
            raise
        except Exception as error:  # noqa: BLE001 - SDKs raise their HTTP library's errors raw, and their own bugs
            failure = explain(error)
        if answered or not failure.can_retry or number > patience.retries:
            # Raised outside the handler: what an SDK raises holds the request, with the key in its headers.
            raise failure.error
        delay = patience.delay(number, failure.retry_after)
        yield Retrying(failure.reason, delay, number)
        await asyncio.sleep(delay)


def failure_of_status(
    status: int,
    *,
    model: str,
    service: str,
    key_name: str,
    said: str,
    headers: Mapping[str, str],
) -> Failure:
    """Explain an HTTP error status, or the same told inside a stream.

    Parameters
    ----------
    status : int
        As the server sent it; of an error event, the status that goes with its type.
    model, service, key_name : str
        What was asked, of whom, and the setting that holds its key.
    said : str
        The server's own words, already passed through `quote`.
    headers : mapping of str to str
        Of the response, by lower-case name: how long to wait, and whether asking again makes sense.
    """
    retry_after = read_retry_after(headers.get("retry-after"), time.time())
    known = _REFUSALS.get(status)
    if known is None and status >= 500:
        known = (f"server error {status}", f"{{service}} failed (HTTP {status}).", _LATER)
    reason, happened, hint = known or (
        f"bad request ({status})",
        f"{{service}} would not take the request (HTTP {status}).",
        "If its words don't say what to change, name another model with --model.",
    )
    names = {"service": service, "model": model, "key_name": key_name}
    parts = [happened.format(**names)]
    if retry_after and retry_after >= 1:
        parts.append(f"It asks for a pause of {retry_after:.0f} s.")
    if said:
        parts.append(f"It said: “{said}”.")
    error = ProviderError(" ".join(parts), hint=hint.format(**names))
    can_retry = (status in (408, 429) or status >= 500) and headers.get("x-should-retry") != "false"
    return Failure(error, reason, can_retry, retry_after)


def failure_to_connect(*, service: str, url: str) -> Failure:
    """Explain a connection that did not open, or broke before any text came."""
    hint = (
        "Check that it is running and that its address is right."
        if is_loopback(url)
        else "Check the network connection and the proxy settings, then run the cell again."
    )
    error = ProviderError(f"No connection to {service} at {host_of(url) or 'its address'}.", hint=hint)
    return Failure(error, "no connection", can_retry=True)


def failure_by_silence(*, service: str, seconds: float) -> Failure:
    """Explain an answer that stalled."""
    happened = f"{service} sent nothing for {seconds:g} s, so the request was given up."
    return Failure(ProviderError(happened, hint="Run the cell again."), "stalled")


def failure_of_protocol(*, service: str, url: str, setting: str) -> Failure:
    """Explain an answer that is not in the provider's protocol: a login page, another service."""
    happened = f"What {host_of(url) or 'its address'} sent is no answer of {service}."
    return Failure(ProviderError(happened, hint=f"Check the address in {setting}."), "not understood")


def failure_unknown(error: Exception, *, model: str, said: str) -> Failure:
    """Explain an exception that belongs to no known kind; `said` is its message, passed through `quote`."""
    happened = f"Asking {model} failed with {type(error).__name__}: {said or 'no message'}."
    return Failure(
        ProviderError(happened, hint="Run the cell again, or name another model with --model."), "failed"
    )


def quote(text: object, secrets: Iterable[str] = ()) -> str:
    """Return a server's words on one line, bounded, with every secret and all that looks like one removed."""
    line = inert(" ".join(str(text or "").split()))
    for secret in secrets:
        if secret:
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
    """Return `url` without the blanks around it, once it is an address that can be asked.

    Raises
    ------
    ProviderError
        It is no http or https address; `setting` says where it stands.
    """
    stripped = url.strip()
    parts = _parts(stripped)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProviderError(
            f"{setting} is no http or https address.", hint="Write it like https://host:port."
        )
    return stripped


def checked_key(key: str, setting: str) -> str:
    """Return `key` without the blanks around it, once it can be sent in a header.

    Raises
    ------
    ProviderError
        It is empty, or holds what no key holds and an HTTP library would quote in its error.
    """
    stripped = key.strip()
    if not stripped:
        raise ProviderError(f"{setting} is empty.", hint="Set it in the environment or in .env.")
    if not all("!" <= character <= "~" for character in stripped):
        raise ProviderError(
            f"{setting} holds characters that no key has: blanks, line ends or letters outside ASCII.",
            hint="Copy the key again.",
        )
    return stripped


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
