"""Ollama, LM Studio and llama.cpp: found on this machine, and asked over Anthropic's protocol."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest
from pydantic import SecretStr

from fact_magics import load_settings
from fact_magics.attempt import Usage
from fact_magics.config import Settings
from fact_magics.config.model_list import Deployment
from fact_magics.errors import ProviderError
from fact_magics.providers.base import Finished, Retrying
from fact_magics.providers.choose import choose
from fact_magics.providers.local import (
    KINDS,
    LocalProvider,
    LocalServer,
    address_of_kind,
    local_servers,
)
from fact_magics.testing import ModelServer

pytestmark = pytest.mark.slow

NAMES = {prefix: kind.settings[0] for prefix, kind in KINDS.items()}


@pytest.fixture
def nobody(unused_tcp_port):
    """Addresses where no server is."""
    return {name: SecretStr(f"http://127.0.0.1:{unused_tcp_port}") for name in NAMES.values()}


@pytest.fixture
def several():
    """One server of each kind; the last two list their models as OpenAI does."""
    with ModelServer() as ollama, ModelServer() as studio, ModelServer() as cpp:
        yield {"ollama": ollama, "lm_studio": studio, "llama_cpp": cpp}


class TestFinding:
    async def test_all_three_are_found_in_their_order(self, several):
        providers = {NAMES[prefix]: SecretStr(server.url) for prefix, server in several.items()}
        listed = ("small-coder:latest", "claude-sonnet-5-5")  # the model for code comes first
        assert await local_servers(Settings(providers=providers)) == (
            LocalServer("ollama", "Ollama", several["ollama"].url, listed[:1]),
            LocalServer("lm_studio", "LM Studio", several["lm_studio"].url, listed),
            LocalServer("llama_cpp", "llama.cpp", several["llama_cpp"].url, listed),
        )
        assert not any(server.requests for server in several.values())

    @pytest.mark.parametrize("prefix", KINDS)
    async def test_the_one_that_answers_is_asked(self, nobody, several, prefix):
        providers = {**nobody, NAMES[prefix]: SecretStr(f"{several[prefix].url}/v1/")}
        chosen = await choose(Settings(providers=providers), None)
        assert (chosen.name, chosen.model) == (prefix, f"{prefix}/small-coder:latest")
        said = f"no key is set, so small-coder:latest on the local {KINDS[prefix].title} server is used"
        assert (chosen.notice, chosen.is_local, chosen.may_run_away) == (said, True, True)
        assert "may still be loading" in chosen.waiting_notice

    async def test_ollama_comes_first(self, several):
        providers = {NAMES[prefix]: SecretStr(server.url) for prefix, server in several.items()}
        assert (await choose(Settings(providers=providers), None)).name == "ollama"
        del providers["OLLAMA_API_BASE"]
        providers["OLLAMA_HOST"] = SecretStr(several["ollama"].url.removeprefix("http://"))
        assert (await choose(Settings(providers=providers), None)).name == "ollama"

    async def test_a_server_that_is_silent_holds_up_nobody(self, nobody, server):
        heard = asyncio.Event()

        async def silent(reader, writer):
            heard.set()
            await reader.read()  # until the prober hangs up
            await reader.read()
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            providers = {**nobody, "OLLAMA_HOST": SecretStr(url), "LM_STUDIO_API_BASE": SecretStr(server.url)}
            del providers["OLLAMA_API_BASE"]
            found = await local_servers(Settings(providers=providers))
            assert [one.prefix for one in found] == ["lm_studio"]
            assert heard.is_set()

    async def test_a_server_whose_address_is_set_may_answer_later(self, nobody):
        """It may be on another machine."""

        async def late(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.08)
            writer.write(b'HTTP/1.0 200 OK\r\n\r\n{"models": [{"name": "far"}]}')
            writer.close()

        async with await asyncio.start_server(late, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            providers = {**nobody, "OLLAMA_API_BASE": SecretStr(url)}
            (found,) = await local_servers(Settings(providers=providers))
            assert found.models == ("far",)

    async def test_another_user_s_server_is_asked_only_if_it_is_named(self, nobody, server, monkeypatch):
        providers = {**nobody, "OLLAMA_API_BASE": SecretStr(server.url)}
        assert len(await local_servers(Settings(providers=providers))) == 1
        own = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: own + 1)
        assert await local_servers(Settings(providers=providers)) == ()
        assert (await choose(Settings(providers=providers), None)).name == "shelf"
        server.reply("text")
        named = await choose(Settings(providers=providers), "ollama/small-coder:latest")
        assert (named.name, named.notice) == ("ollama", "")

    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 - where a server listens
            ("127.0.0.1:99", "http://127.0.0.1:99"),
            (":99", "http://127.0.0.1:99"),
            ("[::]:99", "http://[::1]:99"),
            ("gpu", "http://gpu:11434"),
            ("http://gpu", "http://gpu:80"),
            ("https://gpu/ollama/", "https://gpu:443/ollama"),
        ],
    )
    def test_ollama_host_is_read_as_ollama_reads_it(self, given, meant):
        assert address_of_kind("ollama", {"OLLAMA_HOST": SecretStr(given)}) == ("OLLAMA_HOST", meant)

    @pytest.mark.parametrize("name", [*NAMES.values(), "OLLAMA_HOST"])
    async def test_a_malformed_address_is_named(self, name):
        with pytest.raises(ProviderError, match=f"{name} is not an http or https address"):
            await local_servers(Settings(providers={name: SecretStr("ftp://x y")}))

    @pytest.mark.usefixtures("no_user_settings")
    @pytest.mark.parametrize("name", [*NAMES.values(), "OLLAMA_HOST"])
    def test_an_address_in_a_found_file_waits_for_trust(self, tmp_path, name):
        (tmp_path / ".env").write_text(f"{name}=http://evil.example\n")
        found = load_settings({}, tmp_path, {"FACT_HOME": str(tmp_path / "home")})
        assert name not in found.providers
        assert any(name in note for note in found.notes)
        own = load_settings({}, tmp_path, {"FACT_HOME": str(tmp_path / "home"), name: "http://127.0.0.1:9"})
        assert own.providers[name].get_secret_value() == "http://127.0.0.1:9"


class TestAsking:
    @pytest.fixture
    def settings(self, server):
        return {name: SecretStr(server.url) for name in NAMES.values()}

    @pytest.mark.parametrize("prefix", KINDS)
    async def test_what_is_sent_and_what_comes_back(self, settings, server, patience, ask, prompt, prefix):
        server.reply("text", usage=Usage(input_tokens=3, output_tokens=2))
        answer = await ask(LocalProvider(f"{prefix}/org/model:1b", settings, patience=patience))
        assert answer.text == "text"
        assert answer.finished == Finished("end", Usage(3, 2), f"{prefix}/org/model:1b")
        (request,) = server.requests
        assert (request.wire, request.model) == ("anthropic", "org/model:1b")
        assert request.body["system"] == prompt.system
        assert request.body["max_tokens"] == 4_096
        assert "thinking" not in request.body

    async def test_a_model_that_thinks_first_has_room_for_it(self, settings, server, patience, ask):
        server.reply("text")
        await ask(LocalProvider("ollama/deepseek-r1:8b", settings, patience=patience))
        assert server.requests[0].body["max_tokens"] == 16_000

    async def test_a_server_of_another_network_is_not_local(self):
        far = LocalProvider("ollama/x", {"OLLAMA_API_BASE": SecretStr("https://ollama.com")})
        assert (far.is_local, far.waiting_notice) == (False, "")

    async def test_a_key_is_sent_if_there_is_one(self, settings, patience, ask):
        with ModelServer(strict=True) as strict:
            settings |= {
                "LM_STUDIO_API_BASE": SecretStr(strict.url),
                "LM_STUDIO_API_KEY": SecretStr(strict.key),
            }
            strict.reply("text")
            assert (await ask(LocalProvider("lm_studio/x", settings, patience=patience))).text == "text"

    async def test_a_server_that_loads_is_not_asked_without_a_pause(self, settings, server, patience, ask):
        server.fails(503, "Loading model", retry_after=0)
        server.reply("text")
        (retry,) = (await ask(LocalProvider("ollama/x", settings, patience=patience))).of(Retrying)
        assert retry.delay_seconds == patience.first_delay_seconds

    async def test_rules_go_in_front_where_there_is_no_system_role(
        self, settings, server, patience, ask, prompt
    ):
        server.fails(500, "Jinja Exception: System role not supported")
        server.reply("text")
        assert (await ask(LocalProvider("llama_cpp/gemma", settings, patience=patience))).text == "text"
        first, second = server.requests
        assert (first.system, second.system) == (prompt.system, "")
        assert second.messages[0][1] == f"{prompt.system}\n\n{prompt.messages[0].text}"
        assert second.messages[1:] == first.messages[1:]

    @pytest.mark.parametrize("prefix", KINDS)
    async def test_a_misspelt_model_gets_the_names_that_the_server_has(
        self, settings, server, patience, ask, prefix
    ):
        server.fails(404, "model 'smal-coder' not found")
        with pytest.raises(ProviderError, match=f"Did you mean '{prefix}/small-coder:latest'"):
            await ask(LocalProvider(f"{prefix}/smal-coder", settings, patience=patience))

    async def test_an_old_version_is_told_by_its_answer(self, settings, server, patience, ask):
        server.fails(404, "404 page not found")
        with pytest.raises(ProviderError, match=r"does not serve this address.* or update Ollama: older"):
            await ask(LocalProvider("ollama/x", settings, patience=patience))

    async def test_an_entry_of_the_configuration_has_its_own_address(self, nobody, server, prompt, shown):
        own = Deployment("mine", "ollama/x", "config.yaml", endpoint=server.url, timeout_seconds=600.0)
        settings = Settings(providers=nobody, models=(own,))
        chosen = await choose(settings, "mine")
        assert (chosen.name, chosen.model) == ("ollama", "ollama/x")
        assert "the timeout in the entry mine of config.yaml" in chosen.waiting_notice
        server.fails(401)
        with pytest.raises(ProviderError, match=r"the api_key in the entry mine of config\.yaml"):
            await anext(shown(chosen, prompt))
        await chosen.aclose()
        usual = replace(own, endpoint=None)
        assert (await choose(settings.model_copy(update={"models": (usual,)}), "mine")).name == "ollama"
