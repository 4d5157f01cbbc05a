"""Write, prove and repair a tool until every example holds."""

from __future__ import annotations

import ast
import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from fact_magics.attempt import Attempt
from fact_magics.errors import FactError, GenerationFailed, ProviderError
from fact_magics.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    ExampleProven,
    Listener,
    Noticed,
    PhaseChanged,
    TextArrived,
)
from fact_magics.providers.base import Prompt, Provider
from fact_magics.providers.spending import Ledger, Purse
from fact_magics.signature.source import ToolSource
from fact_magics.text import plural, utc_now
from fact_magics.tool import NO_MODELS, SHELF, Status
from fact_magics.writing.annotating import Completed
from fact_magics.writing.asking import Request, ask, way_out
from fact_magics.writing.prompt import BRIEF_RULES, RULES, conversation, request_text
from fact_magics.writing.proof import reject, shortcomings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from fact_magics.tool import ToolSpec
    from fact_magics.writing.proof import Accepted, Prover

# How long the other candidates wait for the first answer to begin.
_SHARING_SECONDS = 2.0

Instead: TypeAlias = "Callable[[Provider, ProviderError], Awaitable[tuple[Provider | None, tuple[str, ...]]]]"
Choose: TypeAlias = "Callable[[Sequence[Accepted], int], Awaitable[Accepted]]"
# The accepted candidate, if there is one, and the sources in the answer without their layout.
_Proven: TypeAlias = "tuple[Accepted | None, set[str]]"


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
    choose: Choose | None = None,
) -> Accepted:
    """Ask for candidates until one is accepted or repeats an earlier one.

    Parameters
    ----------
    provider_of : callable
        Returns the provider to ask; called with the number of the round, counted from 1. The first round asks
        for all of `spec.candidates`, each later one for one repaired candidate.
    attempts : list of Attempt
        Each attempt is added when it begins, so that the caller can record it even after an error. A request
        that failed is an attempt of its own.
    request : callable
        Writes the first message.
    instead : callable, optional
        Returns the provider to ask after one has failed, or None, and lines about it; see `Team.instead`.
    purse : Purse, optional
        Pays the requests; by default, there is no budget.
    choose : callable, optional
        Called with the accepted ones of several candidates, and the number of all of them; returns the one to
        store. By default, this is the first one.

    Raises
    ------
    GenerationFailed
        No candidate was accepted, or the model declined.
    ProviderError
        The request to the model failed.
    BudgetReached
        A request could cost more than the budget allows.
    """
    writing = _Writing(spec, prover, attempts, request(spec), instead, purse, choose)
    number, repeated = 1, ""
    while True:
        accepted = await writing.ask(provider_of(number), spec.candidates if number == 1 else 1)
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
    why, details = shortcomings(spec, writing.rejected[-1])
    raise GenerationFailed(
        f"No version of {spec.name} was accepted in {plural(len(attempts), 'attempt')}: {why}{repeated}.",
        hint=way_out(spec, writing.rejected[-1], is_repeated=bool(repeated)),
        details=details,
    )


