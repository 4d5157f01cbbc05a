"""Probe a tool: run it and its rivals on the examples and on derived inputs, within a given time."""

from __future__ import annotations

import ast
import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.errors import InvalidInput
from fact_magics.events import Listener, PhaseChanged
from fact_magics.probing.inputs import Input, derive, make
from fact_magics.probing.questions import Parted, Probe, Question, Surprise, ask, is_askable, surprises
from fact_magics.probing.rivals import Rival, rivals_of
from fact_magics.probing.runs import Answer, Bench, Runs
from fact_magics.sandbox.outcome import USUAL, Call, Surroundings
from fact_magics.signature.source import ToolSource
from fact_magics.values import ValueTypeError
from fact_magics.writing.determinism import OTHER
from fact_magics.writing.examples import read_body
from fact_magics.writing.verdict import holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fact_magics.tool import Example, ToolVersion

_OWN_SHARE = 0.35  # of the time is for the tool itself, the rest for its rivals
_EACH_SHARE = 0.1  # of the time is for one input of the tool
_LONGEST_EACH = 1.0
_SHORTEST = 0.05  # seconds that a rival may take for all inputs, and processor seconds for one of them
_SHORTEST_EACH = 0.02
_RESTARTS = 3
_PATIENCE = 4


class Asked(NamedTuple):
    """An example and its input as the sandbox takes it, with its number among all inputs."""

    number: int
    example: Example
    input: Input


@dataclass(slots=True)
class _Own:
    """The tool's own answers, in order and then in another order and other surroundings."""

    answers: dict[int, Answer] = field(default_factory=dict)
    again: dict[int, Answer] = field(default_factory=dict)
    took: float = 0.0

    def usable(self, number: int) -> bool:
        """Tell whether rivals can be compared with the answer to an input."""
        answer, other = self.answers.get(number), self.again.get(number)
        if answer is None or answer.kind not in ("value", "raised"):
            return False
        return other is None or other.kind == "slow" or answer.same_as(other)


async def probe(version: ToolVersion, sandbox: Runs, seconds: float, emit: Listener) -> Probe:
    """Find out how far the examples of a version go.

    Parameters
    ----------
    seconds : float
        The whole time. What is found until then is returned.
    """
    prober = _Prober(version, sandbox, seconds, emit)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await prober.run()
    return prober.result()


class _Prober:
    def __init__(self, version: ToolVersion, sandbox: Runs, seconds: float, emit: Listener) -> None:
        about = version.metadata
        self._version, self._emit = version, emit
        self._started = time.perf_counter()
        self._end = self._started + seconds
        self._source = source = ToolSource(version.source, about.name)
        self._each = min(_EACH_SHARE * seconds, _LONGEST_EACH)
        base = Call(version.source, about.name, b"", permissions=about.permissions, imports=source.imports)
        self._bench = Bench(sandbox, source.signature, base)
        self._examples: list[Asked] = []
        self._inputs: list[Input] = []
        self._own = _Own()
        self._comparable: list[int] = []  # the inputs on which rivals are compared with the tool
        self._caught = 0
        self._parted: list[Parted] = []

    async def run(self) -> None:
        """Answer the inputs, then let the rivals answer them."""
        if self._source.signature.takes_paths:
            return
        self._prepare()
        self._emit(PhaseChanged("probing"))
        await self._answer()
        own, behind = self._own, len(self._examples)
        self._comparable = [
            number
            for number in own.answers
            if number >= behind
            and own.usable(number)
            and is_askable(self._inputs[number], own.answers[number])
        ]
        rivals = rivals_of(self._version.source)
        waiting = iter(enumerate(rivals, start=1))

        async def work() -> None:
            for number, rival in waiting:
                self._emit(PhaseChanged("probing", f"{number}/{len(rivals)}"))
                await self._try(rival)

        await asyncio.gather(*(work() for _ in range(_cores())))

    def _prepare(self) -> None:
        signature, about = self._source.signature, self._version.metadata
        examples = read_body(about.contract, about.name).examples
        for example in examples:
            with suppress(InvalidInput, ValueTypeError):
                bound = signature.bind(example.args, example.kwargs)
                made = make(signature, bound)
                if made is not None:
                    made = made._replace(call=example.source)
                    self._examples.append(Asked(len(self._examples), example, made))
        tree = self._source.tree or ast.Module([], [])
        self._inputs = [asked.input for asked in self._examples]
        self._inputs += derive(signature, examples, tree, self._version.content_hash)

    async def _answer(self) -> None:
        numbers = range(len(self._inputs))
        seconds = _OWN_SHARE * (self._end - self._started)
        other = USUAL if self._source.is_deterministic else OTHER

        async def once(order: Sequence[int], surroundings: Surroundings, answers: dict[int, Answer]) -> None:
            await self._answer_all(order, surroundings, answers, time.perf_counter() + seconds)

        started = time.perf_counter()
        again = asyncio.ensure_future(once(numbers[::-1], other, self._own.again))
        try:
            await once(numbers, USUAL, self._own.answers)
            self._own.took = time.perf_counter() - started
            await asyncio.wait((again,), timeout=max(0.0, started + seconds - time.perf_counter()))
        finally:
            again.cancel()
            await asyncio.gather(again, return_exceptions=True)

    async def _answer_all(
        self, order: Sequence[int], surroundings: Surroundings, answers: dict[int, Answer], end: float
    ) -> None:
        """Answer inputs; after one that stopped the process, go on with those behind it."""
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

    async def _try(self, rival: Rival) -> None:
        """Let a rival answer the examples, and if it passes them, the derived inputs."""
        examples = [asked.number for asked in self._examples]
        answers = await self._answer_as(rival, examples) if examples else {}
        for asked in self._examples:
            answer = answers.get(asked.number)
            if answer is None:
                return  # it had no time to answer the examples
            if not holds(asked.example, self._source.signature, answer.outcome()).holds:
                self._caught += 1
                return
        answers = await self._answer_as(rival, self._comparable)
        own = self._own.answers
        differs = [number for number, answer in answers.items() if not answer.same_as(own[number])]
        if differs:
            self._parted.append(Parted(rival, answers, frozenset(differs)))

    async def _answer_as(self, rival: Rival, numbers: Sequence[int]) -> dict[int, Answer]:
        took = [answer.ms / 1000 for number in numbers if (answer := self._own.answers.get(number))]
        each = min(max(_SHORTEST_EACH, 10 * max(took, default=0.0)), max(self._each, _SHORTEST_EACH))
        left = max(self._end - time.perf_counter(), _SHORTEST)
        seconds = min(max(2 * _SHORTEST, 4 * sum(took)), left)
        wires = [(number, self._inputs[number].wire) for number in numbers]
        return await self._bench.answer(rival.source, wires, seconds, each)

    def result(self) -> Probe:
        """Build what was found so far."""
        own = self._own
        about = self._version.metadata
        signature = self._source.signature
        return Probe(
            changes=self._caught + len(self._parted),
            caught=self._caught,
            inputs=sum(number >= len(self._examples) for number in own.answers),
            questions=self._questions(own.answers),
            surprises=self._surprises(own, f"{signature.doc}\n{about.contract}"),
            tool=about.name,
            version=about.version,
            seconds=round(time.perf_counter() - self._started, 2),
        )

    def _questions(self, answers: Mapping[int, Answer]) -> tuple[Question, ...]:
        return ask(self._inputs, answers, self._parted)

    def _surprises(self, own: _Own, documented: str) -> tuple[Surprise, ...]:
        return surprises(self._inputs, own.answers, own.again, documented, self._each)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
