"""Prove a tool: check its source, from any author, and run every example of its contract."""

from __future__ import annotations

import ast
import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from fact_magics.errors import CellError, FactError, InvalidInput
from fact_magics.events import ExampleProven, Listener, PhaseChanged
from fact_magics.sandbox.failure import Denial, denial_of
from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.signature.purity import may_use_sets
from fact_magics.text import clipped, one_line
from fact_magics.tool import SHELF, Returned, Status
from fact_magics.writing.checks import check
from fact_magics.writing.enlarging import enlarge
from fact_magics.writing.verdict import answer_of, blame_hashing, failed_line, holds, shown_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping

    from fact_magics.attempt import Attempt, Verdict
    from fact_magics.permissions import Protected
    from fact_magics.signature.source import ToolSource
    from fact_magics.tool import Example, ToolSpec

# The number of characters of a failed example's result that are shown before a permission hint.
_BESIDE_HINT = 160
# The most characters of a line in the error of a rejection. A reason may take two lines on screen.
_DETAIL = 96
_REASON = 130
# The first seed orders about half of all sets of two words differently from seed 0. All these seeds together
# do so with 97 % of the sets.
_OTHER_HASH_SEED, *_MORE_HASH_SEEDS = 25, 9, 7, 46
_LARGER_SECONDS = 1.0  # a larger input may take far longer
_STOPPED = (Status.TIMEOUT, Status.LIMIT)


class Runs(Protocol):
    """Runs calls in isolation, as the sandbox does."""

    async def run(self, call: Call) -> Outcome:
        """Run one call."""


class PassedFile(Protocol):
    """A file that an example passes as a path."""

    @property
    def permission(self) -> str:
        """The permission to read the file."""


class PassedFiles(Protocol):
    """Finds the files that examples pass as paths."""

    protected: Protected  # no permission is suggested for these places

    def take(
        self,
        name: str,
        validated: Mapping[str, object],
        given: Mapping[str, object],
        permissions: tuple[str, ...],
        *,
        digests: bool,
    ) -> tuple[dict[str, object], tuple[PassedFile, ...]]:
        """Return the input with absolute paths, and the files that it names."""

    def refuse_unfit(self, examples: Iterable[Example], permissions: tuple[str, ...]) -> None:
        """Raise `CellError` if an example can't be run because a path in its call can't be passed."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A candidate that passed the checks and every example."""

    source: ToolSource
    varies: bool  # whether the answers to equal calls may differ
    attempt: Attempt
    notes: tuple[str, ...] = ()  # what was added to the model's text


