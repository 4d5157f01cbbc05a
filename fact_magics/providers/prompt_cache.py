"""Anthropic's prompt cache: which part of a request is marked for it, and why nothing was read from it.

A mark ends the part of a request that is cached. A later request reads this part from the cache if it begins
with the same bytes. A mark makes the first request more expensive, so it is set only where a later request
will read the cache.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fact_magics.attempt import Usage
    from fact_magics.providers.base import Prompt

_LIFETIME_SECONDS = 300.0
_MARK = MappingProxyType({"type": "ephemeral"})
# The fewest tokens that are cached, by the model's name without a date. Anthropic ignores marks on less.
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching#cache-limitations
_SMALLEST = (
    (512, re.compile(r"claude-(?:(?:opus|sonnet|haiku)-5-5|opus-5|(?:fable|mythos)-5(?:-[12])?)")),
    (1_024, re.compile(r"claude-(?:sonnet-(?:5|4(?:-[056])?)|opus-4(?:-[018])?)")),
    (2_048, re.compile(r"claude-(?:opus-4-7|mythos-preview)")),
    (4_096, re.compile(r"claude-.*")),
)
_DATE = re.compile(r"[-@]20\d{6}$")
# English has fewer characters per token, so a text that is marked is always long enough.
_CHARACTERS_PER_TOKEN = 5
_CAUSES = {
    "model_changed": "the previous request used another model or speed",
    "system_changed": "the previous request had other rules",
    "messages_changed": "the previous request had another conversation",
    "previous_message_not_found": "Anthropic no longer knows the previous request",
}


class Marked(NamedTuple):
    """The parts of a request for Anthropic's API."""

    system: str | list[dict[str, Any]]
    messages: list[dict[str, Any]]
    has_marks: bool


@dataclass(slots=True)
class CacheMemory:
    """What a session remembers for the diagnostics of the prompt cache."""

    # addresses whose servers refused a request with diagnostics
    without_diagnostics: set[str] = field(default_factory=set)
    _latest: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)

    def previous(self, place: tuple[str, str]) -> str | None:
        """Return the id of the latest answer from an address and a model, as long as its prefix is cached."""
        message_id, when = self._latest.get(place, ("", 0.0))
        return message_id if message_id and time.monotonic() - when < _LIFETIME_SECONDS else None

    def remember(self, place: tuple[str, str], message_id: str) -> None:
        """Keep the id of an answer."""
        self._latest[place] = message_id, time.monotonic()


def marked(prompt: Prompt, model: str) -> Marked:
    """Mark the parts that a later request will read: the rules, and the conversation if a repair may follow.

    A part that is too short for the `model` is not marked; if the model is not Claude, nothing is.
    """
    smallest = smallest_prefix(model)
    turns: list[dict[str, Any]] = [{"role": turn.role, "content": turn.text} for turn in prompt.messages]
    if smallest is None:
        return Marked(prompt.system, turns, has_marks=False)
    needed = smallest * _CHARACTERS_PER_TOKEN
    system: str | list[dict[str, Any]] = prompt.system
    if len(prompt.system) >= needed:
        system = [_block(prompt.system)]
    size = len(prompt.system) + sum(len(turn.text) for turn in prompt.messages)
    marks_turns = prompt.may_continue and size >= needed
    if marks_turns:
        turns[-1]["content"] = [_block(prompt.messages[-1].text)]
    return Marked(system, turns, has_marks=marks_turns or system is not prompt.system)


def smallest_prefix(model: str) -> int | None:
    """Return the fewest tokens that a model's prompt cache takes; None if the model is not Claude."""
    name = _DATE.sub("", model)
    return next((tokens for tokens, names in _SMALLEST if names.fullmatch(name)), None)


def missed(usage: Usage, diagnostics: Any) -> str:
    """Say why nothing was read from the cache, if the API explains it; otherwise return an empty text."""
    reason = getattr(diagnostics, "cache_miss_reason", None)
    cause = _CAUSES.get(getattr(reason, "type", ""))
    if usage.cache_read_tokens or cause is None:
        return ""
    tokens = getattr(reason, "cache_missed_input_tokens", None)
    size = f"; about {tokens:,} tokens were not read" if isinstance(tokens, int) else ""
    return f"nothing was read from the prompt cache, because {cause}{size}"


def _block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": dict(_MARK)}
