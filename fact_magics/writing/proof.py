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
from fact_magics.sandbox.outcome import USUAL, Call, Outcome, Surroundings, ToolError
from fact_magics.signature.purity import may_use_sets
from fact_magics.text import clipped, one_line
from fact_magics.tool import SHELF, Returned, Status
from fact_magics.writing import determinism
from fact_magics.writing.checks import check
from fact_magics.writing.enlarging import enlarge
from fact_magics.writing.verdict import blame_hashing, failed_line, holds, shown_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping

    from fact_magics.attempt import Attempt, Verdict
    from fact_magics.permissions import Protected
    from fact_magics.signature.source import ToolSource
    from fact_magics.tool import Example, ToolSpec
    from fact_magics.values import Wire

# The number of characters of a failed example's result that are shown before a permission hint.
_BESIDE_HINT = 160
# The most characters of a line in the error of a rejection. A reason may take two lines on screen.
_DETAIL = 96
_REASON = 130
TABLE = (
    "The source holds the inputs and results of the examples, and inputs beside them fail or all give the "
    "same result. Compute the result instead"
)
_LARGER_SECONDS = 1.0  # a larger input may take far longer


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
    notes: tuple[str, ...] = ()  # what was added to the model's text, and what answers depend on
    is_table: bool = False  # whether it only looks its examples up
    others: int = 0  # how many other candidates were accepted and give other answers


@dataclass(frozen=True, slots=True)
class Prover:
    """Checks a candidate, and runs it on every example of its contract in isolation."""

    sandbox: Runs
    emit: Listener  # called with each event
    files: PassedFiles | None = None  # if None, the files that examples pass as paths can't be read
    # Tells whether a candidate only looks the examples up. The first one is sent back to the model.
    is_table: Callable[[ToolSource, ToolSpec], Awaitable[bool]] | None = None

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
        causes: list[str] = []
        twice = _runs_twice(source, spec)
        if not attempt.failures and spec.examples:
            causes = await self._run_examples(source, spec, attempt, twice=twice)
        elif not attempt.failures:
            await self._execute_module(source, spec, attempt)
        if attempt.failures:
            reject(attempt, attempt.failures)
            return None
        if twice and not source.varies and not determinism.vary(causes):
            causes.append(await self._changed_by(source, spec, attempt))
        if attempt.failures:
            reject(attempt, attempt.failures)
            return None
        notes = determinism.notes(causes)
        is_table = False
        if self.is_table is not None and attempt.provider != SHELF and await self.is_table(source, spec):
            is_table = True
            if not attempt.is_repair and spec.attempts > 1:
                reject(attempt, (TABLE,))
                return None
            notes += ("answers only its examples, from a table of them",)
        attempt.status = Status.OK
        varies = source.varies or determinism.vary(causes)
        return Accepted(source, varies, attempt, notes, is_table)

    async def _run_examples(
        self, source: ToolSource, spec: ToolSpec, attempt: Attempt, *, twice: bool
    ) -> list[str]:
        """Run the examples; return what changed their answers, if each ran in two surroundings."""
        total, causes = len(spec.examples), []
        for number, example in enumerate(spec.examples, start=1):
            self.emit(PhaseChanged("proving", f"{number}/{total}"))
            outcome, verdict, changed_by = await self._judge(source, spec, example, attempt, twice=twice)
            causes.append(changed_by)
            if not verdict.holds and (denial := self._denial(outcome, spec)):
                got = _hinted(one_line(verdict.got, _BESIDE_HINT), denial)
                verdict = replace(verdict, got=got, denied=(denial.problem, denial.remedy))
            attempt.verdicts.append(verdict)
            self.emit(ExampleProven(number, total, verdict))
            if outcome.status in determinism.STOPPED:
                break  # the other examples would probably reach the limit too
        attempt.failures = _failures(attempt)
        return causes

    async def _judge(
        self, source: ToolSource, spec: ToolSpec, example: Example, attempt: Attempt, *, twice: bool
    ) -> tuple[Outcome, Verdict, str]:
        """Run an example, if `twice` in other surroundings too; judge it; tell what changes its answer."""

        async def run(surroundings: Surroundings) -> Outcome:
            return await self._run_example(source, spec, example, attempt, surroundings)

        if not twice:
            outcome = await run(USUAL)
            return outcome, holds(example, source.signature, outcome), ""
        async with _beside(run(determinism.OTHER)) as running:
            outcome = await run(USUAL)
            verdict = holds(example, source.signature, outcome)
            if outcome.status in determinism.STOPPED:
                return outcome, verdict, ""
            other = await running
        if source.varies or not determinism.differ(outcome, other):
            return outcome, verdict, ""
        changed_by = await determinism.cause(run, outcome, other)
        if changed_by == determinism.HASHING:
            verdict = blame_hashing(verdict, holds(example, source.signature, other))
        return outcome, verdict, changed_by

    async def _changed_by(self, source: ToolSource, spec: ToolSpec, attempt: Attempt) -> str:
        """Tell what changes the answer to a larger input than those of the examples.

        An error is an answer too, because no example says what this input must give. If the answer depends on
        the hash seed, the examples are run with more seeds: two seeds often give a few items the same order.
        """
        signature = source.signature
        returning = [example for example in spec.examples if isinstance(example.expected, Returned)]
        if not returning or signature.takes_paths:
            return ""
        largest = max(returning, key=lambda example: len(example.source))
        larger = enlarge(signature, signature.bind(largest.args, largest.kwargs))
        if larger is None:
            return ""
        call = replace(
            _call(source, spec, attempt, signature.wire(signature.validate(larger))),
            timeout_seconds=min(spec.timeout_seconds, _LARGER_SECONDS),
        )

        async def run(surroundings: Surroundings) -> Outcome:
            return await self.sandbox.run(replace(call, surroundings=surroundings))

        first = await run(USUAL)
        if first.status in determinism.STOPPED:
            return ""
        other = await run(determinism.OTHER)
        if not determinism.differ(first, other):
            return ""
        changed_by = await determinism.cause(run, first, other)
        if changed_by == determinism.HASHING:
            for seed in determinism.MORE_HASH_SEEDS:
                await self._judge_again(source, spec, attempt, USUAL._replace(hash_seed=seed))
            attempt.failures = _failures(attempt)
        return changed_by

    async def _judge_again(
        self, source: ToolSource, spec: ToolSpec, attempt: Attempt, surroundings: Surroundings
    ) -> None:
        """Run the examples that hold so far with another hash seed."""
        for number, verdict in enumerate(attempt.verdicts):
            if verdict.holds:
                outcome = await self._run_example(source, spec, verdict.example, attempt, surroundings)
                if outcome.status not in determinism.STOPPED:
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
        self,
        source: ToolSource,
        spec: ToolSpec,
        example: Example,
        attempt: Attempt,
        surroundings: Surroundings = USUAL,
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
        return await self.sandbox.run(replace(call, permissions=granted, surroundings=surroundings))

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
            if attempt.is_repair:
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
    """Tell whether each example is also run in other surroundings.

    A tool with permissions runs each example once, because its answer may depend on files that it changed.
    Each example is also run once if the source and the examples show that its answer depends on nothing else.
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


def _call(source: ToolSource, spec: ToolSpec, attempt: Attempt, arguments: Wire) -> Call:
    return Call(
        source.text,
        spec.name,
        arguments,
        spec.timeout_seconds,
        permissions=spec.permissions,
        imports=source.imports,
        verified=attempt.provider == SHELF,
        tables=source.signature.returns_tables,
    )
