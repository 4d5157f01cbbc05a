from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fact_magics.testing import ModelServer, Usage

pytestmark = pytest.mark.slow


def post(server, path, body, headers=None):
    """Post JSON with the standard library alone; return status, headers and body."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    try:
        key = {"authorization": f"Bearer {server.key}"} if headers is None else headers
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, {"content-type": "application/json", **key})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def message(text="hi", **more):
    return {"model": "claude-x", "max_tokens": 10, "messages": [{"role": "user", "content": text}], **more}


class TestWithTheSDKs:
    def test_anthropics_own_client(self, server):
        """The SDK, left to its environment variables, gets the message that was scripted."""
        import anthropic

        server.reply("Hello", thinking="hm", usage={"input_tokens": 3, "output_tokens": 2})
        server.reply("again")
        environment = server.environment()
        with anthropic.Anthropic(
            api_key=environment["ANTHROPIC_API_KEY"], base_url=environment["ANTHROPIC_BASE_URL"]
        ) as client:
            whole = client.messages.create(**message(), system="Be brief.")
            with client.messages.stream(**message()) as stream:
                streamed = stream.get_final_message()
        assert [block.type for block in whole.content] == ["thinking", "text"]
        assert (whole.usage.input_tokens, whole.usage.output_tokens) == (3, 2)
        assert streamed.content[0].text == "again"
        assert streamed.stop_reason == "end_turn"
        assert server.requests[0].system == "Be brief."

    def test_openais_own_client(self, server):
        """The same for OpenAI's."""
        import openai

        server.reply("Hello", usage=Usage(input_tokens=3, output_tokens=2, cache_read_tokens=4))
        server.reply("again", stop_reason="max_tokens")
        environment = server.environment()
        turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
        with openai.OpenAI(
            api_key=environment["OPENAI_API_KEY"], base_url=environment["OPENAI_BASE_URL"]
        ) as client:
            whole = client.chat.completions.create(model="gpt-x", messages=turns)
            chunks = list(client.chat.completions.create(model="gpt-x", messages=turns, stream=True))
        assert whole.choices[0].message.content == "Hello"
        assert (whole.usage.prompt_tokens, whole.usage.prompt_tokens_details.cached_tokens) == (7, 4)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "again"
        assert chunks[-1].choices[0].finish_reason == "length"
        assert [request.system for request in server.requests] == ["Be brief.", "Be brief."]


class TestScript:
    def test_written_source_is_fenced(self, server):
        """`writes` answers as models do: one Python block, with optional prose around it."""
        server.writes("\ndef f() -> int:\n    return 1\n\n", before="Here it is:", after="Done.")
        _, _, body = post(server, "/v1/messages", message())
        text = json.loads(body)["content"][0]["text"]
        assert text == "Here it is:\n\n```python\ndef f() -> int:\n    return 1\n```\n\n\nDone."

    def test_replies_come_in_order_and_then_a_clear_error(self, server):
        """The answer to a request beyond the script says so, and forbids a retry."""
        server.reply("one")
        server.reply("two")
        texts = [
            json.loads(post(server, "/v1/messages", message())[2])["content"][0]["text"] for _ in range(2)
        ]
        status, headers, body = post(server, "/v1/messages", message())
        assert texts == ["one", "two"]
        assert status == 500
        assert headers["x-should-retry"] == "false"
        assert "no reply left for request 3" in json.loads(body)["error"]["message"]

    def test_many_clients_at_once(self, server):
        """Each reply is given once, and each request is recorded beside it."""
        for number in range(40):
            server.reply(f"reply {number}", pace=2_000)

        def ask(number):
            status, _, body = post(server, "/v1/messages", message(f"request {number}"))
            return status, json.loads(body)["content"][0]["text"]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(40)))
        assert {status for status, _ in answers} == {200}
        assert sorted(text for _, text in answers) == sorted(f"reply {number}" for number in range(40))
        assert sorted(request.text for request in server.requests) == sorted(
            f"request {n}" for n in range(40)
        )

    def test_a_script_of_steps(self):
        """Each step names a method and its arguments, as a JSON file can hold them."""
        steps = [
            {"reply": "one", "stop_reason": "max_tokens", "usage": {"input_tokens": 5}},
            {"writes": "x = 1"},
            {"refuses": "no"},
            {"fails": 429, "retry_after": 7},
            {"breaks": "0123456789", "ending": "cut", "after": 5},
        ]
        with ModelServer(steps) as server:
            answers = [post(server, "/v1/messages", message(stream=number == 4)) for number in range(5)]
        first, second, third = (json.loads(body) for _, _, body in answers[:3])
        assert (first["stop_reason"], first["usage"]["input_tokens"]) == ("max_tokens", 5)
        assert second["content"][0]["text"] == "```python\nx = 1\n```\n"
        assert third["stop_reason"] == "refusal"
        assert answers[3][0] == 429
        assert answers[3][1]["retry-after"] == "7"
        assert b"4" in answers[4][2]
        assert b"message_stop" not in answers[4][2]

    @pytest.mark.parametrize(
        ("step", "problem"),
        [
            ({}, "not with one of"),
            ({"rite": "x"}, "Did you mean 'writes'"),
            ({"close": True}, "not with one of"),
            ({"reply": "x", "speed": 3}, "speed"),
            ({"breaks": "x"}, "ending"),
            ({"breaks": "x", "ending": "explode"}, "explode"),
            ({"reply": 3}, "text must be a text; got 3"),
            ({"writes": 3}, "strip"),
            ({"reply": "x", "pace": 0}, "pace must be None or a number above 0; got 0"),
            ({"reply": "x", "chunk": 0}, "chunk must be a whole number above 0; got 0"),
            ({"reply": "x", "delay": "1"}, "delay must be a number of seconds; got '1'"),
            ({"fails": "429"}, "status must be an HTTP status; got '429'"),
        ],
    )
    def test_an_invalid_step(self, step, problem):
        """Loading a script with a mistake names the step and the problem."""
        with pytest.raises(ValueError, match="Step 2") as caught:
            ModelServer([{"reply": "fine"}, step])
        assert problem in str(caught.value)


