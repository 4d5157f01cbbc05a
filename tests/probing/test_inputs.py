"""Derived inputs: what they come from, that they fit, and that they are the same everywhere."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest

from fact_magics.probing.inputs import derive, make
from fact_magics.signature.source import ToolSource
from fact_magics.writing.examples import read_body

SOURCE = '''
from typing import Annotated, Literal
from pydantic import Field

def f(text: str, size: Annotated[int, Field(ge=1, le=9)] = 4, how: Literal["a", "b"] = "a") -> str:
    """Do something."""
    return "--" + text[:size]
'''
CONTRACT = '>>> f("one two", 3)\n"x"\n\n>>> f("zz", how="b")\n"y"\n'


def calls(source: str = SOURCE, contract: str = CONTRACT, name: str = "f", seed: str = "s") -> list[str]:
    tool = ToolSource(source, name)
    examples = read_body(contract, name).examples
    return [one.call for one in derive(tool.signature, examples, tool.tree, seed)]


def test_inputs_come_from_the_examples_the_types_the_bounds_and_the_constants():
    found = calls()
    for call in (
        "f('zz', 3)",  # recombined
        "f('', 3)",
        "f('two one', 3)",
        "f('one two', 4)",  # one step beside
        "f('one two', 9)",  # a bound
        "f('--', 3)",  # a constant of the source
        "f('zz', how='a')",
        "f('one two')",  # a default
    ):
        assert call in found, call


def test_every_input_fits_the_signature_and_reads_back():
    for call in calls():
        (example,) = read_body(f">>> {call}\n1", "f").examples
        tool = ToolSource(SOURCE, "f")
        tool.signature.validate(tool.signature.bind(example.args, example.kwargs))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "date(9999, 12, 31)"),
        ("date", "date(1, 1, 1)"),
        ("datetime", "datetime(9999, 12, 31, 23, 59, 59)"),
        ("timedelta", "timedelta(999999999)"),
        ("timedelta", "timedelta(-999999999)"),
        ("Decimal", 'Decimal("9E+999999")'),
        ("Decimal", 'Decimal("NaN")'),
        ("float", "1e308"),
        ("int", "1" + "0" * 400),
        ("str", "'x²'"),
    ],
)
def test_values_at_the_end_of_their_range_have_neighbours_too(kind: str, value: str):
    source = (
        "from datetime import date, datetime, timedelta\nfrom decimal import Decimal\n\n"
        f"def f(first: {kind}, second: {kind}) -> float:\n    return 1{'0' * 400} + float('inf')\n"
    )
    assert len(calls(source, f">>> f({value}, {value})\n1.0\n")) > 10


def test_no_input_comes_twice_or_is_an_example():
    found = calls()
    assert len(set(found)) == len(found)
    assert not {"f('one two', 3)", "f('zz', how='b')"} & set(found)


def test_the_same_tool_gets_the_same_inputs_in_another_process():
    program = f"import sys; sys.path[:0] = {[sys.path[0], 'tests/probing']!r}; import test_inputs; print(test_inputs.calls())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {f"{calls()}\n"}


def test_another_seed_gives_other_inputs():
    assert calls(seed="s") != calls(seed="t")


@pytest.mark.parametrize(
    ("annotation", "example", "expected"),
    [
        ("list[int]", "[3, 1, 2]", ["f([])", "f([1, 2])", "f([2, 1, 3])", "f([3, 3])", "f([1, 2, 3])"]),
        ("dict[str, int]", '{"a": 1}', ["f({})", "f({'a': 2})", "f({'a': 0})"]),
        ("float", "2.5", ["f(3.5)", "f(-2.5)", "f(0.0)", 'f(float("nan"))']),
        ("int | None", "4", ["f(5)", "f(None)", "f(0)"]),
        ("tuple[int, str]", '(1, "x")', ["f((2, 'x'))"]),
        ("set[int]", "{1, 2}", ["f(set())", "f({1})"]),
        ("bool", "True", ["f(False)"]),
    ],
)
def test_each_type_has_its_edges_and_neighbours(annotation, example, expected):
    found = calls(f"def f(value: {annotation}) -> int:\n    return 1\n", f">>> f({example})\n1\n")
    assert [call for call in expected if call not in found] == []


def test_dates_have_neighbours_and_ends_of_months():
    source = "from datetime import date\n\ndef f(day: date) -> int:\n    return 1\n"
    found = calls(source, ">>> f(date(2023, 5, 10))\n1\n")
    assert {"f(date(2023, 5, 11))", "f(date(2024, 2, 29))", "f(date(2023, 12, 31))"} <= set(found)
    (example,) = read_body(f">>> {found[0]}\n1", "f").examples
    assert isinstance(example.args[0], date)


def test_arguments_are_related_to_each_other():
    found = calls("def f(a: int, b: int) -> int:\n    return 1\n", ">>> f(3, 8)\n1\n")
    assert {"f(8, 8)", "f(3, 3)", "f(7, 8)"} <= set(found)


def test_a_default_is_left_to_the_source():
    tool = ToolSource("def f(a: int, b: int = 7) -> int:\n    return a\n", "f")
    made = make(tool.signature, {"a": 1})
    assert made is not None
    assert b"7" not in made.wire


def test_without_examples_inputs_come_from_the_types():
    assert "f('a b')" in calls("def f(text: str) -> int:\n    return 1\n", "")
