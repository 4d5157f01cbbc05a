"""Proof: whether a source, whoever wrote it, is a tool, and does what its examples say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from fact_magics.errors import InvalidInput
from fact_magics.events import ExampleProven, Listener, PhaseChanged
from fact_magics.sandbox.failure import denial_hint
from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.text import one_line
from fact_magics.tool import SHELF, Returned, Status, Verdict
from fact_magics.writing.checks import Checked, check
from fact_magics.writing.verdict import holds

if TYPE_CHECKING:
    from fact_magics.core.files import InputFile, InputFiles
    from fact_magics.tool import Attempt, Example, ToolSpec

# Of what an example gave, where the permission that it lacked stands beside it.
_BESIDE_HINT = 160


class Runs(Protocol):
    """What proves a candidate: the sandbox, seen from here."""

    async def run(self, call: Call) -> Outcome:
        """Run one call in isolation."""


async def prove(
    source: str,
    spec: ToolSpec,
    sandbox: Runs,
    emit: Listener,
    attempt: Attempt,
    files: InputFiles | None = None,
) -> Checked | None:
    """Check a source, and run it on every example of its contract in isolation.

    Parameters
    ----------
    spec : ToolSpec
        The name that it defines, its examples and permissions, and the time that each example may take.
    attempt : Attempt
        Is told what became of it: verdicts, failures, status and reason.
    files : InputFiles, optional
        Finds the files that examples pass as paths; without it, none may be read.

    Returns
    -------
    Checked or None
        None where it was not accepted; `shortcomings` says why.
    """
    emit(PhaseChanged("checking"))
    candidate, attempt.failures = check(source, spec.name, spec.examples)
    if candidate is not None:
        candidate = await _run_examples(candidate, spec, sandbox, emit, attempt, files)
    if candidate is not None:
        attempt.status = Status.OK
        return candidate
    attempt.status, attempt.reason = Status.ERROR, "; ".join(attempt.failures)
    return None


def shortcomings(spec: ToolSpec, attempt: Attempt) -> tuple[str, tuple[str, ...]]:
    """Say why a candidate was not accepted: a clause, and the lines that belong under it."""
    missed = sum(not verdict.holds for verdict in attempt.verdicts)
    if missed:
        return f"{missed} of {len(spec.examples)} examples failed", attempt.failures
    first, *others = attempt.failures
    return first.rstrip("."), tuple(others)


async def _run_examples(
    candidate: Checked,
    spec: ToolSpec,
    sandbox: Runs,
    emit: Listener,
    attempt: Attempt,
    files: InputFiles | None,
) -> Checked | None:
    total = len(spec.examples)
    if not total:
        return await _loads(candidate, spec, sandbox, attempt, files)
    steady = True
    for number, example in enumerate(spec.examples, start=1):
        emit(PhaseChanged("proving", f"{number}/{total}"))
        outcome = await _run_example(candidate, spec, example, sandbox, attempt, files)
        verdict = _advised(holds(example, candidate.signature, outcome), outcome, spec, files)
        attempt.verdicts.append(verdict)
        emit(ExampleProven(number, total, verdict))
        if outcome.status in (Status.TIMEOUT, Status.LIMIT):
            break  # the others would most likely take as long
        if number == 1 and isinstance(example.expected, Returned) and verdict.holds:
            again = await _run_example(candidate, spec, example, sandbox, attempt, files)
            steady = again.result == outcome.result
    failed = [verdict for verdict in attempt.verdicts if not verdict.holds]
    if failed:
        attempt.failures = tuple(
            f"{verdict.example.source} should give {verdict.expected}, but gave {verdict.got}"
            for verdict in failed
        )
        return None
    return candidate if steady else replace(candidate, varies=True)


def _advised(verdict: Verdict, outcome: Outcome, spec: ToolSpec, files: InputFiles | None) -> Verdict:
    """Add the permission that a failed example lacked."""
    hint = "" if verdict.holds else _hint(outcome, spec, files)
    return replace(verdict, got=f"{one_line(verdict.got, _BESIDE_HINT)} {hint}") if hint else verdict


def _hint(outcome: Outcome, spec: ToolSpec, files: InputFiles | None) -> str:
    if outcome.error is None or files is None:
        return ""
    return denial_hint(outcome.error.denied, spec.permissions, files.protected)


async def _loads(
    candidate: Checked, spec: ToolSpec, sandbox: Runs, attempt: Attempt, files: InputFiles | None
) -> Checked | None:
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
    attempt.failures = (f"The module can't be executed: {said} {_hint(outcome, spec, files)}".rstrip(),)
    return None


async def _run_example(
    candidate: Checked,
    spec: ToolSpec,
    example: Example,
    sandbox: Runs,
    attempt: Attempt,
    files: InputFiles | None,
) -> Outcome:
    signature = candidate.signature
    passed: tuple[InputFile, ...] = ()
    try:
        given = signature.bind(example.args, example.kwargs)
        validated = signature.validate(given)
        if files is not None and signature.takes_paths:
            validated, passed = files.take(spec.name, validated, given, spec.permissions, digests=False)
        arguments = signature.wire(validated)
    except InvalidInput as error:
        # A caller would get this error, which is a ValueError, before the tool runs.
        told = ToolError("ValueError", str(error), "", ("ValueError", "Exception"))
        return Outcome(Status.ERROR, None, told, "", 0.0, None, ())
    granted = (*spec.permissions, *(file.permission for file in passed))
    return await sandbox.run(
        replace(_call(candidate, spec.name, arguments, spec, attempt), permissions=granted)
    )


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
