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
        accepted = await store.tools.accept(given)
        assert accepted == given.numbered("1.0.0")
        assert await store.tools.get("slugify") == await store.tools.by_id(given.id) == accepted

    async def test_the_complexity_is_measured_from_the_source(self, store: Store, candidate: Make) -> None:
        branching = "def slugify(n):\n    return n if n and n > 1 else 0\n"
        for source, score in (("def slugify(): ...", 1 / 11), (branching, 3 / 13)):
            accepted = await store.tools.accept(candidate(source=source))
            assert accepted.metadata.complexity_score == pytest.approx(score, abs=1e-4)
            assert await store.tools.get("slugify") == accepted

    async def test_tags_are_kept_as_they_are_searched(self, store: Store, candidate: Make) -> None:
        await store.tools.accept(candidate(tags=(" Text ", "")))
        (found,) = await store.tools.search("text")
        assert found.metadata.tags == ("text",)

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
            assert (await store.tools.accept(candidate(**fields))).metadata.version == number

    async def test_after_a_rollback_the_next_number_continues_the_line_and_is_free(
        self, store: Store, candidate: Make
    ) -> None:
        first = await store.tools.accept(candidate())
        await store.tools.accept(candidate())
        await store.tools.accept(candidate(signature_id="s2"))
        await store.tools.set_current("slugify", first.metadata.id)
        assert (await store.tools.accept(candidate())).metadata.version == "1.0.2"
        assert (await store.tools.accept(candidate(signature_id="s3"))).metadata.version == "3.0.0"

    async def test_a_removed_tools_numbers_are_not_given_again(self, store: Store, candidate: Make) -> None:
        await store.tools.accept(candidate())
        assert await store.tools.remove("slugify") == 1
        assert (await store.tools.accept(candidate())).metadata.version == "2.0.0"

    async def test_two_stores_that_accept_at_once_give_each_number_once(
        self, path: Path, candidate: Make
    ) -> None:
        async with await Store.open(path) as one, await Store.open(path) as other:
            accepted = await asyncio.gather(*(it.tools.accept(candidate()) for it in (one, other) * 20))
        assert len({tool.metadata.version for tool in accepted}) == 40

    async def test_a_contract_with_a_lone_surrogate_is_the_same_contract_again(
        self, store: Store, candidate: Make
    ) -> None:
        await store.tools.accept(candidate(contract="\ud800"))
        assert (await store.tools.accept(candidate(contract="\ud800"))).metadata.version == "1.0.1"

    async def test_attempts_are_kept_with_the_version_or_not_at_all(
        self, store: Store, candidate: Make
    ) -> None:
        made = candidate()
        attempt = GenerationRow(
            generation_id="9e", attempt=1, tool_name="slugify", status=Status.OK, tool_id=made.id
        )
        await store.tools.accept(made, generations=[attempt])
        assert await store.history.attempts("9e") == [attempt]
        lost = replace(attempt, generation_id="9f", session_id="no such session")
        with pytest.raises(StoreError):
            await store.tools.accept(candidate(), generations=[lost])
        assert [tool.metadata.version for tool in await store.tools.versions("slugify")] == ["1.0.0"]


class TestFinding:
    @pytest.fixture
    async def several(self, store: Store, candidate: Make) -> Store:
        """Versions 1.0.0 to 1.0.2, 1.1.0 to 1.10.0, 1.10.1 and 2.0.0 to 10.0.0, of which 9.0.0 is current."""
        made = [candidate(contract="c0") for _ in range(3)]
        made += [candidate(contract=f"c{number}") for number in (*range(1, 11), 10)]
        made += [candidate(signature_id=f"s{number}") for number in range(2, 11)]
        for each in made:
            await store.tools.accept(each)
        await store.tools.set_current("slugify", made[-2].id)
        return store

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            (None, "9.0.0"),
            ("1", "1.10.1"),
            ("1.0", "1.0.2"),
            ("1.0.0", "1.0.0"),
            ("2", "2.0.0"),
            ("10", "10.0.0"),
            ("11", None),
            ("1.0.3", None),
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
        tool = await several.tools.get("slugify", asked)
        assert (tool.metadata.version if tool else None) == found

    async def test_versions_are_listed_by_number_and_not_by_text(self, several: Store) -> None:
        assert [tool.metadata.version for tool in await several.tools.versions("slugify")] == [
            *(f"{number}.0.0" for number in range(10, 1, -1)),
            "1.10.1",
            *(f"1.{number}.0" for number in range(10, 0, -1)),
            "1.0.2",
            "1.0.1",
            "1.0.0",
        ]

    async def test_a_name_that_is_not_there_is_none(self, several: Store) -> None:
        assert await several.tools.get("Slugify") is None
        assert await several.tools.get("\ud800", "\ud800") is None
        assert await several.tools.versions("slug") == []
        assert await several.tools.by_id("nothing") is None

    async def test_a_request_finds_its_latest_version_until_it_is_removed(
        self, store: Store, candidate: Make
    ) -> None:
        await store.tools.accept(candidate(request_hash="r"))
        latest = await store.tools.accept(candidate(request_hash="r"))
        await store.tools.accept(candidate(request_hash="other"))
        assert await store.tools.by_request("r") == latest
        await store.tools.remove("slugify")
        assert await store.tools.by_request("r") is None

    async def test_a_tool_without_a_request_is_no_answer_to_an_empty_one(
        self, store: Store, candidate: Make
    ) -> None:
        await store.tools.accept(candidate())
        assert await store.tools.by_request("") is None

    async def test_names_are_sorted_and_found_by_their_beginning(self, store: Store, candidate: Make) -> None:
        for name in ("parse_date", "größe", "parse", "Parse", "a%b"):
            await store.tools.accept(candidate(name))
        assert await store.tools.names() == ["Parse", "a%b", "größe", "parse", "parse_date"]
        assert await store.tools.names("parse") == ["parse", "parse_date"]
        assert await store.tools.names("%") == []
        assert await store.tools.names("", 2) == ["Parse", "a%b"]

    async def test_the_list_begins_with_what_became_current_last(self, store: Store, candidate: Make) -> None:
        tools = []
        for name in ("a", "b", "c"):
            tools.append(await store.tools.accept(candidate(name)))
            await asyncio.sleep(0.002)
        await store.tools.set_current("a", tools[0].metadata.id)
        assert [tool.metadata.name for tool in await store.tools.latest()] == ["a", "c", "b"]
        assert len(await store.tools.latest(limit=2)) == 2


