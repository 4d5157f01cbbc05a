from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
from pydantic import SecretStr

from fact_magics import load_settings
from fact_magics.attempt import Usage
from fact_magics.config.trust import trust
from fact_magics.errors import ProviderError
from fact_magics.providers.base import Finished, Retrying, TextDelta, ThinkingDelta
from fact_magics.providers.catalogue import WELL_KNOWN, catalogue
from fact_magics.providers.checking import check
from fact_magics.providers.litellm import LiteLLMProvider, load_litellm
from fact_magics.testing import ModelServer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_user_settings")]


@pytest.fixture(scope="module", autouse=True)
def litellm():
    """Import it once, before anything is timed."""
    return load_litellm()


@pytest.fixture
def settings(server):
    return {
        "OPENAI_API_KEY": SecretStr(server.key),
        "OPENAI_BASE_URL": SecretStr(f"{server.url}/v1"),
    }


@pytest.fixture
def provider(settings, patience):
    return LiteLLMProvider("openai/gpt-5", settings, patience=patience)


class TestAnswers:
    async def test_text_arrives_whole(self, server, provider, ask, prompt):
        """The text and the conversation are unchanged."""
        text = "```python\ndef f() -> str:\n    return 'Größe 😀'\n```\n"
        server.reply(text, chunk=3)
        answer = await ask(provider)
        assert answer.text == text
        assert answer.finished.stop_reason == "end"
        (request,) = server.requests
        assert request.wire == "openai"
        assert request.system == prompt.system
        assert request.messages == tuple((turn.role, turn.text) for turn in prompt.messages)

    async def test_thinking_is_no_part_of_the_text(self, server, provider, ask):
        """What a model says about its thinking comes apart."""
        server.reply("code", thinking="hmm")
        answer = await ask(provider)
        assert ("".join(event.text for event in answer.of(ThinkingDelta)), answer.text) == ("hmm", "code")

    async def test_usage_without_what_the_cache_served(self, server, provider, ask):
        """Cached input is counted apart, as Anthropic counts it."""
        server.reply("text", usage=Usage(input_tokens=12, output_tokens=34, cache_read_tokens=56))
        usage = (await ask(provider)).finished.usage
        assert usage == Usage(
            input_tokens=12, output_tokens=34, cache_read_tokens=56, cache_creation_tokens=None
        )
        assert server.requests[0].body["stream_options"] == {"include_usage": True}

    async def test_counts_that_the_server_did_not_send_are_unknown(self, server, provider, ask):
        """LiteLLM would estimate them; an estimate is not what a request cost."""
        server.reply("text", usage=Usage())
        answer = await ask(provider)
        assert (answer.text, answer.finished.usage) == ("text", Usage())

    @pytest.mark.parametrize(
        ("model", "sent"),
        [
            ("openai/local", {"max_tokens": 4_096}),
            ("hosted_vllm/local", {"max_tokens": 4_096}),
            ("openai/gpt-5", {"max_completion_tokens": 16_000}),
        ],
    )
    async def test_an_answer_of_a_local_server_is_limited(self, server, patience, ask, model, sent):
        """A small model may never stop by itself; one that thinks first needs more."""
        settings = {f"{model.partition('/')[0].upper()}_API_BASE": SecretStr(f"{server.url}/v1")}
        server.reply("text")
        provider = LiteLLMProvider(model, settings, patience=patience)
        await ask(provider)
        assert provider.is_local
        assert sent.items() <= server.requests[0].body.items()

    def test_a_provider_without_an_own_address_is_not_local(self):
        """Its models are large, and have limits of their own."""
        assert not LiteLLMProvider("openai/gpt-5", {}).is_local
        address = {"HOSTED_VLLM_API_BASE": SecretStr("https://vllm.example")}
        assert not LiteLLMProvider("hosted_vllm/x", address).is_local

    async def test_a_token_that_repeats_is_not_an_error(self, server, provider, ask):
        """LiteLLM would raise an error, and the text before the repetition would be lost."""
        text = "```python\nx = [" + "0, " * 300 + "]\n```"
        server.reply(text, chunk=3)
        assert (await ask(provider)).text == text

    @pytest.mark.parametrize(
        ("said", "meant"), [("max_tokens", "length"), ("refusal", "refused"), ("end_turn", "end")]
    )
    async def test_stop_reasons_are_translated(self, server, provider, ask, said, meant):
        """The four stop reasons hold here too."""
        server.reply("text", stop_reason=said)
        assert (await ask(provider)).finished.stop_reason == meant

    async def test_any_local_server_of_the_same_wire(self, server, patience, ask, monkeypatch):
        """Servers on this machine need no key, and requests to them bypass proxies."""
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for model in ("openai/local", "hosted_vllm/local", "litellm_proxy/local"):
            settings = {f"{model.partition('/')[0].upper()}_API_BASE": SecretStr(f"{server.url}/v1")}
            server.reply(f"from {model}")
            provider = LiteLLMProvider(model, settings, patience=patience)
            assert (await ask(provider)).text == f"from {model}"


