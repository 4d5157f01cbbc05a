"""Write, prove and repair a tool until every example holds."""

from __future__ import annotations

import ast
import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from fact_magics.attempt import Attempt
from fact_magics.errors import FactError, GenerationFailed, ProviderError
from fact_magics.events import AttemptEnded, AttemptStarted, Listener, Noticed, PhaseChanged, TextArrived
from fact_magics.providers.base import Finished, Prompt, Provider, Retrying, TextDelta, ThinkingDelta
from fact_magics.providers.spending import Ledger, Purse
from fact_magics.signature.source import ToolSource
from fact_magics.text import one_line, plural, utc_now
from fact_magics.tool import Status
from fact_magics.writing.annotating import Completed, complete
from fact_magics.writing.parser import extract
from fact_magics.writing.prompt import BRIEF_RULES, RULES, conversation, request_text
from fact_magics.writing.proof import reject, shortcomings

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


Instead: TypeAlias = "Callable[[Provider, ProviderError], Awaitable[tuple[Provider | None, tuple[str, ...]]]]"


class Author(NamedTuple):
    """The author of a candidate, as shown in the history."""

    provider: str
    model: str


async def write(
    spec: ToolSpec,
    provider_of: Callable[[int], Provider],
    prover: Prover,
    attempts: list[Attempt],
    request: Callable[[ToolSpec], str] = request_text,
    instead: Instead | None = None,
    purse: Purse | None = None,
) -> Accepted:
    """Ask for candidates until one is accepted or repeats an earlier one.

    Parameters
    ----------
    provider_of : callable
        Returns the provider for a candidate; called with the candidate's number, counted from 1.
    attempts : list of Attempt
        Each attempt is added when it begins, so that the caller can record it even after an error. A request
        that failed is an attempt of its own.
    request : callable
        Writes the first message.
    instead : callable, optional
        Returns the provider to ask after one has failed, or None, and lines about it; see `Team.instead`.
    purse : Purse, optional
        Pays the requests; by default, there is no budget.

    Raises
    ------
    GenerationFailed
        No candidate was accepted, or the model declined.
    ProviderError
        The request to the model failed.
    BudgetReached
        A request could cost more than the budget allows.
    """
    writing = _Writing(spec, prover, attempts, request(spec), instead, purse)
    number, repeated = 1, ""
    while True:
        provider = provider_of(number)
        accepted = await writing.attempt(provider)
        if accepted is not None:
            return replace(accepted, notes=(*writing.changes, *accepted.notes))
        if number >= spec.attempts:
            break
        if writing.is_repeated:
            escalated = provider_of(spec.attempts)
            if escalated in writing.asked:
                repeated = ", and the last candidate repeats an earlier one"
                break
            prover.emit(Noticed(f"{attempts[-1].model} repeated an earlier candidate"))
            number = spec.attempts - 1
        number += 1
        prover.emit(PhaseChanged("repairing", f"{number - 1}/{spec.attempts - 1}"))
    why, details = shortcomings(spec, attempts[-1])
    raise GenerationFailed(
        f"No version of {spec.name} was accepted in {plural(len(attempts), 'attempt')}: {why}{repeated}.",
        hint="Reword the description, correct an example, or "
        + ("name another model with --escalate." if repeated else "raise --attempts."),
        details=details,
    )


class _Writing:
    """The state of one call of `write`.

    Attributes
    ----------
    asked : list of Provider
        The providers that were asked, in order.
    changes : list of str
        A line for each model that was replaced because its requests failed.
    is_repeated : bool
        Whether all candidates in the last answer repeat earlier ones.
    """

    def __init__(
        self,
        spec: ToolSpec,
        prover: Prover,
        attempts: list[Attempt],
        asking: str,
        instead: Instead | None,
        purse: Purse | None,
    ) -> None:
        self._spec, self._prover, self._attempts = spec, prover, attempts
        self._asking, self._instead = asking, instead
        self._purse = purse or Ledger().purse()
        self._rejected: list[Attempt] = []
        self._sources: set[str] = set()
        self.asked: list[Provider] = []
        self.changes: list[str] = []
        self.is_repeated = False

    async def attempt(self, provider: Provider) -> Accepted | None:
        """Let a provider write a candidate; if its requests fail, ask its fallbacks in turn."""
        while True:
            try:
                return await self._attempt(provider)
            except ProviderError as error:
                following, lines = await self._instead(provider, error) if self._instead else (None, ())
                for line in lines:
                    self._prover.emit(Noticed(line))
                if following is None:
                    raise
                self.changes += lines
                failed = self._attempts[-1]
                failed.failures = (error.message,)
                self._prover.emit(AttemptEnded(failed.number, failed.status, failed.failures))
                provider = following

    async def _attempt(self, provider: Provider) -> Accepted | None:
        spec, emit = self._spec, self._prover.emit
        if not (self.asked and provider is self.asked[-1]) and provider.notice:
            emit(Noticed(provider.notice))
        self.asked.append(provider)
        brief = provider.is_local
        messages = conversation(self._asking, spec.name, self._rejected, brief=brief)
        attempt = Attempt(len(self._attempts) + 1, provider.name, provider.model, utc_now())
        self._attempts.append(attempt)
        rejected = len(self._rejected)
        prompt = Prompt(
            BRIEF_RULES if brief else RULES,
            messages,
            spec,
            earlier=tuple(earlier.text for earlier in self._rejected),
            may_continue=0 < rejected < spec.attempts - 1,
        )
        candidates: tuple[Completed, ...] = ()

        async def draft() -> tuple[Completed, ...]:
            nonlocal candidates
            candidates = await _ask(provider, prompt, spec, emit, attempt, self._purse)
            return candidates

        of = spec.attempts + len(self._attempts) - len(self._rejected) - 1
        accepted = await _attempt(draft, spec, of, self._prover, attempt)
        if accepted is not None:
            return accepted
        self._rejected.append(attempt)
        sources = {_without_layout(candidate.source) for candidate in candidates}
        self.is_repeated = bool(sources) and sources <= self._sources
        self._sources |= sources
        return None


