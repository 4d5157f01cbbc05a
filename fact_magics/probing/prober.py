"""Probe a tool: run it and its rivals, which are changed sources, on the examples and on derived inputs."""

from __future__ import annotations

import ast
import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import InvalidInput, SignatureError
from fact_magics.events import Listener, PhaseChanged
from fact_magics.probing.agreement import Respondent, fitted
from fact_magics.probing.inputs import Input, derive, make
from fact_magics.probing.questions import Parted, Probe, Question, Surprise, ask, is_askable, surprises
from fact_magics.probing.rivals import Rival, rivals_of
from fact_magics.probing.runs import Answer, Bench, Runs, cores
from fact_magics.sandbox.outcome import USUAL, Call, Surroundings
from fact_magics.signature.source import ToolSource
from fact_magics.values import ValueTypeError
from fact_magics.writing.determinism import OTHER
from fact_magics.writing.examples import read_body
from fact_magics.writing.verdict import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from fact_magics.tool import Example, ToolVersion

_SORTING_SHARE = 0.4  # of the time is for finding the rivals that pass the examples
_OWN_SHARE = 0.25  # of the time is for the tool's own answers
_EACH_SHARE = 0.1  # of the time is for one input of the tool
_LONGEST_EACH = 1.0
_SHORTEST = 0.05  # seconds; with less time left, no step begins
_SHORTEST_BATCH = 0.3  # seconds for all inputs of a rival, and processor seconds for one of them
_SHORTEST_EACH = 0.02
_RESTARTS = 3
_PATIENCE = 4
_QUICK_SECONDS = 3.0  # a probe that takes longer tries more inputs
_QUICK_INPUTS, _INPUTS = 240, 800
_QUICK_AGAIN = 3  # in a quick probe, each third input is answered twice


class Other(NamedTuple):
    """Another candidate for a tool, and a call to which it gave another answer; empty if it gave none."""

    source: str
    parting_call: str = ""


class Asked(NamedTuple):
    """An example and its input as the sandbox takes it, with its number among all inputs."""

    number: int
    example: Example
    input: Input


@dataclass(slots=True)
class _Own:
    """The tool's own answers: in order, and again in another order and environment."""

    answers: dict[int, Answer] = field(default_factory=dict)
    again: dict[int, Answer] = field(default_factory=dict)

    @property
    def is_steady(self) -> bool:
        """Whether all inputs that were answered twice got the same answer."""
        both = self.again.keys() & self.answers.keys()
        return all(
            self.again[number].kind == "slow" or self.answers[number].same_as(self.again[number])
            for number in both
        )

    def usable(self, number: int) -> bool:
        """Tell whether rivals can be compared with the answer to an input."""
        answer, other = self.answers.get(number), self.again.get(number)
        if answer is None or answer.kind not in ("value", "raised"):
            return False
        return self.is_steady if other is None else other.kind == "slow" or answer.same_as(other)


async def probe(
    version: ToolVersion,
    sandbox: Runs,
    seconds: float,
    emit: Listener,
    *,
    documented: str = "",
    others: Sequence[Other] = (),
) -> Probe:
    """Find out how far the examples of a version go.

    Parameters
    ----------
    seconds : float
        The time for the whole probe. The result has what was found in this time.
    documented : str
        Text with further examples that are known to hold: the docstring of a tool from the shelf.
    others : sequence of Other
        Other candidates for the tool. Those that pass its examples are compared with it, as changes are.
    """
    prober = _Prober(version, sandbox, seconds, emit, documented, others)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await prober.run()
    return prober.result()


