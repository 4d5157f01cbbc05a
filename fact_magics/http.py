"""`HTTPConnector`: JSON over HTTP for tools that may use the network, and for notebooks.

The source of this file is also sent into the sandbox, where the rest of the package is missing. So it imports
only the standard library, and aiohttp when a connector is opened.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import ssl
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

    _Headers = dict[str, str]
    _Hosts = tuple[tuple[str, int | None], ...]

__all__ = ["HTTPConnector", "HTTPError"]

_MIB = 1 << 20
_MOST_REDIRECTS = 10
_LONGEST_SHOWN = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
# JSON should be UTF-8, but servers also send these charsets. Some other codecs take quadratic time.
_CHARSETS = frozenset({"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "ascii", "iso8859-1", "cp1252"})
# The connector itself writes the headers that frame a message.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade"})
_REQUEST_HEADERS = {
    "Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "fact_magics"
}  # fmt: skip
_LATER = "Try again later."
_CREDENTIALS = "Check the credentials in its headers."
_HINTS = {401: _CREDENTIALS, 403: _CREDENTIALS, 404: "Check the address.", 429: "Send fewer requests."}
# Inside the sandbox, this module is not loaded from a file.
_IS_ISOLATED = "__file__" not in globals()


class HTTPError(Exception):
    """A document could not be fetched; one line names the document, the reason and what to do next.

    Parameters
    ----------
    message : str
        One sentence.
    hint : str, optional
        What to do next; it follows the message on the same line.
    url : str, optional
        The address, without the parts that may be secret.
    status : int, optional
        The HTTP status, if an answer came.
    """

    def __init__(self, message: str, *, hint: str = "", url: str = "", status: int | None = None) -> None:
        self.url = url
        self.status = status
        super().__init__(f"{message} {hint}".rstrip())

    def _render_traceback_(self) -> list[str]:
        """Show the line alone where IPython would show a traceback."""
        return [f"{type(self).__name__}: {self}"]


class HTTPConnector:
    """Fetch JSON over pooled connections; one connector can make many fetches at once, on one event loop.

    The environment's proxies, cookies and ``.netrc`` are not used. A redirect is followed only to the same
    host and port, to the same host's https, or to one of `hosts`. If a redirect leads to another host, the
    given headers are not sent there.

    Parameters
    ----------
    connect_seconds, total_seconds : float
        How long opening a connection may take, and how long a whole fetch with its redirects may take.
        Waiting for a free connection does not count.
    max_bytes : int
        The largest size of a document in bytes, both as sent and after decompression.
    max_connections : int
        The largest number of connections, and of simultaneous fetches.
    hosts : iterable of str, optional
        Further hosts to which a redirect may lead, as ``HOST`` or ``HOST:PORT``.

    Examples
    --------
    >>> async with HTTPConnector() as http:
    ...     data = await http.fetch_data("https://api.example.com/items?page=1")
    """

    def __init__(
        self,
        *,
        connect_seconds: float = 10.0,
        total_seconds: float = 25.0,
        max_bytes: int = 16 * _MIB,
        max_connections: int = 10,
        hosts: Iterable[str] = (),
    ) -> None:
        if not min(connect_seconds, total_seconds, max_bytes, max_connections) > 0:
            raise ValueError("Each limit of an HTTPConnector must be more than 0.")
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._max_bytes = max_bytes
        self._max_connections = max_connections
        self._hosts = tuple(_host_and_port(text) for text in ([hosts] if isinstance(hosts, str) else hosts))
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        if self._session is not None:
            raise HTTPError("This HTTPConnector is already open.", hint="Open another one.")
        try:
            import aiohttp
        except ImportError:
            hint = 'Run: pip install "fact_magics[http]"'
            raise HTTPError("HTTPConnector needs aiohttp, which is not installed.", hint=hint) from None
        self._loop = asyncio.get_running_loop()
        self._turns = asyncio.Semaphore(self._max_connections)
        self._session = aiohttp.ClientSession(
            # aiohttp would prefer aiodns, which uses UDP, and no permission allows UDP.
            connector=aiohttp.TCPConnector(limit=self._max_connections, resolver=aiohttp.ThreadedResolver()),
            headers=_REQUEST_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # `_read` decompresses, to limit the size
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def fetch_data(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """Fetch one JSON document by GET.

        Parameters
        ----------
        url : str
            An http or https address without a user name or password.
        headers : mapping of str to str, optional
            Sent to this address's own host only.

        Returns
        -------
        object
            The content of the document, as `json.loads` gives it.

        Raises
        ------
        HTTPError
            No answer came, the status is not 2xx, or the content is not JSON; one line says why.
        """
        if self._session is None:
            hint = "Write: async with HTTPConnector() as http:"
            raise HTTPError("This HTTPConnector is not open.", hint=hint)
        if asyncio.get_running_loop() is not self._loop:
            raise HTTPError("This HTTPConnector belongs to another event loop.", hint="Open one here.")
        given = _checked_url(url), _checked_headers(headers)
        fetch = _Fetch(self._session, *given, self._hosts, self._max_bytes)
        async with self._turns:
            limit = asyncio.timeout(self._total_seconds)
            try:
                async with limit:
                    return await fetch.run()
            except HTTPError:
                raise
            except Exception as error:  # noqa: BLE001 - the errors of aiohttp and of the operating system
                late = f"took longer than {self._total_seconds:g} s", "Ask for less, or raise total_seconds."
                failure = _failure(fetch.url, *(late if limit.expired() else _explain(error)))
                if _IS_ISOLATED:
                    raise failure from None  # the context tells the sandbox which permission is missing
        # Raised outside the handler. Otherwise aiohttp's error, which contains the request's headers, would
        # be its context.
        raise failure


class _Fetch:
    """The fetch of one document, including its redirects."""

    def __init__(self, session: ClientSession, url: URL, headers: _Headers, hosts: _Hosts, size: int) -> None:
        self._session, self._hosts, self._max_bytes = session, hosts, size
        self.url, self._headers = url, headers

    async def run(self) -> Any:
        for _ in range(_MOST_REDIRECTS + 1):
            asked = self._session.get(self.url, headers=self._headers, allow_redirects=False)
            async with asked as response:
                location = response.headers.get("Location")
                if response.status in _REDIRECTS and location:
                    self._follow(location, response.status)
                    continue
                self._check_status(response)
                return self._parse(await self._read(response), response)
        raise _failure(self.url, f"redirects more than {_MOST_REDIRECTS} times", "Check the address.")

    def _follow(self, location: str, status: int) -> None:
        """Continue with the target of a redirect, if it may be followed."""
        here, hint = self.url, ""
        try:
            target = here.join(type(here)(location))
            where = f"{_text(target.host or '')}:{target.port}"
        except ValueError:
            raise _failure(here, "redirects to an address that can't be read", status=status) from None
        moved = (target.scheme, target.host, target.port) != (here.scheme, here.host, here.port)
        secured = target.host == here.host and (here.port, target.port) == (80, 443)
        listed = any(target.host == host and port in (None, target.port) for host, port in self._hosts)
        if not target.host or target.scheme not in _PORTS:
            what = "to an address that is not http or https"
        elif "@" in target.raw_authority:
            what = "to an address with a user name or password in it"
        elif (here.scheme, target.scheme) == ("https", "http"):
            what = "from https to http"
        elif moved and not secured and not listed:
            what, hint = f"to {where}", f'Allow it with HTTPConnector(hosts=["{where}"]).'
        else:
            if moved and not secured:
                self._headers = {}
            self.url = target
            return
        raise _failure(here, f"redirects {what}; this redirect is not followed", hint, status)

    def _check_status(self, response: ClientResponse) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        hint = _HINTS.get(status, _LATER if status >= 500 else "Check what this address expects.")
        pause = response.headers.get("Retry-After", "")
        if pause.isascii() and pause.isdigit() and len(pause) < 7:
            hint = f"Try again in {pause} s."
        raise _failure(self.url, f"answered {status} {_text(response.reason or '')}".rstrip(), hint, status)

    async def _read(self, response: ClientResponse) -> bytes:
        """Read and decompress the body; stop as soon as it exceeds the largest size."""

        def failed(what: str, hint: str = _LATER) -> HTTPError:
            return _failure(self.url, f"sent {what}", hint, response.status)

        mebibytes = self._max_bytes / _MIB
        size = f"{mebibytes:g} MiB" if mebibytes >= 1 else f"{self._max_bytes} bytes"
        too_large = f"more than {size}", "Ask for less, or raise max_bytes."
        broken = "compressed content that is broken"
        if (response.content_length or 0) > self._max_bytes:
            raise failed(*too_large)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        stream: Any = None
        body = bytearray()
        received = 0
        async for part in response.content.iter_any():
            received += len(part)
            if encoding == "identity":
                body += part
            else:
                try:
                    stream = stream or _decompressor(encoding, part[0])
                    # One byte more than the limit is enough to show that the body is too large.
                    body += stream.decompress(part, self._max_bytes + 1 - len(body))
                except LookupError:
                    name = _text(repr(encoding))
                    raise failed(f"content compressed as {name}, which the request does not accept") from None
                except zlib.error:
                    raise failed(broken) from None
                if stream.unused_data:
                    raise failed(broken)
            if max(received, len(body)) > self._max_bytes:
                raise failed(*too_large)
        if stream is not None and not stream.eof:
            raise failed(broken)
        return bytes(body)

    def _parse(self, body: bytes, response: ClientResponse) -> Any:
        kind, charset = _text(response.content_type), response.charset
        hint = "Check that this address gives JSON."
        try:
            if body.strip():
                return json.loads(body.decode(_codec(charset, body)))
            what, hint = f"answered {response.status} with an empty body, which is not JSON", ""
        except LookupError:
            what = f"declares the charset {_text(charset or '')!r}, which is not used for JSON"
        except UnicodeDecodeError:
            what = f"sent bytes that are not {_text(charset or 'UTF-8')} text"
        except RecursionError:
            what = "sent JSON that is nested too deeply"
        except json.JSONDecodeError as error:
            broken = f"sent JSON that is broken at line {error.lineno}"
            what = broken if "json" in kind else f"sent {kind}, which is not JSON"
        except ValueError:  # an integer with thousands of digits
            what = "sent JSON that Python can't read"
        raise _failure(self.url, what, hint, response.status)


def _decompressor(encoding: str, first: int) -> Any:
    """Make a decompressor; raise `LookupError` for an unknown encoding."""
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    if encoding == "deflate":
        # This means zlib's format, but some servers leave out its header.
        return zlib.decompressobj(zlib.MAX_WBITS if first & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS)
    raise LookupError(encoding)


def _codec(charset: str | None, body: bytes) -> str:
    """Return the name of a body's codec; raise `LookupError` if the codec is not used for JSON."""
    name = codecs.lookup(charset).name if charset else json.detect_encoding(body)
    if charset and name not in _CHARSETS:
        raise LookupError(charset)
    return "utf-8-sig" if name == "utf-8" else name