@dataclass(frozen=True, slots=True)
class Prover:
    """Checks a candidate, and runs it on every example of its contract in isolation."""

    sandbox: Runs
    emit: Listener  # called with each event
    files: PassedFiles | None = None  # if None, the files that examples pass as paths can't be read

    async def prove(self, source: ToolSource, spec: ToolSpec, attempt: Attempt) -> Accepted | None:
        """Decide whether a candidate is accepted.

        Parameters
        ----------
        spec : ToolSpec
            Gives the examples, the permissions, and the time limit of each example.
        attempt : Attempt
            Its verdicts, failures, status and reason are filled in.

        Returns
        -------
        Accepted or None
            None if the candidate was not accepted; `shortcomings` gives the reason.
        """
        self.emit(PhaseChanged("checking"))
        attempt.failures = check(source, spec.examples)
        steady = True
        twice = _runs_twice(source, spec)
        if not attempt.failures and spec.examples:
            steady = await self._run_examples(source, spec, attempt, twice=twice)
        elif not attempt.failures:
            await self._execute_module(source, spec, attempt)
        if attempt.failures:
            reject(attempt, attempt.failures)
            return None
        varies = source.varies or not steady
        if not varies and twice:
            varies = not await self._answers_alike(source, spec, attempt)
        if attempt.failures:
            reject(attempt, attempt.failures)
            return None
        attempt.status = Status.OK
        return Accepted(source, varies, attempt)

    async def _run_examples(
        self, source: ToolSource, spec: ToolSpec, attempt: Attempt, *, twice: bool
    ) -> bool:
        """Run the examples; return False if one of them gave two different answers in two runs."""
        total, steady = len(spec.examples), True
        for number, example in enumerate(spec.examples, start=1):
            self.emit(PhaseChanged("proving", f"{number}/{total}"))
            outcome, verdict, same = await self._judge(source, spec, example, attempt, twice=twice)
            steady = steady and same
            if not verdict.holds and (denial := self._denial(outcome, spec)):
                got = _hinted(one_line(verdict.got, _BESIDE_HINT), denial)
                verdict = replace(verdict, got=got, denied=(denial.problem, denial.remedy))
            attempt.verdicts.append(verdict)
            self.emit(ExampleProven(number, total, verdict))
            if outcome.status in _STOPPED:
                break  # the other examples would probably reach the limit too
        attempt.failures = _failures(attempt)
        return steady

    async def _judge(
        self, source: ToolSource, spec: ToolSpec, example: Example, attempt: Attempt, *, twice: bool
    ) -> tuple[Outcome, Verdict, bool]:
        """Run one example, if `twice` with two hash seeds, and judge it; False if equal runs differed."""
        if not twice:
            outcome = await self._run_example(source, spec, example, attempt)
            return outcome, holds(example, source.signature, outcome), True
        async with _beside(
            self._run_example(source, spec, example, attempt, hash_seed=_OTHER_HASH_SEED)
        ) as running:
            outcome = await self._run_example(source, spec, example, attempt)
            verdict = holds(example, source.signature, outcome)
            if outcome.status in _STOPPED:
                return outcome, verdict, True
            other = await running
        if other.status in _STOPPED or answer_of(other) == answer_of(outcome):
            return outcome, verdict, True
        if source.varies:  # then the answers may differ for another reason than hashing
            return outcome, verdict, False
        again = await self._run_example(source, spec, example, attempt)
        if answer_of(again) != answer_of(outcome):
            return outcome, verdict, False
        return outcome, blame_hashing(verdict, holds(example, source.signature, other)), True

    async def _answers_alike(self, source: ToolSource, spec: ToolSpec, attempt: Attempt) -> bool:
        """Tell whether two runs on a larger input than those of the examples give the same answer.

        An error is an answer too, because no example says what this input must give. If the answer depends on
        the hash seed, the examples are run with more seeds: two seeds often give a few items the same order.
        """
        signature = source.signature
        returning = [example for example in spec.examples if isinstance(example.expected, Returned)]
        if not returning or signature.takes_paths:
            return True
        largest = max(returning, key=lambda example: len(example.source))
        larger = enlarge(signature, signature.bind(largest.args, largest.kwargs))
        if larger is None:
            return True
        call = replace(
            _call(source, spec, attempt, signature.wire(signature.validate(larger))),
            timeout_seconds=min(spec.timeout_seconds, _LARGER_SECONDS),
        )
        # One after the other, so that the clock moves on between them.
        first = await self.sandbox.run(call)
        if first.status in _STOPPED:
            return True
        other = await self.sandbox.run(replace(call, hash_seed=_OTHER_HASH_SEED))
        if other.status in _STOPPED or answer_of(other) == answer_of(first):
            return True
        if answer_of(await self.sandbox.run(call)) != answer_of(first):
            return False
        for seed in _MORE_HASH_SEEDS:
            await self._judge_again(source, spec, attempt, seed)
        attempt.failures = _failures(attempt)
        return True  # every run of the tool has the same seed

    async def _judge_again(self, source: ToolSource, spec: ToolSpec, attempt: Attempt, seed: int) -> None:
        """Run the examples that hold so far with another hash seed."""
        for number, verdict in enumerate(attempt.verdicts):
            if verdict.holds:
                outcome = await self._run_example(source, spec, verdict.example, attempt, hash_seed=seed)
                if outcome.status not in _STOPPED:
                    judged = blame_hashing(verdict, holds(verdict.example, source.signature, outcome))
                    attempt.verdicts[number] = judged
                    if not judged.holds:
                        self.emit(ExampleProven(number + 1, len(spec.examples), judged))

    async def _execute_module(self, source: ToolSource, spec: ToolSpec, attempt: Attempt) -> None:
        """Check that the module can be executed; used if there are no examples."""
        call = _call(source, spec, attempt, b'{"args":[],"kwargs":{}}')
        probe = f"{source.text}\n\ndef _loads() -> None:\n    pass\n"
        outcome = await self.sandbox.run(replace(call, source=probe, function="_loads"))
        if outcome.status is Status.OK:
            return
        happened = f"The module can't be executed: {shown_end(outcome).removeprefix('no result: ')}"
        denial = self._denial(outcome, spec)
        attempt.failures = (_hinted(happened, denial) if denial else happened,)

    async def _run_example(
        self, source: ToolSource, spec: ToolSpec, example: Example, attempt: Attempt, *, hash_seed: int = 0
    ) -> Outcome:
        signature = source.signature
        passed: tuple[PassedFile, ...] = ()
        try:
            given = signature.bind(example.args, example.kwargs)
            validated = signature.validate(given)
            if self.files is not None and signature.takes_paths:
                try:
                    validated, passed = self.files.take(
                        spec.name, validated, given, spec.permissions, digests=False
                    )
                except InvalidInput as unfit:
                    named = {name: validated[name] for name in given}
                    raise self._blamed(spec, example, named, attempt, unfit) from None
            arguments = signature.wire(validated)
        except InvalidInput as error:
            # A caller would get `InvalidInput`, which is a ValueError, before the tool runs.
            said = f"the input does not fit: {'; '.join((error.line, *error.details))}"
            refused = ToolError("ValueError", said, "", ("ValueError", "Exception"))
            return Outcome(Status.ERROR, None, refused, "", 0.0, None, ())
        call = _call(source, spec, attempt, arguments)
        granted = (*spec.permissions, *(file.permission for file in passed))
        return await self.sandbox.run(replace(call, permissions=granted, hash_seed=hash_seed))

    def _blamed(
        self,
        spec: ToolSpec,
        example: Example,
        passed: Mapping[str, object],
        attempt: Attempt,
        unfit: InvalidInput,
    ) -> FactError:
        """Choose the error if a candidate takes a path, and the example names a file that can't be passed.

        The candidate may be wrong: perhaps the tool needs the path only as a text. If the next candidate
        takes a path too, the example is wrong, and the generation ends.
        """
        assert self.files is not None  # noqa: S101 - `take` has looked for the files
        try:
            self.files.refuse_unfit([replace(example, args=(), kwargs=dict(passed))], spec.permissions)
        except CellError as refused:
            if attempt.number > 1:
                hint = (
                    f"If {spec.name} needs the path only as a text, say so in the description. {refused.hint}"
                )
                return CellError(refused.message, hint=hint)
            return InvalidInput(
                f"If the path is only taken apart and its file is not opened, annotate str. {refused.message}"
            )
        return unfit

    def _denial(self, outcome: Outcome, spec: ToolSpec) -> Denial | None:
        """Find the permission that the candidate needed but did not have."""
        if outcome.error is None or self.files is None:
            return None
        return denial_of(outcome.error.denied, spec.permissions, self.files.protected)


