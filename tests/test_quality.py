"""What tools can say about the code."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = [pytest.mark.slow, pytest.mark.early]

REPOSITORY = Path(__file__).parent.parent
[LOCAL] = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]


@pytest.mark.parametrize("hook", LOCAL["hooks"], ids=lambda hook: hook["id"])
def test_the_code_is_clean(hook):
    command = [sys.executable, "-m", *shlex.split(hook["entry"])]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_checks_are_ruff_its_format_and_mypy():
    assert [hook["entry"] for hook in LOCAL["hooks"]] == ["ruff check", "ruff format --check", "mypy"]


def test_the_supported_pythons_are_the_same_everywhere():
    def versions(file: str, pattern: str) -> set[str]:
        return set(re.findall(pattern, (REPOSITORY / file).read_text(encoding="utf-8")))

    supported = versions("pyproject.toml", r"Python :: (3\.\d+)")
    assert supported == {"3.11", "3.12", "3.13"}
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    assert supported == set(workflow["jobs"]["tests"]["strategy"]["matrix"]["python"])
    assert (
        f"PYTHONS = {tuple(sorted(supported))}".replace("'", '"') in (REPOSITORY / "noxfile.py").read_text()
    )


def needed(names: Iterable[str]) -> set[str]:
    """The distributions that these requirements install, with all that they require."""
    known: set[str] = set()
    waiting = [*names]
    while waiting:
        asked = Requirement(waiting.pop())
        name = canonicalize_name(asked.name)
        if name not in known and (asked.marker is None or asked.marker.evaluate({"extra": ""})):
            known.add(name)
            with suppress(PackageNotFoundError):
                waiting += requires(name) or []
    return known


def test_mypy_needs_no_package_beyond_the_extra_dev():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    there = needed([*project["project"]["dependencies"], *extras["dev"], *extras["http"]])
    imported = {
        name.partition(".")[0]
        for path in (REPOSITORY / "fact_magics").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        )
    }
    found = packages_distributions()
    others = {
        name
        for name in imported - {"fact_magics", *sys.stdlib_module_names}
        if there.isdisjoint(map(canonicalize_name, found.get(name, ())))
    }
    excused = {
        module.removesuffix(".*")
        for override in project["tool"]["mypy"]["overrides"]
        if override.get("ignore_missing_imports")
        for module in override["module"]
    }
    assert others <= excused
