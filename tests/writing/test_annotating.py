"""Signatures that a model left incomplete: what the examples, the default and the docstring show."""

from __future__ import annotations

import pytest

from fact_magics.signature.source import ToolSource
from fact_magics.writing.annotating import complete, signature_line, type_of
from fact_magics.writing.examples import read_body


def completed(source: str, examples: str = ""):
    return complete(ToolSource(source, "f"), read_body(f"Do it.\n\n{examples}", "f").examples)


def head(source: str, examples: str = "") -> str:
    found = completed(source, examples).source
    assert found.signature
    return next(line for line in found.text.splitlines() if "def f(" in line)


class TestExamples:
    @pytest.mark.parametrize(
        ("source", "examples", "expected"),
        [
            ("def f(n):\n    return n", ">>> f(1)\n2\n", "def f(n: int) -> int:"),
            ("def f(n: int):\n    return n", ">>> f(1)\n'a'\n", "def f(n: int) -> str:"),
            ("def f(n) -> int:\n    return n", ">>> f(n='a')\n2\n", "def f(n: str) -> int:"),
            ("def f(a, b=2):\n    return a", ">>> f('x')\n'x'\n", "def f(a: str, b: int=2) -> str:"),
            (
                "def f(a, *, b=None):\n    return a",
                ">>> f(1, b=2)\n3\n",
                "def f(a: int, *, b: int | None=None) -> int:",
            ),
            (
                "def f(n):\n    return n",
                ">>> f(1)\n1\n\n>>> f(1.5)\n1.5\n",
                "def f(n: int | float) -> float:",
            ),
            ("def f(n):\n    return n", ">>> f(True)\nNone\n", "def f(n: bool) -> None:"),
            ("def f(n):\n    return n", ">>> f('')\nNone\n\n>>> f('a')\n1\n", "def f(n: str) -> int | None:"),
            (
                "def f(n):\n    return n",
                ">>> f([1])\n[]\n\n>>> f([])\n['a']\n",
                "def f(n: list[int]) -> list[str]:",
            ),
            (
                "def f(n):\n    return n",
                ">>> f({'a': [1]})\n(1, 'a')\n",
                "def f(n: dict[str, list[int]]) -> tuple[int, str]:",
            ),
            (
                "def f(n):\n    return n",
                ">>> f((1,))\n()\n\n>>> f((1, 2))\n()\n",
                "def f(n: tuple[int, ...]) -> tuple:",
            ),
            ("def f(n):\n    return n", ">>> f([])\n{}\n", "def f(n: list) -> dict:"),
            ("def f(n):\n    return n", ">>> f({1})\nb'x'\n", "def f(n: set[int]) -> bytes:"),
            ("async def f(n):\n    return n", ">>> f(1)\n1\n", "async def f(n: int) -> int:"),
            (
                "def f(n = {':': 1}):\n    return n",
                ">>> f({})\n1\n",
                "def f(n: dict[str, int] = {':': 1}) -> int:",
            ),
            ("def f(ñ, b):\n    return b", ">>> f(1, 'x')\n'x'\n", "def f(ñ: int, b: str) -> str:"),
        ],
    )
    def test_types_are_read_off_the_examples_and_the_defaults(self, source, examples, expected):
        assert head(source, examples) == expected

    def test_types_of_the_standard_library_are_imported(self):
        source = '"""Module."""\nfrom __future__ import annotations\ndef f(day):\n    return day\n'
        found = completed(source, ">>> f(date(2024, 1, 2))\nDecimal('1.5')\n").source.text
        assert found == (
            '"""Module."""\nfrom __future__ import annotations\nfrom decimal import Decimal\nfrom datetime import date\n'
            "def f(day: date) -> Decimal:\n    return day\n"
        )

    def test_a_head_of_several_lines_is_completed(self):
        source = "def f(\n    a,  # the first: a\n    b={1: 2},\n):\n    return a\n"
        found = completed(source, ">>> f('x')\n1\n").source.text
        assert found.startswith(
            "def f(\n    a: str,  # the first: a\n    b: dict[int, int]={1: 2},\n) -> int:\n"
        )

    def test_what_is_complete_stays_as_it_is(self):
        source = ToolSource("def f(n: int) -> int:\n    return n\n", "f")
        assert complete(source, read_body(">>> f(1)\n1\n", "f").examples).source is source

    def test_the_last_definition_counts(self):
        found = completed(
            "def f(a):\n    return a\n\n\ndef f(b):\n    return b\n", ">>> f(1)\n1\n"
        ).source.text
        assert "def f(b: int) -> int:" in found
        assert "def f(a):" in found

    def test_what_was_added_is_told(self):
        [note] = completed("def f(n, b: int = 1):\n    return n", ">>> f('a')\n2\n").notes
        assert note == "types that the examples or the source show: n: str, result: int"

    @pytest.mark.parametrize(
        ("source", "line"),
        [
            ("import datetime\n\ndef f(date):\n    return date\n", "def f(date: date) -> int:"),
            ("import datetime\n\ndef f(d):\n    return d\n", "def f(d: date) -> int:"),
            ("def f(d):\n    date = d\n    return date\n", "def f(d: date) -> int:"),
            ("from datetime import date\n\ndef f(d):\n    return d\n", "def f(d: date) -> int:"),
        ],
    )
    def test_a_type_is_spelled_as_the_module_knows_it(self, source, line):
        assert head(source, ">>> f(date(2024, 1, 2))\n1\n") == line

    def test_a_type_that_is_named_as_its_module_is_spelled_with_it(self):
        line = head("import datetime\n\ndef f(d):\n    return d\n", ">>> f(datetime(2024, 1, 2))\n1\n")
        assert line == "def f(d: datetime.datetime) -> int:"

    def test_a_name_that_means_something_else_there_is_not_used(self):
        found = completed("date = 3\n\ndef f(d):\n    return d\n", ">>> f(date(2024, 1, 2))\n1\n")
        assert "def f(d: TYPE) -> int:" in found.missing

    def test_an_empty_iterable_shows_no_type(self):
        assert type_of([]) == ""
        assert type_of([None]) == ""
        assert type_of([None], is_result=True) == "None"


