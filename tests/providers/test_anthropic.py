from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from contextlib import aclosing
from dataclasses import replace

import pytest
from pydantic import SecretStr

from fact_magics.attempt import Usage
from fact_magics.errors import ProviderError
from fact_magics.providers.anthropic import AnthropicProvider
from fact_magics.providers.base import Finished, Retrying, TextDelta, ThinkingDelta
from fact_magics.writing.prompt import RULES

pytestmark = pytest.mark.slow


@pytest.fixture
def provider(server, patience):
    return AnthropicProvider(
        "claude-sonnet-5-5", SecretStr(server.key), base_url=server.url, patience=patience
    )


class TestAnswers:
    async def test_text_arrives_whole_and_in_order(self, server, provider, ask):
        """Every character of the answer arrives, whatever its script or line ends."""
        text = "a\nb\r\nc\u2028d\x85e😀 ﬁn “quoted” \\n data: x\n\n"
        server.reply(text, chunk=3)
        answer = await ask(provider)
        assert answer.text == text
        assert answer.finished.stop_reason == "end"

    async def test_an_answer_without_text_is_finished(self, server, provider, ask):
        """An empty answer is not an error of the provider."""
        server.reply("")
        answer = await ask(provider)
        assert answer.text == ""
        assert answer.finished.stop_reason == "end"

    async def test_thinking_is_not_part_of_the_text(self, server, provider, ask):
        """Thinking comes in separate events."""
        server.reply("code", thinking="let me see")
        answer = await ask(provider)
        assert "".join(event.text for event in answer.of(ThinkingDelta)) == "let me see"
        assert answer.text == "code"

    @pytest.mark.parametrize(
        ("said", "meant"),
        [
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("refusal", "refused"),
            ("end_turn", "end"),
            ("stop_sequence", "end"),
        ],
    )
    async def test_stop_reasons_are_translated(self, server, provider, ask, said, meant):
        """The provider's own stop reasons become the four that the rest knows."""
        server.reply("some text", stop_reason=said)
        answer = await ask(provider)
        assert (answer.text, answer.finished.stop_reason) == ("some text", meant)

    async def test_usage_with_the_cache(self, server, provider, ask):
        """Tokens are reported as the server counted them, with those of the cache separate."""
        counted = Usage(input_tokens=12, output_tokens=34, cache_read_tokens=56, cache_creation_tokens=78)
        server.reply("text", usage=counted)
        assert (await ask(provider)).finished == Finished("end", counted, "claude-sonnet-5-5")

    async def test_one_provider_answers_repairs_too(self, server, provider, prompt):
        """A provider answers repeatedly; after it is closed, it raises an error."""
        server.reply("one")
        server.reply("two")
        for expected in ("one", "two"):
            texts = [event.text async for event in provider.stream(prompt) if isinstance(event, TextDelta)]
            assert "".join(texts) == expected
        await provider.aclose()
        with pytest.raises(ProviderError, match="closed"):
            await anext(provider.stream(prompt))


class TestRequests:
    async def test_what_is_sent(self, server, provider, ask, prompt):
        """System prompt, turns, model and key arrive as they were given."""
        server.reply("text")
        await ask(provider)
        (request,) = server.requests
        assert request.wire == "anthropic"
        assert request.model == "claude-sonnet-5-5"
        assert request.system == prompt.system
        assert request.messages == tuple((turn.role, turn.text) for turn in prompt.messages)
        assert request.carries(server.key)
        assert request.body["max_tokens"] == 16_000

    @pytest.mark.parametrize(
        ("model", "summarized"),
        [
            ("claude-sonnet-5-5", True),
            ("claude-haiku-5-5", True),
            ("claude-opus-5", True),
            ("claude-opus-4-8", False),
            ("claude-haiku-4-5-20251001", False),
            ("claude-3-haiku-20240307", False),
        ],
    )
    async def test_thinking_is_shown_where_it_is_on_anyway(self, server, patience, ask, model, summarized):
        """Summaries of thinking are requested from Claude 5 on, but not from older models."""
        server.reply("text")
        await ask(AnthropicProvider(model, SecretStr(server.key), base_url=server.url, patience=patience))
        expected = {"type": "adaptive", "display": "summarized"} if summarized else None
        assert server.requests[0].body.get("thinking") == expected

    async def test_the_environment_adds_nothing(self, server, patience, ask, monkeypatch):
        """The environment's keys and endpoint are not used."""
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-the-environment")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-the-environment")
        server.reply("text")
        await ask(
            AnthropicProvider("claude-opus-5-5", SecretStr(" k3y\n"), base_url=server.url, patience=patience)
        )
        assert server.requests[0].carries("k3y")
        assert not server.requests[0].carries("token-of-the-environment")

    async def test_a_proxy_does_not_hijack_loopback(self, server, provider, ask, monkeypatch):
        """Requests to this machine bypass the environment's proxies."""
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        server.reply("text")
        assert (await ask(provider)).text == "text"