class TestRunning:
    def test_it_is_started_once_at_a_time(self, server):
        with pytest.raises(RuntimeError, match=f"already running at {server.url}"):
            server.__enter__()


class TestRecord:
    def test_secrets_are_not_kept(self, server):
        """Recorded headers hold no secrets; `carries` still tells whether a key was sent."""
        server.reply("text")
        post(server, "/v1/messages", message(), {"x-api-key": "s3cret", "cookie": "c00kie", "x-note": "kept"})
        (request,) = server.requests
        assert request.headers["x-note"] == "kept"
        assert request.headers["x-api-key"] == "[redacted]"
        assert "s3cret" not in repr(request)
        assert "c00kie" not in repr(request)
        assert request.carries("s3cret")
        assert not request.carries("another")

    def test_blocks_are_read_as_text(self, server):
        """System prompt and turns may be blocks or strings."""
        server.reply("text")
        blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        post(
            server,
            "/v1/messages",
            {**message(), "system": blocks, "messages": [{"role": "user", "content": blocks}]},
        )
        assert (server.requests[0].system, server.requests[0].text) == ("a\n\nb", "a\n\nb")


class TestFaults:
    @pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
    def test_no_key_is_refused(self, server, path):
        """Without a key the hosted APIs answer 401, and no reply is used up."""
        server.reply("text")
        assert post(server, path, message(), {})[0] == 401
        assert post(server, path, message())[0] == 200

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
    def test_a_body_that_is_not_an_object(self, server, body):
        """The answer is 400, and no reply is used up."""
        assert post(server, "/v1/messages", body)[0] == 400
        assert server.requests == ()

    def test_an_unknown_path(self, server):
        """The answer to an unknown path names it."""
        status, _, body = post(server, "/v1/embeddings", {})
        assert status == 404
        assert "POST /v1/embeddings" in body.decode()

    @pytest.mark.parametrize(
        "garbage", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n"]
    )
    def test_garbage_does_not_stop_it(self, server, garbage):
        """A client that does not speak HTTP is disconnected, and the next one is served."""
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(garbage)
            assert client.recv(100) == b""
        server.reply("text")
        assert post(server, "/v1/messages", message())[0] == 200

    def test_a_dropped_body_is_incomplete(self, server):
        """`dropped` closes the connection inside the body, so an HTTP client raises an error."""
        server.breaks("0123456789", "dropped")
        with pytest.raises(http.client.IncompleteRead):
            post(server, "/v1/messages", message(stream=True))

    def test_a_reset_breaks_the_connection(self, server):
        """`reset` breaks the connection as a crashing server does."""
        server.breaks("0123456789", "reset")
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            post(server, "/v1/messages", message(stream=True))


