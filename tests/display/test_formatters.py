"""IPython's display of tools and outputs, from the first cell on."""

from __future__ import annotations

import pytest

from fact_magics.core.handle import Tool
from fact_magics.core.loaded import load
from fact_magics.tool import ToolMetadata, ToolOutput, ToolVersion

METADATA = ToolMetadata(
    id="1", name="half", version="1.2.0", description="Halve a number.", contract="", permissions=(), tags=(),
    provider="anthropic", model="m", proven=False, varies=False, request_hash="", created_at="2026-11-22T09:00:00.000Z",
)  # fmt: skip


@pytest.fixture
def shell() -> object:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    made.display_formatter.active_types = ["text/plain", "text/html"]
    made.extension_manager.load_extension("fact_magics")
    return made


@pytest.fixture
def tool() -> Tool:
    version = ToolVersion(METADATA, "def half(n: int) -> float:\n    return n / 2\n")
    return Tool(load(version), None)  # type: ignore[arg-type]  # nothing is run


def test_a_tool_that_was_imported_shows_its_record_before_any_cell_of_ours_ran(shell, tool):
    data, _ = shell.display_formatter.format(tool)
    assert set(data) == {"text/plain", "text/html"}
    assert "Halve a number." in data["text/html"]
    assert "half(n: int) -> float" in data["text/plain"]


def test_so_does_an_output(shell):
    data, _ = shell.display_formatter.format(ToolOutput(True, {"a": 1}, 1.0, {"tool": "half"}))
    assert "half" in data["text/html"]


def test_unloading_leaves_their_own_text(shell, tool):
    for value in (tool, ToolOutput(True, 1, 1.0, {})):
        shell.display_formatter.format(value)  # the formatters know the classes by now
    shell.extension_manager.unload_extension("fact_magics")
    for value in (tool, ToolOutput(True, 1, 1.0, {})):
        data, _ = shell.display_formatter.format(value)
        assert data == {"text/plain": repr(value)}
