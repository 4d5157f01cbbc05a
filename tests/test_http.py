"""The HTTP connector against a real server on this machine: in this process, and inside the sandbox."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pickle
import re
import ssl
import subprocess
import sys
import tempfile
import textwrap
import threading
import zlib
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from fact_magics import values
from fact_magics.core import loaded
from fact_magics.http import HTTPConnector, HTTPError
from fact_magics.sandbox import Call, Grants, Outcome, Sandbox, ToolError, library, policy
from fact_magics.signature.source import ToolSource
from fact_magics.store import Candidate
from fact_magics.tool import Status, ToolSpec
from fact_magics.writing.checks import check
from fact_magics.writing.prompt import request_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

pytestmark = pytest.mark.slow

SECRET = "s3cr3t-RECOGNISABLE-token"

# A certificate of nobody's for 127.0.0.1 and localhost, until 2126.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8Wc3o61i6ZXGP7Uy
h+rhZJKus/fDaIVx0fyy5HHP8BuhRANCAAQxrCJjw327cSs6OaLC/2+WfhYxgedL
ZEydz5I8r1x03njqc8iNIihsahN1MOiUAiIrAPJ4eWdRX5bxyEc/lfqo
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBqjCCAVGgAwIBAgIUH4T5ln8YVlxIkWe/2uWdB6AOlT0wCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRZmFjdF9tYWdpY3MgdGVzdHMwIBcNMjYxMTIyMTMwNjQyWhgP
MjEyNjEwMjkxMzA2NDJaMBwxGjAYBgNVBAMMEWZhY3RfbWFnaWNzIHRlc3RzMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMawiY8N9u3ErOjmiwv9vln4WMYHnS2RM
nc+SPK9cdN546nPIjSIobGoTdTDolAIiKwDyeHlnUV+W8chHP5X6qKNvMG0wHQYD
VR0OBBYEFEVSUN32fxxTki5772KsX9JEDN+OMB8GA1UdIwQYMBaAFEVSUN32fxxT
ki5772KsX9JEDN+OMA8GA1UdEwEB/wQFMAMBAf8wGgYDVR0RBBMwEYcEfwAAAYIJ
bG9jYWxob3N0MAoGCCqGSM49BAMCA0cAMEQCIGtSMhODHfrIGRPemT7i7o8/cKj+
JzdJilFzSBzAorBTAiBKYAXTUCWkjqcq2NUiqXidT/z6tVWijs/iJOugKLFpgg==
-----END CERTIFICATE-----
"""


def answer(
    body: bytes = b"{}",
    status: str = "200 OK",
    kind: str = "application/json",
    length: int | None = None,
    **headers: str,
) -> bytes:
    """Write an HTTP answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape") + body


class Server:
    """An HTTP server on a loopback port, in a thread of its own, that sends what it was given, byte by byte.

    Attributes
    ----------
    heard : list of (str, dict)
        Path and headers, by lower-case name, of each request.
    connections, busiest : int
        How many connections were opened, and the most that were answered at a time.
    """

    def __init__(self, *, secure: bool = False) -> None:
        self.answers: dict[str, deque[bytes]] = {}
        self.heard: list[tuple[str, dict[str, str]]] = []
        self.connections = self.busiest = self._busy = 0
        self._secure = secure
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http{'s' if self._secure else ''}://{host}:{self.port}{path}"

    def sends(self, path: str, *wire: bytes) -> str:
        """Answer each request for `path` with the next of these, the last one again and again."""
        self.answers[path] = deque(wire)
        return self.url(path)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        context = None
        if self._secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(CERTIFICATE)
                file.flush()
                context.load_cert_chain(file.name)
        clients: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._client(reader, writer))
            clients.add(task)
            task.add_done_callback(clients.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"\x16":  # TLS, where none is spoken
                    writer.write(answer(status="400 Bad Request"))
                    return
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                path = head[0].split()[1]
                self.heard.append((path, headers))
                self._busy += 1
                self.busiest = max(self.busiest, self._busy)
                try:
                    await self._answer(path.partition("?")[0], reader, writer)
                finally:
                    self._busy -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if path == "/echo":
            wire = answer(json.dumps(self.heard[-1]).encode())
        elif path in ("/together", "/slow"):
            await asyncio.sleep(0.01 if path == "/together" else 0.1)
            wire = answer(b'{"path": "together"}')
        else:
            wires = self.answers.get(path, deque([answer(status="404 Not Found")]))
            wire = wires.popleft() if len(wires) > 1 else wires[0]
        writer.write(wire)
        await writer.drain()
        if path.startswith("/silent"):
            await reader.read()  # until the client hangs up
        if path.startswith("/cut"):
            raise ConnectionError
        if path.startswith("/reset"):
            writer.transport.abort()
            raise ConnectionError


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def server(shared: Server) -> Server:
    """The module's server, with nothing of another test."""
    shared.answers.clear()
    shared.heard.clear()
    shared.connections = shared.busiest = 0
    return shared