class TestSignatureLine:
    @pytest.mark.parametrize(
        ("examples", "line"),
        [
            (
                ">>> f('Héllo')\n'hello'\n\n>>> f('')\nTraceback (most recent call last):\nValueError\n",
                "def f(text: str) -> str:",
            ),
            (">>> f(1, 2, 'a')\n[1.5]\n", "def f(number: int, number2: int, text: str) -> list[float]:"),
            (
                ">>> f([1], sep='-')\n'1'\n\n>>> f([2])\n'2'\n",
                "def f(items: list[int], sep: str = ...) -> str:",
            ),
            (">>> f(a=1)\nNone\n", "def f(a: int) -> None:"),
            (">>> f(1, number=2)\n3\n", "def f(number2: int, number: int) -> int:"),
            (">>> f(None)\nTraceback (most recent call last):\nValueError\n", "def f(value: Any) -> TYPE:"),
            (">>> f(1)\n1\n\n>>> f(1, 2)\n3\n", ""),
            ("", ""),
        ],
    )
    def test_a_signature_is_read_off_the_examples(self, examples, line):
        assert signature_line("f", read_body(f"Do it.\n\n{examples}", "f").examples) == line


class TestSource:
    NUMPY = """
def f(text, n=None, other=None):
    '''Do it.

    Parameters
    ----------
    text : str
        Text.
    n : int, optional
        Number.
    other : whatever it is
        Other.

    Returns
    -------
    list[str]
        Texts.
    '''
    return [text]
"""

    def test_a_numpy_docstring_gives_types(self):
        found = completed(self.NUMPY.replace(", other=None", ""))
        assert "def f(text: str, n: int=None) -> list[str]:" in found.source.text
        assert found.source.signature.text == "f(text: str, n: int | None = None) -> list[str]"
        assert found.missing == ""

    def test_a_google_docstring_gives_types(self):
        source = "def f(a, b):\n    '''Do.\n\n    Args:\n        a (int): First.\n        b (str, optional): Second.\n\n    Returns:\n        bool: Whether.\n    '''\n    return True\n"
        assert head(source) == "def f(a: int, b: str) -> bool:"

    def test_a_type_comment_gives_types(self):
        source = "def f(a, b):\n    # type: (int, str) -> bool\n    return True\n"
        assert head(source) == "def f(a: int, b: str) -> bool:"

    def test_the_examples_count_more_than_the_docstring(self):
        found = head(self.NUMPY.replace(", other=None", ""), ">>> f(b'x', 1.5)\n['x']\n")
        assert found == "def f(text: bytes, n: float | None=None) -> list[str]:"

    @pytest.mark.parametrize(
        ("hint", "means"),
        [
            ("any", "Any"),
            ("dict[str, any]", "dict[str, Any]"),
            ("Union[int, str]", "int | str"),
            ("Optional[List[int]]", "list[int] | None"),
            ("string", "str"),
            ("number", "int | float"),
            ("numbers.Real", "int | float"),
            ("date", "date"),
        ],
    )
    def test_names_that_are_not_imported_are_read_as_what_they_mean(self, hint, means):
        found = completed(f"def f(x: {hint}) -> {hint}:\n    return x\n")
        assert found.source.signature.text.startswith(f"f(x: {means})")
        exec(found.source.text, {})  # noqa: S102 - Python must know every name in it

    def test_numbers_are_read_as_numbers(self):
        for head_, name in (("import numbers", "numbers.Number"), ("from numbers import Number", "Number")):
            found = completed(f"{head_}\n\ndef f(x: {name}) -> {name}:\n    return x\n")
            assert found.source.signature.text == "f(x: int | float) -> int | float"

    def test_a_parameter_may_have_the_name_that_its_annotation_has(self):
        assert head("def f(string: string) -> any:\n    return string\n") == "def f(string: str) -> Any:"

    def test_a_module_of_that_name_is_no_type(self):
        source = "import string\n\ndef f(x: string.Formatter) -> int:\n    return 1\n"
        assert completed(source).source.text == source

    def test_own_names_are_left(self):
        source = "class any:\n    pass\n\n\nstring = int\n\n\ndef f(x: string) -> int:\n    return x\n"
        assert completed(source).source.text == source


class TestMissing:
    def test_a_type_that_nothing_shows_is_asked_for_with_the_whole_line(self):
        found = completed("import re\n\n\ndef f(a, b: int, *, c=None):\n    return a\n")
        assert found.missing == (
            "Line 4: a type is missing, which the examples do not show. Write the line as "
            "def f(a: TYPE, b: int, *, c: TYPE=None) -> TYPE: and replace TYPE."
        )
        assert "def f(a: Any, b: int, *, c: Any=None) -> Any:" in found.source.text

    @pytest.mark.parametrize(
        "source", ["def g(n):\n    return n", "def f(", "class f:\n    pass", "f = print"]
    )
    def test_a_source_without_the_function_is_left(self, source):
        assert completed(source).source.text == source

    @pytest.mark.parametrize(
        "source", ["def f(*a):\n    return a", "def f(**a):\n    return a", "def f(a, /):\n    yield a"]
    )
    def test_forms_that_are_refused_are_left_to_the_checks(self, source):
        assert completed(source, ">>> f(1)\n1\n").source.tree is not None