def _without_layout(source: ToolSource) -> str:
    """Return a source without whitespace and comments that make no difference."""
    return ast.dump(source.tree) if source.tree is not None else " ".join(source.text.split())


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

    async def written() -> tuple[Completed, ...]:
        return (Completed(ToolSource(source, spec.name)),)

    attempt = Attempt(1, author.provider, author.model, utc_now(), text=source, source=source)
    attempts.append(attempt)
    return await _attempt(written, spec, 1, prover, attempt)


async def _attempt(
    draft: Callable[[], Awaitable[tuple[Completed, ...]]],
    spec: ToolSpec,
    of: int,
    prover: Prover,
    attempt: Attempt,
) -> Accepted | None:
    """Get the candidates of one answer and prove them; record the result and the duration in the attempt."""
    prover.emit(AttemptStarted(attempt.number, of, attempt.provider, attempt.model))
    started = time.perf_counter()
    try:
        accepted = await _first_accepted(await draft(), spec, prover, attempt)
    except FactError as error:
        attempt.status, attempt.reason = Status.ERROR, error.line
        raise
    finally:
        attempt.duration_ms = (time.perf_counter() - started) * 1000
    prover.emit(AttemptEnded(attempt.number, attempt.status, attempt.failures))
    return accepted


async def _first_accepted(
    candidates: tuple[Completed, ...], spec: ToolSpec, prover: Prover, attempt: Attempt
) -> Accepted | None:
    """Prove candidates until one is accepted; if none is, record the one for which most examples hold."""
    best: Attempt | None = None
    for candidate in candidates:
        attempt.source, attempt.verdicts = candidate.source.text, []
        attempt.failures, attempt.reason = (), ""
        accepted = await prover.prove(candidate.source, spec, attempt)
        if accepted and not candidate.missing:
            return replace(accepted, notes=(*candidate.notes, *accepted.notes))
        if candidate.missing:
            reject(attempt, (candidate.missing, *attempt.failures))
        if best is None or _holding(attempt) > _holding(best):
            best = replace(attempt)
    if best is not None:
        attempt.source, attempt.verdicts = best.source, best.verdicts
        attempt.failures, attempt.reason = best.failures, best.reason
    return None


def _holding(attempt: Attempt) -> int:
    return sum(verdict.holds for verdict in attempt.verdicts)


async def _ask(
    provider: Provider, prompt: Prompt, spec: ToolSpec, emit: Listener, attempt: Attempt, purse: Purse
) -> tuple[Completed, ...]:
    """Ask a model for candidates; if its answer has none, record why in the attempt."""
    stop = await _listen(prompt, provider, emit, attempt, purse)
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


async def _listen(prompt: Prompt, provider: Provider, emit: Listener, attempt: Attempt, purse: Purse) -> str:
    emit(PhaseChanged("waiting"))
    phase = "waiting"
    parts: list[str] = []
    size = 0
    end = ""
    stop = "cut"
    stream = purse.stream(provider, prompt, attempt)

    def say_that_it_waits() -> None:
        if provider.waiting_notice:
            emit(Noticed(provider.waiting_notice))

    waiting = asyncio.get_running_loop().call_later(_LONG_WAIT_SECONDS, say_that_it_waits)
    try:
        async for event in stream:
            if not isinstance(event, Retrying):
                waiting.cancel()
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
