"""What tools can say about the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
