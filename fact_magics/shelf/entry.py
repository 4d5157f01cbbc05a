"""A tool on the shelf: its source, its notes for the search, and its source under another name.

The file of an entry starts with comment lines for the search: ``# key: value``, continued with ``#   more``.
The tool begins after the first empty line. The module `search` explains the keys.
"""

from __future__ import annotations

import ast
import re
import symtable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.signature.source import ToolSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHELF = Path(__file__).parent / "tools"
# The return annotation, summary and tags of the one public function. Parsing all files would take most of the
# time of the first request.
_HEAD = re.compile(
    r'^def [a-z]\w*\(.*?\) -> ([^\n]+):\n    r?"""([^\n]+)$.*?^    Tags: ([^\n]+)$', re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Entry:
    """A shipped tool."""

    name: str  # the name of the function and of the file
    source: str  # the module, without the lines for the search
    notes: tuple[tuple[str, str], ...]  # keys and values of the lines for the search; keys may be repeated

    @cached_property
    def tool(self) -> ToolSource:
        """The parsed source."""
        return ToolSource(self.source, self.name)

    @cached_property
    def definition(self) -> ast.FunctionDef:
        """The function that is the tool."""
        return next(
            node
            for node in self.tool.nodes
            if isinstance(node, ast.FunctionDef) and node.name == self.name and not node.col_offset
        )

    @cached_property
    def doc(self) -> str:
        """The docstring, cleaned."""
        return ast.get_docstring(self.definition) or ""

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self._head[2]

    @property
    def tags(self) -> tuple[str, ...]:
        """The words of the docstring's ``Tags:`` line."""
        return tuple(tag.strip() for tag in self._head[3].split(","))

    @property
    def returns(self) -> str:
        """The return annotation, as written."""
        return self._head[1]

    @cached_property
    def _head(self) -> re.Match[str]:
        found = _HEAD.search(self.source)
        if found is None:
            raise ValueError(f"{self.name} has no annotated function with a summary and tags")
        return found

    def noted(self, key: str) -> list[list[str]]:
        """Return the comma-separated terms of each line that has this key, one list per line."""
        return [value.split(", ") for known, value in self.notes if known == key]


def read_shelf(directory: Path = SHELF) -> tuple[Entry, ...]:
    """Read all entries, sorted by name, without running them."""
    return tuple(_read(path) for path in sorted(directory.glob("*.py")))


def _read(path: Path) -> Entry:
    head, _, source = path.read_text(encoding="utf-8").partition("\n\n")
    joined = head.replace("\n#   ", " ").splitlines()
    notes = [line.removeprefix("# ").partition(": ") for line in joined]
    return Entry(path.stem, source.lstrip("\n"), tuple((key, value) for key, _, value in notes))


@lru_cache(maxsize=256)
def is_shipped(source: str, model: str, name: str) -> bool:
    """Tell whether `source` is the shipped tool `model` (such as ``shelf/slugify``), renamed to `name`."""
    path = SHELF / f"{model.rpartition('/')[2]}.py"
    try:
        return path.stem.isidentifier() and renamed(_read(path), name).strip() == source.strip()
    except (OSError, ValueError):  # there is no such tool, or it can't be renamed to this name
        return False


def renamed(entry: Entry, name: str) -> str:
    """Return an entry's source with its function renamed in the definition, references and examples.

    Raises
    ------
    ValueError
        The source uses `name` for something else.
    """
    if name == entry.name:
        return entry.source
    taken: set[str] = set()
    _collect_taken(symtable.symtable(entry.source, "<shelf>", "exec"), entry.name, taken)
    if name in taken:
        raise ValueError(f"{entry.name} uses the name {name} for something else")
    # ast counts columns in bytes of UTF-8.
    lines = [line.encode() for line in entry.source.splitlines(keepends=True)]
    old, new = entry.name.encode(), name.encode()
    for line, column in sorted(_places(entry), reverse=True):
        text = lines[line - 1]
        lines[line - 1] = text[:column] + new + text[column + len(old) :]
    return b"".join(lines).decode()


def _places(entry: Entry) -> Iterator[tuple[int, int]]:
    """Yield the line (from 1) and the byte column of each mention of the function in code and in examples."""
    lines = entry.source.splitlines()
    function = entry.definition
    definition = lines[function.lineno - 1].encode()
    yield function.lineno, definition.index(entry.name.encode(), function.col_offset)
    yield from _mentions(entry.tool.nodes, entry.name)
    docstring = function.body[0]
    for number in range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1):
        prompt = re.match(r"\s*>>> ", lines[number - 1])
        if prompt:
            call = ast.walk(_parsed(lines[number - 1][prompt.end() :]))
            indent = len(prompt[0].encode())
            yield from ((number, indent + column) for _, column in _mentions(call, entry.name))


def _parsed(call: str) -> ast.AST:
    # The first line of a call of several lines does not parse, but the name before its parenthesis does.
    try:
        return ast.parse(call)
    except SyntaxError:
        return ast.parse(call.partition("(")[0])


def _mentions(nodes: Iterable[ast.AST], name: str) -> Iterator[tuple[int, int]]:
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == name:
            yield node.lineno, node.col_offset


def _collect_taken(table: symtable.SymbolTable, old: str, names: set[str]) -> bool:
    """Add to `names` the names that the function can't be given, because they would clash with other uses.

    These are the names that a scope looks up outside itself. If the scope, or a scope inside it, uses the
    function, they include the scope's own names. Return whether any of these scopes uses the function.
    """
    # A list, because any() over a generator would skip the scopes after the first that uses the function.
    below = [_collect_taken(child, old, names) for child in table.get_children()]
    symbols = table.get_symbols()
    outer = {symbol.get_name() for symbol in symbols if symbol.is_global()}
    needed = any(below) or old in outer
    names |= {symbol.get_name() for symbol in symbols} if needed or table.get_type() == "module" else outer
    return needed