class _Prober:
    def __init__(
        self,
        version: ToolVersion,
        sandbox: Runs,
        seconds: float,
        emit: Listener,
        documented: str = "",
        others: Sequence[Other] = (),
    ) -> None:
        about = version.metadata
        self._version, self._sandbox, self._emit, self._others = version, sandbox, emit, others
        self._texts = (about.contract, documented)
        self._started = time.perf_counter()
        self._end = self._started + seconds
        self._is_quick = seconds <= _QUICK_SECONDS
        self._source = source = ToolSource(version.source, about.name)
        self._each = min(_EACH_SHARE * seconds, _LONGEST_EACH)
        base = Call(version.source, about.name, b"", permissions=about.permissions, imports=source.imports)
        self._bench = Bench(sandbox, source.signature, base)
        self._examples: list[Asked] = []
        self._inputs: list[Input] = []
        self._own = _Own()
        self._comparable: list[int] = []  # the inputs on which rivals are compared with the tool
        self._has_answered = False  # at least half of the derived inputs, in a way that can be compared
        self._rivals = rivals_of(version.source)
        self._candidate_counts = Counter(other.source for other in others)
        self._untried = len(self._rivals) + len(self._candidate_counts)
        self._caught = 0
        self._parted: list[Parted] = []
        self._candidates: list[Parted] = []
        self._open_candidates = 0

    async def run(self) -> None:
        """Find the rivals that pass the examples, then let the tool and these rivals answer the inputs."""
        self._prepare()
        rivals = self._rivals
        waiting = iter(enumerate(rivals, start=1))
        passing: list[Rival] = []

        async def sort(end: float) -> None:
            while time.perf_counter() < end and (found := next(waiting, None)) is not None:
                number, rival = found
                self._emit(PhaseChanged("probing", f"{number}/{len(rivals)}"))
                if await self._passes(rival):
                    passing.append(rival)

        async def part() -> None:
            while passing:
                await self._part(passing.pop(0))

        async def finish() -> None:
            await part()
            while (found := next(waiting, None)) is not None:
                if await self._passes(found[1]):
                    await self._part(found[1])

        examples = [asked.number for asked in self._examples]
        if examples:
            await self._answer_all(examples, USUAL, self._own.answers, self._share(_OWN_SHARE))
        if not self._others:
            half = self._share(_SORTING_SHARE)
            await _side_by_side(lambda: sort(half))
        await self._answer()
        own, behind = self._own, len(self._examples)
        usable = [number for number in range(behind, len(self._inputs)) if own.usable(number)]
        self._comparable = [
            number for number in usable if is_askable(self._inputs[number], own.answers[number])
        ]
        self._has_answered = 2 * len(usable) >= len(self._inputs) - behind
        await asyncio.gather(*(self._compare(*counted) for counted in self._candidate_counts.items()))
        if self._others:  # that a model wrote them makes them more important than changes
            half = self._share(_SORTING_SHARE)
            await _side_by_side(lambda: sort(half))
        await _side_by_side(finish)

    def _share(self, share: float) -> float:
        """Return the time at which a share of the whole time, from now on, has passed."""
        return time.perf_counter() + share * (self._end - self._started)

    def _prepare(self) -> None:
        signature, about = self._source.signature, self._version.metadata
        examples = [example for text in self._texts for example in read_body(text, about.name).examples]
        for example in examples:
            with suppress(InvalidInput, ValueTypeError):
                bound = signature.bind(example.args, example.kwargs)
                made = make(signature, bound)
                if made is not None:
                    made = made._replace(call=example.source)
                    self._examples.append(Asked(len(self._examples), example, made))
        tree = self._source.tree or ast.Module([], [])
        self._inputs = [asked.input for asked in self._examples]
        most = _QUICK_INPUTS if self._is_quick else _INPUTS
        told = dict.fromkeys(other.parting_call for other in self._others if other.parting_call)
        self._inputs += [made for call in told if (made := fitted(signature, call)) is not None]
        known = {one.wire for one in self._inputs}
        derived = derive(signature, examples, tree, self._version.content_hash, most)
        self._inputs += [one for one in derived if one.wire not in known]

    async def _answer(self) -> None:
        """Let the tool answer the inputs, and again in another environment."""
        order = range(len(self._inputs))
        again = order[:: -_QUICK_AGAIN if self._is_quick else -1]
        other = USUAL if self._source.is_deterministic else OTHER
        end = self._share(_OWN_SHARE)
        await asyncio.gather(
            self._answer_all(order, USUAL, self._own.answers, end),
            self._answer_all(again, other, self._own.again, end),
        )

    async def _answer_all(
        self, order: Sequence[int], surroundings: Surroundings, answers: dict[int, Answer], end: float
    ) -> None:
        """Let the tool answer inputs; if one stops the process, go on with the next one."""
        left = list(order)
        for _ in range(_RESTARTS):
            seconds = end - time.perf_counter()
            if not left or seconds < _SHORTEST:
                return
            wires = [(number, self._inputs[number].wire) for number in left]
            got = await self._bench.answer(
                self._version.source,
                wires,
                seconds,
                self._each,
                patience=_PATIENCE,
                watches=True,
                surroundings=surroundings,
            )
            if not got:
                return
            answers.update(got)
            last = max(left.index(number) for number in got)
            left = left[last + 1 :]

    async def _passes(self, rival: Rival) -> bool:
        """Tell whether a rival passes the examples; count it if it fails one."""
        if not self._examples:
            return True
        answers = await self._answer_as(rival, [asked.number for asked in self._examples])
        for asked in self._examples:
            answer = answers.get(asked.number)
            if answer is None:
                return False  # it had no time to answer
            if not holds(asked.example, self._source.signature, answer.outcome()).holds:
                self._caught += 1
                self._untried -= 1
                return False
        return True

    async def _compare(self, text: str, count: int) -> None:
        """Let other candidates with the same source answer the examples and the inputs.

        They no longer count if examples were added which they don't pass.
        """
        about, own = self._version.metadata, self._own
        source = ToolSource(text, about.name)
        try:
            respondent = Respondent.of(source, about.permissions, self._sandbox)
        except SignatureError:  # another program has changed the source
            self._untried -= 1
            return
        usable = [number for number in own.answers if number >= len(self._examples) and own.usable(number)]
        if not usable and len(self._inputs) > len(self._examples):
            return  # no answer of the tool can be compared
        numbers = [*(asked.number for asked in self._examples), *usable]
        inputs = [(number, self._inputs[number]) for number in numbers]
        wires = respondent.wires(inputs, self._source.signature)
        answers = await self._ask(respondent.bench, text, wires)
        fitting = {number for number, _ in wires}
        for asked in self._examples:
            answer = answers.pop(asked.number, None)
            if answer is None and asked.number in fitting:
                return  # it had no time to answer
            if answer is None or not holds(asked.example, source.signature, answer.outcome()).holds:
                self._untried -= 1
                return
        self._untried -= 1
        differs = {number for number, answer in answers.items() if not own.answers[number].same_as(answer)}
        self._open_candidates += count if differs else 0
        # Not every answer can be asked about.
        askable = frozenset(differs & set(self._comparable))
        self._candidates.append(Parted(None, answers, askable, count))

    async def _part(self, rival: Rival) -> None:
        """Let a rival answer the inputs, and keep it if an answer differs from the tool's."""
        answers = await self._answer_as(rival, self._comparable) if self._comparable else {}
        own = self._own.answers
        differs = [number for number, answer in answers.items() if not own[number].same_as(answer)]
        if differs:
            self._parted.append(Parted(rival, answers, frozenset(differs)))
        elif not self._has_answered:
            return  # too little is known of the tool to call the rival equal
        self._untried -= 1

    async def _answer_as(self, rival: Rival, numbers: Sequence[int]) -> dict[int, Answer]:
        wires = [(number, self._inputs[number].wire) for number in numbers]
        return await self._ask(self._bench, rival.source, wires)

    async def _ask(self, bench: Bench, source: str, wires: Sequence[tuple[int, bytes]]) -> dict[int, Answer]:
        """Let a source answer inputs, with more time if a busy machine gave it too little."""
        took = [answer.ms / 1000 for number, _ in wires if (answer := self._own.answers.get(number))]
        each = min(max(_SHORTEST_EACH, 10 * max(took, default=0.0)), max(self._each, _SHORTEST_EACH))
        seconds = max(_SHORTEST_BATCH, 8 * sum(took))
        answers: dict[int, Answer] = {}
        for _ in range(_RESTARTS):
            unanswered = [(number, wire) for number, wire in wires if number not in answers]
            left = max(self._end - time.perf_counter(), _SHORTEST)
            got = await bench.answer(source, unanswered, min(seconds, left), each)
            answers |= got
            stopped = any(answer.kind in ("slow", "broken") for answer in got.values())
            if stopped or len(answers) == len(wires) or seconds >= left:
                break
            seconds *= 4
        return answers

    def result(self) -> Probe:
        """Build the result so far."""
        own = self._own
        about = self._version.metadata
        signature = self._source.signature
        return Probe(
            changes=self._caught + len(self._parted) + self._open_candidates,
            caught=self._caught,
            inputs=sum(number >= len(self._examples) for number in own.answers),
            questions=self._questions(own.answers),
            surprises=self._surprises(own, f"{signature.doc}\n{about.contract}"),
            tool=about.name,
            version=about.version,
            seconds=round(time.perf_counter() - self._started, 2),
            untried=self._untried,
            candidates=self._open_candidates,
        )

    def _questions(self, answers: Mapping[int, Answer]) -> tuple[Question, ...]:
        order = {rival: place for place, rival in enumerate(self._rivals)}
        parted = sorted(
            self._parted, key=lambda one: order[one.rival] if one.rival else 0
        )  # not as they ended
        candidates = sorted(self._candidates, key=lambda one: -one.candidates)
        return ask(self._inputs, answers, [*candidates, *parted])

    def _surprises(self, own: _Own, documented: str) -> tuple[Surprise, ...]:
        return surprises(self._inputs, own.answers, own.again, documented, self._each)


async def _side_by_side(work: Callable[[], Coroutine[None, None, None]]) -> None:
    await asyncio.gather(*(work() for _ in range(cores())))
