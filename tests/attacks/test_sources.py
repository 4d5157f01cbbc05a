"""Sources that act when they are read: where a careless program runs them to look at them, they are only text here."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import typing
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.errors import FactError
from fact_magics.signature import read_signature
from fact_magics.signature.source import ToolSource
from fact_magics.writing.checks import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

# ACT stands for an expression that leaves a mark; what reads the source must not evaluate it.
ACTING = {
    "a default": "def tool(n: int = ACT) -> int:\n    return 1",
    "a default of a lambda": "def tool(n: int = (lambda: ACT)()) -> int:\n    return 1",
    "a default in a list": "def tool(n: list = [ACT for _ in range(1)]) -> int:\n    return 1",
    "a default that is named": "def tool(n: int = (x := ACT)) -> int:\n    return 1",
    "a default of a class": "class Value:\n    def __init__(self): ACT\ndef tool(n: object = Value()) -> int:\n    return 1",
    "an annotation": "def tool(n: ACT) -> int:\n    return 1",
    "an annotation in quotes": "def tool(n: '''ACT''') -> int:\n    return 1",
    "an annotation of the result": "def tool(n: int) -> ACT:\n    return 1",
    "an annotation's bound": "from typing import Annotated\ndef tool(n: Annotated[int, ACT]) -> int:\n    return 1",
    "an annotation's subscript": (
        "class Kind:\n    def __class_getitem__(cls, item): ACT\ndef tool(n: Kind[int]) -> int:\n    return 1"
    ),
    "a decorator": "def mark(f): ACT; return f\n@mark\ndef tool(n: int) -> int:\n    return 1",
    "a decorator that is called": "@(lambda x: lambda f: f)(ACT)\ndef tool(n: int) -> int:\n    return 1",
    "a metaclass": (
        "class Meta(type):\n    def __new__(m, *a): ACT; return type.__new__(m, *a)\n"
        "class Kind(metaclass=Meta): pass\ndef tool(n: int) -> int:\n    return 1"
    ),
    "a class's body": "class Kind:\n    ACT\ndef tool(n: int) -> int:\n    return 1",
    "a class's keyword": "class Kind(x=ACT):\n    def __init_subclass__(cls, x): pass\ndef tool(n: int) -> int:\n    return 1",
    "a dataclass's field": (
        "from dataclasses import dataclass\n@dataclass\nclass Value:\n    n: int = ACT\n"
        "def tool(value: Value) -> int:\n    return 1"
    ),
    "a member of an enumeration": (
        "from enum import Enum\nclass Kind(Enum):\n    ONE = ACT\ndef tool(kind: Kind) -> int:\n    return 1"
    ),
    "an alias of a type": "Kind = ACT\ndef tool(n: Kind) -> int:\n    return 1",
    "a statement": "ACT\ndef tool(n: int) -> int:\n    return 1",
    "an assertion": "assert not ACT\ndef tool(n: int) -> int:\n    return 1",
    "a condition": "if ACT: pass\ndef tool(n: int) -> int:\n    return 1",
    "a name of the module": "def __getattr__(name): ACT\ndef tool(n: int) -> int:\n    return 1\nACT",
}


def acting(what: str, mark: Path) -> str:
    return ACTING[what].replace("ACT", f"__import__('os').mkdir({str(mark)!r})")


@pytest.mark.parametrize("what", ACTING)
def test_reading_a_source_runs_nothing_of_it(what: str, tmp_path: Path) -> None:
    source = acting(what, tmp_path / "careless")
    module: dict[str, Any] = {"__name__": "careless"}
    try:
        exec(source, module)  # noqa: S102 - as a program does that asks `inspect` for a signature
        inspect.signature(module["tool"])
        typing.get_type_hints(module["tool"])
    except Exception:  # noqa: BLE001, S110 - it has acted before it fails
        pass
    assert (tmp_path / "careless").exists()

    source = acting(what, tmp_path / "read")
    candidate = ToolSource(source, "tool")
    if not check(candidate):
        candidate.signature.json_schema()
        repr(candidate)
    assert not (tmp_path / "read").exists()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package beside the notebook, which leaves a mark when it is imported."""
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").write_text(
        f"import os\nos.makedirs({str(tmp_path / 'mark')!r}, exist_ok=True)"
    )
    (tmp_path / "planted" / "part.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "mark"
    for name in [name for name in sys.modules if name.startswith("planted")]:
        del sys.modules[name]


@pytest.mark.parametrize("line", ["import planted", "import planted.part", "from planted.part import x"])
def test_seeing_that_imports_are_installed_imports_nothing(package: Path, line: str) -> None:
    from importlib.util import find_spec

    source = f"{line}\ndef tool(n: int) -> int:\n    return n"
    check(ToolSource(source, "tool"))
    read_signature(source, "tool")
    assert not package.exists()
    find_spec("planted.part")
    assert package.exists()


# Sources over which a parser, or who walks what it parsed, falls.
HEAVY = {
    "parentheses": f"def tool(n: int = {'(' * 5_000}1{')' * 5_000}) -> int:\n    return 1",
    "a long sum": f"def tool(n: int = {'1+' * 20_000}1) -> int:\n    return 1",
    "a long attribute": f"def tool(n: a{'.b' * 20_000}) -> int:\n    return 1",
    "nested lists in an annotation": f"def tool(n: {'list[' * 500}int{']' * 500}) -> int:\n    return 1",
    "a long union": f"def tool(n: {' | '.join(['int'] * 20_000)}) -> int:\n    return 1",
    "quotes in quotes": f"def tool(n: {chr(39)}{'list[' * 3_000}int{']' * 3_000}{chr(39)}) -> int:\n    return 1",
    "signs": f"def tool(n: int = {'-' * 20_000}1) -> int:\n    return 1",
    "blocks": "\n".join(f"{' ' * depth}if 1:" for depth in range(150)) + f"\n{' ' * 150}def tool(): pass",
    "a power": "def tool(n: int = 9**9**9) -> int:\n    return 1",
    "a large literal": f"def tool(n: int = {'9' * 100_000}) -> int:\n    return 1",
    "a NUL": "def tool(n: int = 1) -> int:\n    return '\0'",
    "half of a pair": "def tool(n: str = '\ud800') -> int:\n    return 1",
}


@pytest.mark.parametrize("what", HEAVY)
def test_a_heavy_source_is_read_or_refused_in_few_words(what: str) -> None:
    candidate = ToolSource(HEAVY[what], "tool")
    failures = check(candidate)
    assert failures or candidate.signature
    assert all(len(failure) < 2_000 for failure in failures)


@pytest.mark.parametrize("what", ["parentheses", "a long sum", "signs", "a NUL", "half of a pair"])
def test_a_careless_reader_falls_over_a_heavy_source(what: str) -> None:
    with pytest.raises((MemoryError, RecursionError, SyntaxError, ValueError)):
        exec(compile(ast.parse(HEAVY[what]), "<tool>", "exec"))  # noqa: S102


@pytest.mark.parametrize(
    "parameters",
    [
        "__class__: int",
        "__debug__: int",
        "self: int, __import__: int",
        ", ".join(f"p{number}: int" for number in range(1_000)),
        f"{'p' * 5_000}: int",
        "ｎ: int",  # another letter that Python takes for the usual one
        "*, __builtins__: int",
    ],
)
def test_hostile_names_are_names_or_are_refused(parameters: str) -> None:
    source = f"def tool({parameters}) -> int:\n    return 1"
    try:
        signature = read_signature(source, "tool")
    except FactError as error:
        refused = error.line
    else:
        refused = ""
    if refused:
        assert "\n" not in refused
        return
    assert set(signature.json_schema()["properties"]) == {
        part.partition(":")[0].strip().replace("ｎ", "n") for part in parameters.replace("*, ", "").split(",")
    }


def test_a_source_is_the_text_that_is_shown() -> None:
    """A coding line makes other code of the bytes of a file; nothing here reads a source as bytes."""
    source = textwrap.dedent("""\
        # coding: utf-7
        def tool() -> int:
            return 1
        # +AAo-hidden = 1
        """)
    hidden: dict[str, Any] = {}
    exec(compile(source.encode(), "<tool>", "exec"), hidden)  # noqa: S102
    assert hidden["hidden"] == 1
    candidate = ToolSource(source, "tool")
    assert not check(candidate)
    shown: dict[str, Any] = {}
    exec(compile(candidate.text, "<tool>", "exec"), shown)  # noqa: S102
    assert "hidden" not in shown
