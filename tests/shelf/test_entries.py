"""Every tool on the shelf keeps its promises: readable, standard library only, proven on its own examples."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fact_magics.sandbox import Call, Sandbox
from fact_magics.shelf.entry import SHELF, Entry, read_shelf, renamed
from fact_magics.signature import read_signature
from fact_magics.signature.source import ToolSource
from fact_magics.tool import Raised
from fact_magics.writing.checks import check
from fact_magics.writing.examples import read_body
from fact_magics.writing.verdict import holds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fact_magics.tool import Example

pytestmark = pytest.mark.slow

ENTRIES = {entry.name: entry for entry in read_shelf()}
KINDS = {
    "text", "dates", "numbers", "csv", "json", "statistics", "units", "validation", "colours", "geography",
}  # fmt: skip


def examples_of(entry: Entry, name: str) -> tuple[Example, ...]:
    """The docstring's examples, read by the grammar of a cell."""
    _, _, section = Entry(name, renamed(entry, name), ()).doc.partition("Examples\n--------\n")
    return read_body(f"Described.\n\n{section.partition('Tags:')[0]}", name).examples


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(size=1)
    await sandbox.start()
    yield sandbox
    await sandbox.aclose()


async def test_all_hold_their_own_examples_in_isolation(sandbox: Sandbox) -> None:
    """Every example of every tool holds in one real sandbox, by the verdict that accepts candidates."""
    for entry in ENTRIES.values():
        examples = examples_of(entry, "my_tool")
        assert len(examples) >= 4, entry.name
        source = ToolSource(renamed(entry, "my_tool"), "my_tool")
        assert check(source, examples) == (), entry.name
        assert not source.varies, entry.name
        assert source.imports == (), entry.name
        signature = source.signature
        for example in examples:
            arguments = signature.wire(signature.validate(signature.bind(example.args, example.kwargs)))
            outcome = await sandbox.run(Call(source.text, "my_tool", arguments))
            verdict = holds(example, signature, outcome)
            assert verdict.holds, f"{entry.name}: {example.source}: {verdict.expected} != {verdict.got}"


async def test_a_wrong_example_would_be_seen(sandbox: Sandbox) -> None:
    """The proof above can fail: another tool's source does not hold these examples."""
    entry = ENTRIES["format_bytes"]
    signature = read_signature(entry.source, entry.name)
    broken = entry.source.replace("1000 if", "1001 if")
    verdicts = []
    for example in examples_of(entry, entry.name):
        arguments = signature.wire(signature.validate(signature.bind(example.args, example.kwargs)))
        verdicts.append(
            holds(example, signature, await sandbox.run(Call(broken, entry.name, arguments))).holds
        )
    assert not all(verdicts)


@pytest.mark.parametrize("name", ENTRIES)
def test_is_readable_and_complete(name: str) -> None:
    """One public function, with a summary, the sections of a numpy docstring, and tags."""
    entry = ENTRIES[name]
    functions = [node for node in ast.parse(entry.source).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions if not function.name.startswith("_")] == [name]
    assert entry.summary.endswith(".")
    assert len(entry.summary) <= 110
    assert entry.tags
    for section in ("Parameters\n----------", "Returns\n-------", "Examples\n--------"):
        assert section in entry.doc
    raises = any(isinstance(example.expected, Raised) for example in examples_of(entry, name))
    assert raises == ("Raises\n------" in entry.doc)
    assert "```" not in entry.source


@pytest.mark.parametrize("name", ENTRIES)
def test_says_what_it_is_for(name: str) -> None:
    """The lines for the search are there, and stay out of the text that a user gets."""
    entry = ENTRIES[name]
    assert {key for key, _ in entry.notes} <= {"kind", "aliases", "needs", "gives", "unlike", "words"}
    assert entry.noted("kind")[0][0] in KINDS
    assert entry.noted("needs")
    terms = [term for key, _ in entry.notes for line in entry.noted(key) for term in line]
    assert [term for term in terms if not re.fullmatch("[a-z0-9_]+(?:[+ ][a-z0-9_]+)*", term)] == []
    assert "# needs" not in entry.source
    assert entry.source.startswith(("import ", "from ", "_", "def "))


@pytest.mark.parametrize("name", ENTRIES)
def test_imports_the_standard_library_only(name: str) -> None:
    """Nothing has to be installed for a tool of the shelf."""
    for node in ast.walk(ast.parse(ENTRIES[name].source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert all(module.partition(".")[0] in sys.stdlib_module_names for module in names)


def test_covers_what_notebooks_need() -> None:
    """There are forty tools, and each kind has one."""
    assert len(ENTRIES) >= 40
    assert {entry.noted("kind")[0][0] for entry in ENTRIES.values()} == KINDS


def test_readme_lists_every_tool() -> None:
    """The README names each tool of the shelf in its table."""
    readme = (SHELF.parents[2] / "README.md").read_text("utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| ") and "`slugify`" in line]
    assert len(rows) == 1
    table = readme[readme.index(rows[0]) :].partition("\n\n")[0]
    assert sorted(re.findall("`([a-z_]+)`", table)) == sorted(ENTRIES)


def test_search_runs_no_tool() -> None:
    """Reading and searching the shelf, in a new process, imports none of its files."""
    program = (
        "import sys\n"
        "from fact_magics.shelf.entry import read_shelf\n"
        "from fact_magics.shelf.search import ShelfIndex\n"
        "ShelfIndex(read_shelf()).search('slug', 'Convert a title to a slug')\n"
        "print([n for n, m in sys.modules.items() if 'fact_magics/shelf/tools/' in (getattr(m, '__file__', '') or '')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=SHELF.parents[1]
    )
    assert done.stdout.strip() == "[]"