@pytest.fixture
def other() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest_asyncio.fixture
async def http() -> AsyncIterator[HTTPConnector]:
    async with HTTPConnector() as connector:
        yield connector


async def refused(connector: HTTPConnector, url: str, headers: Mapping[str, str] | None = None) -> HTTPError:
    """Fetch what can't be fetched, and see that it is told in one clear line."""
    with pytest.raises(HTTPError) as caught:
        await connector.fetch_data(url, headers)
    line = str(caught.value)
    assert line.isprintable()
    assert re.search(r"[.!:…)]$", line), line
    assert len(line) < 700
    assert SECRET not in line + repr(caught.value) + str(vars(caught.value))
    return caught.value


class TestFetching:
    @pytest.mark.parametrize(
        "value",
        [{"a": [1, 2.5, None, True]}, [], "text", 0, None, {"ü": "日本 🎉"}],
        ids=["object", "array", "string", "number", "null", "unicode"],
    )
    async def test_a_document_comes_as_what_its_json_says(self, server, http, value):
        url = server.sends("/x", answer(json.dumps(value, ensure_ascii=False).encode()))
        assert await http.fetch_data(url) == value

    async def test_headers_are_sent_and_json_is_asked_for(self, server, http):
        path, headers = await http.fetch_data(server.url("/echo?q=a b"), {"X-Key": SECRET})
        assert path == "/echo?q=a+b"
        assert headers["x-key"] == SECRET.lower()
        assert headers["accept"] == "application/json"
        assert "cookie" not in headers

    async def test_a_given_header_replaces_the_connector_s_own(self, server, http):
        _, headers = await http.fetch_data(server.url("/echo"), {"Accept": "application/vnd.x+json"})
        assert headers["accept"] == "application/vnd.x+json"

    @pytest.mark.parametrize(
        ("encoding", "body"),
        [
            ("gzip", gzip.compress(b'{"a": 1}', mtime=0)),
            ("GZIP", gzip.compress(b'{"a": 1}', mtime=0)),
            ("deflate", zlib.compress(b'{"a": 1}')),
            ("deflate", zlib.compress(b'{"a": 1}', wbits=-15)),
            ("identity", b'{"a": 1}'),
        ],
    )
    async def test_compressed_content_is_read(self, server, http, encoding, body):
        assert await http.fetch_data(server.sends("/x", answer(body, Content_Encoding=encoding))) == {"a": 1}

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/json", '{"ü": 1}'.encode()),
            ("application/json", '\ufeff{"ü": 1}'.encode()),
            ("application/json; charset=UTF8", '\ufeff{"ü": 1}'.encode()),
            ("application/json", '{"ü": 1}'.encode("utf-16")),
            ("application/json; charset=latin-1", '{"ü": 1}'.encode("latin-1")),
            ("text/plain", '{"ü": 1}'.encode()),
            ("application/octet-stream", '{"ü": 1}'.encode()),
        ],
    )
    async def test_json_is_read_in_the_charsets_that_servers_send_it_in(self, server, http, kind, body):
        assert await http.fetch_data(server.sends("/x", answer(body, kind=kind))) == {"ü": 1}

    async def test_chunked_content_and_content_up_to_the_end_of_the_connection_are_whole(self, server, http):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n"
        assert await http.fetch_data(server.sends("/x", chunked)) == [1, 2]
        assert await http.fetch_data(server.sends("/cut", head + b"\r\n[1]")) == [1]

    async def test_one_connector_serves_many_fetches_over_few_connections(self, server):
        async with HTTPConnector(max_connections=4) as connector:
            found = await asyncio.gather(*(connector.fetch_data(server.url("/together")) for _ in range(60)))
        assert found == [{"path": "together"}] * 60
        assert len(server.heard) == 60
        assert server.connections <= 4
        assert 2 <= server.busiest <= 4

    async def test_waiting_for_a_free_connection_does_not_count_as_time(self, server):
        """Twelve times a tenth of a second is more than the limit, and no fetch takes that long."""
        async with HTTPConnector(max_connections=1, total_seconds=1.0) as connector:
            await asyncio.gather(*(connector.fetch_data(server.url("/slow")) for _ in range(12)))
        assert len(server.heard) == 12

    async def test_fetches_that_fail_leave_the_others_alone(self, server, http):
        good, bad = server.sends("/x", answer(b"[1]")), server.url("/missing")
        found = await asyncio.gather(
            *(http.fetch_data(url) for url in (good, bad) * 20), return_exceptions=True
        )
        assert found[::2] == [[1]] * 20
        assert {type(failure) for failure in found[1::2]} == {HTTPError}

    async def test_cookies_are_not_kept(self, server, http):
        await http.fetch_data(server.sends("/x", answer(Set_Cookie=f"session={SECRET}; Path=/")))
        assert "cookie" not in (await http.fetch_data(server.url("/echo")))[1]

    async def test_proxies_and_netrc_of_the_environment_are_not_asked(
        self, server, http, monkeypatch, tmp_path
    ):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
        monkeypatch.setenv("NETRC", str(netrc))
        _, headers = await http.fetch_data(server.url("/echo"))
        assert "authorization" not in headers


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "told"),
        [
            ("400 Bad Request", "answered 400 Bad Request. Check what this address expects."),
            ("401 Unauthorized", "answered 401 Unauthorized. Check the credentials in its headers."),
            ("404 Not Found", "answered 404 Not Found. Check the address."),
            ("429 Too Many Requests", "answered 429 Too Many Requests. Send fewer requests."),
            ("503 Service Unavailable", "answered 503 Service Unavailable. Try again later."),
            ("304 Not Modified", "answered 304 Not Modified."),
            ("302 Found", "answered 302 Found."),
            ("999 \x1b[31mRed\x07", "answered 999 �[31mRed�."),
            ("404 " + "x" * 5000, "answered 404 " + "x" * 200 + "…"),
        ],
    )
    async def test_what_is_no_success_is_one_line_with_status_reason_and_advice(
        self, server, http, status, told
    ):
        error = await refused(http, server.sends("/a/b", answer(b"", status)))
        assert str(error).startswith(f"{server.url('/a/b')} {told}")
        assert error.status == int(status[:3])

    async def test_the_pause_that_a_server_asks_for_is_told(self, server, http):
        url = server.sends("/x", answer(status="429 Too Many Requests", Retry_After="17"))
        assert str(await refused(http, url)).endswith("Try again in 17 s.")

    async def test_secrets_of_the_address_are_not_shown(self, server, http):
        url = server.url(f"/x?api_key={SECRET}&page=2#{SECRET}")
        assert f"{server.url('/x')}?… answered 404" in str(
            await refused(http, url, {"Authorization": SECRET})
        )


