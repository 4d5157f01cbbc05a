"""Compare accepted candidates: let them answer the same inputs, and choose one of the largest group."""

from __future__ import annotations

import ast
import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import CellError, InvalidInput
from fact_magics.probing.inputs import Input, derive, make, strangeness
from fact_magics.probing.questions import is_askable
from fact_magics.probing.runs import Answer, Bench, Runs, cores
from fact_magics.sandbox.outcome import Call
from fact_magics.signature import signature_identity
from fact_magics.text import plural
from fact_magics.values import ValueTypeError
from fact_magics.writing.examples import read_body
from fact_magics.writing.loop import without_layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fact_magics.signature import Signature
    from fact_magics.signature.source import ToolSource
    from fact_magics.tool import ToolSpec
    from fact_magics.writing.proof import Accepted

_SECONDS = 1.0  # for all answers of all candidates
_GRACE_SECONDS = 0.5
_EACH = 0.1  # processor seconds for one input
_INPUTS = 240  # derived from all candidates together


@dataclass(slots=True)
class _Kind:
    """Candidates with the same source, apart from its layout; the shortest of them stands for all."""

    members: list[Accepted]
    answers: Mapping[int, Answer] = field(default_factory=dict)

    @property
    def best(self) -> Accepted:
        return min(self.members, key=lambda each: (len(each.source.text), each.source.text))

    @property
    def is_table(self) -> bool:
        return all(member.is_table for member in self.members)

    def differs(self, other: _Kind) -> list[int]:
        """Return the numbers of the inputs for which both have an answer, and the answers differ."""
        return [
            number
            for number, answer in self.answers.items()
            if number in other.answers and not answer.same_as(other.answers[number])
        ]


class _Compared(NamedTuple):
    groups: list[list[_Kind]]  # the largest first; of equally large ones, that with the shortest source
    inputs: int
    why_not: str = ""  # why the candidates were not compared
    silent: Sequence[_Kind] = ()  # those that answered no input in time


async def choose(accepted: Sequence[Accepted], asked: int, spec: ToolSpec, sandbox: Runs) -> Accepted:
    """Choose one of the accepted candidates: the shortest of the largest group that gives the same answers.

    The attempt of each candidate gets the number of its group. If that is not the chosen group, it also gets
    a call for which its answer differs from the chosen one's.

    Parameters
    ----------
    accepted : sequence of Accepted
        In any order; the choice depends on the sources alone.
    asked : int
        The number of all candidates, for the line about them.

    Returns
    -------
    Accepted
        With a line about all candidates before its notes.
    """
    kinds: dict[str, _Kind] = {}
    for one in accepted:
        kinds.setdefault(without_layout(one.source), _Kind([])).members.append(one)
    inputs, compared = await _compare(list(kinds.values()), spec, sandbox)
    chosen = compared.groups[0][0]
    for number, group in enumerate(compared.groups, start=1):
        for kind in group:
            calls = [(inputs[at], chosen.answers[at]) for at in chosen.differs(kind)] if number > 1 else []
            for member in kind.members:
                member.attempt.group = None if compared.why_not else number
                member.attempt.parting_call = _clearest(calls)
    others = _count(kind for group in compared.groups[1:] for kind in group)
    best = chosen.best
    line = _told(compared, len(accepted), asked, len(kinds), others, bool(spec.examples))
    return replace(best, notes=(line, *best.notes), others=0 if compared.why_not else others)


async def _compare(kinds: list[_Kind], spec: ToolSpec, sandbox: Runs) -> tuple[list[Input], _Compared]:
    in_order = sorted(kinds, key=_rank)
    if len(kinds) == 1:
        return [], _Compared([in_order], 0)
    if why_not := _obstacle(kinds, spec):
        return [], _Compared([[kind] for kind in in_order], 0, why_not)
    inputs = _inputs([kind.best.source for kind in in_order], spec)
    signatures = {signature_identity(kind.best.source.signature) for kind in kinds}
    made_for = kinds[0].best.source.signature if len(signatures) == 1 else None
    seconds = _SECONDS * min(1, cores() / len(kinds))
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS + _GRACE_SECONDS):
            await asyncio.gather(*(_answer(kind, inputs, made_for, spec, sandbox, seconds) for kind in kinds))
    answering = [kind for kind in in_order if kind.answers]
    if not answering:
        why_not = "they did not answer further inputs in time" if inputs else "no input fits all of them"
        return [], _Compared([[kind] for kind in in_order], 0, why_not)
    groups: list[list[_Kind]] = []
    for kind in answering:
        group = next((known for known in groups if not known[0].differs(kind)), None)
        if group is None:
            groups.append([kind])
        else:
            group.append(kind)
    groups.sort(key=lambda group: (group[0].is_table, -_count(group)))
    for group in groups:
        group.sort(key=lambda kind: (len(kind.best.source.text), kind.best.source.text))
    answered = set.intersection(*(set(kind.answers) for kind in answering))
    silent = [kind for kind in in_order if not kind.answers]
    return inputs, _Compared(groups, len(answered), silent=silent)


