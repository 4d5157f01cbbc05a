"""What tools can say about the code."""

from __future__ import annotations

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
