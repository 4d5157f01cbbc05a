"""A cache that several machines share: what it serves, and what a run does when it is away, slow or full."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from redis_servers import RedisServer, redis_server
from waiting import until_async

from fact_magics.config import load_settings
from fact_magics.core import FactCore, shared_cache
from fact_magics.core.cache import Chosen
from fact_magics.core.sealing import seal
from fact_magics.errors import FactError
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import CacheEntry, Candidate
from fact_magics.tool import ToolInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SECRET = "a secret that all machines have"
PRINTED = "sk-8f3kQz91Lm0pXv77Ty2b"
HALF = f"def half(n: int) -> float:\n    print('{PRINTED}')\n    return n / 2\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    running = redis_server(tmp_path)
    yield running
    running.stop()


@pytest.fixture
async def machine(tmp_path: Path, server: RedisServer) -> AsyncIterator[Callable[..., Any]]:
    """Open cores, each on a database of its own, with a tool in it."""
    async with AsyncExitStack() as stack:

        async def open_one(name: str, url: str = server.url, secret: str = SECRET, **known: Any) -> FactCore:
            environment = {"FACT_HOME": str(tmp_path / name), "FACT_CACHE_URL": url}
            if secret:
                environment["SECRET_KEY"] = secret
            core = await stack.enter_async_context(FactCore(load_settings({}, tmp_path, environment)))
            identity = signature_identity(read_signature(HALF, "half"))
            fields = {"name": "half", "source": HALF, "description": "Halve.", "proven": True, **known}
            await core._store.tools.accept(Candidate(signature_id=identity, **fields))
            return core

        yield open_one


async def half(core: FactCore, n: int = 7, **options: Any) -> tuple[float, bool]:
    output = await core.execute_tool(ToolInput("half", {"n": n}, **options))
    await sent(core)
    return output.result, output.metadata["cached"]


async def sent(core: FactCore) -> None:
    for tier in core._answers._tiers[1:]:
        await until_async(lambda tier=tier: not tier._sending)


async def key_of(core: FactCore, n: int = 7) -> str:
    return (await core.plan(await core.tool("half"), ToolInput("half", {"n": n}))).key


class TestAnswers:
    async def test_another_machine_gets_the_answer_and_stores_it_itself(self, machine, server):
        one, other = await machine("one"), await machine("other")
        assert await half(one) == (3.5, False)
        output = await other.execute_tool(ToolInput("half", {"n": 7}))
        assert (output.result, output.metadata["cached"], output.metadata["printed"]) == (
            3.5,
            True,
            f"{PRINTED}\n",
        )
        server.stop()
        other._memory.clear()
        assert await half(other) == (3.5, True)
        stats = await other.cache_tiers()
        assert (stats["shared"].hits, stats["database"].hits) == (1, 1)

    async def test_all_answers_of_a_map_are_sent_however_many_end_together(self, machine, server):
        one, other = await machine("one"), await machine("other")
        mapped = await (await one.tool("half")).amap([*range(500)])
        assert mapped.counts["ok"] == 500
        await sent(one)
        assert len(server.stored()) == 500
        mapped = await (await other.tool("half")).amap([*range(500)])
        assert mapped.counts["cached"] == 500

    async def test_answers_that_wait_are_bounded_and_forgotten_ones_are_not_sent(
        self, machine, server, monkeypatch
    ):
        one = await machine("one")
        await half(one, 0)
        tier = one._answers._tiers[1]
        plans = [await one.plan(await one.tool("half"), ToolInput("half", {"n": n})) for n in range(1, 9)]
        value = CacheEntry(key="", tool_id=plans[0].tool.metadata.id, result=b"1.5", duration_ms=1.0)
        size = len(server.client.get(server.stored()[0]))
        monkeypatch.setattr(shared_cache, "_WAITING_BYTES", 4 * size)
        for planned in plans:
            tier.put(planned, replace(value, key=planned.key))
        await tier.forget(plans[0].key)
        await sent(one)
        assert 2 <= len(server.stored()) - 1 <= 4
        assert not any(plans[0].key.encode() in key for key in server.stored())
        assert tier._waiting_bytes == 0

    async def test_only_answers_of_proven_tools_are_sent(self, machine, server):
        one = await machine("one", proven=False)
        await half(one)
        await half(one)
        assert server.stored() == []
        await half(one, ttl_seconds=3600)
        assert len(server.stored()) == 1

    async def test_an_answer_ends_in_the_server_when_it_ends(self, machine, server):
        await half(await machine("one"), ttl_seconds=3600)
        (key,) = server.stored()
        assert 3_500_000 < server.client.pttl(key) <= 3_600_000
        await half(await machine("other"))
        assert -1 in [server.client.pttl(key) for key in server.stored()]

    async def test_answers_with_permissions_or_a_key_stay_on_this_machine(
        self, machine, server, monkeypatch, tmp_path
    ):
        """What a permission grants is another thing on another machine."""
        monkeypatch.setenv("PLACE", "here")
        (tmp_path / "file").touch()
        one = await machine("one")
        for permission in ("env:PLACE", f"read:{tmp_path}/file"):
            await half(one, permissions=(permission,), ttl_seconds=3600)
        assert server.stored() == []
        one.log.add_secret(PRINTED)
        await half(one)
        assert server.stored() == []

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda value: value[:-1] + b"4", "is not signed with this SECRET_KEY"),
            (lambda value: b"fact_magics answer 2" + value[20:], "was written by another version"),
            (
                lambda value: b"\x80\x04.",
                "was written by another version of fact_magics, or by another program",
            ),
            (lambda value: b"x" * (shared_cache._LARGEST_BYTES + 100), "was written by another version"),
        ],
    )
    async def test_a_changed_answer_is_told_once_and_replaced(self, machine, server, capsys, change, told):
        one, other = await machine("one"), await machine("other")
        await half(one)
        (key,) = server.stored()
        value = server.client.get(key)
        server.client.set(key, change(value))
        assert await half(other) == (3.5, False)
        assert capsys.readouterr().err.count(told) == 1
        assert server.client.get(key).startswith(b"fact_magics answer 1\n")

    async def test_the_answer_of_another_run_or_with_another_secret_is_none(self, machine, server):
        one, other, stranger = await machine("one"), await machine("other"), await machine("s", secret="else")
        await half(one)
        (key,) = server.stored()
        wanted = f"{shared_cache._PREFIX}{await key_of(other, 9)}"
        server.client.set(wanted, server.client.get(key))
        assert await half(other, 9) == (4.5, False)
        assert await half(stranger) == (3.5, False)

    @pytest.mark.parametrize("result", [b'"3.5"', b"", b"[", b"null", b'{"$bytes":1}'])
    async def test_a_signed_answer_that_does_not_fit_the_annotation_is_none(self, machine, server, result):
        from pydantic import SecretStr

        one = await machine("one")
        key = await key_of(one)
        entry = CacheEntry(key=key, tool_id="t", result=result)
        server.client.set(f"{shared_cache._PREFIX}{key}", seal(entry, "half", SecretStr(SECRET)))
        assert await half(one) == (3.5, False)

    async def test_a_key_of_another_type_is_a_miss(self, machine, server, capsys):
        one = await machine("one")
        server.client.rpush(f"{shared_cache._PREFIX}{await key_of(one)}", "x")
        assert await half(one) == (3.5, False)
        assert await half(one, 9) == (4.5, False)
        assert capsys.readouterr().err.count("refuses an answer: WRONGTYPE") == 1


class TestTrouble:
    async def test_a_server_that_is_away_is_told_once_and_found_again(
        self, machine, server, capsys, monkeypatch
    ):
        monkeypatch.setattr(shared_cache, "_RETRY_SECONDS", 0.2)
        one = await machine("one")
        await half(one, 1)
        server.stop()
        for n in (2, 3, 4):
            assert await half(one, n) == (n / 2, False)
        assert capsys.readouterr().err.count("is not used for now") == 1
        server.start()
        other = await machine("other")
        n = 10

        async def is_shared() -> bool:
            nonlocal n
            n += 1
            await half(one, n)
            return (await half(other, n))[1]

        async with asyncio.timeout(60):
            while not await is_shared():
                await asyncio.sleep(0.05)

    async def test_a_halted_server_delays_no_more_than_a_few_runs(self, machine, server, capsys):
        one = await machine("one")
        await half(one, 1)
        server.process.send_signal(signal.SIGSTOP)
        tier = one._answers._tiers[1]
        try:
            for n in range(2, 12):
                assert await half(one, n) == (n / 2, False)
                if n > 1 + shared_cache._SLOW_ANSWERS:
                    assert tier._retry_at > 0  # nobody waits for it now
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert capsys.readouterr().err.count("it does not answer in time") == 1

    async def test_requests_that_wait_together_are_one_slow_answer(self, machine, server, capsys):
        one = await machine("one")
        await half(one)
        tier = one._answers._tiers[1]
        planned = await one.plan(await one.tool("half"), ToolInput("half", {"n": 7}))
        server.process.send_signal(signal.SIGSTOP)
        try:
            assert [*await asyncio.gather(*(tier.get(planned) for _ in range(9)))] == [None] * 9
        finally:
            server.process.send_signal(signal.SIGCONT)
        await until_async(server.answers)
        async with asyncio.timeout(60):
            while (
                await tier.get(planned) is None
            ):  # a busy machine may take longer than the 50 ms of an answer
                await asyncio.sleep(0.05)
        assert capsys.readouterr().err == ""

    async def test_a_full_server_takes_no_answers_and_gives_those_that_it_has(self, machine, server, capsys):
        one, other = await machine("one"), await machine("other")
        await half(one, 1)
        server.client.config_set("maxmemory", "1")
        for n in (2, 3):
            assert await half(one, n) == (n / 2, False)
        assert await half(other, 1) == (0.5, True)
        assert capsys.readouterr().err.count("refuses an answer: ") == 1

    async def test_a_wrong_password_is_told_without_it(self, machine, server, capsys):
        url = server.url.replace("//", "//user:hunter2hunter2@")
        one = await machine("one", url=url)
        assert await half(one) == (3.5, False)
        told = capsys.readouterr().err
        assert "is not used for now" in told
        assert "hunter2" not in told
        assert "hunter2" not in repr(one.settings)

    @pytest.mark.parametrize(
        "url", ["nonsense", "http://127.0.0.1", "redis://", "redis://h:port", "redis://[x"]
    )
    async def test_an_address_that_is_none_is_told_once(self, machine, url, capsys):
        one = await machine("one", url=url)
        assert [await half(one) for _ in range(2)] == [(3.5, False), (3.5, True)]
        told = capsys.readouterr().err
        assert told == (
            "fact_magics: The shared cache is off: FACT_CACHE_URL is not an address such as "
            "redis://HOST:6379/0. Correct it, then restart the kernel.\n"
        )

    async def test_without_a_secret_the_tier_is_off_and_this_is_told_once(self, machine, server, capsys):
        one = await machine("one", secret="")
        await half(one, 1)
        await half(one, 2)
        assert capsys.readouterr().err.count("SECRET_KEY is not set") == 1
        assert server.stored() == []
        assert "SECRET_KEY" in (await one.cache_tiers())["shared"].note


class TestClearing:
    async def test_answers_are_cleared_for_all_machines(self, machine, server, monkeypatch):
        monkeypatch.setattr(shared_cache, "_SCANNED_AT_ONCE", 2)
        one = await machine("one")
        for n in range(9):
            await half(one, n)
        server.client.set("of another program", "1")
        stats = (await one.cache_tiers())["shared"]
        assert stats.entries == 9
        assert stats.bytes == sum(server.client.strlen(key) for key in server.stored() if b"answer" in key)
        assert (await one.clear_cache(before="2026-01-01"))["shared"].entries == 0
        assert (await one.clear_cache(tool="half"))["shared"].entries == 9
        assert server.stored() == [b"of another program"]

    async def test_answers_of_other_tools_stay(self, machine):
        one = await machine("one")
        await half(one)
        tier = one._answers._tiers[1]
        assert (await tier.clear(Chosen(tool="third"))).entries == 0
        assert (await tier.clear(Chosen(tool="half", before="2999"))).entries == 1

    async def test_a_server_that_is_away_is_told_and_the_other_tiers_are_cleared(self, machine, server):
        one = await machine("one")
        await half(one)
        server.stop()
        told = (
            r"on this machine were removed, but those in the shared cache at 127\.0\.0\.1:\d+ were not: .+\."
        )
        with pytest.raises(FactError, match=told):
            await one.clear_cache()
        tiers = await one.cache_tiers()
        assert (tiers["memory"].entries, tiers["database"].entries) == (0, 0)
        assert tiers["shared"].note


async def test_redis_is_imported_only_where_it_is_used(plain_environment):
    script = (
        "import asyncio, sys\nfrom fact_magics import FactCore\n\n"
        "async def main():\n    async with FactCore():\n        print('redis' in sys.modules)\n\nasyncio.run(main())"
    )
    import sys

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env=plain_environment, stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0] == b"False\n"
