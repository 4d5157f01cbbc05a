"""Everything that a network or a provider may do, through the real SDKs: a said retry, or one clear line."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from pydantic import SecretStr

from fact_magics.errors import ProviderError
from fact_magics.providers.anthropic import AnthropicProvider
from fact_magics.providers.base import Retrying, TextDelta
from fact_magics.providers.litellm import LiteLLMProvider, load_litellm

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_user_settings", "no_proxies")]

KEY = "sk-made-up-RECOGNISABLE"


@pytest.fixture(scope="module", autouse=True)
def litellm():
    """Import it once, before anything is timed."""
    return load_litellm()


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.fixture(params=["anthropic", "litellm"])
def road(request, patience):
    """Return a function that makes a provider for an address."""

    def make(url, **limits):
        patient = replace(patience, **limits)
        if request.param == "anthropic":
            return AnthropicProvider("claude-sonnet-5-5", SecretStr(KEY), base_url=url, patience=patient)
        settings = {"OPENAI_API_KEY": SecretStr(KEY), "OPENAI_BASE_URL": SecretStr(f"{url}/v1")}
        return LiteLLMProvider("openai/gpt-4o", settings, patience=patient)

    return make


async def failure(provider, ask, events=None):
    """Ask, and return the line of the error, after the checks that hold for every error."""
    with pytest.raises(ProviderError) as caught:
        await ask(provider, events)
    line = caught.value.line
    assert "\n" not in line
    assert caught.value.hint
    assert caught.value.__context__ is None
    assert KEY not in f"{line}{caught.value!r}"
    assert not re.search(r"litellm|httpx|httpcore|anthropic\.|Exception|Errno|None", line)
    return line


PASSING = {
    "408": (lambda s: s.fails(408), "request timeout"),
    "409": (lambda s: s.fails(409), "conflict"),
    "429": (lambda s: s.fails(429), "too many requests"),
    "429 with a pause": (lambda s: s.fails(429, retry_after=0.03), "too many requests"),
    "500": (lambda s: s.fails(500), "server error 500"),
    "502": (lambda s: s.fails(502), "server error 502"),
    "503": (lambda s: s.fails(503), "server error 503"),
    "503 while loading": (lambda s: s.fails(503, "Loading model"), "still loading the model"),
    "504": (lambda s: s.fails(504), "server error 504"),
    "529": (lambda s: s.fails(529), "overloaded"),
    "dropped": (lambda s: s.breaks("0123456789", "dropped", after=0), "no connection"),
    "reset": (lambda s: s.breaks("0123456789", "reset", after=0), "no connection"),
}


@pytest.mark.parametrize("fault", PASSING)
async def test_what_passes_is_retried_and_said(server, road, ask, fault):
    script, reason = PASSING[fault]
    script(server)
    server.reply("whole")
    answer = await ask(road(server.url))
    assert answer.text == "whole"
    (retry,) = answer.of(Retrying)
    assert (retry.reason, retry.attempt) == (reason, 1)
    assert retry.delay_seconds == (0.03 if "pause" in fault else 0.01)


async def test_an_error_event_before_any_text_is_retried(server, road, ask):
    server.breaks("0123456789", "error", after=0)
    server.reply("whole")
    answer = await ask(road(server.url))
    assert answer.text == "whole"
    assert len(answer.of(Retrying)) == 1


async def test_a_slow_first_byte_is_waited_for(server, road, ask):
    server.reply("whole", delay=0.3)
    answer = await ask(road(server.url, silence_seconds=20.0))
    assert (answer.text, answer.of(Retrying)) == ("whole", [])


LASTING = {
    "400": (lambda s: s.fails(400, "own words"), "refused the request (HTTP 400)", "--model"),
    "401": (lambda s: s.fails(401), "refused the key", "Check"),
    "402": (lambda s: s.fails(402), "unpaid bill", "billing page"),
    "403": (lambda s: s.fails(403), "The key may not use", "--model"),
    "404": (lambda s: s.fails(404), "does not serve this address", "Check the address"),
    "404 about the model": (
        lambda s: s.fails(404, "models are not claude-sonnet-5-5, gpt-4o, small"),
        "does not know the model",
        "--model",
    ),
    "405": (lambda s: s.fails(405), "does not serve this address", "Check the address"),
    "413": (lambda s: s.fails(413), "The request is too large", "Shorten"),
    "418": (lambda s: s.fails(418), "refused the request (HTTP 418)", "--model"),
    "422": (lambda s: s.fails(422), "refused the request (HTTP 422)", "--model"),
    "451": (lambda s: s.fails(451), "refused the request (HTTP 451)", "--model"),
    "the context is too long": (
        lambda s: s.fails(400, "prompt is too long: 210000 tokens > 200000 maximum"),
        "The request is too large",
        "Shorten",
    ),
    "a spending limit by its code": (
        lambda s: s.fails(429, "no", code="enforced_spend_limit_reached"),
        "spending limit is reached",
        "Raise the limit",
    ),
    "a spending limit in words": (
        lambda s: s.fails(400, "You have reached your specified API usage limits. Access resumes in May."),
        "spending limit is reached",
        "Raise the limit",
    ),
    "no credit": (
        lambda s: s.fails(429, "no", code="insufficient_quota"),
        "spending limit is reached",
        "add credit",
    ),
    "a long pause": (
        lambda s: s.fails(429, retry_after=3 * 3600),
        "It asks for a pause of 3 hours.",
        "Run the cell again after that",
    ),
    "a web page": (lambda s: s.breaks("", "page"), "sent an answer that is not a valid", "Check the address"),
    "garbage": (lambda s: s.breaks("0123", "garbage", after=0), "sent an answer that", "Check the address"),
}


@pytest.mark.parametrize("fault", LASTING)
async def test_what_lasts_is_one_line_after_one_request(server, road, ask, fault):
    script, happened, next_step = LASTING[fault]
    script(server)
    server.reply("never asked for")
    line = await failure(road(server.url), ask)
    assert happened in line
    assert next_step in line
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 529])
async def test_what_does_not_pass_is_one_line_after_the_retries(server, road, ask, status):
    for _ in range(3):
        server.fails(status, "own words")
    line = await failure(road(server.url), ask)
    assert "own words" in line
    assert len(server.requests) == 3


@pytest.mark.parametrize(("ending", "after"), [("silent", 0), ("stall", 0), ("stall", 4)])
async def test_silence_is_given_up(server, road, ask, ending, after):
    server.breaks("0123456789", ending, after=after)
    events = []
    line = await failure(road(server.url, silence_seconds=1.0), ask, events)
    assert "sent nothing for 1 s" in line
    assert events == ([TextDelta("0123")] if after else [])


@pytest.mark.parametrize("ending", ["error", "garbage"])
async def test_text_before_an_error_is_kept(server, road, ask, ending):
    server.breaks("0123456789", ending, after=4)
    events = []
    await failure(road(server.url), ask, events)
    assert events == [TextDelta("0123")]
    assert len(server.requests) == 1


@pytest.mark.parametrize("ending", ["cut", "dropped", "reset"])
async def test_text_before_a_break_is_kept(server, road, ask, ending):
    server.breaks("0123456789", ending, after=4)
    provider = road(server.url)
    answer = await ask(provider)
    assert answer.text == "0123"
    # LiteLLM takes a body with a regular end for a whole answer.
    meant = "end" if ending == "cut" and provider.name == "litellm" else "cut"
    assert (answer.finished.stop_reason, answer.of(Retrying)) == (meant, [])


@pytest.mark.parametrize(
    ("said", "meant"), [("refusal", "refused"), ("max_tokens", "length"), ("end_turn", "end")]
)
@pytest.mark.parametrize("text", ["some text", ""])
async def test_a_whole_answer_says_why_it_ended(server, road, ask, said, meant, text):
    server.reply(text, stop_reason=said)
    answer = await ask(road(server.url))
    assert (answer.text, answer.finished.stop_reason) == (text, meant)


class TestConnections:
    """Names, ports, proxies and certificates."""

    async def test_a_name_that_nobody_knows(self, road, ask):
        line = await failure(road("https://nowhere.invalid"), ask)
        assert "at nowhere.invalid: its name can't be resolved" in line
        assert "Check the network connection" in line

    async def test_a_port_that_nobody_listens_at(self, road, ask, unused_tcp_port):
        events = []
        line = await failure(road(f"http://127.0.0.1:{unused_tcp_port}"), ask, events)
        assert f"at 127.0.0.1:{unused_tcp_port}: the connection was refused" in line
        assert "Check that it is running" in line
        assert [event.reason for event in events] == ["no connection"] * 2

    async def test_a_server_that_does_not_speak_tls(self, road, ask):
        async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n", read=False) as port:
            line = await failure(road(f"https://127.0.0.1:{port}"), ask)
            assert "it does not answer in TLS" in line
        assert "http://" in line

    async def test_a_certificate_that_nobody_vouches_for(self, road, ask, tmp_path):
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("openssl is not installed")
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        command = [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        command += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        events = []
        async with listening(b"", ssl=context) as port:
            line = await failure(road(f"https://localhost:{port}"), ask, events)
        assert "its certificate is not trusted (self-signed certificate)" in line
        assert "SSL_CERT_FILE" in line
        assert events == []

    async def test_an_error_page_of_a_gateway(self, road, ask):
        async with listening(
            b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<h1>No</h1>"
        ) as port:
            events = []
            line = await failure(road(f"http://127.0.0.1:{port}"), ask, events)
        assert "failed (HTTP 502)" in line
        assert [event.reason for event in events] == ["server error 502"] * 2

    async def test_a_proxy_that_refuses(self, road, ask, monkeypatch):
        async with listening(
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
        ) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cr3t@127.0.0.1:{port}")
            line = await failure(road("https://fact-magics.example"), ask)
            assert f"through the proxy 127.0.0.1:{port}: the proxy answered" in line
        assert "HTTPS_PROXY" in line
        assert "s3cr3t" not in line


@asynccontextmanager
async def listening(answer, *, read=True, **options):
    """Answer every connection with some bytes."""

    async def serve(reader, writer):
        if read:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, **options) as server:
        yield server.sockets[0].getsockname()[1]
