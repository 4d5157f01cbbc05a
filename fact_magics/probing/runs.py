"""Let one isolated process answer many inputs, and keep the answers so far if it is stopped."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from fact_magics.errors import InvalidResult
from fact_magics.sandbox.outcome import USUAL, Call, Outcome, Surroundings, ToolError
from fact_magics.text import one_line
from fact_magics.tool import Status
from fact_magics.values import brief
from fact_magics.values.literals import spell
from fact_magics.writing.verdict import alike, shown_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fact_magics.signature import Signature

_MEMORY_MB = 512
_USED = re.compile(r"([0-9.]+) s of processor time")
_GRACE_SECONDS = 0.2  # after its own limit, before the process is killed
_LONGEST_TEXT = 300

# Appended to a tool's source. It must not use the words that make `sandbox.frames` watch a call. What it
# prints is the tool's claim, as a result is. A tool that catches the signal is stopped by the parent.
_BATCH = """

{is_async}def {wrapper}(calls, mark, seconds, each, patience, watches):
    import json, signal, sys, time
    codec, worker = sys.modules["_fact_values.wire"], sys.modules["_fact_worker"]
    streams = sys.stdout, sys.stderr  # kept, because a stream that nobody holds closes its descriptor
    raw = sys.stdout.buffer.raw

    class Stopped(BaseException):
        pass

    class Sink:
        encoding, errors = "utf-8", "strict"
        def __getattr__(self, name):
            return self if name == "buffer" else lambda *given, **named: 0

    def stop(*_):
        raise Stopped

    def tell(*answer):
        line = memoryview(("\\n" + mark + json.dumps(answer) + "\\n").encode())
        while line:
            line = line[raw.write(line):]

    sys.stdout = sys.stderr = Sink()
    timer = getattr(signal, "ITIMER_PROF", None)
    if timer is not None:
        signal.signal(signal.SIGPROF, stop)
    end, slow = time.perf_counter() + seconds, 0
    for number, given in enumerate(calls):
        if time.perf_counter() > end or slow >= patience:
            break
        kind, text, changed = "slow", "", False
        before = codec.encode(given) if watches else None
        wall, started = time.perf_counter(), time.process_time()
        try:
            if timer is not None:
                signal.setitimer(timer, each, 0.05)
            try:
                value = {is_awaited}{name}(*given["args"], **given["kwargs"])
                kind, text = "value", codec.encode(value).decode()
            except Stopped:
                pass
            except BaseException as raised:
                names = [worker._name(base) for base in type(raised).__mro__ if base is not object]
                kind, text = "raised", json.dumps([names[0], worker._text(raised)[:500], names])
            finally:
                if timer is not None:
                    signal.setitimer(timer, 0)
        except Stopped:
            kind, text = "slow", ""
        if time.process_time() - started > each:
            kind, text = "slow", ""
        slow += kind == "slow"
        wall = time.perf_counter() - wall
        try:
            changed = watches and codec.encode(given) != before
        except BaseException:
            changed = True
        if len(text) > {longest}:
            kind, text = "long", ""
        tell(number, kind, text, round(wall * 1000, 2), changed)