def _checked_url(url: object) -> URL:
    from yarl import URL

    try:
        parsed = URL(url) if isinstance(url, str) and url.isprintable() else URL()
        valid = parsed.scheme in _PORTS and bool(parsed.host and parsed.port)
    except ValueError:
        valid = False
    if not valid:
        # The address is not quoted: if it can't be parsed, any part of it may be a password.
        hint = "Write https://HOST/PATH?NAME=VALUE."
        raise HTTPError("The url is not an http or https address.", hint=hint)
    if "@" in parsed.raw_authority:
        raise _failure(parsed, "was given with a user name or password", "Send credentials in headers.")
    return parsed


def _checked_headers(headers: Mapping[str, str] | None) -> _Headers:
    given = dict(headers or {})
    for name, value in given.items():
        what, hint = "", "Remove it."
        if not (isinstance(name, str) and isinstance(value, str)):
            what, hint = "Header names and values must be str", 'Write headers={"NAME": "VALUE"}.'
        elif not name or not all("!" <= letter <= "~" and letter != ":" for letter in name):
            what, hint = "A header name is not valid", "Use letters, digits and hyphens."
        elif any(letter < " " and letter != "\t" for letter in value):
            what = f"The header {name} contains a line break"
        elif name.lower() in _OWN_HEADERS:
            what = f"The header {name} is set by the connector"
        if what:
            raise HTTPError(f"{what}.", hint=hint)
    return given


