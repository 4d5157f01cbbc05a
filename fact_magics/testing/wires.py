"""The wire formats that `fact_magics.testing.ModelServer` speaks: Anthropic, OpenAI and Ollama."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from fact_magics.tool import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Ending: TypeAlias = Literal["complete", "cut", "dropped", "reset", "stall", "error"]
Json: TypeAlias = dict[str, Any]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OPENAI_REASONS = {"end_turn": "stop", "max_tokens": "length", "refusal": "content_filter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted answer.

    Attributes
    ----------
    text, thinking : str
        What the model writes, and what it says about its thinking.
    pace : float or None
        Tokens a second; None sends them as fast as the client reads.
    chunk : int
        Characters a token.
    usage : Usage or None
        Tokens to report; None reports a quarter of the characters.
    stop_reason : str
        As Anthropic names it: ``end_turn``, ``max_tokens``, ``refusal``; translated on other wires.
    ending : {"complete", "cut", "dropped", "reset", "stall", "error"}
        How the stream ends: whole; the body ends well in the middle of the answer; the connection
        closes inside the body; it is reset; nothing more comes; an error event comes.
    after : int or None
        Characters of the text that come before an ending other than "complete"; None for half.
    status : int
        Another than 200 answers with an error instead.
    message : str
        The error's message.
    headers : mapping of str to str
        Sent as well, such as ``retry-after``.
    """

    text: str = ""
    thinking: str = ""
    pace: float | None = None
    chunk: int = 4
    usage: Usage | None = None
    stop_reason: str = "end_turn"
    ending: Ending = "complete"
    after: int | None = None
    status: int = 200
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes that are sent together.

    Attributes
    ----------
    data : bytes
        One event of the stream, or several.
    paced : bool
        Whether it counts as a token.
    last : bool
        Whether it follows the text, so that an answer which breaks off never gets there.
    """

    data: bytes
    paced: bool = False
    last: bool = False


class AnthropicWire:
    """The Messages API."""

    name = "anthropic"
    content_type = "text/event-stream; charset=utf-8"

    def frames(self, reply: Reply, body: Json) -> Iterator[Frame]:
        """Yield the events of a streamed message."""
        usage = _usage(reply, body)
        message = self._message(reply, body) | {"content": [], "stop_reason": None}
        message["usage"] = {**_anthropic_usage(usage), "output_tokens": 1}
        yield self._frame({"type": "message_start", "message": message})
        yield self._frame({"type": "ping"})
        index = 0
        if reply.thinking:
            yield self._start(index, {"type": "thinking", "thinking": "", "signature": ""})
            for piece in _pieces(reply.thinking, reply.chunk):
                yield self._delta(index, {"type": "thinking_delta", "thinking": piece})
            yield self._frame(
                {
                    "type": "content_block_delta",
                    "index": index,
                    "delta": {"type": "signature_delta", "signature": "c2ln"},
                }
            )
            yield self._frame({"type": "content_block_stop", "index": index})
            index += 1
        yield self._start(index, {"type": "text", "text": ""})
        for piece in _pieces(reply.text, reply.chunk):
            yield self._delta(index, {"type": "text_delta", "text": piece})
        delta: Json = {"stop_reason": reply.stop_reason, "stop_sequence": None}
        if reply.stop_reason == "refusal":
            delta["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
        for event in (
            {"type": "content_block_stop", "index": index},
            {"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage.output_tokens}},
            {"type": "message_stop"},
        ):
            yield Frame(self._frame(event).data, last=True)

    def whole(self, reply: Reply, body: Json) -> Json:
        """Return the message that a request without streaming gets."""
        return self._message(reply, body)

    def error(self, status: int, message: str) -> Json:
        """Return the body of an error response."""
        return {
            "type": "error",
            "error": {"type": _error_type(status), "message": message},
            "request_id": "req_loopback",
        }

    def error_frame(self, message: str) -> Frame:
        """Return the event that ends a stream with an error."""
        return self._frame({"type": "error", "error": {"type": "overloaded_error", "message": message}})

    def system(self, body: Json) -> str:
        """Return the system prompt of a request."""
        return _text(body.get("system"))

    def turns(self, body: Json) -> list[Json]:
        """Return the turns of a request."""
        return list(body.get("messages") or [])

    def streams(self, body: Json) -> bool:
        """Tell whether a request asks for a stream."""
        return body.get("stream") is True

    def _message(self, reply: Reply, body: Json) -> Json:
        content: list[Json] = [{"type": "text", "text": reply.text}]
        if reply.thinking:
            content.insert(0, {"type": "thinking", "thinking": reply.thinking, "signature": "c2ln"})
        return {
            "id": "msg_loopback",
            "type": "message",
            "role": "assistant",
            "model": str(body.get("model")),
            "content": content,
            "stop_reason": reply.stop_reason,
            "stop_sequence": None,
            "usage": _anthropic_usage(_usage(reply, body)),
        }

    def _start(self, index: int, block: Json) -> Frame:
        return self._frame({"type": "content_block_start", "index": index, "content_block": block})

    def _delta(self, index: int, delta: Json) -> Frame:
        data = self._frame({"type": "content_block_delta", "index": index, "delta": delta}).data
        return Frame(data, paced=True)

    def _frame(self, event: Json) -> Frame:
        return Frame(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), dumps(event)))


class OpenAIWire:
    """The chat completions API, which many providers and local servers share."""

    name = "openai"
    content_type = "text/event-stream; charset=utf-8"

    def frames(self, reply: Reply, body: Json) -> Iterator[Frame]:
        """Yield the chunks of a streamed completion."""
        yield self._chunk(body, {"role": "assistant", "content": ""})
        for piece in _pieces(reply.thinking, reply.chunk):
            yield Frame(self._chunk(body, {"reasoning_content": piece}).data, paced=True)
        for piece in _pieces(reply.text, reply.chunk):
            yield Frame(self._chunk(body, {"content": piece}).data, paced=True)
        reason = _OPENAI_REASONS.get(reply.stop_reason, "stop")
        yield Frame(self._chunk(body, {}, finish_reason=reason).data, last=True)
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = _openai_usage(_usage(reply, body))
            head = self._head(body, "chat.completion.chunk")
            yield Frame(self._frame(head | {"choices": [], "usage": usage}).data, last=True)
        yield Frame(b"data: [DONE]\n\n", last=True)

    def whole(self, reply: Reply, body: Json) -> Json:
        """Return the completion that a request without streaming gets."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": reply.text},
            "finish_reason": _OPENAI_REASONS.get(reply.stop_reason, "stop"),
        }
        usage = _openai_usage(_usage(reply, body))
        return self._head(body, "chat.completion") | {"choices": [choice], "usage": usage}

    def error(self, status: int, message: str) -> Json:
        """Return the body of an error response."""
        return {"error": {"message": message, "type": _error_type(status), "param": None, "code": None}}

    def error_frame(self, message: str) -> Frame:
        """Return the event that ends a stream with an error."""
        return self._frame(self.error(529, message))

    def system(self, body: Json) -> str:
        """Return the system prompt of a request."""
        turns = body.get("messages") or []
        return "\n\n".join(
            _text(turn.get("content")) for turn in turns if turn.get("role") in ("system", "developer")
        )

    def turns(self, body: Json) -> list[Json]:
        """Return the turns of a request."""
        return [
            turn for turn in body.get("messages") or [] if turn.get("role") not in ("system", "developer")
        ]

    def streams(self, body: Json) -> bool:
        """Tell whether a request asks for a stream."""
        return body.get("stream") is True

    def _head(self, body: Json, kind: str) -> Json:
        return {"id": "chatcmpl-loopback", "object": kind, "created": 0, "model": str(body.get("model"))}

    def _chunk(self, body: Json, delta: Json, *, finish_reason: str | None = None) -> Frame:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._frame(self._head(body, "chat.completion.chunk") | {"choices": [choice]})

    def _frame(self, event: Json) -> Frame:
        return Frame(b"data: %s\n\n" % dumps(event))


