"""Probes: what is pinned, what is asked, and that hostile tools don't stretch them."""

from __future__ import annotations

import pytest

from fact_magics.writing.examples import read_body

CLIP = '''def clip(text: str, size: int = 5) -> str:
    """Shorten a text."""
    if size < 0:
        raise ValueError("size must not be negative")
    if len(text) > size:
        return text[:size] + "…"
    return text
'''
WEAK = '>>> clip("abcdefgh")\n"abcde…"\n\n>>> clip("abc", 4)\n"abc"'
STRONG = f"""{WEAK}

>>> clip("abcde")
"abcde"

>>> clip("a", 0)
"…"

>>> clip("a", -1)
Traceback (most recent call last):
ValueError

>>> clip("abcdef")
"abcde…"

>>> clip("", 0)
""
"""


def test_weak_examples_leave_changes_open_and_ask_about_the_call_that_parts_most(probed):
    found = probed(CLIP, WEAK)
    assert not found.pinned
    assert found.summary == f"open · {found.open} of {found.changes} changes would pass too"
    assert found.strength == f"{found.open} open"
    first, *others = found.questions
    assert len(first.rivals) >= max((len(other.rivals) for other in others), default=0)
    asked = {change.after for question in found.questions for change in question.rivals}
    assert {"len(text) >= size", "size <= 0"} <= asked


def test_strong_examples_tell_the_tool_from_all_changes(probed):
    found = probed(CLIP, STRONG)
    assert found.pinned, found.questions
    assert found.summary == f"pinned · the examples tell it from all {found.changes} changes"
    assert found.strength == f"pinned {found.changes}/{found.changes}"
    assert found.questions == ()


def test_the_tools_own_answer_comes_first_and_all_answers_are_examples(probed):
    for question in probed(CLIP, WEAK).questions:
        own, *others = question.answers
        assert own.own
        assert own.voters >= 1
        assert not any(other.own for other in others)
        assert [other.voters for other in others] == sorted((other.voters for other in others), reverse=True)
        for number in range(1, len(question.answers) + 1):
            (example,) = read_body(question.lines(number), "clip").examples
            assert example.source == question.call


def test_an_answer_makes_an_example_that_pins_what_it_asked_about(probed):
    question = probed(CLIP, WEAK).questions[0]
    after = probed(CLIP, f"{WEAK}\n\n{question.lines(1)}")
    gone = {change.after for change in question.rivals}
    left = {change.after for question in after.questions for change in question.rivals}
    assert not gone & left
    assert question.call not in {other.call for other in after.questions}


def test_a_change_that_no_input_parts_from_the_tool_is_not_counted(probed):
    found = probed("def f(n: int) -> int:\n    return n if n > 0 else 0\n", ">>> f(3)\n3\n\n>>> f(-3)\n0")
    assert "n >= 0" not in {change.after for question in found.questions for change in question.rivals}


def test_a_rival_that_never_ends_is_open_and_can_not_be_chosen(probed):
    source = "def f(n: int) -> int:\n    total = 0\n    while n > 0:\n        total += n\n        n -= 2\n    return total\n"
    found = probed(source, ">>> f(0)\n0")
    texts = [one.text for question in found.questions for one in question.answers]
    assert "does not end in time" in texts


def test_the_same_tool_gets_the_same_probe(probed):
    assert probed(CLIP, WEAK) == probed(CLIP, WEAK)


def test_an_async_tool_and_a_tool_without_examples_are_probed_too(probed):
    found = probed("async def f(n: int) -> int:\n    return n + 1\n")
    assert found.caught == 0
    assert found.questions


def test_floats_that_an_example_could_not_tell_apart_are_the_same_answer(probed):
    found = probed("def f(x: float) -> float:\n    return x * 3 / 3\n", ">>> f(2.0)\n2.0\n\n>>> f(7.5)\n7.5")
    assert "x" not in {change.after for question in found.questions for change in question.rivals}


def test_a_derived_exception_is_the_same_answer_because_an_example_could_not_tell_it_apart(probed):
    source = (
        "import statistics\n\n\ndef related(x: list[int], y: list[int]) -> float:\n"
        "    if len(x) != len(y):\n        raise ValueError('x and y have different lengths')\n"
        "    return statistics.correlation(x, y)\n"
    )
    contract = ">>> related([1, 2, 3], [3, 2, 1])\n-1.0\n\n>>> related([1, 2], [1, 2, 4])\nTraceback (most recent call last):\nValueError\n"
    found = probed(source, contract)
    assert found.changes > 0
    assert found.questions == ()


def test_a_tool_without_steady_answers_is_never_said_to_be_pinned(probed):
    source = "import random\n\ndef f(n: int) -> float:\n    return 0.0 if n == 1 else random.random() + 2\n"
    found = probed(source, ">>> f(1)\n0.0", 4.0)
    assert not found.pinned
    assert "in another run" in found.surprises[0].what


def test_a_tool_without_parameters_is_pinned_by_its_only_call(probed):
    assert probed("def f() -> int:\n    return 2 + 3\n", ">>> f()\n5").pinned


HOSTILE = [
    "def f(n: int) -> int:\n    return n if n < 5 else (10 ** (10 ** 9)) % 7\n",
    "import os\n\ndef f(n: int) -> int:\n    while n > 4:\n        os.write(1, b'x' * 65536)\n    return n\n",
    "import os\n\ndef f(n: int) -> int:\n    if n > 4:\n        os.kill(os.getpid(), 9)\n    return n\n",
    "def f(n: int) -> int:\n    kept = []\n    while n > 4:\n        kept.append(bytearray(1 << 24))\n    return n\n",
    "import os\n\ndef f(n: int) -> int:\n    if n > 4:\n        os.closerange(0, 100)\n    return n\n",
    "while True:\n    pass\n\ndef f(n: int) -> int:\n    return n\n",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_tool_is_given_up_in_time_and_never_said_to_be_pinned(probed, source):
    found = probed(source, ">>> f(1)\n1", 0.8)
    assert not found.pinned