class TestContent:
    @pytest.mark.parametrize(
        ("wire", "told"),
        [
            (answer(b""), "answered 200 with an empty body"),
            (answer(b"  \n"), "empty body"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", "answered 204 with an empty body"),
            (answer(b"<html>", kind="text/html"), "sent text/html, which is not JSON"),
            (answer(b'{\n"a": }'), "sent JSON that is broken at line 2"),
            (answer(b"[" * 200_000), "nested too deeply"),
            (answer(b"1" * 10_000), "Python can't read"),
            (answer(b'"\xff\xfe\xfd"'), "not UTF-8 text"),
            (answer(b'"\xfc"', kind="application/json; charset=utf-8"), "not utf-8 text"),
            (
                answer(b"{}", kind="application/json; charset=klingon"),
                "'klingon', which is not used for JSON",
            ),
            (answer(b"{}", kind="application/json; charset=idna"), "'idna', which is not used for JSON"),
            (answer(b"{}", kind="application/json; charset=zlib"), "'zlib', which is not used for JSON"),
            (answer(b"x" * 100, Content_Encoding="br"), "as 'br', which the request does not accept"),
            (answer(b"x" * 100, Content_Encoding="gzip, gzip"), "which the request does not accept"),
            (answer(b"no gzip", Content_Encoding="gzip"), "compressed content that is broken"),
            (
                answer(gzip.compress(b"[1]", mtime=0)[:-9], Content_Encoding="gzip"),
                "compressed content that is broken",
            ),
            (
                answer(gzip.compress(b"[1]", mtime=0) * 2, Content_Encoding="gzip"),
                "compressed content that is broken",
            ),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "sent an answer that is not HTTP"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "sent an answer that is not HTTP"),
        ],
    )
    async def test_what_is_no_json_is_one_line(self, server, http, wire, told):
        assert told in str(await refused(http, server.sends("/x", wire)))

    async def test_a_document_may_be_exactly_as_large_as_allowed(self, server):
        async with HTTPConnector(max_bytes=1000) as connector:
            exact = json.dumps("x" * 998).encode()
            for wire in (answer(exact), answer(gzip.compress(exact), Content_Encoding="gzip")):
                assert await connector.fetch_data(server.sends("/x", wire)) == "x" * 998
            over = json.dumps("x" * 999).encode()
            for wire in (answer(over), answer(gzip.compress(over), Content_Encoding="gzip")):
                assert "sent more than 1000 bytes" in str(await refused(connector, server.sends("/x", wire)))

    async def test_a_size_that_is_announced_is_refused_before_it_comes(self, server, http):
        url = server.sends("/silent", answer(b"", length=1 << 40))
        assert "sent more than 16 MiB. Ask for less, or raise max_bytes." in str(await refused(http, url))

    async def test_content_without_end_is_cut(self, server):
        """Without a length, what counts is what has come."""
        endless = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b"[" * 3_000_000
        async with HTTPConnector(max_bytes=1 << 20) as connector:
            assert "sent more than 1 MiB" in str(await refused(connector, server.sends("/silent", endless)))

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_a_bomb_is_cut_before_it_unfolds(self, server, encoding):
        """Four gigabytes of blanks in four megabytes; what is allowed is one megabyte."""
        stream = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
        head = stream.compress(b" ") + stream.flush(zlib.Z_FULL_FLUSH)
        block = stream.compress(b" " * (1 << 24)) + stream.flush(zlib.Z_FULL_FLUSH)
        bomb = head + 256 * block  # after a full flush, what follows needs nothing of what went before
        assert len(bomb) < 8 << 20
        url = server.sends("/bomb", answer(bomb, Content_Encoding=encoding))
        script = f"""
            import asyncio, tracemalloc
            from fact_magics.http import HTTPConnector, HTTPError

            async def main():
                async with HTTPConnector(max_bytes=1 << 20) as http:
                    tracemalloc.start()
                    await http.fetch_data({url!r})

            try:
                asyncio.run(main())
            except HTTPError as error:
                print(tracemalloc.get_traced_memory()[1], error)
        """
        peak, told = python(script).split(" ", 1)
        assert "sent more than 1 MiB" in told
        assert int(peak) < 8 << 20

    @pytest.mark.parametrize(
        "wire",
        [
            answer(b'{"a": 1', length=100),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2",
            b"HTTP/1.1 200 OK\r\n",
            b"",
        ],
        ids=["length", "chunk", "head", "nothing"],
    )
    @pytest.mark.parametrize("path", ["/cut", "/reset"])
    async def test_a_connection_that_breaks_is_one_line(self, server, http, path, wire):
        """By its end or by a reset, before the answer, in its head or in its body."""
        told = str(await refused(http, server.sends(path, wire)))
        assert "closed the connection before its answer was complete. Try again later." in told

    async def test_a_server_that_goes_silent_is_given_up(self, server):
        async with HTTPConnector(total_seconds=0.3) as connector:
            for wire in (b"", answer(b"[1,", length=100)):
                told = str(await refused(connector, server.sends("/silent", wire)))
                assert "took longer than 0.3 s. Ask for less, or raise total_seconds." in told

    async def test_a_failure_leaves_the_connector_usable(self, server, http):
        await refused(http, server.sends("/x", answer(b"{")))
        await refused(http, server.sends("/silent", answer(b"", length=1 << 40)))
        await refused(http, server.sends("/x", b"nonsense\r\n\r\n"))
        assert await http.fetch_data(server.sends("/x", answer(b"[1]"))) == [1]