"""
_LONGEST_ANSWER = 1_500  # some hundred answers must fit into the printed text that is kept


class Runs(Protocol):
    """Runs calls in isolation, as the sandbox does."""

    async def run(self, call: Call) -> Outcome:
        """Run one call."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source gave for one input.

    Attributes
    ----------
    kind : str
        ``value``; ``raised``; ``slow``: it does not end in time; ``broken``: it ended its process, reached a
        limit, or returned what its annotation does not allow; ``long``: too long to compare.
    key : str
        Equal keys of equal kinds are the same answer.
    value : object
        The returned value, as its annotation shapes it.
    """

    kind: str
    key: str = ""
    value: object = None
    error: ToolError | None = None
    ms: float = 0.0
    changes_input: bool = False
    problem: str = ""

    @property
    def text(self) -> str | None:
        """The lines below a call that expect this answer; None if no lines can."""
        if self.kind == "value":
            text = spell(self.value)
            return text if text is not None and len(text) <= _LONGEST_TEXT else None
        if self.error is not None:
            return f"Traceback (most recent call last):\n{self.error.type_name}"
        return None

    @property
    def shown(self) -> str:
        """The answer for people: the lines that expect it, or what happened instead."""
        if self.text is not None:
            return self.text
        if self.kind == "slow":
            return "does not end in time"
        return self.problem or (brief(self.value, _LONGEST_TEXT) if self.kind == "value" else self.kind)

    @property
    def is_refusal(self) -> bool:
        """Whether the input was refused with a `ValueError`."""
        return self.error is not None and "ValueError" in self.error.mro

    def same_as(self, other: Answer) -> bool:
        """Tell whether an example that expects this answer also holds on the other one.

        A derived exception holds, as in an example; messages are not compared.
        """
        if self.kind != other.kind:
            return "long" in (self.kind, other.kind)
        if self.key == other.key:
            return True
        if self.error is not None and other.error is not None:
            return self.error.type_name in other.error.mro
        return self.kind == "value" and alike(self.value, other.value)

    def outcome(self) -> Outcome:
        """Build the outcome by which an example is judged."""
        status = (
            Status.OK if self.kind == "value" else Status.TIMEOUT if self.kind == "slow" else Status.ERROR
        )
        wire = self.key.encode("utf-8", "surrogatepass") if self.kind == "value" else None
        return Outcome(status, wire, self.error, "", self.ms, None, ())


@dataclass(frozen=True, slots=True)
class Bench:
    """Runs the sources of one tool; `base` holds what all calls share."""

    sandbox: Runs
    signature: Signature
    base: Call
    _known: dict[tuple[str, str], Answer] = field(default_factory=dict)

    async def answer(
        self,
        source: str,
        wires: Sequence[tuple[int, bytes]],
        seconds: float,
        each: float,
        *,
        patience: int = 2,
        watches: bool = False,
        surroundings: Surroundings = USUAL,
    ) -> dict[int, Answer]:
        """Let a source answer inputs, given as number and canonical form, within `seconds`.

        Parameters
        ----------
        each : float
            The limit of processor seconds for one input.
        patience : int
            The number of inputs that may reach this limit before the process ends.
        watches : bool
            Whether to report inputs that the source changes. An input then counts as slow even if the process
            may only have waited for a busy processor.

        Returns
        -------
        dict
            The answers by the numbers of the inputs; inputs that it did not reach have none.
        """
        mark = secrets.token_hex(8)
        name = f"_fact_batch_{mark}"
        is_async = self.signature.is_async
        text = _BATCH.format(
            is_async="async " if is_async else "",
            is_awaited="await " if is_async else "",
            wrapper=name,
            name=self.signature.name,
            longest=_LONGEST_ANSWER,
        )
        calls = b",".join(wire for _, wire in wires)
        settings = json.dumps([mark, seconds, each, patience, watches])[1:-1].encode()
        call = replace(
            self.base,
            source=f"{source}{text}",
            function=name,
            arguments=b'{"args":[[%b],%b],"kwargs":{}}' % (calls, settings),
            timeout_seconds=seconds + _GRACE_SECONDS,
            memory_mb=_MEMORY_MB,
            surroundings=surroundings,
        )
        outcome = await self.sandbox.run(call)
        answers = self._read(outcome, mark)
        reached = max(answers, default=-1) + 1
        used = _USED.match(outcome.used)
        is_stopped = outcome.status is not Status.OK and not _is_own_end(outcome, reached)
        if is_stopped and reached < len(wires):
            kind = "slow" if outcome.status is Status.TIMEOUT else "broken"
            if kind == "broken" or watches or (used and float(used[1]) >= each):
                answers[reached] = Answer(kind, kind, problem=self._problem(outcome, name))
        return {wires[position][0]: answer for position, answer in answers.items() if position < len(wires)}

    def _read(self, outcome: Outcome, mark: str) -> dict[int, Answer]:
        """Read the answers that a batch printed, by their positions."""
        answers: dict[int, Answer] = {}
        for line in outcome.printed.split("\n"):
            if not line.startswith(mark):
                continue
            try:
                position, kind, text, ms, changed = json.loads(line[len(mark) :])
                answer = self._answer(str(kind), str(text))
                answers[int(position)] = replace(answer, ms=float(ms), changes_input=bool(changed))
            except (ValueError, TypeError):
                continue  # the tool wrote over the line
        return answers

    def _problem(self, outcome: Outcome, name: str) -> str:
        """Say in one line how a batch ended; replace the name of the batch by the tool's name."""
        return one_line(
            shown_end(outcome).removeprefix("ProcessBroke: ").replace(name, self.signature.name), 200
        )

    def _answer(self, kind: str, text: str) -> Answer:
        """Read an answer; equal texts, which most rivals give, are read once."""
        known = self._known.get((kind, text))
        if known is None:
            known = self._known[kind, text] = self._read_answer(kind, text)
        return known

    def _read_answer(self, kind: str, text: str) -> Answer:
        if kind == "value":
            try:
                value = self.signature.read_result(text.encode("utf-8", "surrogatepass"))
            except InvalidResult as invalid:
                about = invalid.message.removeprefix(f"{self.signature.name}() ").removesuffix(".")
                return _invalid(text, about)
            return Answer("value", text, value)
        if kind == "raised":
            try:
                type_name, message, mro = json.loads(text)
            except (ValueError, TypeError):
                return Answer("broken", "broken", problem="its process sent no readable answer")
            error = ToolError(str(type_name), str(message), "", tuple(map(str, mro)))
            if error.type_name == "ValueTypeError":
                return _invalid(text, f"returned a value that can't be passed on: {error.message}")
            return Answer("raised", error.type_name, error=error)
        return Answer("long" if kind == "long" else "slow", kind)


def _invalid(text: str, about: str) -> Answer:
    """Build the answer for a value that a tool must not return."""
    return Answer("broken", f"invalid {text}", problem=one_line(about, 200))


def _is_own_end(outcome: Outcome, reached: int) -> bool:
    """Tell whether the batch failed after some answers, rather than the tool."""
    return (
        bool(reached)
        and outcome.error is not None
        and outcome.error.type_name not in ("ProcessBroke", "MemoryError")
    )


def cores() -> int:
    """Return how many processes can run at the same time."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
