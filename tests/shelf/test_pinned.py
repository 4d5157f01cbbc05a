"""The examples of the shelf's tools tell them from every change of their sources."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.probing.prober import probe
from fact_magics.sandbox import Sandbox
from fact_magics.shelf.entry import Entry, read_shelf
from fact_magics.tool import ToolMetadata, ToolVersion

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize("entry", read_shelf(), ids=lambda entry: entry.name)
def test_no_change_of_a_tool_gives_what_its_examples_say(entry: Entry) -> None:
    async def look() -> None:
        async with asyncio.timeout(280):
            sandbox = Sandbox()
            version = ToolVersion(ToolMetadata(name=entry.name, proven=True), entry.source)
            found = await probe(version, sandbox, 250.0, lambda _: None, documented=entry.doc)
            await sandbox.aclose()
        assert found.untried == 0
        assert found.questions == (), "\n".join(one.lines(1) for one in found.questions)
        assert found.surprises == ()

    asyncio.run(look())


async def test_a_tool_from_the_shelf_is_pinned_by_the_examples_that_it_ships_with(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path, {"FACT_HOME": str(tmp_path / "home")})
    async with FactCore(settings) as core:
        description = 'Turn a title into a URL slug.\n\n>>> as_slug("Hello, World!")\n"hello-world"\n'
        await core.generate(ToolSpec("as_slug", description, model="shelf"))
        found = await core.probe("as_slug", seconds=60.0)
        assert found.questions == ()
        assert found.changes == found.caught > 100
        tool = await core.tool("as_slug")
        assert tool.metadata.strength == f"pinned {found.caught}/{found.changes}"