class TestReaching:
    async def test_a_port_where_nothing_answers_is_one_line(self, http, unused_tcp_port):
        told = str(await refused(http, f"http://127.0.0.1:{unused_tcp_port}/x"))
        assert "could not be reached (" in told
        assert "Check that it is running" in told

    async def test_a_host_without_a_name_is_one_line(self, http):
        told = str(await refused(http, "http://no-such-host.invalid/x"))
        assert told.startswith("http://no-such-host.invalid/x has a host whose name can't be resolved.")

    @pytest.mark.parametrize(
        "url",
        [
            "", "/x", "127.0.0.1/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "data:,[]", "http://",
            "http:///x", "http://[::1/x", "http://h:99999/", "http://h/\nX: y", "javascript:alert(1)",
            None, 7, b"http://127.0.0.1/",
        ],
    )  # fmt: skip
    async def test_what_is_no_http_address_is_refused(self, http, url):
        assert "The url is not an http or https address." in str(await refused(http, url))

    @pytest.mark.parametrize(
        "userinfo", [f"me:{SECRET}@", f"{SECRET}@", f":{SECRET}@", f"evil.example\\@{SECRET}@"]
    )
    async def test_an_address_with_a_password_in_it_is_refused_and_not_shown(self, server, http, userinfo):
        told = str(await refused(http, f"http://{userinfo}{server.host}/x"))
        assert "user name or password" in told or "not an http or https" in told
        assert server.heard == []

    @pytest.mark.parametrize(
        "headers",
        [
            {"X": f"{SECRET}\r\nY: 1"}, {"X\r\nY": SECRET}, {"": SECRET}, {"Host": SECRET}, {"X Y": SECRET},
            {"content-length": "5"}, {"X": 7}, {7: "x"}, {"X": SECRET + "\0"},
        ],
    )  # fmt: skip
    async def test_headers_that_would_change_the_message_are_refused(self, server, http, headers):
        await refused(http, server.url("/echo"), headers)
        assert server.heard == []

    async def test_a_certificate_that_nobody_vouches_for_is_refused(self, http):
        with Server(secure=True) as secure:
            told = str(await refused(http, secure.url("/echo")))
            assert "has a certificate that is not trusted (self-signed certificate)" in told
            assert secure.heard == []

    async def test_https_to_a_port_that_does_not_speak_it_is_one_line(self, server, http):
        told = str(await refused(http, f"https://{server.host}/x"))
        assert "could not be reached over TLS. Check that this port speaks https." in told


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_on_the_same_host_is_followed_with_the_headers(self, server, http, status):
        url = server.sends("/old", answer(status=f"{status} Moved", Location="/echo?page=1"))
        path, headers = await http.fetch_data(url, {"X-Key": SECRET})
        assert path == "/echo?page=1"
        assert headers["x-key"] == SECRET.lower()

    async def test_a_redirect_to_another_port_is_refused(self, server, other, http):
        url = server.sends("/old", answer(status="302 Found", Location=other.url(f"/echo?key={SECRET}")))
        told = str(await refused(http, url, {"X-Key": SECRET}))
        assert (
            f"redirects to {other.host}; this redirect is not followed."
            f' Allow it with HTTPConnector(hosts=["{other.host}"])' in told
        )
        assert other.heard == []

    @pytest.mark.parametrize(
        ("location", "told"),
        [
            ("http://evil.example/x", "to evil.example:80;"),
            ("//evil.example/x", "to evil.example:80;"),
            ("http://localhost:{port}/echo", "to localhost:"),
            ("http://127.0.0.1.evil.example:{port}/", "to 127.0.0.1.evil.example:"),
            ("http://{host}@evil.example/x", "user name or password"),
            ("http://me:pw@{host}/echo", "user name or password"),
            ("https://{host}/echo", "to 127.0.0.1:") ,
            ("ftp://{host}/x", "not http or https"),
            ("file:///etc/passwd", "not http or https"),
            ("http://[::1/x", "can't be read"),
            ("http://h:99999/", "can't be read"),
            ("\x1b[2J", "answered 404"),
        ],
    )  # fmt: skip
    async def test_a_redirect_elsewhere_is_refused(self, server, http, location, told):
        target = location.format(host=server.host, port=server.port)
        wire = answer(status="302 Found", Location=target)
        assert told in str(await refused(http, server.sends("/old", wire)))
        assert [path for path, _ in server.heard if path == "/echo"] == []

    async def test_a_redirect_to_a_named_host_is_followed_without_the_headers(self, server, other):
        back = other.sends("/there", answer(status="302 Found", Location=server.url("/echo")))
        url = server.sends("/old", answer(status="302 Found", Location=other.url("/echo")))
        headers = {"X-Key": SECRET, "Authorization": f"Bearer {SECRET}", "Cookie": SECRET}
        for hosts in ([other.host], ["127.0.0.1"], other.host):
            async with HTTPConnector(hosts=hosts) as connector:
                _, sent = await connector.fetch_data(url, headers)
                assert SECRET.lower() not in str(sent)
        server.sends("/old", answer(status="302 Found", Location=back))
        async with HTTPConnector(hosts=[other.host, server.host]) as connector:
            _, sent = await connector.fetch_data(url, headers)
            assert SECRET.lower() not in str(sent)  # nor when it leads back
        async with HTTPConnector(hosts=["example.com", f"127.0.0.1:{server.port}"]) as connector:
            assert "this redirect is not followed" in str(await refused(connector, url, headers))

    async def test_redirects_in_a_circle_end(self, server, http):
        url = server.sends("/round", answer(status="302 Found", Location="/round"))
        assert "redirects more than 10 times" in str(await refused(http, url))
        assert len(server.heard) == 11

    async def test_redirects_take_of_one_and_the_same_time(self, server):
        wire = answer(b"", "302 Found", length=0, Location="/silent")
        server.sends("/silent", answer(b"", length=5))
        async with HTTPConnector(total_seconds=0.3) as connector:
            assert "took longer than 0.3 s" in str(await refused(connector, server.sends("/old", wire)))

    async def test_https_is_not_left_for_http(self, server, trusting):
        with Server(secure=True) as secure:
            secure.sends("/old", answer(status="302 Found", Location=server.url("/echo")))
            told = trusting(secure.url("/old"), "hosts=['127.0.0.1']")
            assert "redirects from https to http; this redirect is not followed" in told
        assert server.heard == []