class TestBrokenStreams:
    @pytest.mark.parametrize("ending", ["cut", "dropped", "reset"])
    async def test_text_before_a_break_is_kept(self, server, provider, ask, ending):
        """A stream that ends too early keeps its text, ends as `cut`, and is not retried."""
        server.breaks("0123456789", ending, after=7)
        answer = await ask(provider)
        assert answer.text == "0123456"
        assert answer.finished.stop_reason == "cut"
        assert answer.finished.usage.output_tokens is None
        assert len(server.requests) == 1

    async def test_a_cut_before_any_text_is_cut(self, server, provider, ask):
        """An answer that began and ended without text or stop reason counts as cut."""
        server.breaks("0123456789", "cut", after=0)
        assert (await ask(provider)).events[-1].stop_reason == "cut"

    @pytest.mark.parametrize("ending", ["dropped", "reset"])
    async def test_a_connection_lost_before_any_text_is_tried_again(self, server, provider, ask, ending):
        """If no text was shown yet, the request is repeated, and an event says so."""
        server.breaks("0123456789", ending, after=0)
        server.reply("whole")
        answer = await ask(provider)
        assert answer.text == "whole"
        assert [event.reason for event in answer.of(Retrying)] == ["no connection"]

    async def test_a_stall_is_an_error_after_its_text(self, server, patience, ask):
        """A silent server is given up after the time limit; its earlier text is kept."""
        provider = AnthropicProvider(
            "claude-sonnet-5-5",
            SecretStr(server.key),
            base_url=server.url,
            patience=replace(patience, silence_seconds=0.3),
        )
        server.breaks("0123456789", "stall", after=4)
        events = []
        with pytest.raises(ProviderError, match=r"sent nothing for 0\.3 s"):
            await ask(provider, events)
        assert events == [TextDelta("0123")]
        assert len(server.requests) == 1

    async def test_an_error_event_after_text_is_an_error(self, server, provider, ask):
        """An error event after text is raised, not retried."""
        server.breaks("0123456789", "error", after=4)
        events = []
        with pytest.raises(ProviderError, match="overloaded"):
            await ask(provider, events)
        assert events == [TextDelta("0123")]
        assert len(server.requests) == 1

    async def test_an_error_event_before_text_is_retried(self, server, provider, ask):
        """An error event before any text is retried."""
        server.breaks("0123456789", "error", after=0)
        server.reply("whole")
        assert (await ask(provider)).text == "whole"


class TestRetries:
    async def test_an_overloaded_server_is_asked_three_times_at_most(self, server, provider, ask):
        """There are two retries with an event each, then the error."""
        for _ in range(4):
            server.fails(529, "Overloaded")
        events = []
        with pytest.raises(ProviderError, match=f"{server.url[7:]} is overloaded"):
            await ask(provider, events)
        assert events == [Retrying("overloaded", 0.01, 1), Retrying("overloaded", 0.02, 2)]
        assert len(server.requests) == 3

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
    async def test_passing_failures_are_retried(self, server, provider, ask, status):
        """A failure that may be temporary is retried."""
        server.fails(status)
        server.reply("whole")
        assert (await ask(provider)).text == "whole"

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
    async def test_lasting_failures_are_not(self, server, provider, ask, status):
        """A failure that a retry can't change is raised at once."""
        server.fails(status)
        with pytest.raises(ProviderError):
            await ask(provider)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("asked", "said"), [(3600, "1 hour"), (90, "1 min 30 s"), ("Wed, 21 Oct 2099 07:28:00 GMT", "days")]
    )
    async def test_a_long_retry_after_is_not_waited_for(self, server, provider, ask, asked, said):
        """The error says how long the server wants to be left alone."""
        server.fails(429, retry_after=asked)
        with pytest.raises(ProviderError, match=f"It asks for a pause of .*{said}.*Run the cell again after"):
            await ask(provider)
        assert len(server.requests) == 1

    async def test_retry_after_is_obeyed_below_the_cap(self, server, provider, ask):
        """A pause below the limit is used."""
        server.fails(429, retry_after=0.005)
        server.reply("whole")
        assert (await ask(provider)).of(Retrying)[0].delay_seconds == 0.005

    async def test_a_server_that_says_not_to_retry_is_obeyed(self, server, provider, ask):
        """An exhausted script answers 500 with x-should-retry: false."""
        with pytest.raises(ProviderError, match="no reply left for request 1"):
            await ask(provider)
        assert len(server.requests) == 1

    async def test_a_pause_can_be_interrupted(self, server, patience, prompt, shown):
        """Cancelling ends the pause before a retry."""
        slow = replace(patience, first_delay_seconds=600.0, longest_delay_seconds=600.0)
        provider = AnthropicProvider("claude-opus-5-5", SecretStr("k"), base_url=server.url, patience=slow)
        server.fails(529)
        waiting = asyncio.Event()

        async def consume():
            async for event in shown(provider, prompt):
                assert isinstance(event, Retrying)
                waiting.set()

        task = asyncio.create_task(consume())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.aclose()


