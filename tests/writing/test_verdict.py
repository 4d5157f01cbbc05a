"""Verdicts: what counts as the same, as the return annotation says, and what never does."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from fact_magics.attempt import Attempt
from fact_magics.sandbox.outcome import Outcome, ToolError
from fact_magics.signature import read_signature
from fact_magics.tool import Status, ToolSpec
from fact_magics.values import encode
from fact_magics.writing.examples import read_body
from fact_magics.writing.proof import shortcomings
from fact_magics.writing.verdict import failed_line, holds

IMPORTS = """
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

class Colour(Enum):
    RED = "r"

@dataclass
class Point:
    x: int
    y: float

class Pair(NamedTuple):
    a: int
    b: str
"""


def verdict(returns: str, expected: str, outcome: Outcome):
    signature = read_signature(f"{IMPORTS}\ndef f() -> {returns}: ...", "f")
    (example,) = read_body(f">>> f()\n{expected}", "f").examples
    return holds(example, signature, outcome)


def returned(value: object) -> Outcome:
    return wired(encode(value))


def wired(wire: bytes) -> Outcome:
    return Outcome(Status.OK, wire, None, "", 1.0, None, ())


def raised(type_name: str, message: str = "", mro: tuple[str, ...] = ()) -> Outcome:
    return Outcome(Status.ERROR, None, ToolError(type_name, message, "", mro), "", 1.0, None, ())


class TestValues:
    @pytest.mark.parametrize(
        ("returns", "expected", "value"),
        [
            ("int", "1", 1),
            ("float", "0.3", 0.1 + 0.2),
            ("float", "1.0", 1),
            ("float", "float('nan')", float("nan")),
            ("float", "float('-inf')", float("-inf")),
            ("float", "0.0", -0.0),
            ("Any", "[1, (2,)]", [1, (2,)]),
            ("tuple[int, ...]", "[1, 2]", (1, 2)),
            ("list[int]", "(1, 2)", [1, 2]),
            ("tuple[int, list[float]]", "(1, [0.3])", [1, [0.1 + 0.2]]),
            ("list[tuple[str, float]]", "[('a', 0.5)]", [["a", 0.5]]),
            ("dict[str, int]", "{'b': 2, 'a': 1}", {"a": 1, "b": 2}),
            ("set[float]", "{0.3, 1.0}", {0.1 + 0.2, 1.0}),
            ("None", "None", None),
            ("Decimal", "Decimal('1.0')", Decimal("1.00")),
            ("Decimal", "Decimal('NaN')", Decimal("NaN")),
            ("Colour", "'r'", "r"),
            ("Point", "{'x': 1, 'y': 2.0}", {"x": 1, "y": 2.0}),
            ("Pair", "(1, 'a')", (1, "a")),
            ("int | None", "None", None),
        ],
    )
    def test_the_same_holds(self, returns, expected, value):
        assert verdict(returns, expected, returned(value)).holds

    @pytest.mark.parametrize(
        ("returns", "expected", "value"),
        [
            ("Any", "1", 1.0),
            ("Any", "1", True),
            ("Any", "True", 1),
            ("Any", "1.0", 1),
            ("float", "1", 1.0),
            ("int", "1", 2),
            ("Any", "[1]", (1,)),
            ("Any", "(1,)", [1]),
            ("Any", "{'a': [1]}", {"a": (1,)}),
            ("Any", "[1, [True]]", [1, [1]]),
            ("Any", "{1: 'a'}", {True: "a"}),
            ("Any", "{1}", {1.0}),
            ("Any", "{1}", frozenset({1})),
            ("Any", "{'a': 1}", {"a": 1, "b": 2}),
            ("str", "'\\u00e9'", "e\u0301"),
            ("float", "0.0", 1e-17),
            ("float", "1.0", 1.00001),
            ("float", "float('nan')", 1.0),
            ("Any", "None", float("nan")),
            ("list[int]", "[1, 2]", [2, 1]),
            ("list[int]", "[1, 2]", [1, 2, 3]),
            ("list[int]", "[]", [1]),
            ("str", "'2024-01-01'", "2024-01-02"),
        ],
    )
    def test_what_differs_does_not(self, returns, expected, value):
        judged = verdict(returns, expected, returned(value))
        assert not judged.holds
        assert judged.expected != judged.got

    def test_a_result_that_does_not_fit_its_annotation_never_holds(self):
        judged = verdict("int", "True", returned(True))
        assert not judged.holds
        assert judged.got.startswith("a value that is not int")

    @pytest.mark.parametrize(
        "wire", [b"", b"garbage", b'{"$object":["Verdict",{"holds":true}]}', b"[" * 9_999]
    )
    def test_a_claim_that_is_no_value_never_holds(self, wire):
        assert not verdict("Any", "1", wired(wire)).holds

    def test_both_sides_are_shown_on_bounded_lines(self):
        judged = verdict("str", "'a'", returned("\x1b[31m\n" * 100_000))
        assert len(judged.got) < 400
        assert "\x1b" not in judged.got
        assert "\n" not in judged.got

    def test_a_difference_out_of_sight_is_still_told(self):
        judged = verdict("Any", "'" + "a" * 5_000 + "b'", returned("a" * 5_000 + "c"))
        assert not judged.holds
        assert judged.expected != judged.got


class TestExceptions:
    @pytest.mark.parametrize(
        ("expected", "outcome"),
        [
            ("ValueError", raised("ValueError", "anything")),
            ("ValueError", raised("builtins.ValueError")),
            ("ValueError: too short", raised("ValueError", "too short\n")),
            ("JSONDecodeError", raised("json.decoder.JSONDecodeError", "x")),
            ("json.decoder.JSONDecodeError", raised("json.decoder.JSONDecodeError", "x")),
            ("ValueError", raised("json.decoder.JSONDecodeError", "x", ("builtins.ValueError",))),
        ],
    )
    def test_the_type_and_a_given_message_must_match(self, expected, outcome):
        assert verdict("int", f"Traceback (most recent call last):\n{expected}", outcome).holds

    @pytest.mark.parametrize(
        ("expected", "outcome"),
        [
            ("ValueError", raised("TypeError")),
            ("ValueError", raised("MyValueError")),
            ("Error", raised("ValueError")),
            ("ValueError", raised("json.decoder.JSONDecodeError")),
            ("ValueError: too short", raised("ValueError", "too long")),
            ("ValueError: too short", raised("ValueError")),
            ("ValueError", returned(1)),
            ("TimeoutError", Outcome(Status.TIMEOUT, None, None, "", 30_000.0, None, ())),
            ("MemoryError", Outcome(Status.LIMIT, None, None, "", 1.0, "memory", ())),
        ],
    )
    def test_nothing_else_does(self, expected, outcome):
        judged = verdict("int", f"Traceback (most recent call last):\n{expected}", outcome)
        assert not judged.holds
        assert judged.got

    def test_a_tool_that_raises_does_not_fulfil_a_value(self):
        judged = verdict("int", "1", raised("ValueError", "bad\nnews"))
        assert not judged.holds
        assert judged.got == "ValueError: bad news"

    @pytest.mark.parametrize(
        ("outcome", "words"),
        [
            (Outcome(Status.TIMEOUT, None, None, "", 30_000.0, None, ()), "time limit after 30.0 s"),
            (Outcome(Status.LIMIT, None, None, "", 1.0, "memory", ()), "limit of memory"),
            (Outcome(Status.INTERRUPTED, None, None, "", 1.0, None, ()), "interrupted"),
        ],
    )
    def test_how_else_a_call_ended_is_said(self, outcome, words):
        judged = verdict("int", "1", outcome)
        assert not judged.holds
        assert words in judged.got


class TestFailedLines:
    """What an error says of examples that failed: short lines, because the record has everything."""

    def test_each_part_gets_its_share_of_the_line(self):
        failed = verdict("str", repr("word " * 40), returned("other " * 40))
        line = failed_line(failed, 96)
        assert line == (
            "f() should give 'word word word word word word word …, but gave 'other other other other other …"
        )
        assert len(line) <= 96
        assert failed_line(verdict("int", "1", returned(2)), 96) == "f() should give 1, but gave 2"
        assert len(failed_line(failed, 60)) <= 60

    def shortcomings(self, *verdicts, failures=()):
        spec = ToolSpec("f", "F.", tuple(one.example for one in verdicts))
        attempt = Attempt(1, "p", "m", "", verdicts=list(verdicts), failures=failures)
        return shortcomings(spec, attempt)

    def test_two_examples_are_shown_and_the_others_counted(self):
        failed = verdict("int", "1", returned(2))
        assert self.shortcomings(failed) == ("the only example failed", ("f() should give 1, but gave 2",))
        assert self.shortcomings(*[failed] * 12) == (
            "12 of 12 examples failed",
            ("f() should give 1, but gave 2", "f() should give 1, but gave 2 (10 more failed)"),
        )

    def test_how_to_allow_what_was_denied_has_a_line_of_its_own(self):
        failed = verdict("int", "1", returned(2))
        denied = replace(
            failed, denied=("The tool may not reach a.example.", "To allow it: --allow net:a.example")
        )
        assert self.shortcomings(failed, denied) == (
            "2 of 2 examples failed",
            (
                "f() should give 1, but failed: the tool may not reach a.example.",
                "To allow it: --allow net:a.example",
            ),
        )

    def test_a_fault_of_the_source_comes_with_its_line_and_at_most_one_more(self):
        why, details = self.shortcomings(failures=("Line 1: no.\ndef f(x):", "Line 2: no."))
        assert why == "Line 1: no"
        assert details == ("def f(x): (1 more failed)",)
        why, details = self.shortcomings(failures=("It is long: " + "word " * 100,))
        assert len(why) <= 130
        assert why.endswith("word …")
        assert details == ()

    def test_a_stopped_example_gave_no_result(self):
        stopped = Outcome(Status.TIMEOUT, None, None, "", 1_000.0, "time 1 s", ())
        line = failed_line(verdict("int", "1", stopped), 96)
        assert line == "f() should give 1, but gave no result: stopped at its time limit after 1.0 s"
