"""CONTRIBUTING's recipe for a ``%fact`` subcommand, followed to the letter."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fact_magics.notebook import commands
from fact_magics.notebook.commands import tools

CONTRIBUTING = Path(__file__).parents[3] / "CONTRIBUTING.md"


def test_the_recipe_s_code_passes_the_recipe_s_test(fact, keep_tools, monkeypatch):
    text = CONTRIBUTING.read_text(encoding="utf-8")
    blocks = re.findall(r"^   ```py\n(.*?)^   ```$", text, re.DOTALL | re.MULTILINE)
    test, code, entry = map(textwrap.dedent, blocks)
    module: dict[str, Any] = dict(vars(tools))
    exec(code, module)  # noqa: S102 - it is CONTRIBUTING's
    added = eval(f"({entry})", {**vars(commands), "tools": SimpleNamespace(**module)})  # noqa: S307 - as above
    monkeypatch.setattr(commands, "COMMANDS", commands.by_name((*commands._TABLE, added)))
    exec(test, module)  # noqa: S102 - as above
    module["test_tools_are_counted"](fact, keep_tools)
