"""The order of the rooms: checks who imports whom, and draws the chart in CONTRIBUTING.md.

``python tests/test_rooms.py`` redraws the chart.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parent.parent
PAGE = REPOSITORY / "CONTRIBUTING.md"

# A room is a package or a module directly under fact_magics. It may import rooms of the rows below its own.
ROWS = (
    ("__init__",),
    ("notebook", "http", "testing"),
    ("tools",),
    ("session", "display"),
    ("mapping",),
    ("core",),
    ("probing",),
    ("writing",),
    ("providers",),
    ("shelf",),
    ("signature", "config"),
    ("sandbox", "store"),
    ("events",),
    ("attempt",),
    ("tool",),
    ("permissions", "checked", "complexity", "pictures"),
    ("values",),
    ("bridge", "logs", "names"),
    ("owners",),
    ("errors",),
    ("text", "redaction", "quiet", "collector", "packages", "atomic", "_version"),
)
ROW = {room: number for number, row in enumerate(ROWS) for room in row}
# Events tell the views what happens, so that they need no core.
NEVER = {("display", "core")}
# The modules of IPython that other rooms than `notebook` may import: to show things, and for a type.
OF_IPYTHON = {"display": "IPython.display", "__init__": "IPython.core.interactiveshell"}
NOTEBOOK_ONLY = {"IPython", "ipykernel", "ipywidgets", "nbformat"}
CHILD = "fact_magics.sandbox.child"


class Import(NamedTuple):
    """One module that a file imports."""

    where: str  # path:line
    importer: str
    target: str


def imports(package: Path) -> list[Import]:
    """Read every import of a package's modules, those inside functions and for type checkers too."""
    files = {
        _module(path, package): path
        for path in sorted(package.rglob("*.py"))
        if path.parts[-3:-1] != ("shelf", "tools")  # they are read as text, and are not modules
    }
    return [
        Import(f"{path.relative_to(package.parent)}:{line}", name, target)
        for name, path in files.items()
        for line, target in _targets(name, path, files)
    ]


def _module(path: Path, package: Path) -> str:
    return ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")


