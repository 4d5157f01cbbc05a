"""A tool on the shelf: its text, what it says of itself, and its text under another name.

An entry's file starts with comment lines for the search, ``# key: value``, continued by ``#   more``;
after the first empty line comes the tool. `search` says what the keys mean.
"""

from __future__ import annotations

import ast
import re
import symtable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELF = Path(__file__).parent / "tools"


@dataclass(frozen=True)
class Entry:
    """A shipped tool.

    Attributes
    ----------
    name : str
        Its function's name, and its file's.
    source : str
        The tool's module, without the lines for the search.
    notes : tuple of (str, str)
        Those lines, as pairs of key and value; a key may come again.
    """

    name: str
    source: str
    notes: tuple[tuple[str, str], ...]

    @cached_property
    def doc(self) -> str:
        """The docstring, cleaned."""
        return ast.get_docstring(self._definition) or ""

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.partition("\n")[0]

    @property
    def tags(self) -> tuple[str, ...]:
        """The words of the docstring's ``Tags:`` line."""
        found = re.search(r"^Tags: (.+)$", self.doc, re.MULTILINE)
        return tuple(tag.strip() for tag in found[1].split(",")) if found else ()

    @cached_property
    def returns(self) -> str:
        """The return annotation, as written."""
        annotation = self._definition.returns
        return ast.unparse(annotation) if annotation is not None else ""

    @cached_property
    def _definition(self) -> ast.FunctionDef:
        return _function(ast.parse(self.source), self.name)

    def noted(self, key: str) -> list[list[str]]:
        """Give the values of a key: for each of its lines, the terms between the commas."""
        return [[term.strip() for term in value.split(",")] for known, value in self.notes if known == key]


def read_shelf(directory: Path = SHELF) -> tuple[Entry, ...]:
    """Read all entries as text, by name; nothing of them is run."""
    return tuple(_read(path) for path in sorted(directory.glob("*.py")))


def _read(path: Path) -> Entry:
    head, _, source = path.read_text(encoding="utf-8").partition("\n\n")
    joined = head.replace("\n#   ", " ").splitlines()
    notes = [line.removeprefix("# ").partition(": ") for line in joined]
    return Entry(path.stem, source, tuple((key, value) for key, _, value in notes))


def renamed(entry: Entry, name: str) -> str:
    """Give an entry's source with its function called `name`: definition, references and examples.

    Raises
    ------
    ValueError
        If the source uses `name` for something else: renaming would break it.
    """
    if name == entry.name:
        return entry.source
    if name in _taken(entry.source, entry.name):
        raise ValueError(f"{entry.name} uses the name {name} for something else")
    # ast counts columns in bytes of UTF-8.
    lines = [line.encode() for line in entry.source.splitlines(keepends=True)]
    old, new = entry.name.encode(), name.encode()
    for line, column in sorted(_places(entry), reverse=True):
        text = lines[line - 1]
        lines[line - 1] = text[:column] + new + text[column + len(old) :]
    return b"".join(lines).decode()


def _places(entry: Entry) -> Iterator[tuple[int, int]]:
    """Line, from 1, and byte column of each mention of the function by code."""
    tree = ast.parse(entry.source)
    function = _function(tree, entry.name)
    definition = entry.source.splitlines()[function.lineno - 1].encode()
    yield function.lineno, definition.index(entry.name.encode(), function.col_offset)
    yield from _mentions(tree, entry.name)
    docstring = function.body[0]
    last = docstring.end_lineno or docstring.lineno
    for number, line in enumerate(
        entry.source.splitlines()[docstring.lineno - 1 : last], start=docstring.lineno
    ):
        prompt = re.match(r"\s*(?:>>>|\.\.\.) ", line)
        if prompt and line.lstrip().startswith(">>>"):
            call = _parsed(line[prompt.end() :])
            indent = len(line[: prompt.end()].encode())
            yield from ((number, indent + column) for _, column in _mentions(call, entry.name))


def _parsed(call: str) -> ast.AST:
    # A call that continues on the next line does not parse alone; its name is at the start in any case.
    try:
        return ast.parse(call)
    except SyntaxError:
        return ast.parse(call.partition("(")[0])


def _mentions(tree: ast.AST, name: str) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            yield node.lineno, node.col_offset


def _taken(source: str, old: str) -> set[str]:
    """Every name that the function can't take from `old` without hiding something, or being hidden."""
    names: set[str] = set()
    _collect(symtable.symtable(source, "<shelf>", "exec"), old, names)
    return names


def _collect(table: symtable.SymbolTable, old: str, names: set[str]) -> bool:
    """Add what a scope looks up outside, and its own names if the function is needed in it or below."""
    below = [
        _collect(child, old, names) for child in table.get_children()
    ]  # every scope, not up to the first
    symbols = table.get_symbols()
    outer = {symbol.get_name() for symbol in symbols if symbol.is_global()}
    needed = any(below) or old in outer
    names |= {symbol.get_name() for symbol in symbols} if needed or table.get_type() == "module" else outer
    return needed


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)


def is_shipped(source: str, model: str, name: str) -> bool:
    """Tell whether `source` is the shipped tool that `model` names (``shelf/slugify``), called `name`."""
    wanted = [entry for entry in read_shelf() if entry.name == model.rpartition("/")[2]]
    return any(renamed(entry, name).strip() == source.strip() for entry in wanted)