def _explain(error: Exception) -> tuple[str, str]:
    """Explain an exception of aiohttp, and say what to do next."""
    import aiohttp

    reach = "" if _IS_ISOLATED else "Check that it is running and that its address is right."
    if isinstance(error, TimeoutError):
        return "did not accept the connection in time", reach
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "it is not valid for this host"
        return f"has a certificate that is not trusted ({_text(reason)})", "Check the name of the host."
    if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return "could not be reached over TLS", "Check that this port speaks https."
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "has a host whose name can't be resolved", reach
    if isinstance(error, aiohttp.ClientConnectorError):
        # The text of this error would repeat the address, as a Python tuple.
        number = error.os_error.errno
        return f"could not be reached ({os.strerror(number) if number else 'no reason given'})", reach
    if isinstance(error, aiohttp.ClientResponseError):
        return "sent an answer that is not HTTP", "Check the port."
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientConnectionError | OSError):
        return "closed the connection before its answer was complete", _LATER
    return f"could not be fetched ({type(error).__name__})", _LATER


def _failure(url: URL, what: str, hint: str = "", status: int | None = None) -> HTTPError:
    """Build the error about an address; its text omits the user name, the password and the query."""
    port = "" if url.is_default_port() else f":{url.port}"
    query = "?…" if url.raw_query_string else ""
    shown = _text(f"{url.scheme}://{url.host_subcomponent}{port}{url.raw_path}{query}")
    return HTTPError(f"{shown} {what}.", hint=hint, url=shown, status=status)


def _text(text: str) -> str:
    """Return a server's text on one bounded line, with unprintable characters replaced."""
    line = "".join(letter if letter.isprintable() else "�" for letter in text[: _LONGEST_SHOWN + 1])
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"


def _host_and_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text.strip("[]").lower(), None
    if not host or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{text!r} is not HOST or HOST:PORT.")
    return host.strip("[]").lower(), int(port)
