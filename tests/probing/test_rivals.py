"""Rivals: the sources that differ from a tool's in one place."""

from __future__ import annotations

import ast

import pytest

from fact_magics.probing.rivals import rivals_of


def changes(line: str) -> set[str]:
    """Return what may stand in place of the only line of a function, without parentheses around it."""
    source = f"def f(a, b, c=2):\n    {line}\n"
    found = {rival.source.splitlines()[1].strip() for rival in rivals_of(source)}
    return {ast.unparse(ast.parse(text)) for text in found}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a < b", {"return a <= b", "return a > b"}),
        ("return a >= b", {"return a > b"}),
        ("return a == b", {"return a != b"}),
        ("return a in b", {"return a not in b"}),
        ("return a + b", {"return a - b", "return a"}),
        ("return a - b", {"return a + b", "return b - a"}),
        ("return a / b", {"return a // b", "return b / a"}),
        ("return a and b", {"return a or b", "return a", "return b"}),
        ("return not a", {"return a"}),
        ("return 5", {"return 6", "return 4", "return 0"}),
        ("return True", {"return False"}),
        ("return 'abc'", {"return ''"}),
        ("return a in 'abc'", {"return a in ''", "return a in 'ab'", "return a in 'bc'"}),
        ("return a.strip()", {"return a", "return a.rstrip()"}),
        ("return sorted(a)", {"return a"}),
        ("return min(a, b)", {"return max(a, b)", "return min(b, a)"}),
        ("return a[b:]", {"return a[b + 1:]", "return a[b - 1:]", "return a[:]"}),
        ("return a[1]", {"return a[2]", "return a[0]"}),
        ("return range(a)", {"return range(a + 1)", "return range(1, a)"}),
        ("return sorted(a, reverse=True)", {"return sorted(a)", "return sorted(a, reverse=False)"}),
        ("return a if b else c", {"return c if b else a", "return a if not b else c"}),
        ("return [x for x in a if x]", {"return [x for x in a]"}),
        ("raise ValueError('not this')", {"raise TypeError('not this')"}),
        ("return f'{a.lower()}-{b}'", {"return f'{a}-{b}'", "return f'{a.upper()}-{b}'"}),
    ],
)
def test_each_kind_of_mistake_is_made(line, expected):
    assert changes(line) >= {ast.unparse(ast.parse(text)) for text in expected}


SOURCE = '''"""A module."""
import re

LIMIT = 3


def f(text: str, size: int = 2) -> str:
    """Do something.

    >>> f("a")
    """
    if len(text) > LIMIT:
        raise ValueError("not this long")
    total = 0
    while total < size:
        total += 1
    print("working")
    return (
        text.strip()[:size]
        + "…é"
    )
'''


def test_no_source_is_made_twice_and_all_of_them_parse():
    sources = [rival.source for rival in rivals_of(SOURCE)]
    assert len({SOURCE, *sources}) == len(sources) + 1
    for source in sources:
        ast.parse(source)


def test_docstrings_annotations_imports_messages_and_prints_stay():
    kept = [
        '"""A module."""',
        "import re",
        '>>> f("a")',
        "text: str, size: int",
        '"not this long"',
        '"working"',
    ]
    for rival in rivals_of(SOURCE):
        assert [text for text in kept if text not in rival.source] == []


def test_a_rival_names_its_line_and_what_became_of_it():
    found = {(rival.line, rival.before, rival.after) for rival in rivals_of(SOURCE)}
    assert (12, "len(text) > LIMIT", "len(text) >= LIMIT") in found
    assert (4, "LIMIT = 3", "LIMIT = 4") in found
    assert (7, "2", "3") in found


def test_boundaries_come_before_removed_parts():
    afters = [rival.after for rival in rivals_of(SOURCE)]
    assert afters.index("len(text) >= LIMIT") < afters.index("len(text) <= LIMIT") < afters.index("False")


def test_lines_below_a_change_keep_their_numbers():
    for rival in rivals_of(SOURCE):
        assert rival.source.splitlines()[:3] == SOURCE.splitlines()[:3]
        if rival.after == "text":
            assert len(rival.source.splitlines()) == len(SOURCE.splitlines())
