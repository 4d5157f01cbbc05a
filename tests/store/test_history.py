"""What was run and generated, asked in every way that the history offers."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import CellError, UnknownName
from fact_magics.store import Candidate, ExecutionRow, GenerationRow, Store, new_id
from fact_magics.text import utc_now, utc_text
from fact_magics.tool import Status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable


def run(**fields: object) -> ExecutionRow:
    return ExecutionRow(**{"tool_name": "t", "status": Status.OK, **fields})  # type: ignore[arg-type]


def attempt(**fields: object) -> GenerationRow:
    known = {"generation_id": new_id(), "attempt": 1, "tool_name": "t", "status": Status.OK}
    return GenerationRow(**{**known, **fields})  # type: ignore[arg-type]


def ago(**span: float) -> str:
    return utc_text(datetime.now(UTC) - timedelta(**span))


class TestRows:
    async def test_every_field_comes_back_as_it_was(
        self, store: Store, candidate: Callable[..., Candidate]
    ) -> None:
        await store.sessions.start("5e")
        tool = await store.tools.accept(candidate())
        row = ExecutionRow(
            id="0123456789abcdef",
            session_id="5e",
            tool_id=tool.metadata.id,
            tool_name="slugify",
            tool_version="1.0.0",
            input_data='{"text": "Zürich 🎉"}',
            output_data='"x\\u0000y"',
            status=Status.TIMEOUT,
            error="It was stopped.",
            details="line 1\nline 2",
            printed="a\x00b\r\n",
            cached=True,
            cache_key="ff" * 16,
            isolation="landlock, seccomp",
            duration_ms=0.1 + 0.2,
            executed_at="2026-01-02T03:04:05.678Z",
        )
        await store.commit([row])
        (found,) = await store.history.runs()
        assert found == row
        assert (type(found.status), type(found.cached)) == (Status, bool)
        generation = attempt(
            session_id="5e",
            tool_id=tool.metadata.id,
            permissions=("net:a.org",),
            input_tokens=5,
            cost_usd=0.001,
            text="```python\n…",
        )
        await store.commit(generations=[generation])
        (kept,) = await store.history.generations()
        assert kept == generation
        assert kept.output_tokens is None

    async def test_text_that_utf_8_can_not_hold_is_kept_as_escapes(self, store: Store) -> None:
        await store.commit([run(printed="\udc80 lone", input_data='"\ud800"')])
        (found,) = await store.history.runs(search="lone")
        assert found.printed == "\\udc80 lone"

    async def test_a_large_value_is_kept_whole(self, store: Store) -> None:
        await store.commit([run(output_data="x" * 20_000_000)])
        (found,) = await store.history.runs()
        assert found.output_data == "x" * 20_000_000

    async def test_nothing_to_commit_is_no_error(self, store: Store) -> None:
        await store.commit()
        assert await store.history.runs() == []

    def test_times_are_utc_with_milliseconds_and_z_in_every_row(self) -> None:
        form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
        assert all(form.fullmatch(text) for text in (utc_now(), run().executed_at, attempt().started_at))
        assert utc_text(datetime(2026, 1, 1, 1, tzinfo=UTC)) == "2026-01-01T01:00:00.000Z"


class TestHistory:
    @pytest.fixture
    async def past(self, store: Store, candidate: Callable[..., Candidate]) -> Store:
        await store.sessions.start("a")
        await store.sessions.start("b")
        tool = candidate(id="71d")
        await store.tools.accept(tool)
        await store.commit(
            [
                run(id="01", session_id="a", executed_at=ago(days=3), status=Status.ERROR, error="No luck"),
                run(id="02", session_id="b", executed_at=ago(days=2), tool_name="u", status=Status.LIMIT),
                run(id="03", session_id="a", executed_at=ago(hours=5), tool_name="u", printed="café"),
                run(
                    id="04", session_id="b", executed_at=ago(minutes=5), tool_id="71d", output_data='"second"'
                ),
                run(id="05", session_id="a", executed_at=ago(seconds=5), input_data='{"text": "second"}'),
            ]
        )
        return store

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({}, "05 04 03 02 01"),
            ({"limit": 2}, "05 04"),
            ({"limit": 0}, ""),
            ({"session_id": "a"}, "05 03 01"),
            ({"session_id": "c"}, ""),
            ({"session_id": "\ud800", "tool_name": "\ud800"}, ""),
            ({"tool_name": "u"}, "03 02"),
            ({"session_id": "a", "tool_name": "u"}, "03"),
            ({"tool_id": "71d"}, "04"),
            ({"status": Status.OK}, "05 04 03"),
            ({"status": Status.ERROR}, "01"),
            ({"status": Status.LIMIT, "session_id": "b"}, "02"),
            ({"status": Status.LIMIT, "tool_name": "t"}, ""),
            ({"since": "1 day"}, "05 04 03"),
            ({"since": "10 min"}, "05 04"),
            ({"since": timedelta(days=2.5)}, "05 04 03 02"),
            ({"since": "3099-01-01"}, ""),
            ({"since": "1d", "session_id": "a", "tool_name": "t"}, "05"),
            ({"search": "second"}, "05 04"),
            ({"search": "SEC"}, "05 04"),
            ({"search": "second", "session_id": "a"}, "05"),
            ({"search": "second", "since": "1 min"}, "05"),
            ({"search": "second", "limit": 1}, "05"),
            ({"search": "cafe"}, "03"),
            ({"search": "luck no", "status": Status.ERROR}, "01"),
            ({"search": "absent"}, ""),
        ],
    )
    async def test_filters_narrow_each_other_and_the_latest_comes_first(
        self, past: Store, asked: dict[str, object], found: str
    ) -> None:
        rows = await past.history.runs(**{"limit": None, **asked})  # type: ignore[arg-type]
        assert " ".join(row.id for row in rows) == found

    @pytest.mark.parametrize("limit", [-1, -(2**70), 2.0, "5", float("nan")])
    async def test_a_limit_that_is_no_number_of_rows_is_refused_in_one_line(
        self, store: Store, limit: int
    ) -> None:
        lists = (store.history.runs, store.history.generations, store.tools.latest)
        for listed in (*lists, lambda limit: store.tools.search("t", limit)):
            with pytest.raises(CellError, match=r"^limit is .+\. Give a number of rows, or None for all\.$"):
                await listed(limit=limit)

    async def test_the_highest_limit_is_no_limit(self, past: Store) -> None:
        assert len(await past.history.runs(limit=2**70)) == 5
        assert len(await past.tools.latest(2**70)) == 1

    async def test_the_latest_is_what_was_recorded_last_even_if_the_clock_was_set_back(
        self, store: Store
    ) -> None:
        """A filter by time goes by what the clock said."""
        told = {"01": ago(hours=3), "02": ago(minutes=1), "03": ago(hours=1), "04": ago(minutes=30)}
        await store.commit([run(id=name, executed_at=time) for name, time in told.items()])
        await store.commit(
            generations=[attempt(generation_id=name, started_at=time) for name, time in told.items()]
        )
        for since, names in ((None, "04 03 02 01"), ("2h", "04 03 02"), ("40 min", "04 02")):
            runs = await store.history.runs(since=since)
            attempts = await store.history.generations(since=since)
            assert " ".join(row.id for row in runs) == names
            assert " ".join(row.generation_id for row in attempts) == names
        assert [row.id for row in await store.history.runs(limit=1, tool_name="t")] == ["04"]

    @pytest.mark.parametrize("seed", range(3))
    async def test_a_filter_by_time_finds_each_row_however_the_clock_jumped(
        self, store: Store, seed: int
    ) -> None:
        """Also where another program deleted rows or changed their times."""
        chance = random.Random(seed)  # noqa: S311 - only a test

        async def add(count: int) -> None:
            hours = [chance.choice((0, 0, 0, 50)) + 100 - number / 10 for number in range(count)]
            await store.commit([run(executed_at=ago(hours=since), output_data="word") for since in hours])

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM tool_executions WHERE seq BETWEEN 250 AND 270 OR seq > 390")
            connection.execute("UPDATE tool_executions SET executed_at = ? WHERE seq = 20", (ago(hours=2),))

        await add(400)
        for step in range(3):
            kept = await store.history.runs(limit=None)
            for hours in (1, 3, 30, 61, 90, 99, 120):
                since = timedelta(hours=hours)
                wanted = [row for row in kept if row.executed_at >= ago(hours=hours)]
                assert await store.history.runs(since=since, limit=None) == wanted
                assert await store.history.runs(since=since, search="word", limit=5) == wanted[:5]
            if step == 0:
                await store._database.write(change)
            await add(100)

    async def test_runs_of_one_millisecond_keep_their_order(self, store: Store) -> None:
        rows = [run(executed_at="2026-01-01T00:00:00.000Z") for _ in range(30)]
        await store.commit(rows)
        assert await store.history.runs(limit=None) == rows[::-1]

    async def test_a_run_is_found_by_the_beginning_of_its_id(self, past: Store) -> None:
        found = await past.history.find_run("05")
        assert found is not None
        assert found.id == "05"
        assert await past.history.find_run("ff") is None
        assert await past.history.find_run("") is None
        assert await past.history.find_run("0_") is None
        with pytest.raises(UnknownName, match="More than one run begins with '0'"):
            await past.history.find_run("0")

    async def test_an_id_that_begins_another_is_found_by_itself(self, store: Store) -> None:
        await store.commit([run(id="abcd"), run(id="abcdef")])
        found = await store.history.find_run("ABCD")
        assert found is not None
        assert found.id == "abcd"


class TestSearch:
    @pytest.mark.parametrize(
        ("kept", "search"),
        [
            ('{"text": "first\\nsecond"}', "second"),
            ('"tab\\tsecond"', "second"),
            ('"\\u00fcber"', "über"),
            ('"E\u0301tude"', "\u00c9tude"),
            ('"\u00c9tude"', "E\u0301tude"),
            ('"東京都の天気"', "天気"),
            ('"東京都の天気"', "京都"),
            ('"서울특별시"', "특별"),
            ('{"price": 1234.5}', "1234"),
            ('["a-b_c"]', "a-b_c"),
            ('"C:\\\\new\\\\table"', "new"),
            ('"say \\"hello\\""', '"hello"'),
            ('"Straße"', "straße"),
            ('{"a": 1, "b": [true, null]}', "true null"),
        ],
    )
    async def test_words_are_found_in_json_as_people_read_them(
        self, store: Store, kept: str, search: str
    ) -> None:
        await store.commit([run(id="01", input_data=kept), run(id="02", output_data=kept), run(id="03")])
        assert [row.id for row in await store.history.runs(search=search)] == ["02", "01"]

    async def test_a_backslash_in_printed_text_is_no_escape(self, store: Store) -> None:
        await store.commit([run(printed=r"C:\new\table")])
        assert await store.history.runs(search="new")
        assert await store.history.runs(search="table")

    @pytest.mark.parametrize("search", ["a b", "b a", "a", "'a' b*", "(a) AND", "a\tb"])
    async def test_all_words_must_be_there_and_none_is_an_operator(self, store: Store, search: str) -> None:
        await store.commit([run(id="01", input_data='"a b and"'), run(id="02", input_data='"c"')])
        assert [row.id for row in await store.history.runs(search=search)] == ["01"]

    @pytest.mark.parametrize("search", ["", "  ", "--", '"', "*", "🎉", "\0"])
    async def test_a_search_without_a_word_says_so(self, store: Store, search: str) -> None:
        with pytest.raises(CellError, match="has no letter or digit to search for"):
            await store.history.runs(search=search)


class TestGenerations:
    async def test_attempts_are_listed_in_order_and_found_by_a_beginning(self, store: Store) -> None:
        rows = [
            attempt(generation_id="ab1", attempt=number, status=status, reason="why")
            for number, status in ((1, Status.ERROR), (2, Status.OK))
        ]
        await store.commit(
            generations=[*reversed(rows), attempt(generation_id="ab2"), attempt(generation_id="ab")]
        )
        assert await store.history.attempts("ab1") == rows
        assert len(await store.history.attempts("ab")) == 1
        assert await store.history.attempts("cd") == await store.history.attempts("%") == []
        with pytest.raises(UnknownName):
            await store.history.attempts("a")

    async def test_they_are_narrowed_as_runs_are(self, store: Store) -> None:
        await store.sessions.start("a")
        rows = [
            attempt(session_id="a", started_at=ago(days=2)),
            attempt(tool_name="u", status=Status.ERROR, started_at=ago(days=1)),
            attempt(started_at=ago(hours=1)),
        ]
        await store.commit(generations=rows)
        assert await store.history.generations() == rows[::-1]
        assert await store.history.generations(session_id="a") == rows[:1]
        assert await store.history.generations(tool_name="u", status=Status.ERROR) == rows[1:2]
        assert await store.history.generations(since="2h") == rows[2:]
        assert await store.history.generations(limit=1, status=Status.OK) == rows[2:]


async def test_a_cells_rows_are_there_when_the_commit_returns_for_any_other_kernel(store: Store) -> None:
    async with await Store.open(store.path) as other:
        await store.commit([run(id="01")], [attempt(generation_id="02")])
        assert await other.history.find_run("01")
        assert await other.history.attempts("02")


async def test_many_tasks_may_ask_at_once(store: Store) -> None:
    rows = [run() for _ in range(50)]
    await asyncio.gather(*(store.commit([row]) for row in rows), *(store.history.runs() for _ in range(50)))
    found = await store.history.runs(limit=None)
    assert sorted(row.id for row in found) == sorted(row.id for row in rows)
    assert replace(found[0]) == found[0]


class TestSearchByContext:
    @pytest.fixture
    async def kept(self, store: Store, candidate: Callable[..., Candidate]) -> Store:
        await store.sessions.start("a", notebook="/home/me/holiday/prices.ipynb")
        await store.sessions.start("b", notebook="other.ipynb")
        for name, about, tags in (
            ("parse_date", "Read a day of the calendar.", ("time",)),
            ("slugify", "Make a slug.", ()),
            ("日付", "読む", ()),
        ):
            await store.tools.accept(candidate(name, description=about, tags=tags))
        await store.commit(
            [
                run(id="01", session_id="a", tool_name="parse_date", input_data='{"text": "first"}'),
                run(id="02", session_id="b", tool_name="parse_date", input_data='{"text": "second"}'),
                run(id="03", session_id="b", tool_name="slugify", input_data='{"text": "first"}'),
                run(id="04", session_id="b", tool_name="日付", input_data='{"text": "第一"}'),
                run(id="05", tool_name="gone", status=Status.ERROR, error="No calendar here."),
            ],
            [
                attempt(
                    generation_id="11", session_id="a", tool_name="parse_date", description="Read a calendar."
                ),
                attempt(generation_id="12", session_id="b", tool_name="slugify", reason="an example failed"),
            ],
        )
        return store

    @pytest.mark.parametrize(
        ("search", "runs", "generations"),
        [
            ("parse_date", "02 01", "11"),
            ("PARSE", "02 01", "11"),
            ("date", "02 01", "11"),
            ("slugify", "03", "12"),
            ("calendar", "05 02 01", "11"),
            ("time", "02 01", ""),
            ("prices", "01", "11"),
            ("prices.ipynb", "01", "11"),
            ("other.ipynb", "04 03 02", "12"),
            ("holiday", "", ""),
            ("parse_date first", "01", ""),
            ("first parse", "01", ""),
            ("calendar second other", "02", ""),
            ("slug first", "03", ""),
            ("日付", "04", ""),
            ("読", "04", ""),
            ("example", "", "12"),
            ("absent", "", ""),
            ("7061727365", "", ""),
        ],
    )
    async def test_tools_descriptions_and_notebooks_are_found(
        self, kept: Store, search: str, runs: str, generations: str
    ) -> None:
        assert " ".join(row.id for row in await kept.history.runs(search=search)) == runs
        found = await kept.history.generations(search=search)
        assert " ".join(row.generation_id for row in found) == generations

    async def test_other_filters_apply_to_generations_too(self, kept: Store) -> None:
        async def ids(**asked: object) -> list[str]:
            found = await kept.history.generations(search="ipynb", **asked)  # type: ignore[arg-type]
            return [row.generation_id for row in found]

        assert await ids() == ["12", "11"]
        assert await ids(session_id="a") == ["11"]
        assert await ids(tool_name="slugify") == ["12"]
        assert await ids(limit=1) == ["12"]
        assert await ids(status=Status.ERROR) == []
        assert await ids(since="1h") == ["12", "11"]
        with pytest.raises(CellError, match="has no letter or digit"):
            await kept.history.generations(search="--")

    async def test_a_new_description_of_a_tool_finds_its_earlier_runs(
        self, kept: Store, candidate: Callable[..., Candidate]
    ) -> None:
        await kept.tools.accept(candidate("slugify", description="Tidy an address."))
        assert [row.id for row in await kept.history.runs(search="address")] == ["03"]
