"""Write, prove, repair: from a request to a candidate whose every example holds."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from fact_magics.clock import utc_now
from fact_magics.errors import FactError, GenerationFailed, InvalidInput
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    ExampleProven,
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
from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.text import one_line
from fact_magics.tool import SHELF, Returned, Status
from fact_magics.writing import prompt
from fact_magics.writing.attempt import Attempt
from fact_magics.writing.checks import Checked, check
from fact_magics.writing.parser import extract
from fact_magics.writing.verdict import holds

if TYPE_CHECKING:
    from fact_magics.tool import Example, ToolSpec

# A model may think aloud without end; a tool is never this long.
_MAX_TEXT = 1_000_000


class Runs(Protocol):
    """What proves a candidate: the sandbox, seen from here."""

    async def run(self, call: Call) -> Outcome:
        """Run one call in isolation."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A candidate that was accepted, and how each example went."""

    candidate: Checked
    attempt: Attempt


async def write(
    spec: ToolSpec, provider: Provider, sandbox: Runs, emit: Listener, attempts: list[Attempt]
) -> Accepted:
    """Ask for candidates until one is accepted.

    Parameters
    ----------
    attempts : list of Attempt
        Filled as the work goes on, so that the caller can record it however this ends.

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
        started = time.perf_counter()
        emit(AttemptStarted(number, spec.attempts, provider.name, provider.model))
        try:
            conversation = Prompt(prompt.RULES, tuple(messages), spec)
            candidate = await _attempt(conversation, provider, sandbox, emit, attempt)
        except FactError as error:
            attempt.status, attempt.reason = Status.ERROR, error.line
            raise
        finally:
            attempt.duration_ms = (time.perf_counter() - started) * 1000
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


async def _attempt(
    conversation: Prompt, provider: Provider, sandbox: Runs, emit: Listener, attempt: Attempt
) -> Checked | None:
    spec = conversation.spec
    stop = await _listen(conversation, provider, emit, attempt)
    extracted = extract(attempt.text, spec.name)
    attempt.source = extracted.source
    _stop_unless_whole(spec, attempt, stop, cut=extracted.problem == "cut")
    emit(PhaseChanged("checking"))
    if extracted.problem is not None:
        attempt.failures = (_PROBLEMS[extracted.problem].format(name=spec.name),)
    else:
        candidate, attempt.failures = check(extracted.source, spec.name, spec.examples)
        if candidate is not None:
            candidate = await _prove(candidate, spec, sandbox, emit, attempt)
        if candidate is not None:
            attempt.status = Status.OK
            return candidate
    attempt.status, attempt.reason = Status.ERROR, "; ".join(attempt.failures)
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


async def _prove(
    candidate: Checked, spec: ToolSpec, sandbox: Runs, emit: Listener, attempt: Attempt
) -> Checked | None:
    total = len(spec.examples)
    if not total:
        return await _loads(candidate, spec, sandbox, attempt)
    steady = True
    for number, example in enumerate(spec.examples, start=1):
        emit(PhaseChanged("proving", f"{number}/{total}"))
        outcome = await _run_example(candidate, spec, example, sandbox, attempt)
        verdict = holds(example, candidate.signature, outcome)
        attempt.verdicts.append(verdict)
        emit(ExampleProven(number, total, verdict))
        if outcome.status in (Status.TIMEOUT, Status.LIMIT):
            break  # the others would most likely take as long
        if number == 1 and isinstance(example.expected, Returned) and verdict.holds:
            again = await _run_example(candidate, spec, example, sandbox, attempt)
            steady = again.result == outcome.result
    failed = [verdict for verdict in attempt.verdicts if not verdict.holds]
    if failed:
        attempt.failures = tuple(
            f"{verdict.example.source} should give {verdict.expected}, but gave {verdict.got}"
            for verdict in failed
        )
        return None
    return candidate if steady else replace(candidate, varies=True)


async def _loads(candidate: Checked, spec: ToolSpec, sandbox: Runs, attempt: Attempt) -> Checked | None:
    """Without examples, at least see that the module can be executed."""
    probe = f"{candidate.source}\n\ndef _loads() -> None:\n    pass\n"
    loads = replace(candidate, source=probe)
    outcome = await sandbox.run(_call(loads, "_loads", b'{"args":[],"kwargs":{}}', spec, attempt))
    if outcome.status is Status.OK:
        return candidate
    said = (
        f"{outcome.error.type_name}: {outcome.error.message}"
        if outcome.error
        else f"{outcome.limit} was reached"
    )
    attempt.failures = (f"The module can't be executed: {said}",)
    return None


async def _run_example(
    candidate: Checked, spec: ToolSpec, example: Example, sandbox: Runs, attempt: Attempt
) -> Outcome:
    signature = candidate.signature
    try:
        arguments = signature.wire(signature.validate(signature.bind(example.args, example.kwargs)))
    except InvalidInput as error:
        # A caller would get this error, which is a ValueError, before the tool runs.
        told = ToolError("ValueError", str(error), "", ("ValueError", "Exception"))
        return Outcome(Status.ERROR, None, told, "", 0.0, None, ())
    return await sandbox.run(_call(candidate, spec.name, arguments, spec, attempt))


def _call(candidate: Checked, function: str, arguments: bytes, spec: ToolSpec, attempt: Attempt) -> Call:
    return Call(
        candidate.source,
        function,
        arguments,
        spec.timeout_seconds,
        permissions=spec.permissions,
        imports=candidate.imports,
        verified=attempt.provider == SHELF,
    )


def _rejected(spec: ToolSpec, attempts: list[Attempt]) -> GenerationFailed:
    last = attempts[-1]
    tried = "1 attempt" if len(attempts) == 1 else f"{len(attempts)} attempts"
    missed = sum(not verdict.holds for verdict in last.verdicts)
    why = f"{missed} of {len(spec.examples)} examples failed" if missed else last.failures[0]
    details = last.failures if missed else last.failures[1:]
    return GenerationFailed(
        f"No version of {spec.name} was accepted in {tried}: {why.rstrip('.')}.",
        hint="Reword the description, correct an example, or raise --attempts.",
        details=details,
    )
