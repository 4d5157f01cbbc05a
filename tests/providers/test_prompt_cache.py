"""Anthropic's prompt cache: what is marked for it over the wire, and what the record says about it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.display.record import generation_record
from fact_magics.errors import GenerationFailed
from fact_magics.events import GenerationEnded
from fact_magics.providers.anthropic import AnthropicProvider
from fact_magics.providers.base import Message
from fact_magics.providers.prompt_cache import smallest_prefix
from fact_magics.writing.prompt import RULES

if TYPE_CHECKING:
    from fact_magics.events import Event
    from fact_magics.testing import Request

MARK = {"cache_control": {"type": "ephemeral"}}
RIGHT = "def double(n: int) -> int:\n    return 2 * n\n"
TEXT = "Double a number.\n\n>>> double(2)\n4\n"


def marked_turns(request: Request) -> list[int]:
    return [number for number, turn in enumerate(request.body["messages"]) if "cache_control" in str(turn)]


async def test_the_prefix_is_the_same_byte_by_byte_in_every_session(server, tmp_path, monkeypatch):
    for number, language in enumerate(("C", "tr_TR.UTF-8")):
        monkeypatch.setenv("LANG", language)
        folder = tmp_path / f"machine{number}"
        folder.mkdir()
        settings = load_settings(
            {"isolation": "process"}, folder, {"FACT_HOME": str(folder / "home"), **server.environment()}
        )
        async with FactCore(settings, notebook=f"{number}.ipynb") as core:
            for name in ("double", "twice")[number:]:
                server.writes(RIGHT.replace("double", name))
                await core.generate(ToolSpec(name, TEXT.replace("double", name), tags=(name,)))
    prefixes = {
        json.dumps([request.body[key] for key in ("model", "thinking", "system")])
        for request in server.requests
    }
    assert len(server.requests) == 3
    assert len(prefixes) == 1
    assert server.requests[0].body["system"] == [{"type": "text", "text": RULES, **MARK}]
    assert [marked_turns(request) for request in server.requests] == [[], [], []]


async def test_a_repair_marks_what_the_next_repair_reads_and_the_last_marks_nothing_more(server, tmp_path):
    settings = load_settings(
        {"isolation": "process"}, tmp_path, {"FACT_HOME": str(tmp_path / "home"), **server.environment()}
    )
    for number in range(4):
        server.writes(f"def double(n: int) -> int:\n    return n + 1{number}\n")
    async with FactCore(settings) as core:
        with pytest.raises(GenerationFailed):
            await core.generate(ToolSpec("double", TEXT, attempts=4))
    assert [marked_turns(request) for request in server.requests] == [[], [2], [4], []]
    for earlier, later in zip(server.requests, server.requests[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages
        assert later.body["system"] == earlier.body["system"]


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-sonnet-5-5", 512),
        ("claude-haiku-5-5-20260901", 512),
        ("claude-fable-5-1", 512),
        ("claude-sonnet-5", 1_024),
        ("claude-opus-4-1@20250805", 1_024),
        ("claude-opus-4-7", 2_048),
        ("claude-haiku-4-5-20251001", 4_096),
        ("claude-of-tomorrow", 4_096),
        ("qwen3-coder:30b", None),
    ],
)
async def test_nothing_is_marked_below_a_models_minimum(server, prompt, patience, ask, model, tokens):
    assert smallest_prefix(model) == tokens
    for size in (5 * (tokens or 2_000) - 1, 5 * (tokens or 2_000)):
        server.reply("text")
        provider = AnthropicProvider(model, SecretStr(server.key), base_url=server.url, patience=patience)
        await ask(provider, prompt=replace(prompt, system="x" * size, may_continue=False))
    below, above = (request.body for request in server.requests)
    assert "cache_control" not in str(below)
    assert "diagnostics" not in below
    assert ("cache_control" in str(above["system"])) is (tokens is not None)


async def test_rules_that_are_too_short_are_cached_with_a_long_request(server, prompt, patience, ask):
    server.reply("text")
    provider = AnthropicProvider(
        "claude-sonnet-5", SecretStr(server.key), base_url=server.url, patience=patience
    )
    long = (*prompt.messages[:-1], Message("user", "x" * 5_000))
    await ask(provider, prompt=replace(prompt, system=RULES, messages=long, may_continue=True))
    (request,) = server.requests
    assert request.body["system"] == RULES
    assert marked_turns(request) == [2]


@pytest.fixture
async def asked(server, tmp_path):
    """A session in which a model has just answered; gives the core and the events that follow."""
    settings = load_settings(
        {"isolation": "process"}, tmp_path, {"FACT_HOME": str(tmp_path / "home"), **server.environment()}
    )
    server.writes(RIGHT)
    async with FactCore(settings) as core:
        await core.generate(ToolSpec("double", TEXT))
        events: list[Event] = []
        core.subscribe(events.append)
        yield core, events


def record_of(events: list[Event]) -> str:
    return generation_record(next(event for event in events if isinstance(event, GenerationEnded))).plain


async def test_the_record_says_how_much_was_read_from_the_cache(server, asked):
    core, events = asked
    usage = {"input_tokens": 80, "output_tokens": 40, "cache_read_tokens": 1234, "cache_creation_tokens": 0}
    server.writes(RIGHT, usage=usage)
    await core.generate(ToolSpec("double", TEXT, fresh=True))
    assert "1,314 tokens in, 40 out · 1,234 tokens from the prompt cache" in record_of(events)


async def test_the_record_says_why_nothing_was_read(server, asked):
    core, events = asked
    usage = {"input_tokens": 1300, "output_tokens": 40, "cache_read_tokens": 0, "cache_creation_tokens": 0}
    server.writes(RIGHT, usage=usage, cache_miss="system_changed")
    await core.generate(ToolSpec("double", TEXT, fresh=True))
    first, second = server.requests
    assert first.body["diagnostics"] == {"previous_message_id": None}
    assert second.body["diagnostics"] == {"previous_message_id": "msg_loopback"}
    assert (
        "nothing was read from the prompt cache, because the previous request had other rules; "
        "about 900 tokens were not read" in record_of(events)
    )


async def test_a_miss_without_a_known_cause_is_not_explained(server, asked):
    core, events = asked
    server.writes(RIGHT, cache_miss="unavailable")
    await core.generate(ToolSpec("double", TEXT, fresh=True))
    assert "prompt cache" not in record_of(events)


async def test_a_server_that_refuses_the_question_is_not_asked_it_again(server, asked):
    core, _ = asked
    server.fails(400, "diagnostics: Extra inputs are not permitted")
    for _ in range(2):
        server.writes(RIGHT)
        await core.generate(ToolSpec("double", TEXT, fresh=True))
    assert ["diagnostics" in request.body for request in server.requests] == [True, True, False, False]
