"""Ask a model for a candidate, and read its answer while it arrives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import GenerationFailed
from fact_magics.events import Listener, Noticed, PhaseChanged, TextArrived
from fact_magics.providers.base import (
    MAX_TOKENS,
    Finished,
    Prompt,
    Provider,
    Retrying,
    TextDelta,
    ThinkingDelta,
)
from fact_magics.text import one_line
from fact_magics.writing.annotating import Completed, complete
from fact_magics.writing.parser import extract
from fact_magics.writing.proof import reject

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.attempt import Attempt
    from fact_magics.providers.spending import Purse, Reserved
    from fact_magics.tool import ToolSpec

# The longest answer, in characters, in case a model does not stop; no tool is this long.
_MAX_TEXT = 1_000_000

_PROBLEMS = {
    "empty": "The answer was empty.",
    "no-code": "The answer has no Python code block.",
    "no-function": "The code in the answer does not define a function named {name} at the top level.",
}
_CUT = {
    "length": "its length limit was reached",
    "cut": "the stream ended early",
    "long": "no tool is that long",
    "repeats": "its end repeated itself",
}
# An answer is stopped if so many characters at its end repeat at most so many characters.
_REPEATING = 8_000
_REPEATED = 500
# After so long without an answer, the cell says what may be the reason.
_LONG_WAIT_SECONDS = 10.0
_MOST_ATTEMPTS = 10  # that a cell can ask for


class Request(NamedTuple):
    """A request to a model, and what pays for it.

    Attributes
    ----------
    reserved : list of Reserved or None
        What was reserved for this request and for equal ones; None to reserve it when it is sent.
    on_begun : callable
        Called when the answer begins.
    """

    provider: Provider
    prompt: Prompt
    purse: Purse
    reserved: list[Reserved] | None = None
    on_begun: Callable[[], object] = lambda: None


async def ask(request: Request, spec: ToolSpec, emit: Listener, attempt: Attempt) -> tuple[Completed, ...]:
    """Ask a model for candidates; if its answer has none, record why in the attempt."""
    stop = await _listen(request, emit, attempt)
    if stop == "refused":
        answered = one_line(attempt.text, 200).rstrip(".:")
        raise GenerationFailed(
            f"{attempt.model} declined to write {spec.name}{f': {answered}' if answered else ''}.",
            hint="Reword the description, or name another model with --model.",
        )
    extracted = extract(attempt.text, spec.name)
    # A model that repeats itself without an end may have written the module before.
    if extracted.problem is None and (stop not in _CUT or (stop == "repeats" and extracted.sources[0].tree)):
        return tuple(complete(source, spec.examples) for source in extracted.sources)
    emit(PhaseChanged("checking"))
    attempt.source = extracted.sources[0].text if extracted.sources else ""
    why = _CUT.get(stop)
    if stop == "length" and attempt.max_tokens:
        why = f"its limit of {attempt.max_tokens:,} tokens was reached"
    problem = f"The answer was cut off after {len(attempt.text):,} characters: {why}."
    if stop not in _CUT and extracted.problem:
        problem = _PROBLEMS[extracted.problem].format(name=spec.name)
    reject(attempt, (problem,))
    return ()


def way_out(spec: ToolSpec, last: Attempt, *, is_repeated: bool) -> str:
    """Say what to change after no candidate was accepted; `last` is the last one."""
    limit = last.max_tokens or MAX_TOKENS
    if (last.usage.output_tokens or 0) >= limit:
        is_own = limit in (spec.max_tokens, MAX_TOKENS)
        return f"Raise {'--max-tokens' if is_own else 'the budget'}, or ask for a smaller tool."
    other = "raise --attempts" if spec.attempts < _MOST_ATTEMPTS else "name another model with --model"
    if is_repeated:
        other = "name another model with --escalate"
    return f"Reword the description, correct an example, or {other}."


async def _listen(request: Request, emit: Listener, attempt: Attempt) -> str:
    provider = request.provider
    emit(PhaseChanged("waiting"))
    phase = "waiting"
    parts: list[str] = []
    size = 0
    end = ""
    stop = "cut"
    stream = request.purse.stream(provider, request.prompt, attempt, request.reserved)

    def say_that_it_waits() -> None:
        if provider.waiting_notice:
            emit(Noticed(provider.waiting_notice))

    waiting = asyncio.get_running_loop().call_later(_LONG_WAIT_SECONDS, say_that_it_waits)
    try:
        async for event in stream:
            if not isinstance(event, Retrying):
                waiting.cancel()
                request.on_begun()
            if isinstance(event, TextDelta):
                if phase != "writing":
                    emit(PhaseChanged(phase := "writing"))
                parts.append(event.text)
                size += len(event.text)
                emit(TextArrived(event.text))
                end = f"{end}{event.text}"[-_REPEATING:]
                if size > _MAX_TEXT or (provider.may_run_away and _repeats(end)):
                    stop = "long" if size > _MAX_TEXT else "repeats"
                    break
            elif isinstance(event, ThinkingDelta):
                if phase == "waiting":
                    emit(PhaseChanged(phase := "thinking"))
            elif isinstance(event, Retrying):
                emit(
                    Noticed(f"{provider.model}: {event.reason}; asking again in {event.delay_seconds:.1f} s")
                )
            elif isinstance(event, Finished):
                stop = event.stop_reason
                attempt.usage, attempt.model = event.usage, event.model or attempt.model
                attempt.notice = event.notice
    finally:
        waiting.cancel()
        attempt.text = "".join(parts)
        await stream.aclose()
    return stop


def _repeats(text: str) -> bool:
    """Tell whether a text of the length that counts consists of one short text again and again."""
    period = text.find(text[:_REPEATED], 1)
    return len(text) == _REPEATING and 0 < period <= _REPEATED and text[period:] == text[:-period]
