"""Prove a tool: check its source, from any author, and run every example of its contract."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from fact_magics.errors import InvalidInput
from fact_magics.events import ExampleProven, Listener, PhaseChanged
from fact_magics.sandbox.failure import denial_hint
from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.text import one_line
from fact_magics.tool import SHELF, Returned, Status
from fact_magics.writing.checks import check
from fact_magics.writing.verdict import holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fact_magics.permissions import Protected
    from fact_magics.signature.source import ToolSource
    from fact_magics.tool import Attempt, Example, ToolSpec

# The number of characters of a failed example's result that are shown before a permission hint.
_BESIDE_HINT = 160


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


@dataclass(frozen=True, slots=True)
class Accepted:
    """A candidate that passed the checks and every example."""

    source: ToolSource
    varies: bool  # whether the answers to equal calls may differ
    attempt: Attempt


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
        if not attempt.failures and spec.examples:
            steady = await self._run_examples(source, spec, attempt)
        elif not attempt.failures:
            await self._execute_module(source, spec, attempt)
        if attempt.failures:
            attempt.status, attempt.reason = Status.ERROR, "; ".join(attempt.failures)
            return None
        attempt.status = Status.OK
        return Accepted(source, source.varies or not steady, attempt)

    async def _run_examples(self, source: ToolSource, spec: ToolSpec, attempt: Attempt) -> bool:
        """Run the examples; return False if the first one gave two different answers in two runs."""
        total, steady = len(spec.examples), True
        for number, example in enumerate(spec.examples, start=1):
            self.emit(PhaseChanged("proving", f"{number}/{total}"))
            outcome = await self._run_example(source, spec, example, attempt)
            verdict = holds(example, source.signature, outcome)
            if not verdict.holds and (hint := self._hint(outcome, spec)):
                verdict = replace(verdict, got=f"{one_line(verdict.got, _BESIDE_HINT)} {hint}")
            attempt.verdicts.append(verdict)
            self.emit(ExampleProven(number, total, verdict))
            if outcome.status in (Status.TIMEOUT, Status.LIMIT):
                break  # the other examples would probably reach the limit too
            if number == 1 and isinstance(example.expected, Returned) and verdict.holds:
                again = await self._run_example(source, spec, example, attempt)
                steady = again.result == outcome.result
        attempt.failures = tuple(
            f"{verdict.example.source} should give {verdict.expected}, but gave {verdict.got}"
            for verdict in attempt.verdicts
            if not verdict.holds
        )
        return steady

    async def _execute_module(self, source: ToolSource, spec: ToolSpec, attempt: Attempt) -> None:
        """Check that the module can be executed; used if there are no examples."""
        call = _call(source, spec, attempt, b'{"args":[],"kwargs":{}}')
        probe = f"{source.text}\n\ndef _loads() -> None:\n    pass\n"
        outcome = await self.sandbox.run(replace(call, source=probe, function="_loads"))
        if outcome.status is Status.OK:
            return
        happened = f"it reached its limit of {outcome.limit}"
        if (error := outcome.error) is not None:
            happened = f"{error.type_name}: {error.message}"
        attempt.failures = (f"The module can't be executed: {happened} {self._hint(outcome, spec)}".rstrip(),)

    async def _run_example(
        self, source: ToolSource, spec: ToolSpec, example: Example, attempt: Attempt
    ) -> Outcome:
        signature = source.signature
        passed: tuple[PassedFile, ...] = ()
        try:
            given = signature.bind(example.args, example.kwargs)
            validated = signature.validate(given)
            if self.files is not None and signature.takes_paths:
                validated, passed = self.files.take(
                    spec.name, validated, given, spec.permissions, digests=False
                )
            arguments = signature.wire(validated)
        except InvalidInput as error:
            # A caller would get `InvalidInput`, which is a ValueError, before the tool runs.
            refused = ToolError("ValueError", str(error), "", ("ValueError", "Exception"))
            return Outcome(Status.ERROR, None, refused, "", 0.0, None, ())
        call = _call(source, spec, attempt, arguments)
        granted = (*spec.permissions, *(file.permission for file in passed))
        return await self.sandbox.run(replace(call, permissions=granted))

    def _hint(self, outcome: Outcome, spec: ToolSpec) -> str:
        """Suggest the permission that the candidate needed but did not have."""
        if outcome.error is None or self.files is None:
            return ""
        return denial_hint(outcome.error.denied, spec.permissions, self.files.protected)


def shortcomings(spec: ToolSpec, attempt: Attempt) -> tuple[str, tuple[str, ...]]:
    """Return the reason why a candidate was not accepted: a short phrase, and detail lines."""
    missed = sum(not verdict.holds for verdict in attempt.verdicts)
    if missed:
        return f"{missed} of {len(spec.examples)} examples failed", attempt.failures
    first, *others = attempt.failures
    return first.rstrip("."), tuple(others)


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
