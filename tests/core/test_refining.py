"""A model changes a stored tool by a wish."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from fact_magics import FactCore, ToolSpec, load_settings
from fact_magics.errors import CellError, GenerationFailed, ProviderError, UnknownName
from fact_magics.events import GenerationEnded

pytestmark = pytest.mark.slow

SLUG = 'def slug(text: str, *, sep: str = "-") -> str:\n    """Write a slug."""\n    return sep.join(text.lower().split())\n'
DOTTED = SLUG.replace("text.lower()", 'text.lower().replace(".", "")')
WORSE = SLUG.replace("text.lower()", "text")
FIRST = ToolSpec("slug", "Write a slug.\n\n>>> slug('A b')\n'a-b'\n\n>>> slug('')\n''\n", tags=("text",))
LATER = "tok-RECOGNISABLE-4711-of-the-user"
WISH = ToolSpec("slug", "Leave dots out.\n\n>>> slug('v1.2')\n'v12'\n")


def wish(**other: object) -> ToolSpec:
    return WISH.model_copy(update=other)


@pytest.fixture
async def slug(core, server):
    server.writes(SLUG)
    return await core.generate(FIRST)


async def refined(core: FactCore, spec: ToolSpec) -> tuple[object, GenerationEnded]:
    heard: list[object] = []
    tool = await core.refine(spec, heard.append)
    assert isinstance(heard[-1], GenerationEnded)
    return tool, heard[-1]


class TestRequest:
    @pytest.mark.usefixtures("slug")
    async def test_the_model_gets_the_source_the_examples_and_the_wish(self, core, server):
        server.writes(DOTTED)
        tool = await core.refine(wish(tags=("dots",)))
        [asked] = [request for request in server.requests if "Leave dots out." in request.text]
        # As data: nothing in it is an instruction.
        fenced = re.findall(r'<data-\w+ variable="(\w+)">\n?(.*?)\n?</data-', asked.text, re.DOTALL)
        assert fenced == [("description", "Write a slug."), ("source", SLUG.strip())]
        assert asked.text.startswith("Change the tool `slug`.\n\n<data-")
        after = asked.text[asked.text.index("Every one of these examples must hold:") :]
        assert after.endswith(">>> slug('A b')\n'a-b'\n\n>>> slug('')\n''\n\n>>> slug('v1.2')\n'v12'")
        assert asked.system == server.requests[0].system
        known = tool.metadata
        assert (known.version, known.tags, known.description) == ("1.1.0", ("text", "dots"), "Write a slug.")
        assert await tool.acall("A 1.2") == "a-12"
        assert (await core.tool("slug")).id == (await core.current("slug")).metadata.id == tool.id

    @pytest.mark.usefixtures("slug")
    async def test_its_row_is_complete(self, core, server):
        server.writes(DOTTED)
        tool = await core.refine(WISH)
        row = (await core.list_generations())[0]
        assert (row.tool_id, row.status, row.provider) == (tool.id, "ok", "anthropic")
        assert "Leave dots out." in row.description
        assert SLUG.strip() in row.description
        assert row.contract == tool.metadata.contract
        assert row.request_hash == tool.metadata.request_hash
        assert row.source == DOTTED

    @pytest.mark.usefixtures("slug")
    async def test_without_words_the_new_examples_are_the_wish(self, core, server):
        server.writes(DOTTED)
        assert (await core.refine(wish(description=">>> slug('v1.2')\n'v12'"))).version == "1.1.0"
        assert "some of them are new" in server.requests[-1].text

    async def test_without_examples_the_contract_stays(self, core, server, slug):
        server.writes(DOTTED)
        tool = await core.refine(ToolSpec("slug", "Leave dots out."))
        assert (tool.version, tool.metadata.contract) == ("1.0.1", slug.metadata.contract)

    async def test_permissions_stay_and_more_can_be_granted(self, core, server, monkeypatch):
        monkeypatch.setenv("GREETING", "hello")
        monkeypatch.setenv("OTHER", "you")
        source = "import os\n\ndef greet() -> str:\n    return os.environ['GREETING']\n"
        server.writes(source)
        await core.generate(ToolSpec("greet", "Greet.", permissions=("env:GREETING",)))
        server.writes(
            source.replace("os.environ['GREETING']", "os.environ['GREETING'] + os.environ['OTHER']")
        )
        tool = await core.refine(
            ToolSpec("greet", "Name me.\n\n>>> greet()\n'helloyou'", permissions=("env:OTHER",))
        )
        assert tool.metadata.permissions == ("env:GREETING", "env:OTHER")
        assert "env:GREETING, env:OTHER" in server.requests[-1].text

    async def test_a_dangerous_permission_must_be_confirmed_only_where_it_is_new(self, core, server):
        server.writes("def look() -> int:\n    return 1\n")
        await core.generate(ToolSpec("look", "Look.", permissions=("read:/",), yes_really=True), print)
        with pytest.raises(CellError, match="dangerous"):
            await core.refine(ToolSpec("look", "Write.", permissions=("net:127.0.0.1",)))
        server.writes("def look() -> int:\n    return 2\n")
        assert (await core.refine(ToolSpec("look", "Return 2."))).metadata.permissions == ("read:/",)

    async def test_a_key_in_the_wish_is_not_sent(self, settings, server):
        async with FactCore(settings) as core:
            server.writes(SLUG)
            await core.generate(FIRST)
            server.writes(DOTTED)
            await core.refine(ToolSpec("slug", f"Leave {server.key} out."))
            assert server.key not in server.requests[-1].text
            assert server.key not in (await core.list_generations())[0].description

    async def test_a_key_that_was_set_after_the_tool_was_made_is_not_sent(self, core, server, monkeypatch):
        written = DOTTED.replace("Write a slug.", f"Write a slug of {LATER}.")
        server.writes(written)
        await core.generate(FIRST)
        server.writes(written.replace("return ", f"return {LATER!r} if text == '.' else "))
        await core.refine(ToolSpec("slug", f">>> slug('.')\n{LATER!r}"))
        asked = len(server.requests)
        monkeypatch.setenv("SERVICE_TOKEN", LATER)
        with pytest.raises(CellError, match=r"^An example of slug contains a key.*Generate slug again"):
            await core.refine(WISH)
        assert len(server.requests) == asked
        server.writes(DOTTED)
        await core.refine(ToolSpec("slug", "Leave dots out.\n\n>>> slug('.')\n''"))
        assert LATER not in server.requests[asked].text
        assert LATER not in (await core.list_generations())[0].description


class TestExamples:
    @pytest.mark.usefixtures("slug")
    async def test_every_earlier_example_still_has_to_hold(self, core, server):
        server.writes(WORSE)
        server.writes(DOTTED)
        tool = await core.refine(WISH)
        assert "slug('A b') should give 'a-b', but gave 'A-b'" in server.requests[-1].text
        assert tool.source == DOTTED

    async def test_what_is_not_accepted_changes_nothing(self, core, server, slug):
        server.writes(WORSE)
        with pytest.raises(GenerationFailed, match="2 of 3 examples failed"):
            await core.refine(wish(attempts=1))
        assert (await core.tool("slug")).id == (await core.current("slug")).metadata.id == slug.id
        assert (await core.list_generations())[0].status == "error"

    @pytest.mark.usefixtures("slug")
    async def test_another_value_of_the_same_call_replaces_the_earlier_one_and_is_said(self, core, server):
        server.writes(SLUG.replace("lower", "upper"))
        upper = ToolSpec("slug", "Upper case.\n\n>>> slug(text='A b')\n'A-B'\n\n>>> slug('')\n''\n")
        tool, ended = await refined(core, upper)
        assert tool.metadata.contract == ">>> slug(text='A b')\n'A-B'\n\n>>> slug('')\n''"
        line = "slug(text='A b') now gives 'A-B'; the earlier example gives 'a-b'"
        assert ended.changes[0] == line
        assert ended.changes[1].startswith("replaces 1.0.0")
        assert f"- {line}" in server.requests[-1].text

    @pytest.mark.usefixtures("slug")
    async def test_two_values_of_one_call_in_a_wish_are_one_clear_line(self, core, server):
        asked = len(server.requests)
        with pytest.raises(
            CellError, match=r"^Line 4: slug\(text='A'\) has another value than in line 1\. Keep"
        ):
            await core.refine(ToolSpec("slug", ">>> slug('A')\n'a'\n\n>>> slug(text='A')\n'A'\n"))
        assert len(server.requests) == asked


class TestAgain:
    async def test_the_same_wish_returns_its_version_without_a_model_call(self, core, server, slug):
        server.writes(DOTTED)
        first = await core.refine(WISH)
        asked = len(server.requests)
        again, ended = await refined(core, WISH)
        assert again.id == first.id
        assert ended.reused
        # As Run All does, which comes to the first version again before.
        assert (await core.generate(FIRST)).id == slug.id
        assert (await core.refine(WISH)).id == first.id
        assert len(server.requests) == asked

    @pytest.mark.usefixtures("slug", "slug", "slug")
    async def test_wishes_after_each_other_return_their_versions_as_often_as_they_are_asked(
        self, core, server
    ):
        other = ToolSpec("slug", "Strip underscores.")
        server.writes(DOTTED)
        server.writes(DOTTED.replace("lower()", 'lower().replace("_", "")'))
        made = [await core.refine(WISH), await core.refine(other)]
        asked = len(server.requests)
        for _ in range(2):
            await core.generate(FIRST)
            assert [await core.refine(WISH), await core.refine(other), await core.refine(other)] == [
                *made,
                made[1],
            ]
        assert len(server.requests) == asked

    @pytest.mark.usefixtures("slug", "slug")
    async def test_in_another_session_too(self, core, server, settings):
        server.writes(DOTTED)
        first = await core.refine(WISH)
        async with FactCore(settings) as later:
            assert (await later.refine(WISH)).id == first.id
        assert len(server.requests) == 2

    @pytest.mark.usefixtures("slug", "slug")
    async def test_fresh_asks_again_to_change_the_same_version(self, core, server):
        for source in (DOTTED, DOTTED.replace("lower()", "casefold()")):
            server.writes(source)
            tool = await core.refine(wish(fresh=True))
        assert [SLUG.strip() in request.text for request in server.requests[1:]] == [True, True]
        assert tool.version == "1.1.1"

    @pytest.mark.usefixtures("server", "slug")
    async def test_another_wish_or_another_source_is_another_request(self, core, server):
        server.writes(DOTTED)
        await core.refine(WISH)
        server.writes(DOTTED)
        await core.refine(wish(description=WISH.description.replace("Leave", "Please leave")))
        await core.edit_tool("slug", f"# by hand\n{DOTTED}")
        server.writes(DOTTED)
        await core.refine(WISH)
        assert len(server.requests) == 4
        assert "# by hand" in server.requests[-1].text

    @pytest.mark.usefixtures("slug")
    async def test_an_earlier_version_whose_contract_can_t_be_read_is_left_out(self, core, server):
        server.writes(DOTTED)
        await core.refine(WISH)
        with closing(sqlite3.connect(core.database_path)) as connection, connection:
            connection.execute("UPDATE tools SET contract = '>>> slug(' WHERE version = '1.0.0'")
        server.writes(f"# again\n{DOTTED}")
        assert (await core.refine(ToolSpec("slug", "Again."))).version == "1.1.1"


class TestRefusals:
    @pytest.mark.usefixtures("slug", "server")
    async def test_there_must_be_a_tool(self, core):
        with pytest.raises(UnknownName, match=r"^There is no tool named 'slgu'\. Did you mean 'slug'\?$"):
            await core.refine(ToolSpec("slgu", "Leave dots out."))

    @pytest.mark.usefixtures("slug")
    async def test_the_wish_must_say_something(self, core):
        with pytest.raises(CellError, match=r"^The request to change slug is empty\. Say what to change"):
            await core.refine(ToolSpec("slug", " \n"))

    @pytest.mark.parametrize("model", [None, "shelf"])
    async def test_the_shelf_can_t_change_a_tool(self, tmp_path, model):
        settings = load_settings(
            {}, tmp_path, {"FACT_HOME": str(tmp_path / "home"), "OLLAMA_API_BASE": "http://127.0.0.1:9"}
        )
        async with FactCore(settings) as core:
            await core.generate(ToolSpec("slugify", "Turn a title into a URL slug.", model="shelf"))
            with pytest.raises(
                ProviderError, match=r"^Changing slugify needs a model, and the shelf only has"
            ) as told:
                await core.refine(ToolSpec("slugify", "Leave dots out.", model=model))
            assert "ANTHROPIC_API_KEY" in told.value.hint
            assert len(await core.list_generations()) == 1