def _targets(name: str, path: Path, files: dict[str, Path]) -> Iterator[tuple[int, str]]:
    around = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = around[: len(around) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            for full in {f"{base}.{alias.name}" for alias in node.names}:
                yield node.lineno, full if full in files else base


def room_of(module: str) -> str:
    return (*module.split("."), "__init__")[1]


def forbidden(package: Path) -> list[str]:
    """Name each import that the rules forbid, one line each: file, line, and why."""
    found = imports(package)
    return sorted({f"{one.where}: {why}" for one in found if (why := _objection(one))} | set(_circles(found)))


def _objection(one: Import) -> str:
    here, top = room_of(one.importer), one.target.split(".")[0]
    if here not in ROW:
        return f"{here} stands in no row of tests/test_rooms.py"
    if f"{one.importer}.".startswith(f"{CHILD}."):
        is_allowed = top in sys.stdlib_module_names or f"{one.target}.".startswith(f"{CHILD}.")
        return "" if is_allowed else f"sandbox/child may import the standard library only, not {one.target}"
    if top in NOTEBOOK_ONLY and here != "notebook":
        return "" if OF_IPYTHON.get(here) == one.target else f"{here} may not import {one.target}"
    there = room_of(one.target)
    if top != "fact_magics" or here == there:
        return ""
    if there not in ROW or ROW[there] <= ROW[here] or (here, there) in NEVER:
        return f"{here} may not import {one.target}"
    return ""


def _circles(found: list[Import]) -> Iterator[str]:
    known = defaultdict(list)
    for one in found:
        known[one.importer].append(one)
    finished: set[str] = set()

    def visit(module: str, trail: list[str]) -> Iterator[str]:
        for one in known[module]:
            if one.target in trail:
                yield f"{one.where}: a circle: {' → '.join([*trail[trail.index(one.target) :], one.target])}"
            elif one.target not in finished and one.target in known:
                yield from visit(one.target, [*trail, one.target])
        finished.add(module)

    for module in list(known):
        if module not in finished:
            yield from visit(module, [module])


def picture(package: Path) -> str:
    """Draw who imports whom as a Mermaid chart, without the arrows that a longer way implies."""
    below = defaultdict(set)
    for one in imports(package):
        here, there = room_of(one.importer), room_of(one.target)
        if one.target.startswith("fact_magics") and ROW.get(here, 99) < ROW.get(there, 0):
            below[here].add(there)

    def reach(room: str) -> set[str]:
        return below[room].union(*(reach(other) for other in below[room]))

    arrows = {room: below[room] - set().union(*map(reach, below[room])) for room in ROW}
    lines = [
        f"    {room} --> {' & '.join(sorted(near, key=[*ROW].index))}"
        for room, near in arrows.items()
        if near
    ]
    shown = set(below).union(*below.values())
    alone = [f"    {room}" for room in ROW if room not in shown]
    return "\n".join(["```mermaid", "flowchart TD", *lines, *alone, "```"])


def _drawn(page: str, chart: str) -> str:
    return re.sub(r"```mermaid\n.*?```", lambda _: chart, page, count=1, flags=re.DOTALL)


def test_every_import_goes_down():
    wrong = forbidden(REPOSITORY / "fact_magics")
    assert not wrong, "\n".join(["", *wrong])


def test_every_room_that_the_order_names_is_there():
    package = REPOSITORY / "fact_magics"
    assert set(ROW) == {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }


def test_contributing_shows_the_rooms_as_they_are():
    page = PAGE.read_text(encoding="utf-8")
    assert page == _drawn(page, picture(REPOSITORY / "fact_magics")), "run: python tests/test_rooms.py"


RULES = [
    ("core/plan.py", "def f():\n    from fact_magics.notebook import magics", "2: core may not import fact_magics.notebook.magics"),
    ("core/plan.py", "if TYPE_CHECKING:\n    import fact_magics.display", "2: core may not import fact_magics.display"),
    ("core/plan.py", "from .. import session", "1: core may not import fact_magics.session"),
    ("store/rows.py", "from fact_magics.sandbox import pool", "1: store may not import fact_magics.sandbox"),
    ("text.py", "from fact_magics import __version__", "1: text may not import fact_magics"),
    ("display/live.py", "from fact_magics.core import FactCore", "1: display may not import fact_magics.core"),
    ("display/live.py", "import IPython.core", "1: display may not import IPython.core"),
    ("session.py", "from IPython.display import HTML", "1: session may not import IPython.display"),
    ("sandbox/child/worker.py", "import fact_magics.text", "1: sandbox/child may import the standard library only, not fact_magics.text"),
    ("sandbox/child/worker.py", "import numpy", "1: sandbox/child may import the standard library only, not numpy"),
    ("core/running.py", "from fact_magics.core import FactCore\nimport fact_magics.core.plan", "2: a circle: fact_magics.core.plan → fact_magics.core.running → fact_magics.core.plan"),
    ("attic.py", "import os", "1: attic stands in no row of tests/test_rooms.py"),
]  # fmt: skip


class TestChecker:
    def tree(self, folder: Path, files: dict[str, str]) -> Path:
        package = folder / "fact_magics"
        for name, text in files.items():
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            for above in [path.parent, *path.parent.parents]:
                if above.is_relative_to(package):
                    (above / "__init__.py").touch()
        return package

    def clean(self) -> dict[str, str]:
        return {
            "core/running.py": "import IPythonic\nfrom fact_magics.text import plural",
            "core/plan.py": "from fact_magics.core.running import Run",
            "notebook/magics.py": "import IPython\nfrom fact_magics.core import FactCore",
            "display/live.py": "from IPython.display import HTML",
            "sandbox/child/worker.py": "import os\nfrom fact_magics.sandbox.child import once",
            "session.py": "",
            "text.py": "",
        }

    def test_a_tree_that_keeps_the_rules_passes(self, tmp_path):
        assert forbidden(self.tree(tmp_path, self.clean())) == []

    def test_each_rule_that_is_broken_gives_one_line_with_file_and_line(self, tmp_path):
        for number, (name, text, told) in enumerate(RULES):
            files = self.clean()
            package = self.tree(tmp_path / str(number), {**files, name: text})
            assert forbidden(package) == [f"fact_magics/{name}:{told}"]

    def test_the_picture_leaves_out_arrows_that_a_longer_way_implies(self, tmp_path):
        files = {
            "session.py": "import fact_magics.core, fact_magics.text",
            "core/__init__.py": "import fact_magics.text",
        }
        chart = picture(self.tree(tmp_path, {**files, "text.py": ""}))
        assert "    session --> core\n" in chart
        assert "    core --> text\n" in chart


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_drawn(text, picture(REPOSITORY / "fact_magics")), encoding="utf-8")
