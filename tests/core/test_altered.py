"""A database that another program has changed, or that can't grow: what a session makes of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from fact_magics import FactCore, ToolInput, ToolSpec
from fact_magics.core.handle import Tool
from fact_magics.display.record import tool_record
from fact_magics.errors import StoreError, UnknownName
from fact_magics.events import GenerationEnded
from fact_magics.shelf.entry import is_shipped, read_shelf
from fact_magics.tool import IMPORTED, SHELF

pytestmark = pytest.mark.slow

DOUBLE = "def double(n: int) -> int:\n    return 2 * n\n"
SPEC = ToolSpec("double", "Double a number.\n\n>>> double(2)\n4\n")
SLUGIFY = ToolSpec(
    "slugify", "Turn a title into a URL slug.\n\n>>> slugify('Some Title')\n'some-title'\n", model=SHELF
)


def alter(core: FactCore, *statement: str) -> None:
    with closing(sqlite3.connect(core.database_path, isolation_level=None)) as connection:
        assert connection.execute(" ".join(statement)).rowcount >= 1


async def limit_growth(core: FactCore, pages: int) -> None:
    """Let the file grow to so many pages at most, or not at all, as on a disk that is full."""
    await core._store._database.read(lambda it: it.execute(f"PRAGMA max_page_count = {pages}").fetchone())


class TestAnswers:
    @pytest.mark.parametrize(
        "change",
        [
            "result = CAST('\"wrong\"' AS BLOB)",
            "result = 'text'",
            "result = X''",
            "printed = X'ff'",
            "created_at = '?'",
        ],
    )
    async def test_a_run_whose_stored_answer_was_changed_runs_again(self, core, server, settings, change):
        server.writes(DOUBLE)
        await core.generate(SPEC)
        await core.execute_tool(ToolInput("double", {"n": 21}))
        alter(core, "UPDATE cache SET", change)
        cached = []
        for _ in range(2):
            async with FactCore(settings) as other:
                output = await other.execute_tool(ToolInput("double", {"n": 21}))
                assert (output.success, output.result) == (True, 42)
                cached.append(output.metadata["cached"])
        assert cached == [False, True]


class TestTools:
    async def test_a_current_version_that_can_t_be_read_is_named_with_the_way_back(
        self, core, server, settings
    ):
        server.writes(DOUBLE)
        await core.generate(SPEC)
        server.writes(DOUBLE.replace("2 * n", "n + n"))
        await core.generate(SPEC.model_copy(update={"fresh": True}))
        alter(core, "UPDATE tools SET permissions = 'all' WHERE patch = 1")
        async with FactCore(settings) as other:
            for ask in (other.tool, other.look_up, other.stored):
                with pytest.raises(UnknownName) as caught:
                    await ask("double")
                assert caught.value.line == (
                    "The current version of double can't be read from the database: in a version of double, the"
                    " column permissions is 'all'. Go back to one of 1.0.0: %fact rollback double VERSION"
                )
            assert await other.current("double") is None
            assert await other.list_tools() == []
            assert (await other.roll_back("double", "1.0.0")).version == "1.0.0"
            assert (await other.execute_tool(ToolInput("double", {"n": 4}))).result == 8

    async def test_a_name_that_leads_nowhere_says_which_versions_there_are(self, core, server, settings):
        server.writes(DOUBLE)
        await core.generate(SPEC)
        alter(core, "UPDATE toolbox SET tool_id = 'gone'")
        async with FactCore(settings) as other:
            with pytest.raises(UnknownName, match=r"double has no current version\. Choose one of 1\.0\.0"):
                await other.tool("double")

    @pytest.mark.parametrize(
        "change",
        [
            """permissions = '["net:example.org"]'""",
            "name = 'triple'",
            "contract = ''",
            "proven = 0",
            "source = 'def other(): ...'",
            "source = char(0)",
        ],
    )
    async def test_a_request_gets_no_version_that_was_changed_since(self, core, server, settings, change):
        server.writes(DOUBLE)
        await core.generate(SPEC)
        alter(core, "UPDATE tools SET", change)
        async with FactCore(settings) as other:
            server.writes(DOUBLE)
            tool = await other.generate(SPEC)
            assert len(server.requests) == 2
            assert (tool.name, tool.metadata.permissions, tool.metadata.proven) == ("double", (), True)


class TestShelf:
    async def test_only_what_ships_is_called_from_the_shelf(self, core, settings):
        tool = await core.generate(SLUGIFY)
        assert tool.metadata.provider == SHELF
        assert "from the shelf" in tool_record(tool.stored, tool.text).plain
        alter(core, "UPDATE tools SET source = replace(source, 'return', 'return  ')")
        async with FactCore(settings) as other:
            heard: list[object] = []
            found = [
                *(await other.list_tools()),
                *(await other.versions("slugify")),
                await other.current("slugify"),
                await other.stored("slugify"),
                await other.look_up("slugify"),
                await other.version_by_id(tool.id),
                await other.generate(SLUGIFY, heard.append),
            ]
            ended = next(event for event in heard if isinstance(event, GenerationEnded))
        versions = [each.stored if isinstance(each, Tool) else each for each in (*found, ended.version)]
        assert {version.metadata.provider for version in versions} == {IMPORTED}
        assert all("from the shelf" not in tool_record(version, "").plain for version in versions)

    @pytest.mark.parametrize("change", ["provider = 'shelf'", "model = 'shelf/slugify'", "model = 'shelf'"])
    async def test_a_tool_that_claims_to_be_from_the_shelf_is_called_a_claim(
        self, core, server, settings, change
    ):
        server.writes(DOUBLE)
        await core.generate(SPEC)
        alter(core, "UPDATE tools SET", change)
        async with FactCore(settings) as other:
            assert (await other.stored("double")).metadata.provider == IMPORTED

    @pytest.mark.parametrize("name", ["re", "str", "not a name", "", "slugify\0", "é" * 1000])
    def test_a_name_that_the_shelfs_tool_can_t_have_is_not_shipped(self, name):
        slugify = next(entry for entry in read_shelf() if entry.name == "slugify")
        assert not is_shipped(slugify.source, "shelf/slugify", name)
        assert is_shipped(slugify.source, "shelf/slugify", "slugify")


class TestFullDisk:
    LONG = "def long(n: int) -> str:\n    return 'x' * n\n"

    async def test_a_run_keeps_its_value_and_says_that_its_row_waits(self, core, server):
        server.writes(self.LONG)
        await core.generate(ToolSpec("long", "Write a long text.\n\n>>> long(1)\n'x'\n"))
        await limit_growth(core, 1)
        output = await core.execute_tool(ToolInput("long", {"n": 150_000}))
        assert (output.success, len(output.result)) == (True, 150_000)
        assert "Not recorded yet" in output.metadata["warning"]
        assert "the disk is full" in output.metadata["warning"]
        await limit_growth(core, 1_000_000)
        assert [row.status for row in await core.list_runs()] == ["ok"]

    async def test_rows_that_are_lost_at_the_end_are_counted_on_stderr(self, core, server, settings, capsys):
        server.writes(self.LONG)
        await core.generate(ToolSpec("long", "Write a long text.\n\n>>> long(1)\n'x'\n"))
        async with FactCore(settings) as other:
            await other.tool("long")
            await limit_growth(other, 1)
            for n in (150_000, 150_001):
                await other.execute_tool(ToolInput("long", {"n": n}))
        said = capsys.readouterr().err
        assert said.startswith("fact_magics: 2 rows of the history could not be stored. The database ")
        assert "the disk is full" in said
        assert said.count("\n") == 1

    async def test_with_best_effort_runs_go_on_and_only_the_first_says_so(
        self, core, server, settings, capsys
    ):
        server.writes(self.LONG)
        await core.generate(ToolSpec("long", "Write a long text.\n\n>>> long(1)\n'x'\n"))
        async with FactCore(settings.model_copy(update={"history": "best-effort"})) as other:
            await other.tool("long")
            await limit_growth(other, 1)
            for n in (150_000, 150_001):
                output = await other.execute_tool(ToolInput("long", {"n": n}))
                assert "warning" not in output.metadata
                assert other.flush_blocking() == ""
            said = capsys.readouterr().err
            assert said.startswith(
                "fact_magics: Rows of the history can't be stored and wait in memory; runs continue. The data"
            )
            assert said.count("\n") == 1
            await limit_growth(other, 1_000_000)
            await other.execute_tool(ToolInput("long", {"n": 3}))
            assert len(await other.list_runs()) == 3
            await limit_growth(other, 1)
            await other.execute_tool(ToolInput("long", {"n": 150_003}))
        first, last = capsys.readouterr().err.splitlines()
        assert first.startswith("fact_magics: Rows of the history can't be stored")
        assert last.startswith("fact_magics: 1 row of the history could not be stored.")

    async def test_an_accepted_tool_that_can_t_be_stored_says_so_and_what_it_cost(self, core, server):
        server.writes(DOUBLE + "# " + " ".join(map(str, range(2_000))))
        await limit_growth(core, 1)
        heard: list[object] = []
        with pytest.raises(
            StoreError, match=r"double was accepted, but it could not be stored.*disk is full"
        ):
            await core.generate(SPEC, heard.append)
        ended = next(event for event in heard if isinstance(event, GenerationEnded))
        assert "disk is full" in ended.warning
        assert ended.attempts[-1].source.startswith(DOUBLE)
        await limit_growth(core, 1_000_000)
        assert [(row.status, row.tool_id) for row in await core.list_generations()] == [("ok", None)]