class TestUse:
    async def test_it_is_used_in_async_with_on_one_loop(self, server, http):
        closed = HTTPConnector()
        assert "not open. Write: async with HTTPConnector() as http:" in str(
            await refused(closed, server.url("/echo"))
        )
        with pytest.raises(HTTPError, match="already open"):
            async with http:
                pass
        elsewhere = await asyncio.to_thread(lambda: asyncio.run(refused(http, server.url("/echo"))))
        assert "another event loop" in str(elsewhere)

    async def test_it_can_be_opened_again(self, server):
        connector = HTTPConnector()
        for _ in range(2):
            async with connector:
                assert (await connector.fetch_data(server.url("/echo")))[0] == "/echo"

    @pytest.mark.parametrize("limit", ["connect_seconds", "total_seconds", "max_bytes", "max_connections"])
    def test_limits_are_more_than_nothing(self, limit):
        with pytest.raises(ValueError, match="more than 0"):
            HTTPConnector(**{limit: 0})

    def test_hosts_are_hosts(self):
        with pytest.raises(ValueError, match="HOST or HOST:PORT"):
            HTTPConnector(hosts=["example.com:http"])

    async def test_an_error_shows_one_line_and_survives_pickling(self, server, http, unused_tcp_port):
        """It holds none of aiohttp's exceptions, which hold the request and its headers."""
        lost = await refused(http, f"http://127.0.0.1:{unused_tcp_port}/", {"X-Key": SECRET})
        error = await refused(http, server.url("/missing"))
        for one in (lost, error):
            assert one._render_traceback_() == [f"HTTPError: {one}"]
            assert (one.__context__, one.__cause__) == (None, None)
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (str(copy), copy.status, copy.url) == (str(error), 404, server.url("/missing"))

    def test_the_module_needs_nothing_but_the_standard_library_until_it_is_opened(self):
        script = """
            import sys
            before = set(sys.modules)
            import asyncio, codecs, json, ssl, zlib
            standard = set(sys.modules)
            import importlib.util
            spec = importlib.util.spec_from_file_location("alone", sys.argv[1])
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.HTTPConnector()
            print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names - {"alone"}))
        """
        path = Path(__file__).parent.parent / "fact_magics" / "http.py"
        assert python(script, str(path)).strip() == "[]"

    def test_without_aiohttp_one_line_says_how_to_install_it(self):
        script = """
            import asyncio, sys

            class Blocker:
                def find_spec(self, name, path=None, target=None):
                    if name.partition(".")[0] == "aiohttp":
                        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

            sys.meta_path.insert(0, Blocker())
            from fact_magics.http import HTTPConnector, HTTPError

            async def main():
                async with HTTPConnector():
                    pass

            try:
                asyncio.run(main())
            except HTTPError as error:
                print(error)
        """
        told = 'HTTPConnector needs aiohttp, which is not installed. Run: pip install "fact_magics[http]"'
        assert python(script).strip() == told

    def test_nothing_is_left_open(self, server):
        """Neither warnings nor tasks, after success and after failure."""
        script = f"""
            import asyncio
            from fact_magics.http import HTTPConnector

            async def main():
                async with HTTPConnector() as http:
                    await http.fetch_data({server.url("/echo")!r})
                    await asyncio.gather(*(http.fetch_data({server.url("/missing")!r}) for _ in range(5)), return_exceptions=True)
                print(len(asyncio.all_tasks()))

            asyncio.run(main())
        """
        assert python(script, warnings="error").strip() == "1"


