"""What a name means: moved back, taken away, written anew by hand; here, and in other sessions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fact_magics import FactCore, ToolInput, ToolSpec, load_settings
from fact_magics.errors import CellError, GenerationFailed, UnknownName
from fact_magics.events import AttemptEnded, ExampleProven, GenerationEnded, TextArrived
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.slow

ONE = 'def twice(n: int) -> int:\n    """Double a number."""\n    return 2 * n\n'
TWO = ONE.replace("2 * n", "n + n")
WRONG = ONE.replace("2 * n", "3 * n")
CONTRACT = ">>> twice(2)\n4\n\n>>> twice(0)\n0"


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[FactCore]:
    settings = load_settings({}, tmp_path, {"FACT_HOME": str(tmp_path / "home"), "FACT_MODEL": "shelf"})
    async with FactCore(settings, directory=tmp_path) as running:
        yield running


@pytest.fixture
async def other(core: FactCore) -> AsyncIterator[FactCore]:
    """Another session on the same home."""
    async with FactCore(core.settings) as running:
        yield running


async def keep(core: FactCore, source: str = ONE, **fields: object):
    """Store a version as a generation does."""
    known = {"contract": CONTRACT, "proven": True, "provider": "anthropic", "model": "m", "description": "d"}
    identity = signature_identity(read_signature(source, "twice"))
    candidate = Candidate(name="twice", source=source, signature_id=identity, **{**known, **fields})  # type: ignore[arg-type]
    return core._toolbox.hold(await core._store.tools.accept(candidate, session_id=core.session_id))


async def kept(core: FactCore) -> list[object]:
    return [await core._store.tools.versions("twice"), await core._store.tools.get("twice")]


class TestRollback:
    async def test_it_moves_the_current_version_and_this_session(self, core, other):
        await keep(core)
        await keep(core, TWO)
        tool = await core.roll_back("twice", "1.0.0")
        assert tool.version == "1.0.0"
        assert (await core.tool("twice")).version == "1.0.0"
        query = "SELECT tool_id FROM session_pins WHERE session_id = ? AND name = 'twice'"
        assert await core._store._database.read(
            lambda connection: connection.execute(query, (core.session_id,)).fetchall()
        ) == [(tool.id,)]
        assert (await other.tool("twice")).version == "1.0.0"
        # And forth again, by part of its number.
        assert (await core.roll_back("twice", "1")).version == "1.0.1"

    async def test_a_session_that_runs_another_version_goes_on_with_it(self, core, other):
        await keep(core)
        await keep(core, TWO)
        assert (await other.tool("twice")).version == "1.0.1"
        await core.roll_back("twice", "1.0.0")
        assert (await other.tool("twice")).version == "1.0.1"

    async def test_the_next_version_follows_the_one_that_is_current(self, core):
        await keep(core)
        await keep(core, contract=">>> twice(2)\n4")
        await core.roll_back("twice", "1.0.0")
        assert (await core.edit_tool("twice", TWO)).version == "1.0.1"

    @pytest.mark.parametrize(("name", "version", "told"), [
        ("twice", "2", "It has 1.0.0"), ("twice", "latest", "It has 1.0.0"), ("twcie", "1", "Did you mean 'twice'"),
    ])  # fmt: skip
    async def test_what_is_not_there_is_said_with_what_is(self, core, name, version, told):
        await keep(core)
        with pytest.raises(UnknownName, match=told):
            await core.roll_back(name, version)


class TestRemove:
    async def test_its_name_is_free_and_its_history_stays(self, core):
        tool = await keep(core)
        await core.execute_tool(ToolInput("twice", {"n": 3}))
        assert await core.remove_tool("twice") == 1
        assert await core._store.tools.names() == []
        with pytest.raises(UnknownName):
            await core.tool("twice")
        with pytest.raises(UnknownName):
            await core.tool("twice@1")
        assert [row.output_data for row in await core.get_tool_history(tool.id)] == ["6"]

    async def test_what_is_held_of_it_goes_on_working(self, core, other):
        tool = await keep(core)
        elsewhere = await other.tool("twice")
        await core.remove_tool("twice")
        assert await tool.acall(4) == 8
        assert await elsewhere.acall(5) == 10
        assert (await other.execute_tool(ToolInput("twice", {"n": 6}))).result == 12
        for reference in ("twice", "twice@1.0.0"):
            assert (await other.look_up(reference)).id == tool.id
        assert await other.newest_probe(tool.stored.reference) is None
        with pytest.raises(UnknownName):
            await other.look_up("twice@2")

    async def test_versions_go_on_from_where_they_were(self, core):
        await keep(core)
        await core.remove_tool("twice")
        assert (await keep(core)).version == "2.0.0"
        assert (await core.tool("twice")).version == "2.0.0"
        assert [version.reference for version in await core._store.tools.versions("twice")] == ["twice@2.0.0"]

    async def test_what_is_not_there_can_t_be_removed(self, core):
        await keep(core)
        with pytest.raises(UnknownName, match="Did you mean 'twice'"):
            await core.remove_tool("twise")


class TestEdit:
    async def test_it_is_the_next_version_proven_on_the_same_contract(self, core):
        await keep(core, tags=("numbers",))
        heard: list[object] = []
        tool = await core.edit_tool("twice", TWO, listener=heard.append)
        known = tool.metadata
        assert (known.version, tool.source, known.provider, known.model) == ("1.0.1", TWO, "hand", "hand")
        assert (known.contract, known.proven, known.tags) == (CONTRACT, True, ("numbers",))
        assert (await core.tool("twice")).id == tool.id
        assert await tool.acall(21) == 42
        assert [event.verdict.holds for event in heard if isinstance(event, ExampleProven)] == [True, True]
        assert not [event for event in heard if isinstance(event, TextArrived)]  # it stands in the cell
        assert isinstance(heard[-1], GenerationEnded)
        [row] = await core._store.history.generations()
        assert (row.provider, row.text, row.status, row.tool_id) == ("hand", TWO, "ok", tool.id)

    async def test_another_signature_is_a_major_version(self, core):
        await keep(core)
        wider = ONE.replace("n: int", "n: int, k: int = 0")
        assert (await core.edit_tool("twice", wider)).version == "2.0.0"

    @pytest.mark.parametrize(("source", "told"), [
        (WRONG, "1 of 2 examples failed"),
        (ONE.replace("n: int", "n"), "annotat"),
        (ONE.replace("2 *", "2 * ("), "does not parse"),
        (ONE.replace("twice", "thrice"), "twice"),
        ("x = 1\n", "twice"),
    ])  # fmt: skip
    async def test_what_is_not_accepted_is_recorded_and_changes_nothing(self, core, source, told):
        await keep(core)
        before = await kept(core)
        heard: list[object] = []
        with pytest.raises(GenerationFailed, match=told) as caught:
            await core.edit_tool("twice", source, listener=heard.append)
        assert "--attempts" not in caught.value.line
        assert await kept(core) == before
        assert (await core.tool("twice")).source == ONE
        [row] = await core._store.history.generations()
        assert (row.status, row.provider, row.text, row.tool_id) == ("error", "hand", source, None)
        assert row.reason
        ended = heard[-1]
        assert isinstance(ended, GenerationEnded)
        assert ended.attempts[0].failures == next(e.failures for e in heard if isinstance(e, AttemptEnded))

    @pytest.mark.parametrize("same", [ONE, ONE.rstrip(), f"\n\n{ONE}\n\n", ONE.replace("\n", "\r\n")])
    async def test_the_same_source_makes_no_new_version(self, core, same):
        first = await keep(core)
        heard: list[object] = []
        tool = await core.edit_tool("twice", same, listener=heard.append)
        assert tool.id == first.id
        assert len(await core._store.tools.versions("twice")) == 1
        assert await core._store.history.generations() == []
        assert "twice@1.0.0 already" in heard[-1].notice

    async def test_an_earlier_version_s_source_makes_that_one_current_so_that_run_all_adds_nothing(
        self, core
    ):
        first = await keep(core)
        second = await core.edit_tool("twice", TWO)
        await core.roll_back("twice", "1.0.0")
        again = await core.edit_tool("twice", TWO)
        assert again.id == second.id
        assert (await core.edit_tool("twice", ONE)).id == first.id
        assert len(await core._store.tools.versions("twice")) == 2

    async def test_an_unproven_tool_must_at_least_be_executable(self, core):
        await keep(core, contract="", proven=False)
        with pytest.raises(GenerationFailed, match="ZeroDivisionError"):
            await core.edit_tool("twice", f"1 / 0\n{TWO}")
        tool = await core.edit_tool("twice", WRONG)
        assert (tool.version, tool.metadata.proven) == ("1.0.1", False)

    async def test_permissions_stay_and_are_looked_at_again(self, core, monkeypatch):
        monkeypatch.setenv("GREETING", "hello")
        await keep(core, permissions=("env:GREETING",))
        assert (await core.edit_tool("twice", TWO)).metadata.permissions == ("env:GREETING",)
        monkeypatch.delenv("GREETING")
        with pytest.raises(CellError, match="grants nothing"):
            await core.edit_tool("twice", ONE.replace("2 * n", "n * 2"))

    async def test_it_mends_a_version_that_can_t_be_read_any_more(self, core, other):
        await core._store.tools.accept(
            Candidate(
                name="twice",
                source="def twice(n): ...\n",
                signature_id="x",
                description="d",
                contract=CONTRACT,
            )
        )
        assert (await core.edit_tool("twice", ONE)).version == "2.0.0"
        assert (await other.tool("twice")).version == "2.0.0"

    async def test_what_is_written_by_hand_answers_no_request(self, core):
        spec = ToolSpec("slugify", "Turn a title into a URL slug.")
        shelf = await core.generate(spec)
        edited = await core.edit_tool("slugify", f"# mine\n{shelf.source}")
        assert edited.metadata.request_hash == ""
        assert (await core.generate(spec)).id == shelf.id

    async def test_there_must_be_a_tool(self, core):
        await keep(core)
        with pytest.raises(UnknownName, match="Did you mean 'twice'"):
            await core.edit_tool("twic", ONE)


async def test_a_session_waits_once_for_a_lock_that_stays(core, monkeypatch):
    """The pin, the row of the run and the end of the session share one wait."""
    monkeypatch.setattr("fact_magics.store.locks.LOCK_SECONDS", 1.5)
    await keep(core, provider="person", model="")
    notices = []
    async with FactCore(core.settings) as session:
        session._store._database._locks.tell = notices.append
        with closing(sqlite3.connect(session.database_path, isolation_level=None)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            assert (await session.execute_tool(ToolInput("twice", {"n": 3}))).result == 6
            await session.aclose()
    assert len(notices) == 1
