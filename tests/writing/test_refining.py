"""Which examples of a tool and of a wish are examples of the same call."""

from __future__ import annotations

import pytest

from fact_magics.signature import read_signature
from fact_magics.writing.examples import read_body
from fact_magics.writing.refining import merged_examples

SIGNATURE = read_signature("def f(n: float, k: int = 1) -> float:\n    return n\n", "f")


def merged(earlier: str, given: str, signature=SIGNATURE):
    examples, changes = merged_examples(
        read_body(earlier, "f").examples, read_body(given, "f").examples, signature
    )
    return [example.text.removeprefix(">>> ").replace("\n", " ") for example in examples], list(changes)


@pytest.mark.parametrize("call", ["f(1)", "f(1.0)", "f(n=1)", "f( 1 )"])
def test_the_same_call_is_recognised_however_it_is_written(call):
    assert merged(">>> f(1)\n1.0\n\n>>> f(2)\n2.0", f">>> {call}\n3.0") == (
        [f"{call} 3.0", "f(2) 2.0"],
        [f"{call} now gives 3.0; the earlier example gives 1.0"],
    )


@pytest.mark.parametrize("call", ["f(1, 1)", "f(-1)", "f(True)", "f('1')"])
def test_other_calls_are_added(call):
    assert merged(">>> f(1)\n1.0", f">>> {call}\n3.0") == (["f(1) 1.0", f"{call} 3.0"], [])


def test_the_same_value_changes_nothing_not_even_how_the_example_is_written():
    assert merged(">>> f(1)\n1.0", ">>> f(n=1)\n1.00") == (["f(1) 1.0"], [])


def test_an_error_may_replace_a_value_and_the_other_way_round():
    error = "Traceback (most recent call last):\nValueError: too small"
    assert merged(">>> f(1)\n1.0", f">>> f(1)\n{error}")[1] == [
        "f(1) now raises ValueError: too small; the earlier example gives 1.0"
    ]
    assert merged(f">>> f('x')\n{error}", ">>> f('x')\n1.0")[1] == [
        "f('x') now gives 1.0; the earlier example raises ValueError: too small"
    ]


def test_without_a_signature_calls_are_the_same_if_their_arguments_are():
    assert merged(">>> f(1)\n1.0", ">>> f( 1 )\n2.0", None)[0] == ["f( 1 ) 2.0"]
    assert merged(">>> f(1)\n1.0", ">>> f(n=1)\n2.0", None)[0] == ["f(1) 1.0", "f(n=1) 2.0"]
