"""The complexity score: McCabe's cyclomatic complexity M, as M / (M + 10)."""

from __future__ import annotations

import pytest

from fact_magics.complexity import complexity

# The source, and its cyclomatic complexity.
SOURCES = {
    "x = 1": 1,
    "def f(n):\n    return n if n else 0": 2,
    "def f(n):\n    if n:\n        return 1\n    elif n is None:\n        return 2\n    else:\n        return 3": 3,
    "for a in b:\n    while a:\n        a -= 1": 3,
    "try:\n    f()\nexcept ValueError:\n    pass\nexcept OSError:\n    pass\nfinally:\n    g()": 3,
    "assert a and b and c": 4,
    "a or (b and c)": 3,
    "[x for x in a if x if y for z in x]": 5,
    "match a:\n    case 1:\n        f()\n    case _:\n        g()": 3,
    "async def f(a):\n    async for x in a:\n        await x": 2,
    "def f(n):\n    return n if n else 0\ndef g(n):\n    return n if n else 0": 3,
}


@pytest.mark.parametrize("source", SOURCES)
def test_each_decision_adds_one(source):
    paths = SOURCES[source]
    assert complexity(source) == round(paths / (paths + 10), 4)


def test_mccabe_s_limit_of_ten_is_one_half_and_no_source_reaches_one():
    decisions = "".join(f"if a == {number}:\n    pass\n" for number in range(9))
    assert complexity(decisions) == 0.5
    assert 0.99 < complexity(decisions * 500) < 1


@pytest.mark.parametrize("source", ["def f(:", "\0", "(" * 5_000, f"x = {'-' * 100_000}1"])
def test_a_source_that_does_not_parse_has_none(source):
    assert complexity(source) == 0


def test_a_source_that_nobody_would_write_is_not_parsed():
    assert complexity("x = 1\n" * 100_000) == 1
