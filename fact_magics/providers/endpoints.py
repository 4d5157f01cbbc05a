"""The address and the key of a model's server: whether they are well-formed, and where an address points."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from fact_magics.errors import ProviderError
from fact_magics.text import inert

NO_KEY = "none-needed"
"""Sent instead of a missing key, because a client without a key would look for one in the environment."""

_LOCAL_ENDS = (".local", ".lan", ".internal")


def is_loopback(url: str) -> bool:
    """Tell whether `url` points to this machine, which no proxy can reach."""
    host = parts_of(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_local(url: str) -> bool:
    """Tell whether `url` points to this machine or to its network."""
    host = parts_of(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        # Names without a dot exist in local networks only, such as those of containers.
        return is_loopback(url) or bool(host and "." not in host) or host.endswith(_LOCAL_ENDS)
    return address.is_loopback or address.is_private


def host_of(url: str) -> str:
    """Return the host and port of an address, without any user name and password."""
    return parts_of(url).netloc.rpartition("@")[2]


def proxy_of(url: str) -> str:
    """Return the host and port of the environment's proxy for an address; empty if there is none."""
    # Its import takes milliseconds, and only a request needs it.
    from urllib.request import getproxies, proxy_bypass

    parts = parts_of(url)
    host = parts.hostname or ""
    if not host or is_loopback(url) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    proxies = getproxies()
    return inert(host_of(proxies.get(parts.scheme) or proxies.get("all") or ""))


def checked_url(url: str, setting: str) -> str:
    """Return `url` without surrounding whitespace; raise `ProviderError` if it is not an HTTP address."""
    stripped = url.strip()
    parts = parts_of(stripped)
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


def parts_of(url: str) -> SplitResult:
    """Split an address; all parts are empty if it is malformed."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