def python(script: str, *arguments: str, warnings: str = "default", **environment: str) -> str:
    """Run a script in an interpreter of its own; what it prints to stderr is an error."""
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The test's certificate as a file of trusted ones."""
    path = tmp_path / "certificates.pem"
    path.write_text(CERTIFICATE[CERTIFICATE.index("-----BEGIN CERTIFICATE") :])
    return path


@pytest.fixture
def trusting(authority: Path) -> Callable[[str, str], str]:
    """Fetch in an interpreter that trusts the test's certificate."""

    def fetch(url: str, options: str) -> str:
        script = f"""
            import asyncio
            from fact_magics.http import HTTPConnector, HTTPError

            async def main():
                async with HTTPConnector({options}) as http:
                    print(await http.fetch_data({url!r}))

            try:
                asyncio.run(main())
            except HTTPError as error:
                print(error)
        """
        return python(script, SSL_CERT_FILE=str(authority))

    return fetch


TOOL = """
from fact_magics.http import HTTPConnector

async def tool(url: str, options: dict[str, object]) -> object:
    async with HTTPConnector(**options) as http:
        return await http.fetch_data(url, {"X-Key": "k"})
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    running = Sandbox(mode="require", size=2)
    await running.start()
    yield running
    await running.aclose()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def unwalled() -> AsyncIterator[Sandbox]:
    """Fresh processes without walls."""
    running = Sandbox(mode="process", size=2)
    yield running
    await running.aclose()


async def run(box: Sandbox, source: str, *arguments: object, allow: tuple[str, ...] = ()) -> Outcome:
    wire = values.encode({"args": list(arguments), "kwargs": {}})
    return await box.run(
        Call(source, "tool", wire, permissions=allow, imports=ToolSource(source, "tool").imports)
    )


async def raised(box: Sandbox, *arguments: object, allow: tuple[str, ...] = ()) -> ToolError:
    outcome = await run(box, TOOL, *arguments, allow=allow)
    assert outcome.error is not None, outcome
    assert outcome.error.type_name == "fact_magics.http.HTTPError"
    return outcome.error


async def value(box: Sandbox, source: str, *arguments: object, allow: tuple[str, ...] = ()) -> Any:
    outcome = await run(box, source, *arguments, allow=allow)
    assert outcome.status is Status.OK, outcome
    assert outcome.result is not None
    return values.decode(outcome.result)


@pytest.mark.asyncio(loop_scope="module")
class TestInIsolation:
    async def test_a_tool_fetches_from_the_host_that_it_was_granted(self, server, sandbox):
        for host in ("127.0.0.1", "localhost"):
            path, headers = await value(
                sandbox, TOOL, server.url("/echo", host), {}, allow=(f"net:{host}:{server.port}",)
            )
            assert path == "/echo"
            assert headers["x-key"] == "k"

    async def test_without_the_permission_it_is_told_which_one_it_lacks(self, server, sandbox, unwalled):
        url = server.url("/echo")
        assert (await value(unwalled, TOOL, url, {}))[0] == "/echo"
        server.heard.clear()
        for allow in ((), (f"net:127.0.0.1:{server.port + 1}",)):
            error = await raised(sandbox, url, {}, allow=allow)
            assert error.message.startswith(f"{url} could not be reached (")
            assert error.denied == ("net", server.host)
        assert server.heard == []

    async def test_what_it_raises_is_the_tool_s_error(self, server, sandbox):
        error = await raised(sandbox, server.url("/missing"), {}, allow=(f"net:{server.host}",))
        assert error.message == f"{server.url('/missing')} answered 404 Not Found. Check the address."
        assert 'File "<tool>"' in error.traceback
        assert "aiohttp" not in error.traceback
        assert error.denied is None

    async def test_a_tool_may_catch_it(self, server, sandbox):
        source = """
            from fact_magics.http import HTTPConnector, HTTPError

            async def tool(url: str) -> int:
                async with HTTPConnector() as http:
                    try:
                        await http.fetch_data(url)
                    except HTTPError as error:
                        return error.status
            """
        allow = (f"net:{server.host}",)
        assert await value(sandbox, textwrap.dedent(source), server.url("/missing"), allow=allow) == 404

    async def test_a_redirect_to_a_host_that_was_not_granted_leads_nowhere(self, server, other, sandbox):
        """The connector refuses it; and where the tool allows it, the sandbox does."""
        url = server.sends("/old", answer(status="302 Found", Location=other.url("/echo")))
        allow = (f"net:{server.host}",)
        assert "this redirect is not followed" in (await raised(sandbox, url, {}, allow=allow)).message
        error = await raised(sandbox, url, {"hosts": [other.host]}, allow=allow)
        assert error.denied == ("net", other.host)
        assert other.heard == []
        both = (*allow, f"net:{other.host}")
        assert (await value(sandbox, TOOL, url, {"hosts": [other.host]}, allow=both))[0] == "/echo"

    async def test_certificates_are_checked_inside(self, sandbox, authority, monkeypatch):
        """One that the user's certificates vouch for is trusted, any other is not."""
        with Server(secure=True) as secure:
            allow = (f"net:{secure.host}",)
            error = await raised(sandbox, secure.url("/echo"), {}, allow=allow)
            assert "has a certificate that is not trusted" in error.message
            assert secure.heard == []
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
            fresh = Sandbox(mode="require", size=1)
            try:
                assert (await value(fresh, TOOL, secure.url("/echo"), {}, allow=allow))[0] == "/echo"
            finally:
                await fresh.aclose()

    async def test_the_system_s_certificates_can_be_read_and_its_keys_can_t(self, sandbox):
        source = """
            import os, ssl
            def tool():
                paths = ssl.get_default_verify_paths()
                bundle = paths.cafile or os.path.join(paths.capath, sorted(os.listdir(paths.capath))[0])
                found = [open(bundle).read(27)]
                try:
                    found.append(os.listdir("/etc/ssl/private"))
                except OSError as error:
                    found.append(type(error).__name__)
                return found
            """
        assert Path("/etc/ssl/private").is_dir()
        found = await value(sandbox, textwrap.dedent(source), allow=("net:127.0.0.1:9",))
        assert found == ["-----BEGIN CERTIFICATE-----", "PermissionError"]

    async def test_it_works_without_walls_too(self, server, unwalled):
        assert (await value(unwalled, TOOL, server.url("/echo"), {}))[0] == "/echo"

    @pytest.mark.parametrize(
        "body",
        [
            "from fact_magics.tools import slugify",
            "import fact_magics.tools",
            "from fact_magics import slugify",
            "from fact_magics import HTTPConnector",
            "import fact_magics\n    fact_magics.slugify",
            "import fact_magics.http\n    fact_magics.FactCore",
            "import fact_magics.http\n    import fact_magics.tools",
            "from fact_magics.store import Store",
        ],
    )
    async def test_nothing_else_of_the_package_is_there(self, sandbox, unwalled, body):
        for box in (sandbox, unwalled):
            outcome = await run(box, f"def tool():\n    {body}")
            assert outcome.error is not None
            assert outcome.error.type_name == "ImportError"
            assert "can't call another stored tool" in outcome.error.message

    async def test_only_a_tool_that_imports_it_has_it(self, sandbox):
        source = "import sys\ndef tool():\n    return [n for n in sys.modules if n.startswith(('fact_magics', 'aiohttp'))]"
        assert await value(sandbox, source) == []


