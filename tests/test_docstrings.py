"""Docstrings of public functions: sections name what is there, parameters have types, and errors are listed."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "fact_magics"
# The shelf's tools are written for their users, and have tests of their own.
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "tools" not in path.parent.parts)
# What people import: here every error that a function raises itself is in its docstring, or in its class's.
FACE = (
    "core/fact_core.py",
    "http.py",
    "testing/request.py",
    "testing/server.py",
    "config/settings.py",
    "config/loading.py",
    "session.py",
)
_TIMES = re.compile(r"(?:timeout|delay|duration|interval|elapsed|took)$")


class Documented(NamedTuple):
    """A public function or class with its docstring."""

    place: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    doc: str

    def section(self, title: str) -> str:
        """The text under a numpydoc heading; empty where there is none."""
        lines = self.doc.split("\n")
        for at, line in enumerate(lines[:-1]):
            if line == title and set(lines[at + 1]) == {"-"}:
                rest = lines[at + 2 :]
                end = next(
                    (n for n in range(len(rest) - 1) if set(rest[n + 1]) == {"-"} and rest[n]), len(rest)
                )
                return "\n".join(rest[:end])
        return ""

    @property
    def entries(self) -> dict[str, str]:
        """The documented parameters, each name with its type."""
        found = re.findall(r"^([*\w][\w, *]*?)(?: : (.+))?$", self.section("Parameters"), re.MULTILINE)
        return {name.strip().lstrip("*"): kind for names, kind in found for name in names.split(",")}

    @property
    def parameters(self) -> dict[str, ast.arg]:
        """The parameters of the function, or of the class's `__init__` or fields."""
        node = self.node
        if isinstance(node, ast.ClassDef):
            made = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
            if not made:
                fields = [
                    f for f in node.body if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)
                ]
                return {f.target.id: ast.arg(f.target.id, f.annotation) for f in fields}  # type: ignore[union-attr]
            node = made[0]
        spec = node.args
        every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
        return {argument.arg: argument for argument in every if argument is not None}


def documented(path: Path) -> Iterator[Documented]:
    """Find the public functions and classes of a module, and those inside its public classes."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if node.name.startswith("_"):
                continue
            place = f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}"
            yield Documented(place, node, ast.get_docstring(node) or "")
            if isinstance(node, ast.ClassDef):
                waiting.append(node)


@pytest.fixture(scope="module")
def public():
    """All that is public, found once; not while the tests are collected, which each worker does."""
    return [found for path in FILES for found in documented(path)]


def test_there_is_something_to_look_at(public):
    assert len(public) > 500


def test_documented_parameters_exist_and_have_a_type(public):
    wrong = [
        f"{found.place}: {name}"
        for found in public
        for name, kind in found.entries.items()
        if name not in found.parameters or not (kind or found.parameters[name].annotation)
    ]
    assert wrong == []


def test_a_time_says_its_unit(public):
    """By its name, as ``timeout_seconds`` does, or in the docstring."""
    wrong = [
        f"{found.place}: {name}"
        for found in public
        for name in found.parameters
        if _TIMES.search(name) and "second" not in found.doc
    ]
    assert wrong == []


@pytest.mark.parametrize("file", FACE)
def test_raised_errors_are_documented(file):
    wrong = []
    for found in documented(PACKAGE / file):
        if isinstance(found.node, ast.ClassDef):
            continue
        for node in ast.walk(found.node):
            call = node.exc if isinstance(node, ast.Raise) else None
            name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
            if name and not name.startswith("_") and name not in found.doc:
                wrong.append(f"{found.place}: {name}")
    assert wrong == []
