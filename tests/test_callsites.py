"""An error of a tool that was called as a function tells where, in the notebook's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from shells import new_shell

from fact_magics import FactCore, load_settings
from fact_magics.core.handle import Tool
from fact_magics.core.loaded import load
from fact_magics.tool import ToolMetadata, ToolVersion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOURCE = "def half(n: int) -> float:\n    return n / 2\n"


@pytest.fixture
async def half(tmp_path: Path) -> AsyncIterator[Tool]:
    environment = {"FACT_HOME": str(tmp_path / "home")}
    async with FactCore(load_settings({"isolation": "process"}, tmp_path, environment)) as core:
        metadata = ToolMetadata(id="1", name="half")
        yield Tool(load(ToolVersion(metadata, SOURCE)), core._caller)


@pytest.fixture
def shown(half, tmp_path: Path):
    """Run a cell that fails, and give the lines that it shows."""
    shell = new_shell()
    shell.user_ns["half"] = half

    def run(cell: str) -> list[str]:
        error = shell.run_cell(cell).error_in_exec
        return error._render_traceback_()

    return run


def test_the_lines_of_the_cell_and_of_its_functions_are_told(shown):
    cell = "def inner(x):\n    # here\n    return half(x)\n\nfor word in ['x\u202e']:\n    [inner(word) for _ in 'a']\n"
    field, signature, *sites = shown(cell)
    assert field.startswith("InvalidInput: n: should be")
    assert signature.startswith("  Not run: half(n: ")
    assert sites[0] == "  at line 6: [inner(word) for _ in 'a']"
    assert sites[-1] == "  at line 3 in inner: return half(x)"


@pytest.mark.parametrize("cell", ["half('x')", "%%time\nhalf('x')"])
def test_a_cell_that_is_nothing_but_the_call_says_no_more_than_the_error(shown, cell):
    assert len(shown(cell)) == 2


def test_other_people_s_code_between_them_is_left_out(shown):
    cell = "import contextlib\nwith contextlib.ExitStack() as stack:\n    stack.callback(half, 'x')"
    assert shown(cell)[2:] == ["  at line 2: with contextlib.ExitStack() as stack:"]


def test_in_deep_recursion_the_last_calls_are_told(shown):
    sites = shown("def down(n):\n    return down(n - 1) if n else half('x')\n\ndown(100)")[2:]
    assert len(sites) == 8
    assert set(sites) == {"  at line 2 in down: return down(n - 1) if n else half('x')"}


def test_an_error_that_is_no_call_s_tells_no_lines(shown):
    assert len(shown("from fact_magics.errors import CellError\nx = 1\nraise CellError('No.')")) == 1