class TestWriting:
    GOOD = "\n\nasync def f(url: str) -> int:\n    return 1\n"

    @pytest.mark.parametrize(
        "line",
        [
            "from fact_magics.http import HTTPConnector",
            "from fact_magics.http import HTTPConnector as Connector, HTTPError",
        ],
    )
    def test_the_import_is_accepted_and_counts_as_what_it_needs(self, line):
        source = ToolSource(line + self.GOOD, "f")
        assert check(source) == ()
        assert source.imports == ("aiohttp", "fact_magics.http")

    @pytest.mark.parametrize(
        "line",
        [
            "import fact_magics.http",
            "from fact_magics import http",
            "from fact_magics.http import *",
            "from fact_magics.http import _Fetch",
            "from fact_magics.http import HTTPConnector, asyncio",
            "from fact_magics.http import HTTPConnector\nfrom fact_magics.tools import g",
            "from fact_magics.http.x import HTTPConnector",
        ],
    )
    def test_no_other_import_of_the_package_is(self, line):
        failures = check(ToolSource(line + self.GOOD, "f"))
        assert "can't call another stored tool" in failures[0]
        assert "from fact_magics.http import HTTPConnector, HTTPError" in failures[0]

    def test_it_is_imported_before_a_call_and_by_such_tools_alone(self):
        source = "from fact_magics.http import HTTPConnector" + self.GOOD
        imports = ToolSource(source, "f").imports
        assert library.preload_for(imports, source) == ("aiohttp", "asyncio", "fact_magics.http")
        assert "aiohttp" not in library.preload_for(ToolSource(self.GOOD, "f").imports, self.GOOD)

    def test_a_run_s_key_follows_the_connector_s_source(self, monkeypatch):
        """An answer that an older connector gave is not the newer one's."""
        source = "from fact_magics.http import HTTPConnector\n\ndef f(n: int) -> int:\n    return n\n"
        stored = Candidate(name="f", source=source, signature_id="s", description="").numbered("1.0.0")
        keys = [loaded.load(stored).identify({"n": 1})[1] for _ in range(2)]
        monkeypatch.setattr(loaded, "connector_source", lambda: "# an older one")
        assert keys[0] == keys[1] != loaded.load(stored).identify({"n": 1})[1]

    def test_the_user_s_certificates_are_named_to_tools_with_a_network_alone(self, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", "/certificates.pem")
        for grants, named in ((Grants(), None), (Grants(net=(("127.0.0.1", "9"),)), "/certificates.pem")):
            assert policy.zygote_environment(grants, "/scratch").get("SSL_CERT_FILE") == named

    def test_the_model_is_told_of_it_where_the_network_is_granted(self):
        told = request_text(ToolSpec("f", "Fetch.", permissions=("net:api.example.com",)))
        assert "from fact_magics.http import HTTPConnector" in told
        for permissions in ((), ("read:/data",)):
            assert "fact_magics" not in request_text(ToolSpec("f", "Fetch.", permissions=permissions))
