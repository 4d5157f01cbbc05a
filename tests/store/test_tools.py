"""Versions, what is current, what a session holds on to, and finding tools."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import StoreError, UnknownName
from fact_magics.store import Candidate, GenerationRow, Store
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Candidate]


class TestNumbers:
    async def test_the_first_version_is_1_0_0_and_comes_back_as_it_was_given(
        self, store: Store, candidate: Make
    ) -> None:
        given = candidate(
            contract=">>> slugify('é')\n'e'",
            permissions=("net:a.org", "read:/x"),
            tags=("text", "ünï"),
            provider="anthropic",
            model="m",
            proven=True,
            varies=True,
            request_hash="r1",
        )
        accepted = await store.accept(given)
        assert accepted == given.numbered("1.0.0")
        assert await store.get_tool("slugify") == await store.tool_by_id(given.id) == accepted

    async def test_numbers_follow_signature_contract_and_body(self, store: Store, candidate: Make) -> None:
        steps = [
            ({}, "1.0.0"),
            ({"source": "other"}, "1.0.1"),
            ({"contract": "c2"}, "1.1.0"),
            ({"contract": "c2", "source": "x"}, "1.1.1"),
            ({"contract": ""}, "1.2.0"),
            ({"signature_id": "s2"}, "2.0.0"),
            ({"signature_id": "s2", "contract": "c3"}, "2.1.0"),
            ({"signature_id": "s1"}, "3.0.0"),
        ]
        for fields, number in steps:
            assert (await store.accept(candidate(**fields))).metadata.version == number

    async def test_after_a_rollback_the_next_number_continues_the_line_and_is_free(
        self, store: Store, candidate: Make
    ) -> None:
        first = await store.accept(candidate())
        await store.accept(candidate())
        await store.accept(candidate(signature_id="s2"))
        await store.set_current("slugify", first.metadata.id)
        assert (await store.accept(candidate())).metadata.version == "1.0.2"
        assert (await store.accept(candidate(signature_id="s3"))).metadata.version == "3.0.0"

    async def test_a_removed_tools_numbers_are_not_given_again(self, store: Store, candidate: Make) -> None:
        await store.accept(candidate())
        assert await store.remove_tool("slugify") == 1
        assert (await store.accept(candidate())).metadata.version == "2.0.0"

    async def test_two_stores_that_accept_at_once_give_each_number_once(
        self, path: Path, candidate: Make
    ) -> None:
        async with await Store.open(path) as one, await Store.open(path) as other:
            accepted = await asyncio.gather(*(it.accept(candidate()) for it in (one, other) * 20))
        assert len({tool.metadata.version for tool in accepted}) == 40

    async def test_a_contract_with_a_lone_surrogate_is_the_same_contract_again(
        self, store: Store, candidate: Make
    ) -> None:
        await store.accept(candidate(contract="\ud800"))
        assert (await store.accept(candidate(contract="\ud800"))).metadata.version == "1.0.1"

    async def test_attempts_are_kept_with_the_version_or_not_at_all(
        self, store: Store, candidate: Make
    ) -> None:
        made = candidate()
        attempt = GenerationRow(
            generation_id="9e", attempt=1, tool_name="slugify", status=Status.OK, tool_id=made.id
        )
        await store.accept(made, generations=[attempt])
        assert await store.attempts("9e") == [attempt]
        lost = replace(attempt, generation_id="9f", session_id="no such session")
        with pytest.raises(StoreError):
            await store.accept(candidate(), generations=[lost])
        assert [tool.metadata.version for tool in await store.versions("slugify")] == ["1.0.0"]


class TestFinding:
    @pytest.fixture
    async def several(self, store: Store, candidate: Make) -> Store:
        for version in ("1.0.0", "1.0.2", "1.2.0", "1.10.1", "2.0.0", "10.0.0", "9.9.9"):
            await store.add_version(candidate().numbered(version), signature_id="s1")
        return store

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            (None, "9.9.9"),
            ("1", "1.10.1"),
            ("1.0", "1.0.2"),
            ("1.0.0", "1.0.0"),
            ("2", "2.0.0"),
            ("10", "10.0.0"),
            ("3", None),
            ("1.0.1", None),
            ("", None),
            ("latest", None),
            ("1.", None),
            ("1.0.0.0", None),
            ("-1", None),
            ("99999999999999999999", None),
            ("\u0661", None),
        ],
    )
    async def test_a_version_is_exact_or_the_highest_that_begins_so(
        self, several: Store, asked: str | None, found: str | None
    ) -> None:
        tool = await several.get_tool("slugify", asked)
        assert (tool.metadata.version if tool else None) == found

    async def test_versions_are_listed_by_number_and_not_by_text(self, several: Store) -> None:
        assert [tool.metadata.version for tool in await several.versions("slugify")] == [
            "10.0.0", "9.9.9", "2.0.0", "1.10.1", "1.2.0", "1.0.2", "1.0.0",
        ]  # fmt: skip

    async def test_a_name_that_is_not_there_is_none(self, several: Store) -> None:
        assert await several.get_tool("Slugify") is None
        assert await several.get_tool("\ud800", "\ud800", "\ud800") is None
        assert await several.versions("slug") == []
        assert await several.tool_by_id("nothing") is None

    @pytest.mark.parametrize("version", ["1.0.0", "1", "1.0", "v1.0.0", "01.0.0", ""])
    async def test_a_number_that_is_taken_or_none_is_refused(
        self, several: Store, candidate: Make, version: str
    ) -> None:
        before = await several.versions("slugify")
        with pytest.raises(StoreError):
            await several.add_version(candidate().numbered(version))
        assert await several.versions("slugify") == before

    async def test_a_version_can_be_added_without_becoming_current(
        self, several: Store, candidate: Make
    ) -> None:
        await several.add_version(candidate().numbered("11.0.0"), make_current=False)
        current = await several.get_tool("slugify")
        assert current is not None
        assert current.metadata.version == "9.9.9"

    async def test_a_request_finds_its_latest_version_until_it_is_removed(
        self, store: Store, candidate: Make
    ) -> None:
        await store.accept(candidate(request_hash="r"))
        latest = await store.accept(candidate(request_hash="r"))
        await store.accept(candidate(request_hash="other"))
        assert await store.by_request("r") == latest
        await store.remove_tool("slugify")
        assert await store.by_request("r") is None

    async def test_a_tool_without_a_request_is_no_answer_to_an_empty_one(
        self, store: Store, candidate: Make
    ) -> None:
        await store.accept(candidate())
        assert await store.by_request("") is None

    async def test_names_are_sorted_and_found_by_their_beginning(self, store: Store, candidate: Make) -> None:
        for name in ("parse_date", "größe", "parse", "Parse", "a%b"):
            await store.accept(candidate(name))
        assert await store.tool_names() == ["Parse", "a%b", "größe", "parse", "parse_date"]
        assert await store.tool_names("parse") == ["parse", "parse_date"]
        assert await store.tool_names("%") == []
        assert await store.tool_names("", 2) == ["Parse", "a%b"]

    async def test_the_list_begins_with_what_became_current_last(self, store: Store, candidate: Make) -> None:
        tools = []
        for name in ("a", "b", "c"):
            tools.append(await store.accept(candidate(name)))
            await asyncio.sleep(0.002)
        await store.set_current("a", tools[0].metadata.id)
        assert [tool.metadata.name for tool in await store.list_tools()] == ["a", "c", "b"]
        assert len(await store.list_tools(limit=2)) == 2


class TestSearch:
    @pytest.fixture
    async def shelf(self, store: Store, candidate: Make) -> Store:
        await store.accept(candidate("parse_date", description="Read a date in any format.", tags=("time",)))
        await store.accept(candidate("slugify", description="Turn a title into a URL slug; dates too."))
        await store.accept(candidate("größe", description="表の大きさを計る", tags=("naïve",)))
        return store

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("date", ["parse_date", "slugify"]),
            ("PARSE", ["parse_date"]),
            ("form dat", ["parse_date"]),
            ("time", ["parse_date"]),
            ("titles", ["slugify"]),
            ("naive", ["größe"]),
            ("大きさ", ["größe"]),
            ("nothing", []),
            ("", []),
            ("--- !", []),
            ('" OR name:* NOT', []),
            ("slug\x00tit", ["slugify"]),
        ],
    )
    async def test_words_are_found_by_their_beginning_in_any_field_the_name_first(
        self, shelf: Store, text: str, names: list[str]
    ) -> None:
        assert [tool.metadata.name for tool in await shelf.search_tools(text)] == names

    async def test_only_current_versions_are_found(self, shelf: Store, candidate: Make) -> None:
        await shelf.accept(candidate(description="Now about parsnips."))
        assert await shelf.search_tools("title") == []
        assert [tool.reference for tool in await shelf.search_tools("parsnip")] == ["slugify@1.0.1"]
        await shelf.remove_tool("slugify")
        assert await shelf.search_tools("parsnip") == []


class TestCurrentAndPinned:
    async def test_a_session_keeps_what_it_was_pinned_to_until_it_moves_itself(
        self, store: Store, candidate: Make
    ) -> None:
        for session in ("a", "b"):
            await store.start_session(session)
        first = await store.accept(candidate(), session_id="a")
        second = await store.accept(candidate(), session_id="b")
        assert await store.get_tool("slugify", session_id="a") == first
        assert await store.get_tool("slugify", session_id="b") == second
        assert await store.get_tool("slugify") == second
        assert await store.pinned("a", "slugify") == first.metadata.id
        assert await store.pinned("a", "other") is None
        await store.pin("a", "slugify", second.metadata.id)
        assert await store.get_tool("slugify", session_id="a") == second
        await store.set_current("slugify", first.metadata.id, session_id="b")
        assert await store.get_tool("slugify", session_id="b") == first
        assert await store.get_tool("slugify", session_id="unknown") == first

    async def test_a_version_of_another_name_can_not_become_current(
        self, store: Store, candidate: Make
    ) -> None:
        other = await store.accept(candidate("other"))
        slugify = await store.accept(candidate())
        with pytest.raises(UnknownName):
            await store.set_current("slugify", other.metadata.id)
        assert await store.get_tool("slugify") == slugify

    async def test_a_removed_tool_is_gone_from_the_toolbox_and_still_there_by_its_id(
        self, store: Store, candidate: Make
    ) -> None:
        await store.start_session("a")
        tool = await store.accept(candidate(), session_id="a")
        assert await store.remove_tool("slugify") == 1
        assert await store.remove_tool("slugify") == 0
        assert await store.get_tool("slugify", session_id="a") is None
        assert await store.get_tool("slugify", "1.0.0") is None
        assert await store.versions("slugify") == await store.list_tools() == await store.tool_names() == []
        assert await store.tool_by_id(tool.metadata.id) == tool
        with pytest.raises(UnknownName):
            await store.set_current("slugify", tool.metadata.id)


class TestSessions:
    async def test_a_session_is_kept_ended_and_goes_on_when_it_starts_again(self, store: Store) -> None:
        await store.start_session("ab12", notebook="n.ipynb", kernel="k", python="3.11.7")
        session = await store.session("ab12")
        assert session is not None
        assert (session.notebook, session.kernel, session.python) == ("n.ipynb", "k", "3.11.7")
        assert session.ended_at is None
        await store.end_session("ab12")
        ended = await store.session("ab")
        assert ended is not None
        assert ended.ended_at is not None
        assert ended.ended_at >= ended.started_at
        await store.start_session("ab12", notebook="renamed.ipynb")
        assert await store.session("ab12") == replace(session, notebook="renamed.ipynb")

    async def test_sessions_are_listed_latest_first_and_an_ambiguous_beginning_is_refused(
        self, store: Store
    ) -> None:
        for number in range(3):
            await store.start_session(f"ab{number}", started_at=f"2026-01-0{number + 1}T00:00:00.000Z")
        assert [session.id for session in await store.sessions(2)] == ["ab2", "ab1"]
        with pytest.raises(UnknownName, match="More than one session begins with 'ab'"):
            await store.session("ab")
        assert await store.session("cd") is None
        assert await store.session("%") is None
