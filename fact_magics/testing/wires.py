"""The wire formats that `fact_magics.testing.ModelServer` speaks: Anthropic, OpenAI and Ollama."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from fact_magics.attempt import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Ending: TypeAlias = Literal[
    "complete", "cut", "dropped", "reset", "stall", "error", "garbage", "silent", "page"
]
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
_SYSTEM_ROLES = ("system", "developer")
_OPENAI_REASONS = {"end_turn": "stop", "max_tokens": "length", "refusal": "content_filter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted answer.

    Attributes
    ----------
    text, thinking : str
        The answer, and the model's thinking.
    pace : float or None
        Tokens per second; None sends them as fast as the client reads.
    chunk : int
        Characters per token.
    usage : Usage or None
        Tokens to report; None reports one token for four characters. A count that is None is not sent.
    stop_reason : str
        Anthropic's name for it: ``end_turn``, ``max_tokens``, ``refusal``, ... Other wires translate it.
    ending : {"complete", "cut", "dropped", "reset", "stall", "error", "garbage", "silent", "page"}
        How the stream ends. "complete": after the whole answer. The others end in the middle of the answer.
        "cut": the body ends normally. "dropped": the connection closes before the body ends. "reset": the
        connection is reset. "stall": nothing more is sent. "error": the last event is an error. "garbage":
        the last event is not in the protocol. "silent": nothing at all is sent. "page": a web page is sent.
    after : int or None
        How many characters are sent before an ending other than "complete"; None for half of the text.
    cache_miss : str
        Anthropic's name for the reason why its prompt cache was not read, such as ``system_changed``, for a
        request that asks for it.
    delay : float
        Seconds before anything is sent.
    status, message, code : int, str, str
        A status other than 200 sends an HTTP error with this message, and this code of the error if it has
        one, instead of an answer.
    headers : mapping of str to str
        Additional response headers, such as ``retry-after``.
    """

    text: str = ""
    thinking: str = ""
    pace: float | None = None
    chunk: int = 4
    usage: Usage | None = None
    stop_reason: str = "end_turn"
    ending: Ending = "complete"
    after: int | None = None
    delay: float = 0.0
    status: int = 200
    message: str = ""
    cache_miss: str = ""
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise `ValueError` for values with which no answer can be sent."""
        for name, is_right, needed in (
            ("text", isinstance(self.text, str), "a text"),
            ("pace", self.pace is None or _is_number(self.pace, 0.001), "None or a number above 0"),
            ("chunk", isinstance(self.chunk, int) and self.chunk > 0, "a whole number above 0"),
            ("delay", _is_number(self.delay, 0), "a number of seconds"),
            ("status", isinstance(self.status, int) and 100 <= self.status <= 599, "an HTTP status"),
        ):
            if not is_right:
                raise ValueError(f"{name} must be {needed}; got {getattr(self, name)!r}")


def _is_number(value: object, lowest: float) -> bool:
    return isinstance(value, int | float) and lowest <= value


class Frame(NamedTuple):
    """One event of a stream."""

    data: bytes
    paced: bool = False  # counts as a token
    last: bool = False  # comes after the text; not sent if the answer breaks off


class Wire(ABC):
    """The protocol of one provider: it writes answers and errors, and reads requests."""

    name: str
    content_type = "text/event-stream; charset=utf-8"

    @abstractmethod
    def frames(self, reply: Reply, body: Json) -> Iterator[Frame]:
        """Yield the events of a streamed answer."""

    @abstractmethod
    def whole(self, reply: Reply, body: Json) -> Json:
        """Return the answer to a request that does not ask for a stream."""

    @abstractmethod
    def error(self, status: int, message: str, code: str = "") -> Json:
        """Return the body of an error response."""

    def error_event(self, message: str) -> bytes:
        """Return the event that ends a stream with an error."""
        return _event(self.error(529, message))

    def garbage(self) -> bytes:
        """Return an event that is not in the protocol."""
        return b"data: {]\xff\n\n"

    def system(self, body: Json) -> str:
        """Return the system prompt of a request."""
        return "\n\n".join(text for role, text in _turns(body) if role in _SYSTEM_ROLES)

    def messages(self, body: Json) -> tuple[tuple[str, str], ...]:
        """Return the role and the text of each turn of a request, without the system prompt."""
        return tuple((role, text) for role, text in _turns(body) if role not in _SYSTEM_ROLES)

    def streams(self, body: Json) -> bool:
        """Tell whether a request asks for a stream."""
        return body.get("stream") is True


class _Anthropic(Wire):
    name = "anthropic"

    def frames(self, reply: Reply, body: Json) -> Iterator[Frame]:
        usage = usage_of(reply, body)
        message = self.whole(reply, body) | {"content": [], "stop_reason": None}
        message["usage"] = {**_anthropic_usage(usage), "output_tokens": 1}
        yield Frame(_event({"type": "message_start", "message": message}))
        yield Frame(_event({"type": "ping"}))
        index = 0
        if reply.thinking:
            yield from self._block(index, "thinking", reply.thinking, reply.chunk, {"signature": ""})
            signed = {"type": "signature_delta", "signature": "c2ln"}
            yield Frame(_event({"type": "content_block_delta", "index": index, "delta": signed}))
            yield Frame(_event({"type": "content_block_stop", "index": index}))
            index += 1
        yield from self._block(index, "text", reply.text, reply.chunk, {})
        delta: Json = {"stop_reason": reply.stop_reason, "stop_sequence": None}
        if reply.stop_reason == "refusal":
            delta["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
        for event in (
            {"type": "content_block_stop", "index": index},
            {"type": "message_delta", "delta": delta, "usage": _known(output_tokens=usage.output_tokens)},
            {"type": "message_stop"},
        ):
            yield Frame(_event(event), last=True)

    def whole(self, reply: Reply, body: Json) -> Json:
        content: list[Json] = [{"type": "text", "text": reply.text}]
        if reply.thinking:
            content.insert(0, {"type": "thinking", "thinking": reply.thinking, "signature": "c2ln"})
        diagnostics = None
        if reply.cache_miss and (body.get("diagnostics") or {}).get("previous_message_id"):
            reason = {"type": reply.cache_miss, "cache_missed_input_tokens": 900}
            diagnostics = {"cache_miss_reason": reason}
        return {
            "id": "msg_loopback",
            "type": "message",
            "role": "assistant",
            "model": str(body.get("model")),
            "content": content,
            "stop_reason": reply.stop_reason,
            "stop_sequence": None,
            "diagnostics": diagnostics,
            "usage": _anthropic_usage(usage_of(reply, body)),
        }

    def error(self, status: int, message: str, code: str = "") -> Json:
        error: Json = {"type": _error_type(status), "message": message}
        if code:
            error["details"] = {"error_code": code}
        return {"type": "error", "error": error, "request_id": "req_loopback"}

    def garbage(self) -> bytes:
        return b"event: content_block_delta\ndata: {]\xff\n\n"

    def system(self, body: Json) -> str:
        return _text(body.get("system"))

    def _block(self, index: int, kind: str, text: str, chunk: int, extra: Json) -> Iterator[Frame]:
        """Start a content block and stream its text."""
        block = {"type": kind, kind: "", **extra}
        yield Frame(_event({"type": "content_block_start", "index": index, "content_block": block}))
        for piece in _pieces(text, chunk):
            delta = {"type": f"{kind}_delta", kind: piece}
            event = _event({"type": "content_block_delta", "index": index, "delta": delta})
            yield Frame(event, paced=True)


class _OpenAI(Wire):
    """The chat completions API, which many providers and local servers share."""

    name = "openai"

    def frames(self, reply: Reply, body: Json) -> Iterator[Frame]:
        yield self._chunk(body, {"role": "assistant", "content": ""})
        for key, text in (("reasoning_content", reply.thinking), ("content", reply.text)):
            for piece in _pieces(text, reply.chunk):
                yield self._chunk(body, {key: piece}, paced=True)
        yield self._chunk(body, {}, reason=_OPENAI_REASONS.get(reply.stop_reason, "stop"))
        usage = _openai_usage(usage_of(reply, body))
        if usage and (body.get("stream_options") or {}).get("include_usage"):
            counted = {"choices": [], "usage": usage}
            yield Frame(_event(self._head(body, "chat.completion.chunk") | counted), last=True)
        yield Frame(b"data: [DONE]\n\n", last=True)

    def whole(self, reply: Reply, body: Json) -> Json:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": reply.text},
            "finish_reason": _OPENAI_REASONS.get(reply.stop_reason, "stop"),
        }
        usage = _openai_usage(usage_of(reply, body))
        return self._head(body, "chat.completion") | {"choices": [choice], "usage": usage}

    def error(self, status: int, message: str, code: str = "") -> Json:
        error = {"message": message, "type": _error_type(status), "param": None, "code": code or None}
        return {"error": error}

    def _head(self, body: Json, kind: str) -> Json:
        return {"id": "chatcmpl-loopback", "object": kind, "created": 0, "model": str(body.get("model"))}

    def _chunk(self, body: Json, delta: Json, *, reason: str | None = None, paced: bool = False) -> Frame:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        event = _event(self._head(body, "chat.completion.chunk") | {"choices": [choice]})
        return Frame(event, paced=paced, last=reason is not None)


class _Ollama(Wire):
    name = "ollama"
    content_type = "application/x-ndjson"

    def frames(self, reply: Reply, body: Json) -> Iterator[Frame]:
        for piece in _pieces(reply.thinking, reply.chunk):
            yield Frame(dumps(self._part(body, "", piece)) + b"\n", paced=True)
        for piece in _pieces(reply.text, reply.chunk):
            yield Frame(dumps(self._part(body, piece)) + b"\n", paced=True)
        yield Frame(
            dumps(self.whole(replace(reply, text=""), body, usage_of(reply, body))) + b"\n", last=True
        )

    def whole(self, reply: Reply, body: Json, usage: Usage | None = None) -> Json:
        usage = usage or usage_of(reply, body)
        return self._part(body, reply.text) | {
            "done": True,
            "done_reason": "length" if reply.stop_reason == "max_tokens" else "stop",
            **_known(prompt_eval_count=usage.input_tokens, eval_count=usage.output_tokens),
            **dict.fromkeys(("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"), 1),
        }

    # Ollama's errors have only a message.
    def error(self, status: int, message: str, code: str = "") -> Json:  # noqa: ARG002
        return {"error": message}

    def error_event(self, message: str) -> bytes:
        return dumps(self.error(500, message)) + b"\n"

    def garbage(self) -> bytes:
        return b"{]\xff\n"

    def streams(self, body: Json) -> bool:
        return body.get("stream") is not False

    def _part(self, body: Json, text: str, thinking: str = "") -> Json:
        message = {"role": "assistant", "content": text, **({"thinking": thinking} if thinking else {})}
        head = {"model": str(body.get("model")), "created_at": "2026-01-01T00:00:00Z", "done": False}
        return head | {"message": message}


class _OllamaGenerate(_Ollama):
    def system(self, body: Json) -> str:
        return _text(body.get("system"))

    def messages(self, body: Json) -> tuple[tuple[str, str], ...]:
        return (("user", _text(body.get("prompt"))),)

    def _part(self, body: Json, text: str, thinking: str = "") -> Json:
        part = super()._part(body, text, thinking)
        del part["message"]
        return part | {"response": text} | ({"thinking": thinking} if thinking else {})


WIRES: Mapping[str, Wire] = {
    "/v1/messages": _Anthropic(),
    "/v1/chat/completions": _OpenAI(),
    "/chat/completions": _OpenAI(),
    "/api/chat": _Ollama(),
    "/api/generate": _OllamaGenerate(),
}


def dumps(value: Json) -> bytes:
    """Return JSON as the APIs send it: in UTF-8, with characters outside ASCII unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _event(event: Json) -> bytes:
    """Write a server-sent event; Anthropic's events also name their type."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    return name.encode() + b"data: %s\n\n" % dumps(event)


def _turns(body: Json) -> Iterator[tuple[str, str]]:
    for turn in body.get("messages") or []:
        yield str(turn.get("role")), _text(turn.get("content"))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return ""


def _pieces(text: str, size: int) -> Iterator[str]:
    step = max(1, size)
    return (text[start : start + step] for start in range(0, len(text), step))


def usage_of(reply: Reply, body: Json) -> Usage:
    """Return the tokens to report for an answer: the scripted ones, or else one for four characters."""
    asked = {name: value for name, value in body.items() if name in ("system", "messages", "prompt")}
    return reply.usage or Usage(
        input_tokens=max(1, len(dumps(asked)) // 4),
        output_tokens=max(1, len(reply.text + reply.thinking) // 4),
        cache_read_tokens=0,
        cache_creation_tokens=0,
    )


def _anthropic_usage(usage: Usage) -> Json:
    known: Json = _known(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_tokens,
        cache_creation_input_tokens=usage.cache_creation_tokens,
    )
    for_an_hour = usage.cache_creation_1h_tokens
    if for_an_hour is None:
        return known
    lifetimes = {
        "ephemeral_5m_input_tokens": (usage.cache_creation_tokens or 0) - for_an_hour,
        "ephemeral_1h_input_tokens": for_an_hour,
    }
    return known | {"cache_creation": lifetimes}


def _openai_usage(usage: Usage) -> Json:
    if usage.input_tokens is None and usage.output_tokens is None:
        return {}
    cached = usage.cache_read_tokens or 0
    prompt = (usage.input_tokens or 0) + cached
    written = usage.output_tokens or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _known(**counts: int | None) -> Json:
    return {name: count for name, count in counts.items() if count is not None}


def _error_type(status: int) -> str:
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