class TestKeys:
    async def test_the_key_goes_with_the_call_alone(self, server, provider, ask):
        """The key reaches the server and never the environment."""
        server.reply("text")
        await ask(provider)
        assert server.requests[0].carries(server.key)
        assert server.key not in str(dict(os.environ))

    async def test_a_missing_key_is_named(self, patience, ask):
        """The error names the provider's own variable before anything is sent."""
        with pytest.raises(ProviderError, match=r"groq/llama needs a key.*GROQ_API_KEY"):
            await ask(LiteLLMProvider("groq/llama", {}, patience=patience))

    async def test_an_endpoint_from_elsewhere_does_not_get_the_key(self, server, patience, ask, monkeypatch):
        """An endpoint that the settings left out is not used, although LiteLLM would find it."""
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        with pytest.raises(ProviderError, match=r"OPENAI_BASE_URL.*key is not"):
            await ask(LiteLLMProvider("openai/gpt-5", {"OPENAI_API_KEY": SecretStr("k")}, patience=patience))
        assert server.requests == ()

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 529])
    async def test_no_error_holds_the_key(self, server, provider, ask, status):
        """The key is not shown if a server quotes it, and the error's context does not hold it."""
        for _ in range(3):
            server.fails(status, f"bad key {server.key}, Authorization: Bearer {server.key}")
        with pytest.raises(ProviderError) as caught:
            await ask(provider)
        assert server.key not in str(caught.value) + repr(caught.value)
        assert caught.value.__context__ is None


