"""The result of a probe: how many changes the examples catch, questions about the others, and surprises."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.probing.inputs import strangeness
from fact_magics.text import one_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fact_magics.probing.inputs import Input
    from fact_magics.probing.rivals import Rival
    from fact_magics.probing.runs import Answer
    from fact_magics.store.probes import ProbeRow

_LONGEST_CALL = 300
_MOST_ANSWERS = 6
_MOST_SURPRISES = 20
_EXCEPTION = re.compile(r"\b(?:[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt)|StopIteration)\b")
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer to a question: the lines of an example that expect it, or a description of what happens.

    `voters` counts the rivals and candidates that give it, and the tool if it is its `own`. `candidates` is
    the number of candidates among them.
    """

    text: str
    own: bool
    voters: int
    candidates: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the source that passes the examples: `before`, on `line`, became `after`."""

    line: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Question:
    """A call to which the tool and some rivals give different answers; the tool's answer is the first.

    `candidates` is the number of other candidates for the tool that give a different answer.
    """

    call: str
    answers: tuple[Choice, ...]
    rivals: tuple[Change, ...]
    candidates: int = 0

    def lines(self, number: int) -> str:
        """Return the example that an answer, counted from 1, would add to a cell."""
        return f">>> {self.call}\n{self.answers[number - 1].text}"

    def as_json(self) -> dict[str, Any]:
        """Return the question as it is stored; numbers of candidates are left out where there are none."""
        about = asdict(self)
        for part in (about, *about["answers"]):
            if not part["candidates"]:
                del part["candidates"]
        return about


@dataclass(frozen=True, slots=True)
class Surprise:
    """A call that fits the signature, and what the tool did, which its user may not expect."""

    call: str
    what: str
    advice: str = ""  # a line to add to the cell

    def as_json(self) -> dict[str, str]:
        """Return the surprise as it is stored."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Probe:
    """How far the examples of a tool go.

    Attributes
    ----------
    changes : int
        The number of changes of the source that change the answer to an example or an input, and of other
        candidates that give another answer.
    caught : int
        How many of these fail an example.
    inputs : int
        How many derived inputs the tool answered.
    questions : tuple of Question
        The first one tells most of the other candidates, and then of the passing changes, from the tool.
    candidates : int
        How many of the `changes` are other candidates for the tool, which pass all examples.
    """

    changes: int
    caught: int
    inputs: int
    questions: tuple[Question, ...] = ()
    surprises: tuple[Surprise, ...] = ()
    tool: str = ""
    version: str = ""
    seconds: float = field(default=0.0, compare=False)
    untried: int = 0  # changes for which there was no time
    candidates: int = 0

    @property
    def open(self) -> int:
        """How many changes would pass the examples too."""
        return self.changes - self.caught

    @property
    def pinned(self) -> bool:
        """Whether the examples tell the tool from all changes, all of which were tried."""
        return self.caught == self.changes and not self.untried

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.untried and not self.open:
            all_ = plural(self.untried + self.changes, "change")
            why = f"there was no time for {self.untried} of {all_}"
            return f"not known yet: {why}; %fact probe {self.tool} takes more time"
        if not self.changes:
            return f"pinned · no change of its source gave another answer to {plural(self.inputs, 'input')}"
        if self.pinned:
            all_ = "the only change" if self.changes == 1 else f"all {self.changes} changes"
            return f"pinned · the examples tell it from {all_}"
        changes, passing = self.changes - self.candidates, self.open - self.candidates
        others = [plural(self.candidates, "other candidate")] if self.candidates else []
        if passing:
            others.append(f"{passing} of {plural(changes, 'change')}")
        return f"open · {' and '.join(others)} would pass too"

    @property
    def strength(self) -> str:
        """The result in two words: ``pinned 31/31`` or ``2 open``."""
        if self.untried and not self.open:
            return ""
        return f"pinned {self.caught}/{self.changes}" if self.pinned else f"{self.open} open"

    def as_json(self) -> dict[str, Any]:
        """Return the result as ``%fact probe --json`` prints it."""
        return {
            "tool": self.tool,
            "version": self.version,
            "changes": self.changes,
            "caught": self.caught,
            "inputs": self.inputs,
            "pinned": self.pinned,
            "questions": [question.as_json() for question in self.questions],
            "surprises": [{"call": one.call, "what": one.what} for one in self.surprises],
        }


