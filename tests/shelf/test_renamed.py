"""A shelf tool is renamed where it is meant, and nowhere else."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from fact_magics.shelf.entry import Entry, renamed

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

SOURCE = '''import re

# count is counted, count() too
_TEXT = "count: é"; é = lambda count: count


def count(text: str, *, count_all: bool = False) -> int:
    """Count é: count("x") in prose stays.

    Examples
    --------
    >>> count("count, é", count_all=True)
    1

    >>> count(
    ...     "count",
    ... )
    1

    Tags: count
    """
    é = "é"; n = count(text[1:]) if text else 0
    return n + len(re.findall("count", é)) + _other(count)


def _other(f: object) -> int:
    return len("count") if f is count else 0
'''


def test_definition_references_and_examples_are_renamed() -> None:
    """The def, the function's own references, behind letters of two bytes too, and the examples change."""
    text = renamed(Entry("count", SOURCE, ()), "zähle")
    assert "def zähle(text: str, *, count_all: bool" in text
    assert '    >>> zähle("count, é", count_all=True)' in text
    assert '    >>> zähle(\n    ...     "count",' in text
    assert 'é = "é"; n = zähle(text[1:])' in text
    assert "_other(zähle)" in text
    assert "f is zähle" in text


def test_everything_else_stays() -> None:
    """Comments, strings, prose, tags and longer names keep the word."""
    text = renamed(Entry("count", SOURCE, ()), "zähle")
    for kept in (
        "# count is counted, count() too",
        '"count: é"',
        'count("x") in prose',
        "Tags: count",
        're.findall("count", é)',
    ):
        assert kept in text


def test_same_name_changes_nothing() -> None:
    """A request under the tool's own name gets the file's text."""
    assert renamed(Entry("count", SOURCE, ()), "count") == SOURCE


@pytest.mark.parametrize("name", ["re", "_other", "_TEXT", "len", "str", "int"])
def test_a_name_that_the_tool_uses_is_refused(name: str) -> None:
    """A module, helper or builtin that the tool relies on can't become its name."""
    with pytest.raises(ValueError, match=f"uses the name {name} for something else"):
        renamed(Entry("count", SOURCE, ()), name)


@pytest.mark.parametrize("name", ["text", "n", "f", "count_all"])
def test_a_name_of_a_local_is_fine(name: str) -> None:
    """A parameter or a local does not stand in the way, unless the function is needed beside it."""
    plain = SOURCE.replace("n = count(text[1:]) if text else 0", "n = 0").replace(
        "_other(count)", "_other(0)"
    )
    plain = plain.replace("f is count", "f is None")
    tree = ast.parse(renamed(Entry("count", plain, ()), name))
    assert any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


@pytest.mark.parametrize("name", ["text", "n", "f"])
def test_a_local_that_would_hide_the_function_is_refused(name: str) -> None:
    """Where the function calls itself, a local of the new name would be called instead."""
    with pytest.raises(ValueError, match=f"uses the name {name} for something else"):
        renamed(Entry("count", SOURCE, ()), name)


def test_every_tool_works_under_another_name(shelf: dict[str, Entry]) -> None:
    """Each shipped tool still compiles, holds the new name, and mentions the old one nowhere as code."""
    for entry in shelf.values():
        text = renamed(entry, "my_tool")
        tree = ast.parse(text)
        compile(tree, entry.name, "exec")
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == entry.name]
        assert f">>> {entry.name}(" not in text
        assert text.count(">>> my_tool(") == entry.source.count(f">>> {entry.name}(") > 0


def test_a_renamed_tool_runs(shelf: dict[str, Entry]) -> None:
    """The renamed module defines a function that answers as before."""
    namespace: dict[str, Callable[..., str]] = {}
    exec(renamed(shelf["slugify"], "titel_kürzen"), namespace)  # noqa: S102 - our own file
    assert namespace["titel_kürzen"]("Héllo, Wörld!") == "hello-world"
