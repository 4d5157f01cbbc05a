"""Write, prove, repair: from a request to a candidate whose every example holds."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import FactError, GenerationFailed
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    Listener,
    Noticed,
    PhaseChanged,
    TextArrived,
)
from fact_magics.providers.base import (
    Finished,
    Message,
    Prompt,
    Provider,
    Retrying,
    TextDelta,
    ThinkingDelta,
)
from fact_magics.text import one_line, plural, utc_now
from fact_magics.tool import Attempt, Status
from fact_magics.writing import prompt
from fact_magics.writing.parser import extract
from fact_magics.writing.proof import prove, shortcomings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fact_magics.core.files import InputFiles
    from fact_magics.tool import ToolSpec
    from fact_magics.writing.checks import Checked
    from fact_magics.writing.proof import Runs

# A model may think aloud without end; a tool is never this long.
_MAX_TEXT = 1_000_000


@dataclass(frozen=True, slots=True)
class Accepted:
    """A candidate that was accepted, and how each example went."""

    candidate: Checked
    attempt: Attempt


class Author(NamedTuple):
    """Who wrote a candidate, as the history says it."""

    provider: str
    model: str


async def write(
    spec: ToolSpec,
    provider: Provider,
    sandbox: Runs,
    emit: Listener,
    attempts: list[Attempt],
    files: InputFiles | None = None,
) -> Accepted:
    """Ask for candidates until one is accepted.

    Parameters
    ----------
    attempts : list of Attempt
        Filled as the work goes on, so that the caller can record it however this ends.
    files : InputFiles, optional
        Finds the files that examples pass as paths; without it, none may be read.

    Raises
    ------
    GenerationFailed
        No candidate was accepted, the model refused, or its text was cut.
    ProviderError
        The model could not be asked.
    """
    messages: list[Message] = [Message("user", prompt.request_text(spec))]
    if provider.notice:
        emit(Noticed(provider.notice))
    for number in range(1, spec.attempts + 1):
        attempt = Attempt(number, provider.name, provider.model, utc_now())
        attempts.append(attempt)
        emit(AttemptStarted(number, spec.attempts, provider.name, provider.model))
        with _told(attempt):
            conversation = Prompt(prompt.RULES, tuple(messages), spec)
            candidate = await _attempt(conversation, provider, sandbox, emit, attempt, files)
        emit(AttemptEnded(number, attempt.status, attempt.failures))
        if candidate is not None:
            return Accepted(candidate, attempt)
        messages += [
            Message("assistant", attempt.text.strip() or "(no answer)"),
            Message("user", prompt.repair_text(spec.name, attempt.failures)),
        ]
        if number < spec.attempts:
            emit(PhaseChanged("repairing", f"{number}/{spec.attempts - 1}"))
    raise _rejected(spec, attempts)


async def submit(
    source: str,
    spec: ToolSpec,
    author: Author,
    sandbox: Runs,
    emit: Listener,
    attempts: list[Attempt],
    files: InputFiles | None = None,
) -> Accepted | None:
    """Take a source that is written already as the one candidate.

    Parameters
    ----------
    attempts : list of Attempt
        Gets the one attempt, so that the caller can record it however this ends.

    Returns
    -------
    Accepted or None
        None where it was not accepted; `shortcomings` of the attempt says why.
    """
    attempt = Attempt(1, author.provider, author.model, utc_now(), text=source, source=source)
    attempts.append(attempt)
    emit(AttemptStarted(1, 1, author.provider, author.model))
    with _told(attempt):
        candidate = await prove(source, spec, sandbox, emit, attempt, files)
    emit(AttemptEnded(1, attempt.status, attempt.failures))
    return Accepted(candidate, attempt) if candidate is not None else None


@contextmanager
def _told(attempt: Attempt) -> Iterator[None]:
    """Tell an attempt how long its work took, and what ended it."""
    started = time.perf_counter()
    try:
        yield
    except FactError as error:
        attempt.status, attempt.reason = Status.ERROR, error.line
        raise
    finally:
        attempt.duration_ms = (time.perf_counter() - started) * 1000


async def _attempt(
    conversation: Prompt,
    provider: Provider,
    sandbox: Runs,
    emit: Listener,
    attempt: Attempt,
    files: InputFiles | None,
) -> Checked | None:
    spec = conversation.spec
    stop = await _listen(conversation, provider, emit, attempt)
    extracted = extract(attempt.text, spec.name)
    attempt.source = extracted.source
    _stop_unless_whole(spec, attempt, stop, cut=extracted.problem == "cut")
    if extracted.problem is None:
        return await prove(extracted.source, spec, sandbox, emit, attempt, files)
    emit(PhaseChanged("checking"))
    attempt.failures = (_PROBLEMS[extracted.problem].format(name=spec.name),)
    attempt.status, attempt.reason = Status.ERROR, attempt.failures[0]
    return None


_PROBLEMS = {
    "empty": "The answer was empty.",
    "no-code": "The answer held no Python code block.",
    "no-function": "The answer's code defines no function named {name} at the top level.",
}


async def _listen(conversation: Prompt, provider: Provider, emit: Listener, attempt: Attempt) -> str:
    emit(PhaseChanged("waiting"))
    phase = "waiting"
    parts: list[str] = []
    size = 0
    stop = "cut"
    stream = provider.stream(conversation)
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
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
    return stop


def _stop_unless_whole(spec: ToolSpec, attempt: Attempt, stop: str, *, cut: bool) -> None:
    if stop == "refused":
        said = one_line(attempt.text, 200).rstrip(".")
        raise GenerationFailed(
            f"{attempt.model} declined to write {spec.name}{f': {said}' if said else ''}.",
            hint="Reword the description, or name another model with --model.",
        )
    if cut or stop in ("length", "cut"):
        why = "its length limit was reached" if stop == "length" else "the stream ended early"
        raise GenerationFailed(
            f"The text of {spec.name} was cut off: {why} after {len(attempt.text)} characters.",
            hint="Run the cell again, or ask for less in one tool.",
        )


def _rejected(spec: ToolSpec, attempts: list[Attempt]) -> GenerationFailed:
    why, details = shortcomings(spec, attempts[-1])
    return GenerationFailed(
        f"No version of {spec.name} was accepted in {plural(len(attempts), 'attempt')}: {why}.",
        hint="Reword the description, correct an example, or raise --attempts.",
        details=details,
    )
