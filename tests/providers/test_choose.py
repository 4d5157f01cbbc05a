from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field, replace

import pytest
from pydantic import SecretStr

from fact_magics.config.model_list import Deployment
from fact_magics.errors import MissingExtra, ProviderError
from fact_magics.providers.choose import choose
from fact_magics.providers.local import local_models
from fact_magics.testing import ModelServer

pytestmark = pytest.mark.slow


@dataclass
class Settings:
    """The settings that choosing reads."""

    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    model: str | None = None
    providers: dict[str, SecretStr] = field(default_factory=dict)
    models: tuple[Deployment, ...] = ()
    secrets: tuple[str, ...] = ()
    model_timeout: float = 120.0
    retries: int | None = None


KEY = SecretStr("sk-ant-made-up")


@pytest.fixture
def no_ollama(unused_tcp_port):
    """Settings under which nothing answers where Ollama would."""
    return {"OLLAMA_API_BASE": SecretStr(f"http://127.0.0.1:{unused_tcp_port}")}


class TestNamed:
    @pytest.mark.parametrize(
        ("name", "provider", "model"),
        [
            ("claude-opus-5-5", "anthropic", "claude-opus-5-5"),
            ("anthropic/claude-haiku-5-5", "anthropic", "claude-haiku-5-5"),
            (" claude-sonnet-5-5 ", "anthropic", "claude-sonnet-5-5"),
            ("openai/gpt-5", "litellm", "openai/gpt-5"),
            ("ollama/qwen3-coder:30b", "ollama", "ollama/qwen3-coder:30b"),
            ("lm_studio/qwen/qwen3-coder", "lm_studio", "lm_studio/qwen/qwen3-coder"),
            ("llama_cpp//models/small.gguf", "llama_cpp", "llama_cpp//models/small.gguf"),
            ("ollama_chat/qwen3-coder:30b", "ollama", "ollama/qwen3-coder:30b"),
            ("openrouter/anthropic/claude-sonnet-5", "litellm", "openrouter/anthropic/claude-sonnet-5"),
            ("shelf", "shelf", "shelf"),
        ],
    )
    async def test_each_name_has_its_provider(self, name, provider, model):
        """The name of a model determines its provider."""
        chosen = await choose(Settings(anthropic_api_key=KEY), name)
        assert chosen.name == provider
        if provider != "shelf":
            assert chosen.model == model
            assert chosen.notice == ""
        await chosen.aclose()

    async def test_the_cell_wins_over_the_settings(self):
        """The settings' model is used when the cell names none."""
        settings = Settings(anthropic_api_key=KEY, model="claude-haiku-5-5")
        assert (await choose(settings, None)).model == "claude-haiku-5-5"
        assert (await choose(settings, "claude-opus-5-5")).model == "claude-opus-5-5"

    async def test_the_time_that_a_server_is_given_is_a_setting(self):
        """The line about a wait says how long it may be, and which setting changes that."""
        settings = Settings(model_timeout=300.0)
        local = (await choose(settings, "ollama/llama4")).waiting_notice
        assert "ollama/llama4 has not answered yet, and may still be loading. It is given 300 s" in local
        assert "%config FactMagics.model_timeout" in local
        assert (await choose(settings, "openai/gpt-5")).waiting_notice == ""
        own = Deployment("mine", "ollama/x", "config.yaml", endpoint="http://gpu:1", timeout_seconds=600.0)
        notice = (await choose(replace(settings, models=(own,)), "mine")).waiting_notice
        assert "given 600 s; to change that, set the timeout in the entry mine of config.yaml." in notice

    async def test_a_misspelt_entry_of_the_file(self):
        """A name with a slash is not taken for a provider alone."""
        settings = Settings(models=(Deployment("team/fast", "openai/gpt-5", "config.yaml"),))
        provider = await choose(settings, "team/fsat")
        with pytest.raises(
            ProviderError, match=r"does not know the provider 'team'. Did you mean 'team/fast'"
        ):
            await provider.open()

    async def test_claude_without_a_key(self):
        """If the key of a named model is missing, the error names its variable."""
        with pytest.raises(ProviderError, match=r"needs an Anthropic key.*ANTHROPIC_API_KEY"):
            await choose(Settings(), "claude-opus-5-5")

    @pytest.mark.parametrize(
        ("name", "close"),
        [
            ("cluade-sonnet-5-5", "'claude-sonnet-5-5'"),
            ("shelff", "'shelf'"),
            ("sonnet", "'claude-sonnet-5-5'"),
            ("Opus", "'claude-opus-5-5'"),
            ("gpt-5", "Did you mean 'openai/gpt-5'?"),
            ("gtp-5-mini", "'openai/gpt-5-mini'"),
            ("gemini-2.5-pr", "'gemini/gemini-2.5-pro'"),
            ("/x", "provider/model"),
        ],
    )
    async def test_an_unknown_name(self, name, close):
        """The error for an unknown name lists similar names and the valid forms."""
        with pytest.raises(ProviderError, match="is not a model name") as caught:
            await choose(Settings(anthropic_api_key=KEY), name)
        assert close in str(caught.value)

    async def test_an_unknown_name_in_the_settings_is_not_suggested(self):
        """The model of the settings may be the misspelt one."""
        with pytest.raises(ProviderError, match="is not a model name") as caught:
            await choose(Settings(anthropic_api_key=KEY, model="claud-sonnet"), None)
        assert "Did you mean 'claud-sonnet'" not in str(caught.value)
        assert "claude-sonnet-5-5" in str(caught.value)


