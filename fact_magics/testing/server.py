"""The scripted model server: its script, its answers, and its thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import threading
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from fact_magics.attempt import Usage
from fact_magics.errors import did_you_mean
from fact_magics.testing.accounting import Charge, limited, read_tokens
from fact_magics.testing.http import LARGEST_HEAD, read_request, send_json, send_page, send_stream
from fact_magics.testing.request import keys_of, record
from fact_magics.testing.wires import WIRES, Ending, Reply, usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from fact_magics.testing.request import Request

_COUNTER = "/v1/messages/count_tokens"
_STEPS = ("reply", "writes", "refuses", "breaks", "fails")


class ModelServer:
    """A scripted model on a loopback port, in a thread of its own.

    Use it as a context manager. Each request, from any client, gets the next scripted reply. When the script
    is used up, a request gets an error that says so. Scripting, reading `requests` and waiting are safe from
    any thread.

    Parameters
    ----------
    script : iterable of mapping, optional
        Steps, as `play` takes them.
    port : int, optional
        The port; 0 lets the system choose a free one.
    local_models : sequence of str, optional
        The models in Ollama's list.
    strict : bool
        Whether Anthropic's and OpenAI's endpoints, including their lists of models, accept only `key`.
    counts : bool
        Whether Anthropic's counter of tokens is served.

    Attributes
    ----------
    url : str
        The address without a path, such as ``http://127.0.0.1:40123``.
    key : str
        A made-up API key, different for each server. Unless `strict`, the server accepts any key, but
        requests to Anthropic's and OpenAI's models need one.
    """

    def __init__(
        self,
        script: Iterable[Mapping[str, Any]] = (),
        *,
        port: int = 0,
        local_models: Sequence[str] = ("small-coder:latest",),
        strict: bool = False,
        counts: bool = True,
    ) -> None:
        self.url = ""
        self.key = f"sk-loopback-{secrets.token_hex(16)}"
        self._port = port
        self._local_models = tuple(local_models)
        self._strict = strict
        self._counts = counts
        self._changed = threading.Condition()
        self._script: deque[Reply] = deque()
        self._requests: list[Request] = []
        self._charges: list[Charge] = []
        self._disconnects = 0
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object]
        self.play(script)

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError(f"The server is already running at {self.url}.")
        listener = socket.create_server(("127.0.0.1", self._port))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, started)), name="ModelServer", daemon=True
        )
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and free the port."""
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._stop()
            self._thread.join()
            self._thread = None

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests to the model so far, oldest first."""
        with self._changed:
            return tuple(self._requests)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What the server's answers cost so far, oldest first; errors cost nothing."""
        with self._changed:
            return tuple(self._charges)

    def environment(self) -> dict[str, str]:
        """Return environment variables that make a kernel or a script use this server."""
        return {
            "ANTHROPIC_API_KEY": self.key,
            "ANTHROPIC_BASE_URL": self.url,
            "OPENAI_API_KEY": self.key,
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_BASE": f"{self.url}/v1",
            "OLLAMA_API_BASE": self.url,
        }

    def reply(
        self,
        text: str,
        *,
        thinking: str = "",
        pace: float | None = None,
        chunk: int = 4,
        usage: Usage | Mapping[str, int] | None = None,
        stop_reason: str = "end_turn",
        cache_miss: str = "",
        delay: float = 0.0,
    ) -> None:
        """Answer with `text` after `delay` seconds; the other options are described in `Reply`."""
        tokens = Usage(**usage) if isinstance(usage, Mapping) else usage
        self._script.append(
            Reply(
                text=text,
                thinking=thinking,
                pace=pace,
                chunk=chunk,
                usage=tokens,
                stop_reason=stop_reason,
                cache_miss=cache_miss,
                delay=delay,
            )
        )

    def writes(self, source: str, *, before: str = "", after: str = "", **options: Any) -> None:
        """Answer with Python source in a fenced block, with prose `before` and `after` it; see `reply`."""
        block = f"```python\n{source.strip()}\n```\n"
        text = "\n\n".join(part for part in (before, block, after) if part)
        self.reply(text, **options)

    def refuses(self, text: str = "") -> None:
        """Answer with `text` and the stop reason of a refusal."""
        self.reply(text, stop_reason="refusal")

    def breaks(
        self,
        text: str,
        ending: Ending,
        *,
        after: int | None = None,
        pace: float | None = None,
        chunk: int = 4,
        usage: Usage | Mapping[str, int] | None = None,
    ) -> None:
        """Send `after` characters of `text`, then end as `ending` says; see `Reply`.

        Raises
        ------
        ValueError
            There is no such ending.
        """
        if ending not in get_args(Ending):
            raise ValueError(f"ending must be one of {', '.join(get_args(Ending))}; got {ending!r}")
        tokens = Usage(**usage) if isinstance(usage, Mapping) else usage
        self._script.append(
            Reply(text=text, ending=ending, after=after, pace=pace, chunk=chunk, usage=tokens)
        )

    def fails(
        self, status: int, message: str = "", *, code: str = "", retry_after: float | str | None = None
    ) -> None:
        """Answer with an HTTP error, such as 401 (wrong key), 404 (unknown model) or 529 (overloaded)."""
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        message = message or f"scripted error {status}"
        self._script.append(Reply(status=status, message=message, code=code, headers=headers))

    def play(self, script: Iterable[Mapping[str, Any]]) -> None:
        """Add steps to the script; a JSON file of the command line has the same form.

        The first key of each step is ``reply``, ``writes``, ``refuses``, ``breaks`` or ``fails``. Its value
        is the first argument of the method with that name; the other keys are the other arguments:
        ``[{"writes": "def f() -> int: ...", "pace": 200}, {"fails": 529}]``.

        Raises
        ------
        ValueError
            A step does not have this form.
        """
        for number, step in enumerate(script, start=1):
            kind = next(iter(step), "") if isinstance(step, Mapping) else ""
            if kind not in _STEPS:
                problem = (
                    f"Step {number} of the script starts with {kind!r}, not with one of {', '.join(_STEPS)}."
                )
                raise ValueError(f"{problem} {did_you_mean(str(kind), _STEPS)}".rstrip())
            options = {name: value for name, value in step.items() if name != kind}
            try:
                getattr(self, kind)(step[kind], **options)
            except (TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"Step {number} of the script: {error}") from error

    def clear(self) -> None:
        """Remove the rest of the script."""
        self._script.clear()

    def wait_for_request(self, count: int = 1, timeout: float = 10.0) -> bool:
        """Wait up to `timeout` seconds until `count` requests have come; return whether they have."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._requests) >= count, timeout)

    def wait_for_disconnect(self, timeout: float = 10.0) -> bool:
        """Wait up to `timeout` seconds for a client to disconnect in mid-answer; return whether one did.

        Each disconnect is reported once.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._disconnects > 0, timeout):
                return False
            self._disconnects -= 1
            return True

    def _next(self, request: Request) -> Reply:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            if self._script:
                return self._script.popleft()
            asked = len(self._requests)
        return Reply(
            status=500,
            message=f"ModelServer has no reply left for request {asked}; script one with server.reply(...)",
            # The SDKs and fact_magics obey this header, so they show the error at once.
            headers={"x-should-retry": "false"},
        )

    async def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        stop = asyncio.Event()
        self._stop = partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)
        clients: set[asyncio.Task[None]] = set()

        # If this were a coroutine function, asyncio would log an error for each cancelled task.
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._client(reader, writer))
            clients.add(task)
            task.add_done_callback(clients.discard)

        server = await asyncio.start_server(accept, sock=listener, limit=LARGEST_HEAD)
        started.set()
        await stop.wait()
        server.close()  # asyncio.run cancels the clients' tasks

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, path, headers, body = await read_request(reader)
            # A client sends nothing while it waits for its answer, so a read ends only if it disconnects.
            hang_up = asyncio.create_task(reader.read(1))
            answer = asyncio.create_task(self._answer(writer, method, path, headers, body))
            try:
                await asyncio.wait((hang_up, answer), return_when=asyncio.FIRST_COMPLETED)
                # A write may notice the disconnect before the read does.
                if not answer.done() or isinstance(answer.exception(), ConnectionError):
                    with self._changed:
                        self._disconnects += 1
                        self._changed.notify_all()
            finally:
                for task in (hang_up, answer):
                    task.cancel()
                await asyncio.gather(hang_up, answer, return_exceptions=True)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # no request came, or it was not HTTP
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], raw: bytes
    ) -> None:
        wire, keys = WIRES.get(path), keys_of(headers)
        wrong = "the key is not this server's" if self._strict and self.key not in keys else ""
        if path == _COUNTER and method == "POST" and self._counts and not wrong:
            await send_json(writer, 200, {"input_tokens": self._count(raw)})
            return
        if method == "GET" or wire is None:
            if wrong and path == "/v1/models":
                await send_json(writer, 401, WIRES["/v1/chat/completions"].error(401, wrong))
            else:
                await send_json(writer, *self._list(method, path))
            return
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            await send_json(writer, 400, wire.error(400, "the body is not a JSON object"))
            return
        wrong = wrong if keys else "no key was sent"
        if wrong and wire.name != "ollama":
            await send_json(writer, 401, wire.error(401, wrong))
            return
        reply = limited(self._next(record(wire, path, headers, body, keys)), body)
        if reply.status == 200:
            with self._changed:
                is_complete = reply.ending == "complete"
                self._charges.append(Charge(str(body.get("model")), usage_of(reply, body), is_complete))
        if reply.ending == "silent":
            await asyncio.Event().wait()
        await asyncio.sleep(reply.delay)
        if reply.ending == "page":
            await send_page(writer)
        elif reply.status != 200:
            error = wire.error(reply.status, reply.message, reply.code)
            await send_json(writer, reply.status, error, reply.headers)
        elif not wire.streams(body):
            await send_json(writer, 200, wire.whole(reply, body), reply.headers)
        else:
            await send_stream(writer, wire, reply, body)

    def _count(self, raw: bytes) -> int:
        """Count the input of a request as the next answer does."""
        with self._changed:
            reply = self._script[0] if self._script else Reply()
        return read_tokens(usage_of(reply, json.loads(raw)))

    def _list(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        if path == "/api/tags":
            return 200, {"models": [{"name": name, "model": name} for name in self._local_models]}
        if path == "/api/show":
            return 200, {"details": {"family": "loopback"}, "model_info": {}, "capabilities": ["completion"]}
        if path == "/v1/models":
            names = ("claude-sonnet-5-5", *self._local_models)
            kind = {"type": "model", "object": "model"}
            models = [{"id": name, "display_name": name, **kind} for name in names]
            return 200, {"object": "list", "data": models, "has_more": False}
        message = f"ModelServer does not serve {method} {path}"
        return 404, {"error": {"type": "not_found_error", "message": message}}