class OllamaWire:
    """Ollama's own API: ``/api/chat``, and ``/api/generate`` where `chat` is False."""

    name = "ollama"
    content_type = "application/x-ndjson"

    def __init__(self, *, chat: bool) -> None:
        self._chat = chat

    def frames(self, reply: Reply, body: Json) -> Iterator[Frame]:
        """Yield the lines of a streamed answer."""
        for piece in _pieces(reply.thinking, reply.chunk):
            yield Frame(self._line(self._part(body, "", piece)), paced=True)
        for piece in _pieces(reply.text, reply.chunk):
            yield Frame(self._line(self._part(body, piece)), paced=True)
        yield Frame(self._line(self._last(reply, body, "")), last=True)

    def whole(self, reply: Reply, body: Json) -> Json:
        """Return the answer that a request without streaming gets."""
        return self._last(reply, body, reply.text)

    def error(self, status: int, message: str) -> Json:  # noqa: ARG002 - Ollama's errors are their message alone
        """Return the body of an error response."""
        return {"error": message}

    def error_frame(self, message: str) -> Frame:
        """Return the line that ends a stream with an error."""
        return Frame(self._line(self.error(500, message)))

    def system(self, body: Json) -> str:
        """Return the system prompt of a request."""
        if self._chat:
            return OpenAIWire().system(body)
        return _text(body.get("system"))

    def turns(self, body: Json) -> list[Json]:
        """Return the turns of a request."""
        if self._chat:
            return OpenAIWire().turns(body)
        return [{"role": "user", "content": body.get("prompt", "")}]

    def streams(self, body: Json) -> bool:
        """Tell whether a request asks for a stream, as it does unless it says no."""
        return body.get("stream") is not False

    def _part(self, body: Json, text: str, thinking: str = "") -> Json:
        said: Json = {"role": "assistant", "content": text} if self._chat else {"response": text}
        if thinking:
            said["thinking"] = thinking
        head = {"model": str(body.get("model")), "created_at": "2026-01-01T00:00:00Z", "done": False}
        return head | ({"message": said} if self._chat else said)

    def _last(self, reply: Reply, body: Json, text: str) -> Json:
        usage = _usage(reply, body)
        return self._part(body, text) | {
            "done": True,
            "done_reason": "length" if reply.stop_reason == "max_tokens" else "stop",
            "total_duration": 1,
            "load_duration": 1,
            "prompt_eval_count": usage.input_tokens,
            "prompt_eval_duration": 1,
            "eval_count": usage.output_tokens,
            "eval_duration": 1,
        }

    def _line(self, value: Json) -> bytes:
        return dumps(value) + b"\n"