def read_probe(row: ProbeRow) -> Probe | None:
    """Read a stored probe; None if the row was changed into something else."""
    try:
        questions = tuple(
            Question(
                str(question["call"]),
                tuple(
                    Choice(
                        str(one["text"]), bool(one["own"]), int(one["voters"]), int(one.get("candidates", 0))
                    )
                    for one in question["answers"]
                ),
                tuple(
                    Change(int(one["line"]), str(one["before"]), str(one["after"]))
                    for one in question["rivals"]
                ),
                int(question.get("candidates", 0)),
            )
            for question in json.loads(row.questions)
        )
        found = tuple(
            Surprise(str(one["call"]), str(one["what"]), str(one["advice"]))
            for one in json.loads(row.surprises)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return Probe(
        row.changes,
        row.caught,
        row.inputs,
        questions,
        found,
        row.tool_name,
        row.tool_version,
        row.seconds,
        row.untried,
        row.candidates,
    )


class Parted(NamedTuple):
    """A rival that passes the examples, its answers, and the numbers of the inputs on which it differs.

    Instead of a rival, it may be `candidates` with the same source, which may differ on no input.
    """

    rival: Rival | None
    answers: Mapping[int, Answer]
    differs: frozenset[int]
    candidates: int = 0

    @property
    def voters(self) -> int:
        """How many rivals or candidates these are."""
        return self.candidates or 1


def is_askable(one: Input, own: Answer) -> bool:
    """Tell whether an input can be a question: its call is short, and its answer can be written."""
    return own.text is not None and len(one.call) <= _LONGEST_CALL


def ask(inputs: Sequence[Input], own: Mapping[int, Answer], rivals: Iterable[Parted]) -> tuple[Question, ...]:
    """Choose the inputs to ask about: first the one that tells most candidates and rivals from the tool.

    An input on which the tool raises an exception other than ValueError is chosen only if no other input
    tells the same rivals from the tool. Of equally good inputs, the simplest is chosen.
    """
    everyone = list(rivals)
    left = [parted for parted in everyone if parted.differs]
    questions = []
    while left:
        counts: dict[int, tuple[int, int]] = {}
        for parted in left:
            for number in parted.differs:
                candidates, voters = counts.get(number, (0, 0))
                counts[number] = candidates + parted.candidates, voters + parted.voters

        def worth(number: int, counts: Mapping[int, tuple[int, int]] = counts) -> tuple[object, ...]:
            answer = own[number]
            is_plain = answer.error is None or answer.is_refusal
            return is_plain, counts[number], -strangeness(inputs[number].call), -number

        number = max(counts, key=worth)
        questions.append(_question(inputs[number], number, own[number], everyone))
        left = [parted for parted in left if number not in parted.differs]
    return tuple(questions)


def _question(one: Input, number: int, own: Answer, rivals: Sequence[Parted]) -> Question:
    groups: list[tuple[Answer, list[Parted]]] = [(own, [])]
    for parted in rivals:
        answer = parted.answers.get(number)
        if answer is None:
            continue
        for known, members in groups:
            if known.same_as(answer):
                members.append(parted)
                break
        else:
            groups.append((answer, [parted]))
    mine, *others = groups
    others.sort(key=lambda group: (group[0].text is None, -_voters(group[1])))
    answers = [
        Choice(
            answer.shown,
            answer is own,
            _voters(members) + (answer is own),
            sum(parted.candidates for parted in members),
        )
        for answer, members in (mine, *others[:_MOST_ANSWERS])
    ]
    changes = tuple(
        Change(parted.rival.line, parted.rival.before, parted.rival.after)
        for parted in rivals
        if number in parted.differs and parted.rival is not None
    )
    candidates = sum(parted.candidates for parted in rivals if number in parted.differs)
    return Question(one.call, tuple(answers), changes, candidates)


def _voters(members: Iterable[Parted]) -> int:
    return sum(parted.voters for parted in members)


def surprises(
    inputs: Sequence[Input],
    own: Mapping[int, Answer],
    again: Mapping[int, Answer],
    documented: str,
    each: float,
) -> tuple[Surprise, ...]:
    """List the surprises: on inputs that fit the signature, what its user may not expect.

    Parameters
    ----------
    again : mapping of int to Answer
        The answers of a second run, with the inputs in another order and with another hash seed and clock.
    documented : str
        The docstring and the examples; an exception that is named there is not a surprise.
    each : float
        The processor seconds that each input may take.
    """
    named = set(_EXCEPTION.findall(documented))
    found: dict[str, Surprise] = {}
    for number in sorted(own, key=lambda number: strangeness(inputs[number].call)):
        call, answer, other = inputs[number].call, own[number], again.get(number)
        kind, what, advice = _surprise(answer, other, named, each, call)
        if what:
            found.setdefault(kind, Surprise(call, what, advice))
        if answer.changes_input and answer.kind != "slow":
            advice = "It must not change its arguments."
            found.setdefault("mutated", Surprise(call, "changes its argument", advice))
    return tuple(found.values())[:_MOST_SURPRISES]


def _surprise(
    answer: Answer, other: Answer | None, named: set[str], each: float, call: str
) -> tuple[str, str, str]:
    refuse = f">>> {call}\nTraceback (most recent call last):\nValueError"
    if other is not None and not _is_steady(answer, other):
        what = f"gives {_short(answer)}, and {_short(other)} in another run"
        return "varies", what, "Equal calls must give equal answers, in the same order."
    if answer.kind == "slow":
        return "slow", f"does not end in time ({each:.2g} s of processor time)", refuse
    if answer.kind == "broken":
        return f"broken {answer.problem.partition(':')[0]}", answer.problem, refuse
    error = answer.error
    if error is None or answer.is_refusal or any(name.rpartition(".")[2] in named for name in error.mro):
        return "", "", ""
    what = one_line(f"raises {error.type_name}: {error.message}".rstrip(": "), 200)
    return f"{error.type_name} {_VALUES.sub('', error.message)}", what, refuse


def _is_steady(answer: Answer, other: Answer) -> bool:
    stopped = {answer.kind, other.kind} & {"slow", "long"}
    return bool(stopped) or answer.same_as(other)


def _short(answer: Answer) -> str:
    text = answer.shown.rpartition("\n")[2]
    return one_line(f"raises {text}" if answer.error is not None else text, 60)
