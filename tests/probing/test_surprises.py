"""Surprises: twenty tools with a fault each, and twenty clean ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from versions import version_of

from fact_magics.probing.prober import _Prober
from fact_magics.sandbox import Sandbox
from fact_magics.writing.examples import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fact_magics.probing.questions import Surprise


@pytest.fixture(scope="module")
def surprises_of() -> Iterator[Callable[[str, str], tuple[Surprise, ...]]]:
    """List the surprises of a tool, without running its rivals."""
    with asyncio.Runner() as runner:
        sandbox = Sandbox()

        async def look(source: str, contract: str) -> tuple[Surprise, ...]:
            prober = _Prober(version_of(source, contract), sandbox, 60.0, lambda _: None)
            prober._each, prober._is_quick = 0.1, True
            prober._prepare()
            await prober._answer()
            assert prober._own.answers
            return prober.result().surprises

        yield lambda source, contract: runner.run(look(source, contract))
        runner.run(sandbox.aclose())


FAULTS = [
    ("def f(values: list[int]) -> int:\n    return values[0]\n", ">>> f([1, 2])\n1", "raises IndexError"),
    ("def f(a: int, b: int) -> float:\n    return a / b\n", ">>> f(4, 2)\n2.0", "raises ZeroDivisionError"),
    ("def f(words: dict[str, int]) -> int:\n    return words['a']\n", ">>> f({'a': 1})\n1", "raises KeyError"),
    ("def f(text: str | None) -> str:\n    return text.upper()\n", ">>> f('a')\n'A'", "raises AttributeError"),
    ("def f(text: str) -> str:\n    return next(letter for letter in text if letter == 'a')\n", ">>> f('a')\n'a'", "raises StopIteration"),
    ("def f(text: str) -> str:\n    assert text\n    return text\n", ">>> f('a')\n'a'", "raises AssertionError"),
    ("def f(n: int) -> int:\n    return 1 if n == 0 else n * f(n - 1)\n", ">>> f(3)\n6", "raises RecursionError"),
    ("def f(n: int) -> int:\n    while n != 0:\n        n -= 1\n    return n\n", ">>> f(3)\n0", "does not end in time"),
    ("import re\n\ndef f(text: str) -> bool:\n    return re.fullmatch(r'(a|aa)+$', text * 30 + '!') is None and text != 'b'\n", ">>> f('b')\nFalse", "does not end in time"),
    ("def f(n: int) -> int:\n    return n if n < 2 else f(n - 1) + f(n - 2)\n", ">>> f(6)\n8", "does not end in time"),
    ("import random\n\ndef f(n: int) -> int:\n    return n if n < 5 else random.randint(0, 10**9)\n", ">>> f(3)\n3", "in another run"),
    ("def f(words: list[str]) -> list[str]:\n    return list(set(words))\n", ">>> f(['a'])\n['a']", "in another run"),
    ("import time\n\ndef f(n: int) -> float:\n    return 1.0 if n < 3 else time.time()\n", ">>> f(1)\n1.0", "in another run"),
    ("_seen = []\n\ndef f(n: int) -> int:\n    _seen.append(n)\n    return len(_seen)\n", ">>> f(3)\n1", "in another run"),
    ("def f(n: int) -> str:\n    return 'x' if n < 100 else None\n", ">>> f(3)\n'x'", "not str"),
    ("def f(text: str) -> int:\n    return len(text) or None\n", ">>> f('a')\n1", "not int"),
    ("def f(values: list[int]) -> list[int]:\n    values.sort()\n    return values\n", ">>> f([2, 1])\n[1, 2]", "changes its argument"),
    ("def f(words: dict[str, int]) -> int:\n    return words.pop('a', 0)\n", ">>> f({'a': 1})\n1", "changes its argument"),
    ("def f(rows: list[list[int]]) -> int:\n    for row in rows:\n        row.append(0)\n    return len(rows)\n", ">>> f([[1]])\n1", "changes its argument"),
    ("import os\n\ndef f(n: int) -> int:\n    if n < 0:\n        os._exit(3)\n    return n\n", ">>> f(3)\n3", "ended its process"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "contract", "what"), FAULTS)
def test_a_fault_is_listed_with_a_call_that_shows_it(surprises_of, source, contract, what):
    found = surprises_of(source, contract)
    assert [one.what for one in found if what in one.what], found
    for one in found:
        (example,) = read_body(f">>> {one.call}\n1", "f").examples
        assert example.source == one.call
        assert one.advice


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (
            "def f(n: int) -> int:\n    return n if n > 0 else 'x'\n",
            "returned a value that is not int: result: should be a valid integer, got 'x'",
        ),
        (
            "def f(n: int) -> float:\n    return float(n) if n > 0 else 1j\n",
            (
                "returned a value that can't be passed on: result: a complex number can't leave the tool; return its "
                "real and imaginary parts"
            ),
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_told_as_the_end_of_a_sentence_about_the_call(
    surprises_of, source, what
):
    (found,) = surprises_of(source, ">>> f(3)\n3")
    assert found.what == what


CLEAN = [
    ("def f(a: int, b: int) -> int:\n    return a + b\n", ">>> f(1, 2)\n3"),
    ("def f(values: list[int]) -> list[int]:\n    return sorted(values)\n", ">>> f([2, 1])\n[1, 2]"),
    ("def f(text: str) -> str:\n    return text.strip().lower()\n", ">>> f(' A')\n'a'"),
    ("def f(text: str) -> int:\n    return int(text)\n", ">>> f('3')\n3"),
    ("def f(values: list[float]) -> float:\n    if not values:\n        raise ValueError('empty')\n    return sum(values) / len(values)\n", ">>> f([1.0])\n1.0"),
    ("def f(words: dict[str, int]) -> list[str]:\n    return sorted(words)\n", ">>> f({'b': 1, 'a': 2})\n['a', 'b']"),
    ("def f(n: int) -> bool:\n    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))\n", ">>> f(7)\nTrue"),
    ("def f(a: int, b: int) -> float:\n    '''Divide; a ZeroDivisionError tells that b is 0.'''\n    return a / b\n", ">>> f(4, 2)\n2.0"),
    ("def f(words: dict[str, int], key: str) -> int:\n    return words[key]\n", ">>> f({'a': 1}, 'a')\n1\n\n>>> f({}, 'a')\nTraceback (most recent call last):\nKeyError"),
    ("def f(words: list[str]) -> list[str]:\n    return sorted(set(words))\n", ">>> f(['b', 'a'])\n['a', 'b']"),
    ("import random\n\ndef f(n: int) -> int:\n    return random.Random(n).randint(0, 9)\n", ">>> f(1)\n2"),
    ("def f(text: str | None = None) -> str:\n    return text or ''\n", ">>> f()\n''"),
    ("import re\n\ndef f(text: str) -> list[str]:\n    return re.findall(r'[a-z]+', text)\n", ">>> f('a b')\n['a', 'b']"),
    ("from datetime import date, timedelta\n\ndef f(day: date) -> date:\n    return day + timedelta(days=1)\n", ">>> f(date(2024, 1, 1))\ndate(2024, 1, 2)"),
    ("def f(x: float) -> float:\n    return round(x * 9 / 5 + 32, 2)\n", ">>> f(100.0)\n212.0"),
    ("def f(items: list[dict[str, int]]) -> int:\n    return sum(item.get('n', 0) for item in items)\n", ">>> f([{'n': 2}])\n2"),
    ("from typing import Literal\n\ndef f(kind: Literal['a', 'b'], n: int = 1) -> str:\n    return {'a': 'x', 'b': 'y'}[kind] * n\n", ">>> f('a')\n'x'"),
    ("async def f(text: str) -> str:\n    return text[::-1]\n", ">>> f('ab')\n'ba'"),
    ("from functools import lru_cache\n\n@lru_cache\ndef _fib(n: int) -> int:\n    return n if n < 2 else _fib(n - 1) + _fib(n - 2)\n\ndef f(n: int) -> int:\n    if not 0 <= n <= 90:\n        raise ValueError(n)\n    return _fib(n)\n", ">>> f(6)\n8"),
    ("def f(text: str) -> str:\n    print('working', text)\n    return text\n", ">>> f('a')\n'a'"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "contract"), CLEAN)
def test_a_clean_tool_has_no_surprise(surprises_of, source, contract):
    assert surprises_of(source, contract) == ()