Wire: TypeAlias = AnthropicWire | OpenAIWire | OllamaWire
WIRES: Mapping[str, Wire] = {
    "/v1/messages": AnthropicWire(),
    "/v1/chat/completions": OpenAIWire(),
    "/chat/completions": OpenAIWire(),
    "/api/chat": OllamaWire(chat=True),
    "/api/generate": OllamaWire(chat=False),
}


def dumps(value: Json) -> bytes:
    """Return JSON as the APIs send it: UTF-8, so that a client meets characters outside ASCII raw."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def turn_text(turn: Json) -> str:
    """Return the text of one turn, whether it is a string or a list of blocks."""
    return _text(turn.get("content"))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return ""


def _pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), max(1, size)):
        yield text[start : start + max(1, size)]


def _usage(reply: Reply, body: Json) -> Usage:
    return reply.usage or Usage(
        input_tokens=max(1, len(dumps(body)) // 4),
        output_tokens=max(1, len(reply.text + reply.thinking) // 4),
        cache_read_tokens=0,
        cache_creation_tokens=0,
    )


def _anthropic_usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input_tokens or 0,
        "output_tokens": usage.output_tokens or 0,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_creation_tokens,
    }


def _openai_usage(usage: Usage) -> Json:
    cached = usage.cache_read_tokens or 0
    prompt = (usage.input_tokens or 0) + cached
    written = usage.output_tokens or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _error_type(status: int) -> str:
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