class TestTime:
    def test_pace_holds_back_the_tokens(self, server):
        """At a pace, the first token arrives before the last one is sent."""
        server.reply("a" * 40, pace=20, chunk=4)
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
        body = json.dumps(message(stream=True))
        connection.request("POST", "/v1/messages", body, {"x-api-key": "k"})
        response = connection.getresponse()
        early = b""
        while b"text_delta" not in early:
            early += response.read1()
        assert b"message_stop" not in early
        late = response.read()
        assert b"message_stop" in late
        assert (early + late).count(b"text_delta") == 10
        connection.close()
        assert not server.wait_for_disconnect(0)

    def test_a_disconnect_is_seen_once(self, server):
        """Each wait reports one client that disconnected in mid-answer."""
        server.breaks("0123456789", "stall", after=5)
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
        connection.request("POST", "/v1/messages", json.dumps(message(stream=True)), {"x-api-key": "k"})
        response = connection.getresponse()
        assert response.status == 200
        assert not server.wait_for_disconnect(0)
        response.close()
        connection.close()
        assert server.wait_for_disconnect(20)
        assert not server.wait_for_disconnect(0)

    def test_waiting_for_a_request(self, server):
        """A test can wait until a request comes."""
        assert not server.wait_for_request(timeout=0)
        server.reply("text")
        client = threading.Thread(target=post, args=(server, "/v1/messages", message()))
        client.start()
        assert server.wait_for_request(timeout=20)
        client.join()

    def test_closing_hangs_up_on_stalled_clients(self, server):
        """Closing the server frees the port, ends the thread and disconnects waiting clients."""
        server.breaks("0123456789", "stall")
        failures = []

        def ask():
            try:
                post(server, "/v1/messages", message(stream=True))
            except (OSError, http.client.HTTPException) as error:
                failures.append(error)

        client = threading.Thread(target=ask)
        client.start()
        assert server.wait_for_request(timeout=20)
        server.close()
        client.join(20)
        assert len(failures) == 1
        with pytest.raises(ConnectionRefusedError):
            post(server, "/v1/messages", message())
        server.close()

    async def test_it_works_beside_a_running_loop(self, server):
        """The server does not need the event loop of an async test."""
        server.reply("text")
        status, _, _ = await asyncio.to_thread(post, server, "/v1/messages", message())
        assert status == 200


class TestOllama:
    def test_its_models_and_its_lines(self, server):
        """Ollama lists its models, and streams its answers line by line unless a request says otherwise."""
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
        connection.request("GET", "/api/tags")
        assert [model["name"] for model in json.load(connection.getresponse())["models"]] == [
            "small-coder:latest"
        ]
        connection.close()
        server.reply("Hello there", chunk=5)
        server.reply("Bye")
        turns = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        lines = [json.loads(line) for line in post(server, "/api/chat", turns, {})[2].splitlines()]
        assert "".join(line["message"]["content"] for line in lines) == "Hello there"
        assert [line["done"] for line in lines] == [False, False, False, True]
        whole = json.loads(
            post(server, "/api/generate", {"model": "m", "prompt": "hi", "stream": False}, {})[2]
        )
        assert (whole["response"], whole["done"]) == ("Bye", True)


class TestStrict:
    def test_every_key_but_its_own_is_refused(self):
        """A strict server refuses other keys for answers and for lists; Ollama needs no key."""
        with ModelServer(strict=True) as server:
            server.reply("Hi")
            for path in ("/v1/messages", "/v1/chat/completions"):
                status, _, body = post(server, path, message(), {"x-api-key": "another"})
                assert status == 401
                assert b"the key is not this server's" in body
            assert server.requests == ()
            assert post(server, "/v1/messages", message())[0] == 200
            found = {}
            for key in (server.key, "another"):
                connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
                connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
                found[key] = connection.getresponse().status
                connection.close()
            assert found == {server.key: 200, "another": 401}
            server.reply("Hi")
            assert post(server, "/api/chat", {"model": "m", "messages": []}, {})[0] == 200


class TestCommand:
    def test_another_process(self, tmp_path):
        """The command prints its URL, plays the script and ends on a signal."""
        script = tmp_path / "script.json"
        script.write_text(json.dumps([{"writes": "x = 'é'"}]), "utf-8")
        with subprocess.Popen(
            [sys.executable, "-m", "fact_magics.testing", "--script", str(script), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ},
        ) as process:
            assert process.stdout is not None
            connection = http.client.HTTPConnection(
                process.stdout.readline().strip().removeprefix("http://"), timeout=20
            )
            connection.request("POST", "/v1/messages", json.dumps(message()), {"x-api-key": "k"})
            assert "x = 'é'" in json.load(connection.getresponse())["content"][0]["text"]
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""

    @pytest.mark.parametrize("content", ["{not json", "5", '[{"rite": "x"}]', '{"reply": "x"}', "[1]"])
    def test_an_invalid_script(self, tmp_path, content):
        """A bad script is one line on stderr, not a traceback."""
        script = tmp_path / "script.json"
        script.write_text(content, "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "fact_magics.testing", "--script", str(script)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stdout == ""

    @pytest.mark.parametrize("port", ["99999", "taken"])
    def test_a_port_that_can_t_be_used(self, server, port):
        """A bad port is one line on stderr, not a traceback."""
        port = server.url.rpartition(":")[2] if port == "taken" else port
        done = subprocess.run(
            [sys.executable, "-m", "fact_magics.testing", "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert f"error: port {port} can't be used: " in done.stderr
        assert "Traceback" not in done.stderr
