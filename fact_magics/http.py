"""`HTTPConnector`: JSON over HTTP for tools that may use the network, and for notebooks.

The source of this file is also sent into the sandbox, where no other file of the package is: it imports
the standard library alone, and aiohttp when a connector is opened.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import ssl
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

__all__ = ["HTTPConnector", "HTTPError"]

_MIB = 1 << 20
_MOST_REDIRECTS = 10
_LONGEST_SHOWN = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
# JSON is UTF-8; this is what servers call it, or send instead. Some other codecs take quadratic time.
_CHARSETS = frozenset({"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "ascii", "iso8859-1", "cp1252"})
# What frames a message, the connector writes itself.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade"})
_LATER = "Try again later."
_CREDENTIALS = "Check the credentials in its headers."
_HINTS = {401: _CREDENTIALS, 403: _CREDENTIALS, 404: "Check the address.", 429: "Ask less often."}
# Inside the sandbox the module comes from no file.
_IS_ISOLATED = "__file__" not in globals()


class HTTPError(Exception):
    """A document that was not fetched: one line that says which, what happened, and what to do next.

    Parameters
    ----------
    message : str
        One sentence.
    hint : str, optional
        What to do next. It joins the message on its line.
    url : str, optional
        The address, without what may be secret in it.
    status : int, optional
        The HTTP status, where an answer came.
    """

    def __init__(self, message: str, *, hint: str = "", url: str = "", status: int | None = None) -> None:
        self.url = url
        self.status = status
        super().__init__(f"{message} {hint}".rstrip())

    def _render_traceback_(self) -> list[str]:
        """Show the line alone where IPython would show a traceback."""
        return [f"{type(self).__name__}: {self}"]


class HTTPConnector:
    """Fetches JSON over pooled connections; one serves many fetches at once, on one event loop.

    Proxies, cookies and ``.netrc`` of the environment are not used. A redirect is followed only to the same
    host and port, to the same host's https, or to one of `hosts`; the given headers stay behind where it
    leads elsewhere.

    Parameters
    ----------
    connect_seconds, total_seconds : float
        How long a connection may take to open, and a whole fetch, redirects included. The wait for a free
        connection does not count.
    max_bytes : int
        The largest document, in bytes, both as it is sent and once it is decompressed.
    max_connections : int
        Connections, and fetches under way, at a time.
    hosts : iterable of str, optional
        Further hosts to which a redirect may lead, as ``HOST`` or ``HOST:PORT``.

    Examples
    --------
    ::

        async with HTTPConnector() as http:
            data = await http.fetch_data("https://api.example.com/items?page=1")
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
        self._pool: _Pool | None = None

    async def __aenter__(self) -> Self:
        if self._pool is not None:
            raise HTTPError("This HTTPConnector is open already.", hint="Open another one.")
        try:
            import aiohttp
        except ImportError:
            hint = 'Run: pip install "fact_magics[http]"'
            raise HTTPError("HTTPConnector needs aiohttp, which is not installed.", hint=hint) from None
        loop = asyncio.get_running_loop()
        session = aiohttp.ClientSession(
            # Not aiodns, which aiohttp would prefer: it asks by UDP, which no permission grants.
            connector=aiohttp.TCPConnector(
                limit=self._max_connections, resolver=aiohttp.ThreadedResolver(loop=loop)
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # done here, where the size is counted
            trust_env=False,
        )
        self._pool = _Pool(session, loop, asyncio.Semaphore(self._max_connections))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.session.close()

    async def fetch_data(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """Fetch one JSON document by GET.

        Parameters
        ----------
        url : str
            An http or https address without a user or password.
        headers : mapping of str to str, optional
            Sent to this address's own host only.

        Returns
        -------
        object
            What the document holds, as `json.loads` gives it.

        Raises
        ------
        HTTPError
            The status is no success, or what came is no JSON; one line says why.
        """
        pool = self._pool
        if pool is None:
            raise HTTPError(
                "This HTTPConnector is not open.", hint="Write: async with HTTPConnector() as http:"
            )
        if asyncio.get_running_loop() is not pool.loop:
            raise HTTPError(
                "This HTTPConnector belongs to another event loop.", hint="Open one on this loop."
            )
        fetch = _Fetch(
            pool.session, _checked_url(url), _checked_headers(headers), self._hosts, self._max_bytes
        )
        async with pool.turns:
            limit = asyncio.timeout(self._total_seconds)
            try:
                async with limit:
                    return await fetch.run()
            except HTTPError:
                raise
            except Exception as error:  # noqa: BLE001 - aiohttp's kinds, and those of the system under it
                if limit.expired():
                    took = f"took longer than {self._total_seconds:g} s"
                    failure = _failure(fetch.url, took, "Ask for less, or raise total_seconds.")
                else:
                    failure = _failure(fetch.url, *_explain(error))
                if _IS_ISOLATED:
                    raise failure from None  # from its context, the sandbox tells which permission it lacked
        # Outside the handler: what aiohttp raises holds the request, with its headers.
        raise failure


class _Pool(NamedTuple):
    session: ClientSession
    loop: asyncio.AbstractEventLoop
    turns: asyncio.Semaphore


class _Fetch:
    """One document, over as many redirects as it takes."""

    def __init__(
        self,
        session: ClientSession,
        url: URL,
        headers: Mapping[str, str],
        hosts: tuple[tuple[str, int | None], ...],
        max_bytes: int,
    ) -> None:
        self._session = session
        self._headers = headers
        self._hosts = hosts
        self._max_bytes = max_bytes
        self.url = url

    async def run(self) -> Any:
        """Follow redirects to an answer, and read it."""
        for _ in range(_MOST_REDIRECTS + 1):
            response = await self._session.get(
                self.url,
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip, deflate",
                    "User-Agent": "fact_magics",
                    **self._headers,
                },
                allow_redirects=False,
            )
            try:
                location = response.headers.get("Location")
                if response.status in _REDIRECTS and location:
                    self._follow(location, response.status)
                    continue
                self._check_status(response)
                body = await self._read(response)
            finally:
                # The connection of an answer that was read whole is back in the pool by now.
                response.close()
            return self._parse(body, response)
        raise _failure(self.url, f"redirects more than {_MOST_REDIRECTS} times", "Check the address.")

    def _follow(self, location: str, status: int) -> None:
        """Go where a redirect leads, if it may lead there."""
        here = self.url
        hint = ""
        try:
            target = here.join(type(here)(location))
            where = f"{_text(target.host or '')}:{target.port}"
        except ValueError:
            raise _failure(here, "redirects to what is no address", status=status) from None
        moved = (target.scheme, target.host, target.port) != (here.scheme, here.host, here.port)
        secured = target.host == here.host and (here.port, target.port) == (80, 443)
        listed = any(target.host == host and port in (None, target.port) for host, port in self._hosts)
        if not target.host or target.scheme not in _PORTS:
            what = "to what is no http or https address"
        elif "@" in target.raw_authority:
            what = "to an address with a user or password in it"
        elif (here.scheme, target.scheme) == ("https", "http"):
            what = "from https to http"
        elif moved and not secured and not listed:
            what, hint = f"to {where}", f'Allow it with HTTPConnector(hosts=["{where}"]).'
        else:
            if moved and not secured:
                self._headers = {}
            self.url = target
            return
        raise _failure(here, f"redirects {what}, which is not followed", hint, status)

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
        hint = _LATER
        try:
            return await self._receive(response)
        except OverflowError:
            mebibytes = self._max_bytes / _MIB
            what = f"sent more than {f'{mebibytes:g} MiB' if mebibytes >= 1 else f'{self._max_bytes} bytes'}"
            hint = "Ask for less, or raise max_bytes."
        except LookupError as unknown:
            what = f"sent content compressed as {_text(str(unknown))}, which was not asked for"
        except zlib.error:
            what = "sent compressed content that is broken"
        raise _failure(self.url, what, hint, response.status)

    async def _receive(self, response: ClientResponse) -> bytes:
        """Read and decompress the body, no further than it may be large; else raises `OverflowError`."""
        if (response.content_length or 0) > self._max_bytes:
            raise OverflowError
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        stream: Any = None
        body = bytearray()
        received = 0
        async for part in response.content.iter_any():
            received += len(part)
            if encoding == "identity":
                body += part
            else:
                stream = stream or _decompressor(encoding, part[0])
                # One byte too many is enough to know.
                body += stream.decompress(part, self._max_bytes + 1 - len(body))
                if stream.unused_data:
                    raise zlib.error("more follows after its end")
            if max(received, len(body)) > self._max_bytes:
                raise OverflowError
        if stream is not None and not stream.eof:
            raise zlib.error("its end is missing")
        return bytes(body)

    def _parse(self, body: bytes, response: ClientResponse) -> Any:
        status, charset = response.status, response.charset
        kind = _text(response.content_type)
        if not body.strip():
            raise _failure(self.url, f"answered {status} with an empty body, which is no JSON", status=status)
        try:
            return json.loads(body.decode(_codec(charset, body)))
        except LookupError:
            what = f"says that its text is {_text(charset or '')!r}, which JSON never is"
        except UnicodeDecodeError:
            what = f"sent bytes that are no {_text(charset or 'UTF-8')} text"
        except RecursionError:
            what = "sent JSON that is nested too deeply"
        except json.JSONDecodeError as error:
            what = f"sent {kind}, which is no JSON"
            if "json" in kind:
                what = f"sent JSON that is broken at line {error.lineno}"
        except ValueError:  # a number of thousands of digits
            what = "sent JSON that Python can't read"
        raise _failure(self.url, what, "Check that this address gives JSON.", status)


def _decompressor(encoding: str, first: int) -> Any:
    """Open a stream of zlib's; raises `LookupError` for what it is not made for."""
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    if encoding == "deflate":
        # Some servers send it without the header that zlib's format has.
        return zlib.decompressobj(zlib.MAX_WBITS if first & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS)
    raise LookupError(repr(encoding))


def _codec(charset: str | None, body: bytes) -> str:
    """Name the codec of a body; raises `LookupError` for one that JSON is never in."""
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
        # Not quoted: what can't be taken apart may hold a password anywhere.
        raise HTTPError(
            "That is no http or https address.", hint="Write it like https://HOST/PATH?NAME=VALUE."
        )
    if "@" in parsed.raw_authority:
        raise _failure(parsed, "was given with a user or password in it", "Send credentials in headers.")
    return parsed


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    given = dict(headers or {})
    for name, value in given.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise HTTPError("Headers are texts by name.", hint='Write headers={"NAME": "VALUE"}.')
        if not name or not all("!" <= letter <= "~" and letter != ":" for letter in name):
            raise HTTPError("A header has no usable name.", hint="Write letters, digits and hyphens.")
        if any(letter < " " and letter != "\t" for letter in value):
            raise HTTPError(f"The header {name} holds a line end.", hint="Remove it.")
        if name.lower() in _OWN_HEADERS:
            raise HTTPError(f"The header {name} is the connector's own to write.", hint="Remove it.")
    return given


def _explain(error: Exception) -> tuple[str, str]:
    """Say what an exception of aiohttp's means, and what to do next."""
    import aiohttp

    reach = "" if _IS_ISOLATED else "Check that it is running and that its address is right."
    if isinstance(error, TimeoutError):
        return "did not take the connection in time", reach
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "it does not fit"
        return f"has a certificate that is not trusted ({_text(reason)})", "Check the name of the host."
    if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return "could not be reached by TLS", "Check that this port speaks https."
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "has a host whose name can't be resolved", reach
    if isinstance(error, aiohttp.ClientConnectorError):
        # Its own words name the address again, as Python writes a tuple.
        number = error.os_error.errno
        return f"could not be reached ({os.strerror(number) if number else 'no reason given'})", reach
    if isinstance(error, aiohttp.ClientResponseError):
        return "sent what is no HTTP answer", "Check the port."
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientConnectionError | OSError):
        return "broke the connection before its answer was whole", _LATER
    return f"could not be fetched ({type(error).__name__})", _LATER


def _failure(url: URL, what: str, hint: str = "", status: int | None = None) -> HTTPError:
    """Build the error about an address, which is shown without user, password and values of its query."""
    port = "" if url.is_default_port() else f":{url.port}"
    query = "?…" if url.raw_query_string else ""
    shown = _text(f"{url.scheme}://{url.host_subcomponent}{port}{url.raw_path}{query}")
    return HTTPError(f"{shown} {what}.", hint=hint, url=shown, status=status)


def _text(text: str) -> str:
    """Return a server's words on one line, bounded, without what a terminal would obey."""
    line = "".join(letter if letter.isprintable() else "�" for letter in text[: _LONGEST_SHOWN + 1])
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"


def _host_and_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text.strip("[]").lower(), None
    if not host or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{text!r} is no HOST or HOST:PORT.")
    return host.strip("[]").lower(), int(port)