def _hinted(happened: str, denial: Denial) -> str:
    """Add to a line what was denied, and how to allow it."""
    return " ".join((f"{happened.rstrip('.')}.", *filter(None, denial)))


@asynccontextmanager
async def _beside(work: Coroutine[object, object, Outcome]) -> AsyncIterator[asyncio.Task[Outcome]]:
    """Start `work` beside a block, and stop it at the end of the block."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def reject(attempt: Attempt, failures: tuple[str, ...]) -> None:
    """Record in an attempt why its candidate was not accepted."""
    attempt.failures = failures
    attempt.status, attempt.reason = Status.ERROR, "; ".join(failures)


def _failures(attempt: Attempt) -> tuple[str, ...]:
    return tuple(
        f"{verdict.example.source} should give {verdict.expected}, but gave {verdict.got}"
        for verdict in attempt.verdicts
        if not verdict.holds
    )


def _runs_twice(source: ToolSource, spec: ToolSpec) -> bool:
    """Tell whether each example is run with two hash seeds.

    A tool with permissions runs each example once, because its answer may depend on files that it changed.
    Each example is also run once if the source and the examples show that no answer depends on the seed.
    """
    calls = (ast.walk(ast.parse(example.source)) for example in spec.examples)
    return not spec.permissions and not (
        source.is_deterministic and not any(may_use_sets(tuple(nodes)) for nodes in calls)
    )


def shortcomings(spec: ToolSpec, attempt: Attempt) -> tuple[str, tuple[str, ...]]:
    """Return the reason why a candidate was not accepted: a short phrase, and at most two short lines.

    The attempt's record has every failure, and at full length.
    """
    missed = [verdict for verdict in attempt.verdicts if not verdict.holds]
    if not missed:
        # A failure in the source may have the line of the source below it.
        first, *others = (line for failure in attempt.failures for line in failure.splitlines())
        return clipped(first.rstrip(".:"), _REASON), _first_of(others, 1)
    count = len(spec.examples)
    why = "the only example failed" if count == 1 else f"{len(missed)} of {count} examples failed"
    denied = next((verdict for verdict in missed if verdict.denied != ("", "")), None)
    if denied is None and len(missed) == 1:
        return why, (failed_line(missed[0], 2 * _DETAIL),)
    if denied is None:
        return why, _first_of([failed_line(verdict, _DETAIL) for verdict in missed], 2)
    return why, (failed_line(denied, _DETAIL), *filter(None, denied.denied[1:]))


def _first_of(lines: list[str], most: int) -> tuple[str, ...]:
    """Return the first lines, each cut, with a note of how many more there are."""
    more = len(lines) - most
    shown = [clipped(line, _DETAIL) for line in lines[:most]]
    if more > 0:
        note = f" ({more:,} more failed)"
        shown[-1] = f"{clipped(shown[-1], _DETAIL - len(note))}{note}"
    return tuple(shown)


def _call(source: ToolSource, spec: ToolSpec, attempt: Attempt, arguments: bytes) -> Call:
    return Call(
        source.text,
        spec.name,
        arguments,
        spec.timeout_seconds,
        permissions=spec.permissions,
        imports=source.imports,
        verified=attempt.provider == SHELF,
    )
