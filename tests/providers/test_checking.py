"""Checks of models against a real server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from fact_magics import load_settings
from fact_magics.providers.catalogue import catalogue
from fact_magics.providers.checking import check
from fact_magics.testing import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fact_magics import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(strict=True) as running:
        yield running


@pytest.fixture
def settings(server, tmp_path) -> Callable[..., Settings]:
    """Settings whose key and endpoint of Anthropic lead to the server."""

    def read(key: str = "") -> Settings:
        environment = {"ANTHROPIC_API_KEY": key or server.key, "ANTHROPIC_BASE_URL": server.url}
        return load_settings({}, tmp_path, {"FACT_HOME": str(tmp_path / "home"), **environment})

    return read


@pytest.fixture
def ask(settings) -> Callable:
    """Check Anthropic's models; return the results."""

    async def run(key: str = "", limit_seconds: float = 30.0) -> list:
        known = settings(key)
        return list((await check(known, catalogue(known), limit_seconds)).values())

    return run


async def test_a_model_that_answers_works(ask, server):
    for text in ("Hi", "", "Hello there"):
        server.reply(text)
    found = await ask()
    assert [one.works for one in found] == [True] * 3
    assert all(one.took_ms > 0 and not one.said for one in found)
    assert [request.body["max_tokens"] for request in server.requests] == [1] * 3
    assert all(request.carries(server.key) for request in server.requests)


async def test_a_wrong_key_is_refused_and_asked_once(ask, server):
    found = await ask("sk-of-somebody-else")
    assert {one.works for one in found} == {False}
    assert all(one.said.startswith(f"{server.url[7:]} refused the key.") for one in found)
    assert not any("somebody" in one.said + one.hint for one in found)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (402, "has an unpaid bill"),
        (403, "may not use claude-"),
        (404, "does not serve this address"),
        (429, "accepts no more requests"),
        (529, "is overloaded"),
    ],
)
async def test_every_refusal_is_a_line_and_is_not_repeated(ask, server, status, said):
    for _ in range(3):
        server.fails(status)
    found = await ask()
    assert all(not one.works and said in one.said and one.hint for one in found)
    assert len(server.requests) == 3


async def test_a_server_that_is_gone_is_unreachable(ask, server):
    server.close()
    said = f"Could not connect to the server at {server.url[7:]}: the connection was refused."
    assert {one.said for one in await ask()} == {said}


@pytest.mark.parametrize("after", [0, 1])
async def test_a_server_that_hangs_is_given_up_and_one_that_has_begun_to_answer_works(ask, server, after):
    for _ in range(3):
        server.breaks("Hi", "stall", after=after)
    found = await ask(limit_seconds=1.0)
    assert [one.works for one in found] == [bool(after)] * 3
    if not after:
        given_up = f"{server.url[7:]} sent nothing for 1 s, so the request was given up."
        assert {one.said for one in found} == {given_up}


async def test_something_that_accepts_and_says_nothing_is_given_up(tmp_path):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        environment = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": url, "FACT_HOME": str(tmp_path)}
        known = load_settings({}, tmp_path, environment)
        found = await check(known, catalogue(known), 2)
    assert {one.said for one in found.values()} == {
        f"{url[7:]} sent nothing for 2 s, so the request was given up."
    }


async def test_a_server_that_is_not_a_model_s_is_reported(ask, tmp_path):
    async def other(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        environment = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": url, "FACT_HOME": str(tmp_path)}
        known = load_settings({}, tmp_path, environment)
        found = await check(known, catalogue(known))
    assert not any(one.works for one in found.values())
    assert all("not a valid Anthropic response" in one.said for one in found.values())


async def test_all_are_asked_at_once_and_a_cancelled_check_hangs_up(ask, server):
    for _ in range(3):
        server.breaks("Hi", "stall", after=0)
    task = asyncio.create_task(ask(limit_seconds=600.0))
    assert await asyncio.to_thread(server.wait_for_request, 3)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    for _ in range(3):
        assert await asyncio.to_thread(server.wait_for_disconnect)