class TestRefusedParts:
    @pytest.mark.parametrize(
        ("refusal", "part"),
        [
            ("thinking: Extra inputs are not permitted", "thinking"),
            ("system.0.cache_control: Extra inputs are not permitted", "cache_control"),
            ("diagnostics: Extra inputs are not permitted", "diagnostics"),
        ],
    )
    async def test_a_gateway_is_asked_once_more_without_what_it_refuses(
        self, server, provider, ask, prompt, refusal, part
    ):
        """Servers that speak Anthropic's protocol don't know all of it."""
        prompt = replace(prompt, system=RULES)
        server.fails(400, refusal)
        server.reply("whole")
        answer = await ask(provider, prompt=prompt)
        assert (answer.text, answer.of(Retrying)) == ("whole", [])
        first, second = server.requests
        assert part in str(first.body)
        assert part not in str(second.body)
        assert second.system == prompt.system


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "happened", "next_step"),
        [
            (401, "refused the key", "ANTHROPIC_API_KEY"),
            (403, "may not use claude-sonnet-5-5", "--model"),
            (404, "does not serve this address", "ANTHROPIC_BASE_URL"),
            (400, "refused the request", "--model"),
            (429, "accepts no more requests", "--model"),
            (500, "failed (HTTP 500)", "--model"),
            (529, "overloaded", "--model"),
        ],
    )
    async def test_one_line_that_says_what_to_do(self, server, provider, ask, status, happened, next_step):
        """Each failure is one line with what happened and what to do next."""
        for _ in range(3):
            server.fails(status, "the server's\nown words")
        with pytest.raises(ProviderError) as caught:
            await ask(provider)
        line = str(caught.value)
        assert happened in line
        assert next_step in line
        assert "the server's own words" in line
        assert "\n" not in line

    async def test_a_model_that_the_server_does_not_know(self, server, provider, ask):
        """The server names the model, so the address is right."""
        server.fails(404, "model: claude-sonnet-5-5")
        with pytest.raises(ProviderError, match=r"does not know the model claude-sonnet-5-5.*--model"):
            await ask(provider)

    @pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/messages", "/v1/messages/"])
    async def test_an_address_may_hold_the_path_that_other_clients_want(self, server, patience, prompt, path):
        """The SDK adds the path itself."""
        server.reply("whole")
        key = SecretStr(server.key)
        provider = AnthropicProvider("claude-opus-5-5", key, base_url=server.url + path, patience=patience)
        events = [event async for event in provider.stream(prompt)]
        await provider.aclose()
        assert events[-1].stop_reason == "end"

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 529])
    async def test_no_error_holds_the_key(self, server, provider, ask, status):
        """The key is not shown if the server quotes it, and the error's context does not hold it."""
        for _ in range(3):
            server.fails(
                status, f"bad key {server.key} in Authorization: Bearer {server.key}, sk-ant-api03-other-key"
            )
        with pytest.raises(ProviderError) as caught:
            await ask(provider)
        assert server.key not in str(caught.value) + repr(caught.value)
        assert "sk-ant" not in str(caught.value)
        assert caught.value.__context__ is None

    async def test_hostile_words_of_a_server_are_inert_and_bounded(self, server, provider, ask):
        """Terminal escapes are shown as text, and a long message is cut."""
        server.fails(400, "\x1b[2J\u202e" + "x" * 5_000)
        with pytest.raises(ProviderError) as caught:
            await ask(provider)
        assert "\x1b" not in str(caught.value)
        assert "\u202e" not in str(caught.value)
        assert len(str(caught.value)) < 600

    async def test_nobody_listens(self, patience, ask, unused_tcp_port):
        """A closed port is retried; then the error names its address."""
        url = f"http://127.0.0.1:{unused_tcp_port}"
        events = []
        with pytest.raises(
            ProviderError, match=f"Could not connect to the server at 127.0.0.1:{unused_tcp_port}"
        ):
            await ask(AnthropicProvider("claude-x", SecretStr("k"), base_url=url, patience=patience), events)
        assert len(events) == 2

    async def test_no_such_host(self, patience, ask):
        """The error for an unknown host says what to check, and hides the password in the URL."""
        provider = AnthropicProvider(
            "claude-x", SecretStr("k"), base_url="https://user:pass@nowhere.invalid", patience=patience
        )
        with pytest.raises(ProviderError, match=r"at nowhere\.invalid.*network") as caught:
            await ask(provider)
        assert "pass" not in str(caught.value).replace("past", "")

    async def test_something_else_listens(self, patience, ask):
        """The error says that a web page is not an answer of the API."""

        async def page(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<h1>Log in</h1>\n\n"
            )
            await writer.drain()
            writer.close()

        other = await asyncio.start_server(page, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
        async with other:
            with pytest.raises(ProviderError, match=r"not a valid Anthropic response.*ANTHROPIC_BASE_URL"):
                await ask(AnthropicProvider("claude-x", SecretStr("k"), base_url=url, patience=patience))

    @pytest.mark.parametrize(
        "data", [b"{not json", b"\xff\xfe", b'{"type":"message_start","message":null}', b"[]"]
    )
    async def test_a_stream_that_makes_no_sense(self, patience, ask, data):
        """Any malformed stream ends in a ProviderError."""

        async def nonsense(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            writer.write(b"event: message_start\ndata: " + data + b"\n\n")
            await writer.drain()
            writer.close()

        other = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
        async with other:
            with pytest.raises(ProviderError):
                await ask(AnthropicProvider("claude-x", SecretStr("k"), base_url=url, patience=patience))

    @pytest.mark.parametrize("key", ["", "  \n", "sk-ant-with a blank", "sk-ant\nsecond-line", "schlüssel"])
    def test_a_malformed_key_is_refused_before_it_is_sent(self, key):
        """The error for a malformed key does not quote it."""
        with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY") as caught:
            AnthropicProvider("claude-x", SecretStr(key))
        assert not key.strip() or key not in str(caught.value)

    @pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://[::1"])
    def test_a_malformed_address_is_refused(self, url):
        """An endpoint must be http or https with a host."""
        with pytest.raises(ProviderError, match="ANTHROPIC_BASE_URL is not an http or https address"):
            AnthropicProvider("claude-x", SecretStr("k"), base_url=url)


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

    async def test_cancelling_before_the_first_event_hangs_up(self, server, provider, prompt, shown):
        """The connection is also closed before the first event is read."""
        server.breaks("0123456789", "stall", after=0)
        task = asyncio.create_task(anext(shown(provider, prompt)))
        assert await asyncio.to_thread(server.wait_for_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_for_disconnect)
        await provider.aclose()

    async def test_leaving_the_loop_hangs_up(self, server, provider, prompt, shown):
        """A consumer that leaves its loop inside aclosing stops the stream."""
        server.breaks("0123456789", "stall", after=4)
        async with aclosing(shown(provider, prompt)) as events:
            async for _ in events:
                break
        assert await asyncio.to_thread(server.wait_for_disconnect)
        await provider.aclose()

    def test_nothing_is_left_behind(self, server):
        """After aclose no tasks or open sockets are left, whether the stream ended, broke or was left early."""
        server.reply("whole")
        server.breaks("0123456789", "reset", after=4)
        server.fails(404)
        server.breaks("0123456789", "stall", after=4)
        script = """
            import asyncio, gc, os
            from contextlib import aclosing
            from pydantic import SecretStr
            from fact_magics.errors import ProviderError
            from fact_magics.providers.anthropic import AnthropicProvider
            from fact_magics.providers.base import Message, Prompt, TextDelta
            from fact_magics.tool import ToolSpec

            prompt = Prompt("s", (Message("user", "u"),), ToolSpec("f", "d"))

            async def main():
                provider = AnthropicProvider(
                    "claude-sonnet-5-5", SecretStr(os.environ["ANTHROPIC_API_KEY"]),
                    base_url=os.environ["ANTHROPIC_BASE_URL"],
                )
                for _ in range(4):
                    try:
                        async with aclosing(provider.stream(prompt)) as events:
                            async for event in events:
                                if _ == 3 and isinstance(event, TextDelta):
                                    break
                    except ProviderError:
                        pass
                await provider.aclose()
                del provider
                gc.collect()
                await asyncio.sleep(0)  # the SDK's dropped iterators are finalised in a step of their own
                print([task for task in asyncio.all_tasks() if task is not asyncio.current_task()])

            asyncio.run(main())
            gc.collect()
        """
        done = subprocess.run(
            [sys.executable, "-W", "always::ResourceWarning", "-c", textwrap.dedent(script)],
            env={**os.environ, **server.environment()},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert (done.stdout, done.stderr) == ("[]\n", "")

    def test_the_sdk_is_not_imported_before_it_is_asked(self):
        """Choosing a provider costs no import of its SDK."""
        script = (
            "import sys, fact_magics.testing, fact_magics.providers.choose\n"
            "import fact_magics.providers.anthropic, fact_magics.providers.litellm\n"
            "print([name for name in ('anthropic', 'httpx2', 'litellm', 'openai') if name in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout == "[]\n"
