"""Write, prove and repair a tool until every example holds."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import FactError, GenerationFailed
from fact_magics.events import AttemptEnded, AttemptStarted, Listener, Noticed, PhaseChanged, TextArrived
from fact_magics.providers.base import Finished, Message, Prompt, Provider, Retrying, TextDelta, ThinkingDelta
from fact_magics.signature.source import ToolSource
from fact_magics.text import one_line, plural, utc_now
from fact_magics.tool import Attempt, Status
from fact_magics.writing.parser import extract
from fact_magics.writing.prompt import RULES, repair_text, request_text
from fact_magics.writing.proof import shortcomings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fact_magics.tool import ToolSpec
    from fact_magics.writing.proof import Accepted, Prover

# The longest answer, in characters, in case a model does not stop; no tool is this long.
_MAX_TEXT = 1_000_000

_PROBLEMS = {
    "empty": "The answer was empty.",
    "no-code": "The answer has no Python code block.",
    "no-function": "The code in the answer does not define a function named {name} at the top level.",
}


class Author(NamedTuple):
    """The author of a candidate, as shown in the history."""

    provider: str
    model: str


async def write(
    spec: ToolSpec, provider_of: Callable[[int], Provider], prover: Prover, attempts: list[Attempt]
) -> Accepted:
    """Ask for candidates until one is accepted.

    Parameters
    ----------
    provider_of : callable
        Returns the provider for an attempt; called with the attempt's number, counted from 1.
    attempts : list of Attempt
        Each attempt is added when it begins, so that the caller can record it even after an error.

    Raises
    ------
    GenerationFailed
        No candidate was accepted, the model declined, or its answer was cut off.
    ProviderError
        The request to the model failed.
    """
    messages = [Message("user", request_text(spec))]
    asked: Provider | None = None
    for number in range(1, spec.attempts + 1):
        provider = provider_of(number)
        if provider is not asked and provider.notice:
            prover.emit(Noticed(provider.notice))
        asked = provider
        attempt = Attempt(number, provider.name, provider.model, utc_now())
        attempts.append(attempt)
        prompt = Prompt(RULES, tuple(messages), spec)
        ask = partial(_ask, provider, prompt, spec, prover.emit, attempt)
        accepted = await _attempt(ask, spec, spec.attempts, prover, attempt)
        if accepted is not None:
            return accepted
        messages += [
            Message("assistant", attempt.text.strip() or "(no answer)"),
            Message("user", repair_text(spec.name, attempt.failures)),
        ]
        if number < spec.attempts:
            prover.emit(PhaseChanged("repairing", f"{number}/{spec.attempts - 1}"))
    why, details = shortcomings(spec, attempts[-1])
    raise GenerationFailed(
        f"No version of {spec.name} was accepted in {plural(len(attempts), 'attempt')}: {why}.",
        hint="Reword the description, correct an example, or raise --attempts.",
        details=details,
    )


async def submit(
    source: str, spec: ToolSpec, author: Author, prover: Prover, attempts: list[Attempt]
) -> Accepted | None:
    """Prove an existing source as the only candidate.

    Parameters
    ----------
    attempts : list of Attempt
        The attempt is added when it begins, so that the caller can record it even after an error.

    Returns
    -------
    Accepted or None
        None if the source was not accepted; `shortcomings` of the attempt gives the reason.
    """

    async def written() -> ToolSource:
        return ToolSource(source, spec.name)

    attempt = Attempt(1, author.provider, author.model, utc_now(), text=source, source=source)
    attempts.append(attempt)
    return await _attempt(written, spec, 1, prover, attempt)


async def _attempt(
    draft: Callable[[], Awaitable[ToolSource | None]],
    spec: ToolSpec,
    of: int,
    prover: Prover,
    attempt: Attempt,
) -> Accepted | None:
    """Get one candidate and prove it; record the result and the duration in the attempt."""
    prover.emit(AttemptStarted(attempt.number, of, attempt.provider, attempt.model))
    started = time.perf_counter()
    try:
        source = await draft()
        accepted = None if source is None else await prover.prove(source, spec, attempt)
    except FactError as error:
        attempt.status, attempt.reason = Status.ERROR, error.line
        raise
    finally:
        attempt.duration_ms = (time.perf_counter() - started) * 1000
    prover.emit(AttemptEnded(attempt.number, attempt.status, attempt.failures))
    return accepted


async def _ask(
    provider: Provider, prompt: Prompt, spec: ToolSpec, emit: Listener, attempt: Attempt
) -> ToolSource | None:
    """Ask a model for a candidate; if its answer has none, record why in the attempt and return None."""
    stop = await _listen(prompt, provider, emit, attempt)
    extracted = extract(attempt.text, spec.name)
    attempt.source = extracted.source.text
    _stop_unless_whole(spec, attempt, stop, cut=extracted.problem == "cut")
    if extracted.problem is None:
        return extracted.source
    emit(PhaseChanged("checking"))
    attempt.reason = _PROBLEMS[extracted.problem].format(name=spec.name)
    attempt.status, attempt.failures = Status.ERROR, (attempt.reason,)
    return None


async def _listen(prompt: Prompt, provider: Provider, emit: Listener, attempt: Attempt) -> str:
    emit(PhaseChanged("waiting"))
    phase = "waiting"
    parts: list[str] = []
    size = 0
    stop = "cut"
    stream = provider.stream(prompt)
    try:
        async for event in stream:
            if isinstance(event, TextDelta):
                if phase != "writing":
                    emit(PhaseChanged(phase := "writing"))
                parts.append(event.text)
                size += len(event.text)
                emit(TextArrived(event.text))
                if size > _MAX_TEXT:
                    break
            elif isinstance(event, ThinkingDelta):
                if phase == "waiting":
                    emit(PhaseChanged(phase := "thinking"))
            elif isinstance(event, Retrying):
                emit(Noticed(f"{provider.name}: {event.reason}; asking again in {event.delay_seconds:.1f} s"))
            elif isinstance(event, Finished):
                stop = event.stop_reason
                attempt.usage, attempt.model = event.usage, event.model or attempt.model
    finally:
        attempt.text = "".join(parts)
        await stream.aclose()
    return stop


def _stop_unless_whole(spec: ToolSpec, attempt: Attempt, stop: str, *, cut: bool) -> None:
    if stop == "refused":
        answered = one_line(attempt.text, 200).rstrip(".:")
        raise GenerationFailed(
            f"{attempt.model} declined to write {spec.name}{f': {answered}' if answered else ''}.",
            hint="Reword the description, or name another model with --model.",
        )
    if cut or stop in ("length", "cut"):
        why = "its length limit was reached" if stop == "length" else "the stream ended early"
        raise GenerationFailed(
            f"The text of {spec.name} was cut off: {why} after {len(attempt.text)} characters.",
            hint="Run the cell again, or ask for less in one tool.",
        )