class TestFailures:
    @pytest.mark.parametrize(
        ("status", "happened"),
        [
            (401, "refused the key"),
            (404, "does not serve this address"),
            (400, "refused the request"),
            (429, "accepts no more requests"),
            (529, "is overloaded"),
        ],
    )
    async def test_one_line_that_says_what_happened(self, server, provider, ask, status, happened):
        """Each failure is one line, without LiteLLM's own names in it."""
        for _ in range(3):
            server.fails(status, "own words")
        with pytest.raises(ProviderError, match=happened) as caught:
            await ask(provider)
        line = str(caught.value)
        assert "own words" in line
        assert server.url[7:] in line
        assert "OpenAI" not in line
        assert "\n" not in line
        assert "Exception" not in line
        assert "litellm" not in line

    async def test_retries_are_ours(self, server, provider, ask):
        """Temporary failures are retried at most twice, with an event each and a limited pause."""
        server.fails(429, retry_after=0.03)
        server.fails(529)
        server.reply("whole")
        answer = await ask(provider)
        assert answer.events[:2] == [Retrying("too many requests", 0.03, 1), Retrying("overloaded", 0.02, 2)]
        assert answer.text == "whole"
        assert len(server.requests) == 3

    async def test_a_server_that_says_not_to_retry_is_obeyed(self, server, provider, ask):
        """The error for an exhausted script is raised without a retry."""
        with pytest.raises(ProviderError, match="no reply left for request 1"):
            await ask(provider)
        assert len(server.requests) == 1

    async def test_the_hint_names_the_setting_that_was_used(self, server, provider, ask):
        """There are two variables for the address; the error names the one that is set."""
        server.fails(404, "Not Found")
        with pytest.raises(ProviderError, match=r"Check the address in OPENAI_BASE_URL\."):
            await ask(provider)

    async def test_an_address_without_v1_is_doubted(self, server, patience, ask):
        """Most local servers serve OpenAI's protocol under this path."""
        server.fails(404, "404 page not found")
        settings = {"OPENAI_API_KEY": SecretStr("x"), "OPENAI_BASE_URL": SecretStr(server.url)}
        with pytest.raises(ProviderError, match=f"want /v1 at its end \\({server.url}/v1\\)"):
            await ask(LiteLLMProvider("openai/gpt-5", settings, patience=patience))

    async def test_an_address_may_hold_the_whole_path(self, server, patience, ask):
        """The client adds the path itself."""
        server.reply("whole")
        settings = {
            "OPENAI_API_KEY": SecretStr("x"),
            "OPENAI_BASE_URL": SecretStr(f"{server.url}/v1/chat/completions"),
        }
        assert (await ask(LiteLLMProvider("openai/gpt-5", settings, patience=patience))).text == "whole"

    async def test_a_page_is_not_an_answer(self, patience, ask):
        """LiteLLM takes any body for an empty answer."""

        async def page(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\n<h1>Hi</h>")
            writer.close()

        async with await asyncio.start_server(page, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            settings = {"OPENAI_API_KEY": SecretStr("x"), "OPENAI_BASE_URL": SecretStr(url)}
            with pytest.raises(ProviderError, match=r"not a valid chat completion.*/v1"):
                await ask(LiteLLMProvider("openai/gpt-5", settings, patience=patience))

    async def test_a_misspelt_model_gets_the_names_that_the_server_has(self, server, settings, patience, ask):
        """The server is asked for its list only after it refused the name."""
        server.fails(404, "model 'smal-coder' not found")
        with pytest.raises(ProviderError, match="Did you mean 'openai/small-coder:latest'"):
            await ask(LiteLLMProvider("openai/smal-coder", settings, patience=patience))

    async def test_nobody_listens(self, patience, ask, unused_tcp_port):
        """A closed port is retried; then the error names its address."""
        settings = {"HOSTED_VLLM_API_BASE": SecretStr(f"http://127.0.0.1:{unused_tcp_port}")}
        with pytest.raises(ProviderError, match=f"vLLM at 127.0.0.1:{unused_tcp_port}"):
            await ask(LiteLLMProvider("hosted_vllm/x", settings, patience=patience))

    async def test_an_unknown_provider(self, patience, ask):
        """The error for an unknown provider suggests similar names."""
        with pytest.raises(ProviderError, match=r"does not know the provider 'opnai'.*'openai'"):
            await ask(LiteLLMProvider("opnai/gpt-5", {}, patience=patience))

    @pytest.mark.parametrize("ending", ["dropped", "reset"])
    async def test_text_before_a_break_is_kept(self, server, provider, ask, ending):
        """If the connection breaks in mid-answer, the text is kept and the usage is unknown."""
        server.breaks("0123456789", ending, after=7)
        answer = await ask(provider)
        assert answer.text == "0123456"
        assert answer.finished == Finished("cut", Usage(), answer.finished.model)

    async def test_a_clean_cut_keeps_the_text(self, server, provider, ask):
        """LiteLLM treats a body with a regular end as a whole answer, so the text is kept."""
        server.breaks("0123456789", "cut", after=7)
        answer = await ask(provider)
        assert answer.text == "0123456"
        assert isinstance(answer.finished, Finished)

    async def test_a_stall_is_an_error_after_its_text(self, server, settings, patience, ask, provider):
        """A silent server is given up after the time limit."""
        impatient = LiteLLMProvider(provider.model, settings, patience=replace(patience, silence_seconds=2.0))
        server.breaks("0123456789", "stall", after=4)
        events = []
        with pytest.raises(ProviderError, match="sent nothing for 2 s"):
            await ask(impatient, events)
        assert events == [TextDelta("0123")]

    async def test_an_error_event_after_text_is_an_error(self, server, provider, ask):
        """An error event after text is raised, not retried."""
        server.breaks("0123456789", "error", after=4)
        events = []
        with pytest.raises(ProviderError, match="Overloaded"):
            await ask(provider, events)
        assert events == [TextDelta("0123")]
        assert len(server.requests) == 1


class TestRefusedParts:
    @pytest.mark.parametrize(
        ("status", "refusal", "part"),
        [
            (400, "Unknown field: stream_options", "stream_options"),
            (422, "body.stream_options: Extra inputs are not permitted", "stream_options"),
            (400, "'include_usage' is not supported", "stream_options"),
            (400, "System role not supported", "system"),
            (500, "Jinja Exception: System role not supported", "system"),
            (400, "Only user and assistant roles are supported!", "system"),
            (400, "Conversation roles must alternate user/assistant/user/assistant/...", "system"),
            (400, "Invalid role: 'system'. This model has no such role", "system"),
            (400, "this model does not support system messages", "system"),
        ],
    )
    async def test_a_server_is_asked_once_more_without_what_it_refuses(
        self, server, provider, prompt, status, refusal, part
    ):
        """The rules go in front of the request; the next request leaves the part out at once."""
        server.fails(status, refusal)
        for _ in range(2):
            server.reply("whole")
        for _ in range(2):
            events = [event async for event in provider.stream(prompt)]
            assert [event for event in events if isinstance(event, Retrying)] == []
            assert isinstance(events[-1], Finished)
        await provider.aclose()
        first, *others = server.requests
        assert len(others) == 2
        for request in others:
            turns = tuple((turn.role, turn.text) for turn in prompt.messages)
            if part == "system":
                role, text = turns[0]
                turns = ((role, f"{prompt.system}\n\n{text}"), *turns[1:])
            assert (request.messages, request.system) == (turns, "" if part == "system" else prompt.system)
            assert ("stream_options" in request.body) == (part == "system")
        assert first.system == prompt.system
        assert "stream_options" in first.body

    async def test_both_parts_may_be_refused_one_after_the_other(self, server, provider, ask):
        server.fails(400, "stream_options is unknown")
        server.fails(400, "the role system is unknown")
        server.reply("whole")
        assert (await ask(provider)).text == "whole"

    @pytest.mark.parametrize("refusal", ["stream_options is unknown", "the context is too long"])
    async def test_a_server_that_refuses_again_is_not_asked_for_ever(self, server, provider, ask, refusal):
        """Other refusals, and the same one again, are errors."""
        for _ in range(3):
            server.fails(400, refusal)
        with pytest.raises(ProviderError, match=refusal):
            await ask(provider)
        assert len(server.requests) == (2 if "stream" in refusal else 1)


class TestLoading:
    async def test_a_server_that_loads_its_model_is_asked_until_it_has(self, server, provider, ask):
        """Retries for other failures are fewer."""
        for _ in range(6):
            server.fails(503, "Loading model")
        server.reply("whole")
        answer = await ask(provider)
        assert answer.text == "whole"
        assert {event.reason for event in answer.of(Retrying)} == {"still loading the model"}

    async def test_the_error_says_so_and_names_the_setting(self, server, settings, patience, ask):
        """A check asks only once."""
        server.fails(503, "Loading model")
        impatient = replace(patience, retries=0, setting="THE_SETTING")
        with pytest.raises(
            ProviderError, match=r"is still loading the model.*give it more time: THE_SETTING"
        ):
            await ask(LiteLLMProvider("openai/gpt-5", settings, patience=impatient))
        assert len(server.requests) == 1


class TestLeaving:
    async def test_cancelling_hangs_up(self, server, provider, prompt, shown):
        """The server sees the connection close when the consumer's task is cancelled."""
        server.breaks("0123456789", "stall", after=4)
        began = asyncio.Event()

        async def consume():
            async for _ in shown(provider, prompt):
                began.set()

        task = asyncio.create_task(consume())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_for_disconnect)
        await provider.aclose()

    async def test_nothing_is_printed_or_registered(self, server, provider, ask, litellm, capfd):
        """No callback is left in LiteLLM, and neither failures nor successes print anything."""
        server.reply("text")
        await ask(provider)
        for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
            logging.getLogger(name).error("this would land in a cell")
        assert capfd.readouterr() == ("", "")
        assert not litellm.callbacks
        assert not litellm.success_callback
        assert not litellm.failure_callback

    def test_a_process_that_used_it_ends_in_silence(self, server):
        """Whole, broken, refused and abandoned streams print nothing."""
        server.reply("whole")
        server.breaks("0123456789", "reset", after=4)
        server.breaks("0123456789", "error", after=4)
        server.fails(404)
        server.breaks("0123456789", "stall", after=4)
        script = """
            import asyncio, gc, os
            from contextlib import aclosing
            from pydantic import SecretStr
            from fact_magics.errors import ProviderError
            from fact_magics.providers.base import Message, Prompt, TextDelta
            from fact_magics.providers.litellm import LiteLLMProvider
            from fact_magics.tool import ToolSpec

            prompt = Prompt("s", (Message("user", "u"),), ToolSpec("f", "d"))
            names = ("OPENAI_API_KEY", "OPENAI_BASE_URL")
            settings = {name: SecretStr(os.environ[name]) for name in names}

            async def main():
                provider = LiteLLMProvider("openai/gpt-5", settings)
                for number in range(5):
                    try:
                        async with aclosing(provider.stream(prompt)) as events:
                            async for event in events:
                                if number == 4 and isinstance(event, TextDelta):
                                    break
                    except ProviderError:
                        pass
                await provider.aclose()

            asyncio.run(main())
            gc.collect()
        """
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-W", "always::ResourceWarning", "-c", textwrap.dedent(script)],
            env={**os.environ, **server.environment()},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert (done.stdout, done.stderr) == ("", "")
        assert len(server.requests) == 5


def test_no_env_file_of_the_directory_is_loaded_whatever_litellms_mode(tmp_path):
    """Its proxies and endpoints would count as the user's own. In a kernel, LiteLLM looks there."""
    (tmp_path / ".env").write_text("HTTPS_PROXY=http://evil.example\nOPENAI_BASE_URL=http://evil.example\n")
    script = """
import os
from fact_magics.providers.litellm import load_litellm
before = dict(os.environ)
load_litellm()
print({name: value for name, value in os.environ.items() if before.get(name) != value})
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "LITELLM_MODE": "DEV", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{}\n"


class TestNames:
    async def test_an_answer_is_named_as_a_cell_would_name_the_model(self, server, provider, ask):
        """The recorded name includes the provider, so it can be given to a cell."""
        server.reply("text")
        assert (await ask(provider)).finished.model == provider.model


class TestChecking:
    """What `%fact models --check` asks."""

    @pytest.fixture
    def strict(self):
        with ModelServer(strict=True) as running:
            yield running

    def listing(self, strict, key="", model="openai/…"):
        settings = {
            "OPENAI_API_KEY": SecretStr(key or strict.key),
            "OPENAI_BASE_URL": SecretStr(f"{strict.url}/v1"),
        }
        return LiteLLMProvider(model, settings)

    async def test_the_answer_is_one_token_long_but_of_models_that_think_first(
        self, server, settings, patience, prompt
    ):
        """Those refuse a limit under which they can't finish thinking."""
        spec = prompt.spec  # a check has none; the limit of a request for a tool may be a budget's
        for model, asked, sent in (
            ("openai/gpt-4o", None, 1),
            ("openai/gpt-5", None, None),
            ("openai/gpt-5", spec, 1),
        ):
            server.reply("text")
            provider = LiteLLMProvider(model, settings, patience=patience)
            events = [event async for event in provider.stream(replace(prompt, spec=asked, max_tokens=1))]
            await provider.aclose()
            body = server.requests[-1].body
            assert (body.get("max_tokens"), body.get("max_completion_tokens")) in ((sent, None), (None, sent))
            assert isinstance(events[-1], Finished)

    async def test_a_provider_s_list_proves_a_key(self, strict):
        """It is asked with the key, and once more without it, where it must not be shown."""
        provider = self.listing(strict)
        assert await provider.count_models() == 2
        await provider.aclose()

    async def test_a_list_that_anyone_may_see_proves_nothing(self, server):
        provider = self.listing(server)
        assert await provider.count_models() is None
        await provider.aclose()

    async def test_a_wrong_key_has_the_same_message_as_in_a_stream(self, strict):
        provider = self.listing(strict, key="sk-wrong-and-RECOGNISABLE")
        with pytest.raises(ProviderError, match=f"{strict.url[7:]} refused the key") as caught:
            await provider.count_models()
        assert "the key is not this server's" in str(caught.value)
        assert "RECOGNISABLE" not in str(caught.value)
        await provider.aclose()

    async def test_a_server_that_keeps_no_list_proves_nothing(self, strict):
        provider = LiteLLMProvider(
            "openai/…", {"OPENAI_API_KEY": SecretStr("k"), "OPENAI_BASE_URL": SecretStr(strict.url)}
        )
        assert await provider.count_models() is None
        await provider.aclose()

    async def test_a_server_that_is_gone_is_unreachable(self, strict):
        strict.close()
        provider = self.listing(strict)
        with pytest.raises(ProviderError, match=f"Could not connect to the server at {strict.url[7:]}"):
            await provider.count_models()
        await provider.aclose()

    async def test_models_and_lists_are_checked_together(self, strict, tmp_path):
        """The whole way: settings, catalogue, the wire."""
        strict.reply("Hi")
        environment = {
            "FACT_HOME": str(tmp_path),
            "FACT_MODEL": "openai/gpt-4o",
            "OPENAI_API_KEY": strict.key,
            "OPENAI_BASE_URL": f"{strict.url}/v1",
        }
        known = load_settings({}, tmp_path, environment)
        found = await check(known, catalogue(known))
        assert {name: (one.works, one.said) for name, one in found.items()} == {
            "openai/gpt-4o": (True, ""),
            "openai/…": (True, "2 models"),
        }
        assert all(request.carries(strict.key) for request in strict.requests)

    async def test_a_key_is_not_sent_to_an_endpoint_from_elsewhere(self, strict, tmp_path, monkeypatch):
        """Checks follow the rule of generations: the endpoint is the environment's, but the key is a file's."""
        monkeypatch.setenv("OPENAI_BASE_URL", f"{strict.url}/v1")
        (tmp_path / ".env").write_text("OPENAI_API_KEY=k\nFACT_MODEL=openai/gpt-4o\n")
        trust(tmp_path / ".env", tmp_path / "home")
        environment = {"FACT_HOME": str(tmp_path / "home"), "OPENAI_BASE_URL": f"{strict.url}/v1"}
        known = load_settings({}, tmp_path, environment)
        found = await check(known, catalogue(known))
        assert [one.works for one in found.values()] == [False, False]
        assert all("so the key is not sent to that address" in one.said for one in found.values())
        assert strict.requests == ()

    def test_litellm_knows_the_well_known_providers(self, litellm):
        known = {str(getattr(provider, "value", provider)) for provider in litellm.provider_list}
        assert set(WELL_KNOWN) <= known
