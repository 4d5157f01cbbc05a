"""The grammar of a cell's body: what is an example, what is prose, what is refused with its line."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from fact_magics.errors import CellError
from fact_magics.tool import Raised, Returned
from fact_magics.writing.examples import read_body


def only(body: str, name: str = "f"):
    (example,) = read_body(body, name).examples
    return example


class TestBody:
    def test_an_example_that_is_repeated_counts_once(self):
        body = read_body(">>> f(1)\n1\n\n>>> f(2)\n2\n\n>>> f(1)\n1\n\n>>> f(1)\n1.0\n", "f")
        assert [(example.line, example.source) for example in body.examples] == [
            (1, "f(1)"),
            (4, "f(2)"),
            (10, "f(1)"),
        ]

    def test_prose_and_examples_are_told_apart(self):
        body = read_body(
            "Turn a title into a slug.\n\n"
            '>>> slugify("Héllo, Wörld!")\n'
            "'hello-world'\n\n"
            '>>> slugify("")\n'
            "Traceback (most recent call last):\n"
            "ValueError\n\n"
            "Keep digits.",
            "slugify",
        )
        assert body.description == "Turn a title into a slug.\n\nKeep digits."
        first, second = body.examples
        assert first.args == ("Héllo, Wörld!",)
        assert first.expected == Returned("hello-world", "'hello-world'")
        assert first.line == 3
        assert second.expected == Raised("ValueError", None)
        assert second.line == 6

    def test_a_body_without_examples_is_all_prose(self):
        body = read_body("  Add two numbers. {{x}} {y}\n", "add")
        assert body.description == "Add two numbers. {{x}} {y}"
        assert body.examples == ()

    def test_the_next_prompt_ends_an_example_as_a_blank_line_does(self):
        body = read_body(">>> f(1)\n1\n>>> f(2)\n2", "f")
        assert [example.args for example in body.examples] == [(1,), (2,)]

    def test_calls_and_values_may_go_on_over_lines(self):
        example = only(">>> f([1,\n...    2],\n... b={'a': 1})\n[1,\n 2]\n")
        assert example.args == ([1, 2],)
        assert example.kwargs == {"b": {"a": 1}}
        assert example.expected.value == [1, 2]

    def test_indented_examples_and_windows_line_ends_are_read(self):
        assert only("    >>> f('a')\r\n    'b'\r\n").expected.value == "b"

    def test_text_that_shows_three_arrows_within_a_line_stays_prose(self):
        assert read_body("Like bash >>> but safer", "f").examples == ()

    @pytest.mark.parametrize(
        "body",
        [
            ">>> f([1,\n... 2])\n[1,\n 2]",
            ">>> f('a')\nTraceback (most recent call last):\nValueError: too short",
            ">>> f()\nTraceback (most recent call last):\njson.JSONDecodeError",
            ">>> f('''a\n... b''')\nNone",
        ],
    )
    def test_an_examples_text_reads_back_as_the_same_example(self, body):
        example = only(body)
        assert only(example.text) == example


class TestLiterals:
    @pytest.mark.parametrize(
        ("source", "value"),
        [
            ("'a' 'b'", "ab"),
            ("b'a'", b"a"),
            ("-1", -1),
            ("+1.5", 1.5),
            ("True", True),
            ("None", None),
            ("[1, (2,), {'a': {3}}]", [1, (2,), {"a": {3}}]),
            ("set()", set()),
            ("frozenset({1})", frozenset({1})),
            ("()", ()),
            ("date(2024, 2, 29)", date(2024, 2, 29)),
            ("datetime.date(2024, 2, 29)", date(2024, 2, 29)),
            ("datetime(2024, 1, 1, tzinfo=timezone.utc)", datetime(2024, 1, 1, tzinfo=UTC)),
            ("datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)", datetime(2024, 1, 1, tzinfo=UTC)),
            ("timedelta(days=-1)", timedelta(days=-1)),
            ("Decimal('1.50')", Decimal("1.50")),
            ("float('inf')", math.inf),
            ("UUID('00000000-0000-0000-0000-000000000005')", UUID(int=5)),
            ("PosixPath('a/b')", Path("a/b")),
        ],
    )  # fmt: skip
    def test_the_closed_set_is_read_on_both_sides(self, source, value):
        example = only(f">>> f({source})\n{source}")
        assert example.args == (value,)
        assert type(example.args[0]) is type(value)
        assert example.expected == Returned(value, source)

    @pytest.mark.parametrize(
        "source",
        [
            "1+2j",
            "2j",
            "1 + 1",
            "x",
            "f'{1}'",
            "...",
            "[*[1]]",
            "{**{}}",
            "print(1)",
            "__import__('os').system('true')",
            "().__class__",
            "date(2024, 13, 1)",
            "timedelta(days=10**9)",
            "timedelta(days=9999999999)",
            "Decimal('x')",
            "Decimal(0.1)",
            "float(b'nan')",
            "{[]: 1}",
            "{[]}",
            "lambda: 1",
            "[x for x in []]",
            "1 if 1 else 2",
            "nan",
            "-True",
            "datetime.now()",
            "eval('1')",
            "[" * 150 + "]" * 150,
        ],
    )
    def test_everything_else_is_refused_and_never_evaluated(self, source):
        with pytest.raises(CellError):
            read_body(f">>> f({source})\n1", "f")
        with pytest.raises(CellError):
            read_body(f">>> f(1)\n{source}", "f")


class TestExceptions:
    def test_a_message_counts_only_where_it_is_given(self):
        assert only(">>> f()\nTraceback (most recent call last):\nValueError: a: b").expected == Raised(
            "ValueError", "a: b"
        )
        assert only(">>> f()\nTraceback (most recent call last):\nValueError:").expected == Raised(
            "ValueError"
        )

    def test_frames_that_were_pasted_along_are_passed_over(self):
        body = (
            '>>> f()\nTraceback (most recent call last):\n  File "<x>", line 1, in <module>\n    f()\n'
            "  ...\nmodule.CustomError: bad\nsecond line"
        )
        assert only(body).expected == Raised("module.CustomError", "bad\nsecond line")

    @pytest.mark.parametrize(
        "tail",
        [
            "Traceback (most recent call last):",
            "Traceback (most recent call last):\n  only frames",
            "Traceback:\nValueError",
            "Traceback (most recent call last):\n12 monkeys",
        ],
    )
    def test_a_traceback_that_names_no_exception_is_refused(self, tail):
        with pytest.raises(CellError):
            read_body(f">>> f()\n{tail}", "f")


class TestRefusals:
    @pytest.mark.parametrize(
        ("example", "problem"),
        [
            (">>> x = f(1)\n1", "can.t be an assignment"),
            (">>> print(f(1))\n1", "calls print instead of f"),
            (">>> f(1) + 1\n2", "is not a call of f"),
            (">>> f(1).strip()\n2", "instead of f"),
            (">>> g(1)\n2", "calls g instead of f"),
            (">>> f(1)  # doctest: +ELLIPSIS\n2", "directives"),
            (">>> f(1); f(2)\n2", "more than one call"),
            (">>> await f(1)\n2", "without await"),
            (">>> import f\n2", "is not a call of f"),
            (">>> f(1)\n\n2", "no expected value"),
            (">>> f(1)", "no expected value"),
            (">>> f(\n2", "does not parse"),
            (">>>f(1)\n1", "the space after >>> is missing"),
            (">>>\n1", "empty"),
            (">>> f(*[1])\n1", r"can't have \* or \*\*"),
            (">>> f(**{'a': 1})\n1", r"can't have \* or \*\*"),
            (">>> f(a=1, a=2)\n1", "a twice|repeated"),
            (">>> f(1)\n1\nThen some prose", "not a literal"),
            (">>> f(1)\n1; 2", "not a literal"),
            (">>> f('\0')\n1", "does not parse"),
        ],
    )
    def test_what_is_outside_the_grammar_is_one_line_with_the_line_shown(self, example, problem):
        with pytest.raises(CellError, match=problem) as caught:
            read_body(f"Prose.\n\n{example}", "f")
        assert "Line " in caught.value.line
        shown = [" ".join(line.replace("\0", "\\x00").split()) for line in example.splitlines()]
        assert any(f": {line}. " in caught.value.line for line in (*shown, " ".join(shown[1:])))
        assert not caught.value.details

    @pytest.mark.parametrize(
        ("example", "line"),
        [
            (">>> f({{q}})\n1", 1),
            (">>> f('{{a}}', {{ q }})\n1", 1),
            (">>> {{q}}(1)\n1", 1),
            (">>> f({{q)}}\n1", 1),
            (">>> f(1)\n{{q}}", 2),
            (">>> f(1)\nThe {{q}}", 2),
            (">>> f(1)\nTraceback (most recent call last):\n{{q}}", 3),
            (">>> f({{q}})", 1),
        ],
    )
    def test_a_variable_in_an_example_is_named(self, example, line):
        """Only the description is filled in."""
        with pytest.raises(CellError, match=rf"Line {line}: an example can't contain a variable, .*q"):
            read_body(example, "f")

    def test_braces_in_a_string_are_no_variable(self):
        """A text may hold braces, so an example may be about templates."""
        assert read_body(">>> f('{{q}}')\n'{{q}}'", "f").examples[0].args == ("{{q}}",)
        with pytest.raises(CellError, match="x is not a literal"):
            read_body(">>> f('{{q}}', x)\n1", "f")

    def test_a_call_of_a_name_that_looks_the_same_says_which_character_differs(self):
        """Two names that look the same are told apart."""
        with pytest.raises(CellError, match=r"looks the same, but one of them contains U\+0430"):
            read_body(">>> p\u0430rse(1)\n1", "parse")

    @pytest.mark.parametrize(
        "line",
        [
            "* >>> f('a')",
            "- >>> f('a')",
            "1. >>> f('a')",
            "> >>> f('a')",
            "# >>> f('a')",
            "`>>> f('a')`",
            "Example: >>> f('a') gives 'a'",
            "For instance >>>f('a')",
            "| >>> await f('a') | 'a' |",
        ],
    )
    @pytest.mark.parametrize("more", ["", "\n\n>>> f('b')\n'b'\n"])
    def test_an_example_behind_other_text_is_refused(self, line, more):
        with pytest.raises(CellError, match="Line 3: an example must begin its line") as caught:
            read_body(f"Do it.\n\n{line}\n  'a'{more}", "f")
        assert f": {line}. " in caught.value.line

    @pytest.mark.parametrize(
        "body",
        [
            "Print >>> g('a') first.",
            "Shift: a >>> b",
            "Say `>>>` or `>>> ` before it.",
            ">>> f('a')\n'>>> f(1)'",
        ],
    )
    def test_other_text_with_three_arrows_is_no_example_behind_text(self, body):
        read_body(body, "f")

    def test_the_line_is_that_of_the_cell(self):
        with pytest.raises(CellError, match="Line 6:"):
            read_body("Prose.\n\n>>> f(1)\n1\n\n>>> f(x)\n1", "f")
        with pytest.raises(CellError, match="Line 4:"):
            read_body("Prose.\n\n>>> f(1,\n...   x)\n1", "f")

    def test_deep_nesting_is_an_error_and_not_a_crash(self):
        with pytest.raises(CellError):
            read_body(f">>> f({'-' * 50_000}1)\n1", "f")