def _rank(kind: _Kind) -> tuple[bool, int, int, str]:
    text = kind.best.source.text
    return kind.is_table, -len(kind.members), len(text), text


def _count(kinds: Iterable[_Kind]) -> int:
    """Return how many candidates these are."""
    return sum(len(kind.members) for kind in kinds)


def _obstacle(kinds: Iterable[_Kind], spec: ToolSpec) -> str:
    """Return why candidates can't be compared; empty if they can."""
    members = [member for kind in kinds for member in kind.members]
    if spec.permissions:
        return "tools with permissions are not run on further inputs"
    if any(member.source.signature.takes_paths for member in members):
        return "no inputs can be derived for the path of a file"
    if any(member.varies for member in members):
        return "their answers vary"
    return ""


def _inputs(sources: Sequence[ToolSource], spec: ToolSpec) -> list[Input]:
    """Derive inputs for the signature of each source, and keep those that fit all signatures, each once."""
    seed = json.dumps(sorted(source.text for source in sources))
    # A constant of one source may be where another one gives another answer.
    constants = ast.Module([node for source in sources if source.tree for node in source.tree.body], [])
    signatures = {signature_identity(source.signature): source.signature for source in sources}
    found: dict[str, Input] = {}
    for identity, signature in signatures.items():
        others = [other for known, other in signatures.items() if known != identity]
        for one in derive(signature, spec.examples, constants, seed, _INPUTS // len(signatures)):
            if all(fitted(other, one.call) for other in others):
                found.setdefault(one.call, one)
    return list(found.values())


def fitted(signature: Signature, call: str) -> Input | None:
    """Read a call as an input of a tool with this signature; None if it does not fit."""
    try:
        (example,) = read_body(f">>> {call}\nNone", signature.name).examples
        made = make(signature, signature.bind(example.args, example.kwargs))
    except (CellError, InvalidInput, ValueTypeError, ValueError):
        return None
    return made and made._replace(call=call)


class Respondent(NamedTuple):
    """A candidate that answers inputs which were made for another one."""

    source: ToolSource
    bench: Bench

    @staticmethod
    def of(source: ToolSource, permissions: tuple[str, ...], sandbox: Runs) -> Respondent:
        """Prepare a candidate."""
        signature = source.signature
        base = Call(source.text, signature.name, b"", permissions=permissions, imports=source.imports)
        return Respondent(source, Bench(sandbox, signature, base))

    def wires(
        self, inputs: Iterable[tuple[int, Input]], made_for: Signature | None
    ) -> list[tuple[int, bytes]]:
        """Return those of the numbered inputs that fit, in canonical form.

        Parameters
        ----------
        made_for : Signature or None
            The signature of all inputs; None if they were made for several.
        """
        signature = self.source.signature
        if made_for is not None and signature_identity(signature) == signature_identity(made_for):
            return [(number, one.wire) for number, one in inputs]
        read = ((number, fitted(signature, one.call)) for number, one in inputs)
        return [(number, one.wire) for number, one in read if one is not None]


async def _answer(
    kind: _Kind,
    inputs: Sequence[Input],
    made_for: Signature | None,
    spec: ToolSpec,
    sandbox: Runs,
    seconds: float,
) -> None:
    respondent = Respondent.of(kind.best.source, spec.permissions, sandbox)
    wires = respondent.wires(enumerate(inputs), made_for)
    kind.answers = (
        await respondent.bench.answer(kind.best.source.text, wires, seconds, _EACH) if wires else {}
    )


def _clearest(calls: Iterable[tuple[Input, Answer]]) -> str:
    """Choose the call that is easiest to ask about."""

    def worth(asked: tuple[Input, Answer]) -> tuple[object, ...]:
        one, answer = asked
        is_plain = answer.error is None or answer.is_refusal
        return is_askable(one, answer), is_plain, -strangeness(one.call), one.call

    best = max(calls, key=worth, default=None)
    return best[0].call if best else ""


def _told(compared: _Compared, accepted: int, asked: int, kinds: int, others: int, has_examples: bool) -> str:
    """Say in one line how many candidates were accepted, and how many agree."""
    singular, all_ = ("holds", "hold") if has_examples else ("is usable", "are usable")
    if accepted == 1:
        return f"1 of {plural(asked, 'candidate')} {singular}"
    all_of_them = "both candidates" if asked == 2 else f"all {asked} candidates"
    who = all_of_them if accepted == asked else f"{accepted} of {asked} candidates"
    said = f"{who} {all_}"
    if kinds == 1:
        return f"{said}, and have the same source"
    if compared.why_not:
        return f"{said}, but were not compared: {compared.why_not}"
    silent = _count(compared.silent)
    left_out = f"; {silent} did not answer further inputs in time" if silent else ""
    largest = accepted - others - silent
    if not others and silent:
        return f"{said}{f', and {largest} of them agree' if largest > 1 else ''}{left_out}"
    if not others:
        return f"{said}, and agree on {plural(compared.inputs, 'input')}"
    if largest == 1:
        return f"open · {said}, but give different answers{left_out}"
    gives = "gives" if others == 1 else "give"
    return f"open · {said}: {largest} of them agree, {others} {gives} other answers{left_out}"