class TestSearch:
    @pytest.fixture
    async def shelf(self, store: Store, candidate: Make) -> Store:
        await store.tools.accept(
            candidate("parse_date", description="Read a date in any format.", tags=("time",))
        )
        await store.tools.accept(candidate("slugify", description="Turn a title into a URL slug; dates too."))
        await store.tools.accept(candidate("größe", description="表の大きさを計る", tags=("naïve",)))
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
        assert [tool.metadata.name for tool in await shelf.tools.search(text)] == names

    async def test_only_current_versions_are_found(self, shelf: Store, candidate: Make) -> None:
        await shelf.tools.accept(candidate(description="Now about parsnips."))
        assert await shelf.tools.search("title") == []
        assert [tool.reference for tool in await shelf.tools.search("parsnip")] == ["slugify@1.0.1"]
        await shelf.tools.remove("slugify")
        assert await shelf.tools.search("parsnip") == []


async def pinned(store: Store, session_id: str, name: str) -> str | None:
    query = "SELECT tool_id FROM session_pins WHERE session_id = ? AND name = ?"
    found = await store._database.read(lambda it: it.execute(query, (session_id, name)).fetchone())
    return found[0] if found else None


class TestCurrentAndPinned:
    async def test_a_session_keeps_what_it_was_pinned_to_until_it_moves_itself(
        self, store: Store, candidate: Make
    ) -> None:
        for session in ("a", "b"):
            await store.sessions.start(session)
        first = await store.tools.accept(candidate(), session_id="a")
        second = await store.tools.accept(candidate(), session_id="b")
        assert await pinned(store, "a", "slugify") == first.metadata.id
        assert await pinned(store, "b", "slugify") == second.metadata.id
        assert await store.tools.get("slugify") == second
        assert await pinned(store, "a", "other") is None
        await store.sessions.pin("a", "slugify", second.metadata.id)
        assert await pinned(store, "a", "slugify") == second.metadata.id
        await store.tools.set_current("slugify", first.metadata.id, session_id="b")
        assert await pinned(store, "b", "slugify") == first.metadata.id
        assert await pinned(store, "unknown", "slugify") is None
        assert await store.tools.get("slugify") == first

    async def test_a_version_of_another_name_can_not_become_current(
        self, store: Store, candidate: Make
    ) -> None:
        other = await store.tools.accept(candidate("other"))
        slugify = await store.tools.accept(candidate())
        with pytest.raises(UnknownName):
            await store.tools.set_current("slugify", other.metadata.id)
        assert await store.tools.get("slugify") == slugify

    async def test_a_removed_tool_is_gone_from_the_toolbox_and_still_there_by_its_id(
        self, store: Store, candidate: Make
    ) -> None:
        await store.sessions.start("a")
        tool = await store.tools.accept(candidate(), session_id="a")
        assert await store.tools.remove("slugify") == 1
        assert await store.tools.remove("slugify") == 0
        assert await store.tools.get("slugify") is None
        assert await store.tools.get("slugify", "1.0.0") is None
        assert (
            await store.tools.versions("slugify")
            == await store.tools.latest()
            == await store.tools.names()
            == []
        )
        assert await store.tools.by_id(tool.metadata.id) == tool
        with pytest.raises(UnknownName):
            await store.tools.set_current("slugify", tool.metadata.id)


class TestSessions:
    async def test_a_session_is_kept_ended_and_goes_on_when_it_starts_again(self, store: Store) -> None:
        await store.sessions.start("ab12", notebook="n.ipynb", kernel="k", python="3.11.7")
        session = await store.sessions.find("ab12")
        assert session is not None
        assert (session.notebook, session.kernel, session.python) == ("n.ipynb", "k", "3.11.7")
        assert session.ended_at is None
        await store.sessions.end("ab12")
        ended = await store.sessions.find("ab")
        assert ended is not None
        assert ended.ended_at is not None
        assert ended.ended_at >= ended.started_at
        await store.sessions.start("ab12", notebook="renamed.ipynb")
        assert await store.sessions.find("ab12") == replace(session, notebook="renamed.ipynb")

    async def test_an_ambiguous_beginning_of_an_id_is_refused(self, store: Store) -> None:
        for number in range(3):
            await store.sessions.start(f"ab{number}")
        with pytest.raises(UnknownName, match="More than one session begins with 'ab'"):
            await store.sessions.find("ab")
        assert await store.sessions.find("cd") is None
        assert await store.sessions.find("%") is None