class _Writing:
    """The state of one call of `write`.

    Attributes
    ----------
    asked : list of Provider
        The providers that were asked, in order.
    changes : list of str
        A line for each model that was replaced because its requests failed, and for candidates that did not
        fit into the budget or that no recording holds.
    is_repeated : bool
        Whether all candidates in the last answer repeat earlier ones.
    rejected : list of Attempt
        The candidates that the model is shown with their failures; of several, only the best one.
    """

    def __init__(
        self,
        spec: ToolSpec,
        prover: Prover,
        attempts: list[Attempt],
        asking: str,
        instead: Instead | None,
        purse: Purse | None,
        choose: Choose | None,
    ) -> None:
        self._spec, self._prover, self._attempts = spec, prover, attempts
        self._asking, self._instead, self._choose = asking, instead, choose
        self._purse = purse or Ledger().purse()
        self._sources: set[str] = set()
        self.rejected: list[Attempt] = []
        self.asked: list[Provider] = []
        self.changes: list[str] = []
        self.is_repeated = False

    async def ask(self, provider: Provider, count: int) -> Accepted | None:
        """Let a provider write candidates; if its requests fail, ask its fallbacks in turn."""
        while True:
            try:
                return await self._ask(provider, count)
            except ProviderError as error:
                following, lines = await self._instead(provider, error) if self._instead else (None, ())
                failed = self._attempts[-1]
                if following is not None and not failed.failures:
                    self._end_failed(failed, error)
                for line in lines:
                    self._prover.emit(Noticed(line))
                if following is None:
                    raise
                self.changes += lines
                provider = following

    async def _ask(self, provider: Provider, count: int) -> Accepted | None:
        spec, emit = self._spec, self._prover.emit
        if not (self.asked and provider is self.asked[-1]) and provider.notice:
            emit(Noticed(provider.notice))
        self.asked.append(provider)
        brief = provider.is_local
        rejected = len(self.rejected)
        prompt = Prompt(
            BRIEF_RULES if brief else RULES,
            conversation(self._asking, spec.name, self.rejected, brief=brief),
            spec,
            earlier=tuple(earlier.text for earlier in self.rejected),
            may_continue=count > 1 or 0 < rejected < spec.attempts - 1,
        )
        request = Request(provider, prompt, self._purse)
        most = provider.most_answers(prompt)
        if most is not None and most < count:  # the same answer again would pass for agreement
            if most and provider.name != SHELF:
                self._say_change(f"only {most} of {count} candidates {'is' if most == 1 else 'are'} recorded")
            count = max(1, most)
        if count > 1:
            return await self._ask_for_several(request, count)
        attempt = self._begin(provider)
        of = spec.attempts + len(self._attempts) - rejected - 1
        accepted, sources = await self._attempt(request, attempt, self._prover, of)
        if accepted is None:
            self.rejected.append(attempt)
            self.is_repeated = bool(sources) and sources <= self._sources
            self._sources |= sources
        return accepted

    async def _ask_for_several(self, request: Request, count: int) -> Accepted | None:
        """Ask for candidates side by side, or one by one if the model runs here; choose among the accepted.

        The requests are equal. The others follow when the first answer begins: then they can read the input
        from the provider's prompt cache, and a request that fails is not sent again and again.
        """
        provider, emit = request.provider, self._prover.emit
        first = self._begin(provider)  # if no request fits into the budget, this attempt records it
        try:
            await provider.open()  # the import of its SDK must not count as waiting for the answer
            reserved = await self._purse.reserve(provider, request.prompt, count)
        except FactError as error:
            first.status, first.reason = Status.ERROR, error.line
            raise
        if (fitting := len(reserved)) < count:
            self._say_change(
                f"only {fitting} of {count} candidates {'fits' if fitting == 1 else 'fit'} into the budget, "
                "so the others were not asked for"
            )
        last = first.number - 1 + (self._spec.attempts if fitting == 1 else fitting)
        begun = asyncio.Event()
        turn = asyncio.Semaphore(1 if provider.is_local else count)
        request = request._replace(reserved=reserved, on_begun=begun.set)
        broken: list[ProviderError] = []

        async def candidate(attempt: Attempt | None) -> tuple[Attempt | None, _Proven | FactError]:
            if attempt is None and not provider.is_local:
                with suppress(TimeoutError):
                    await asyncio.wait_for(begun.wait(), _SHARING_SECONDS)
            async with turn:
                if broken and attempt is None:
                    return None, broken[0]
                attempt = attempt or self._begin(provider)
                prover = replace(self._prover, emit=_about(attempt.number, emit))
                try:
                    return attempt, await self._attempt(request, attempt, prover, last, fitting)
                except FactError as error:
                    self._end_failed(attempt, error)
                    if isinstance(error, ProviderError):
                        broken.append(error)
                    return attempt, error
                finally:
                    begun.set()

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(candidate(None if place else first)) for place in range(fitting)]
        finally:
            self._purse.release(reserved)
        return await self._choice([task.result() for task in tasks])

    async def _choice(self, results: Sequence[tuple[Attempt | None, _Proven | FactError]]) -> Accepted | None:
        """Choose among the accepted candidates; if there is none, keep the best one for the repair."""
        errors = [ended for _, ended in results if isinstance(ended, FactError)]
        if len(errors) == len(results):
            # Another model may answer in place of requests that failed, even if this one declined another.
            raise next((error for error in errors if isinstance(error, ProviderError)), errors[0])
        proven = [(attempt, ended) for attempt, ended in results if not isinstance(ended, FactError)]
        accepted = [held for _, (held, _) in proven if held is not None]
        if accepted:
            if self._choose is None:
                return accepted[0]
            if len(accepted) > 1:
                self._prover.emit(PhaseChanged("comparing"))
            return await self._choose(accepted, len(results))
        # Equally good ones are told apart by their texts, since a replay may give them in another order.
        self.rejected.append(
            max((attempt for attempt, _ in proven if attempt), key=lambda each: (_holding(each), each.text))
        )
        for _, (_, sources) in proven:
            self._sources |= sources
        return None

    def _say_change(self, line: str) -> None:
        self.changes.append(line)
        self._prover.emit(Noticed(line))

    def _begin(self, provider: Provider) -> Attempt:
        attempt = Attempt(len(self._attempts) + 1, provider.name, provider.model, utc_now())
        attempt.is_repair = bool(self.rejected)
        self._attempts.append(attempt)
        return attempt

    def _end_failed(self, attempt: Attempt, error: FactError) -> None:
        """Show the error of a request in its attempt, where the work goes on nevertheless."""
        attempt.failures = (error.message,)
        self._prover.emit(AttemptEnded(attempt.number, attempt.status, attempt.failures))

    async def _attempt(
        self, request: Request, attempt: Attempt, prover: Prover, of: int, beside: int = 1
    ) -> _Proven:
        """Ask for one candidate and prove it."""
        candidates: tuple[Completed, ...] = ()

        async def draft() -> tuple[Completed, ...]:
            nonlocal candidates
            candidates = await ask(request, self._spec, prover.emit, attempt)
            return candidates

        accepted = await _attempt(draft, self._spec, of, prover, attempt, beside)
        return accepted, {without_layout(candidate.source) for candidate in candidates}


def _about(number: int, emit: Listener) -> Listener:
    """Return a listener that says about which attempt each event is."""

    def put(event: Event) -> None:
        if isinstance(event, PhaseChanged | Noticed | TextArrived | ExampleProven):
            event = replace(event, attempt=number)
        emit(event)

    return put


def without_layout(source: ToolSource) -> str:
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
    if author.provider not in NO_MODELS:
        attempt.cost_usd = 0.0  # a model wrote it for an earlier request
    attempts.append(attempt)
    return await _attempt(written, spec, 1, prover, attempt)


async def _attempt(
    draft: Callable[[], Awaitable[tuple[Completed, ...]]],
    spec: ToolSpec,
    of: int,
    prover: Prover,
    attempt: Attempt,
    beside: int = 1,
) -> Accepted | None:
    """Get the candidates of one answer and prove them; record the result and the duration in the attempt."""
    prover.emit(AttemptStarted(attempt.number, of, attempt.provider, attempt.model, beside))
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