class TestUnnamed:
    async def test_a_key_means_anthropic(self):
        """With a key, the default is Claude, even where a local model answers."""
        with ModelServer() as server:
            providers = {"OLLAMA_API_BASE": SecretStr(server.url)}
            chosen = await choose(Settings(KEY, providers=providers), None)
        assert (chosen.name, chosen.model, chosen.notice) == ("anthropic", "claude-sonnet-5-5", "")

    async def test_a_local_ollama_is_next(self):
        """Without a key, an Ollama that has a model is asked, and the cell says so."""
        with ModelServer(local_models=("nomic-embed-text:latest", "llama4:8b", "qwen3-coder:30b")) as server:
            settings = Settings(providers={"OLLAMA_API_BASE": SecretStr(server.url)})
            chosen = await choose(settings, None)
        assert (chosen.name, chosen.model) == ("ollama", "ollama/qwen3-coder:30b")
        assert "qwen3-coder:30b" in chosen.notice
        assert "no key is set" in chosen.notice
        await chosen.aclose()

    @pytest.mark.parametrize("models", [(), ("nomic-embed-text:latest",), ("two\nlines",)])
    async def test_an_ollama_without_a_usable_model_is_passed_over(self, models):
        """If Ollama has no usable model, the shelf is chosen."""
        with ModelServer(local_models=models) as server:
            chosen = await choose(Settings(providers={"OLLAMA_API_BASE": SecretStr(server.url)}), None)
        assert chosen.name == "shelf"

    async def test_the_shelf_is_last(self, no_ollama):
        """Without key and Ollama, the shelf answers and says that no model was called."""
        chosen = await choose(Settings(providers=no_ollama), None)
        assert chosen.name == "shelf"
        assert "no model was called" in chosen.notice


class TestProbe:
    async def test_nobody_listens(self, unused_tcp_port):
        """A closed port means no models."""
        assert await local_models(f"http://127.0.0.1:{unused_tcp_port}") == ()

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"garbage",
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nnot json",
            b"HTTP/1.1 200 OK\r\n\r\n[]",
            b'HTTP/1.1 200 OK\r\n\r\n{"models": null}',
            b'HTTP/1.1 200 OK\r\n\r\n{"models": [1]}',
            b'HTTP/1.1 200 OK\r\n\r\n{"models": [{}]}',
            b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000,
            b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 2_000_000,
            b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 200_000,
            b'HTTP/1.1 200 OK\r\n\r\n{"models": [{"name": "' + b"x" * 5_000 + b'"}]}',
        ],
    )
    async def test_something_else_listens(self, answer):
        """An answer that is not Ollama's means no models."""

        async def other(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(other, "127.0.0.1", 0) as listening:
            assert await local_models(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}") == ()

    async def test_something_silent_listens(self):
        """A port that accepts and sends nothing is given up after a time limit."""
        heard = asyncio.Event()

        async def silent(reader, writer):
            heard.set()
            await reader.read()  # until the prober hangs up
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
            assert await local_models(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}") == ()
        assert heard.is_set()


class TestWithoutLiteLLM:
    def run(self, *names, environment=None):
        script = """
            import asyncio, json, sys
            from pydantic import SecretStr

            class Blocker:
                def find_spec(self, name, path=None, target=None):
                    if name.partition(".")[0] == "litellm":
                        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

            sys.meta_path.insert(0, Blocker())
            from fact_magics.errors import FactError
            from fact_magics.providers.choose import choose

            class Settings:
                anthropic_api_key = None
                anthropic_base_url = None
                model = None
                models = ()
                secrets = ()
                model_timeout = 120.0
                retries = None
                providers = {name: SecretStr(value) for name, value in json.loads(sys.argv[2]).items()}

            async def main():
                for name in json.loads(sys.argv[1]):
                    try:
                        print((await choose(Settings(), name)).name)
                    except FactError as error:
                        print(type(error).__name__, error)

            asyncio.run(main())
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), json.dumps(names), json.dumps(environment or {})],
            env={**os.environ},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    def test_the_missing_extra_is_named(self):
        """A model that needs LiteLLM says how to install it, in one line."""
        (line,) = self.run("openai/gpt-5")
        assert line.startswith(MissingExtra.__name__)
        assert "openai/gpt-5" in line
        assert 'pip install "fact_magics[litellm]"' in line

    def test_a_local_server_needs_no_litellm(self):
        """A local server is asked over Anthropic's protocol."""
        with ModelServer() as server:
            found = self.run(None, "lm_studio/x", environment={"OLLAMA_API_BASE": server.url})
        assert found == ["ollama", "lm_studio"]
