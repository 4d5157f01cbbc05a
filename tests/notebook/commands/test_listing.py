"""What is listed, and that a list says when there is more."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from fact_magics.errors import CellError, UnknownName
from fact_magics.store import ExecutionRow, GenerationRow, MapRow
from fact_magics.tool import Status

pytestmark = pytest.mark.slow


def test_a_list_of_tools_that_is_cut_says_so(fact, keep_tools):
    keep_tools(*(f"tool_{number}" for number in range(101)))
    assert fact("tools").plain.startswith("The latest 100 tools; add a word to find the others")
    assert len(fact("tools --json")) == 100
    assert fact("tools --search tool_100").plain.startswith("1 tool")
    assert fact("tools --search twice").plain.startswith("The best 100 tools; add a word")


def test_a_history_that_is_cut_says_so(fact, keep_tools, keep_runs):
    keep_tools("twice")
    keep_runs("twice", 21)
    cut = fact("history").plain
    assert cut.startswith("The latest 20 rows; use -n N")
    assert '{"n": 20} → 40' in cut
    assert '{"n": 0} → 0' not in cut
    assert fact("history -n 1").plain.startswith("The latest 1 row;")
    assert fact("history -n 21").plain.startswith("21 rows")


def test_a_name_that_no_tool_has_is_told_if_nothing_is_found(fact, keep_tools, keep_runs):
    keep_tools("twice", "thrice")
    keep_runs("twice", 1)
    keep_runs("removed", 1)
    told = "There is no tool named 'twic'. Did you mean 'twice'?"
    assert fact("history --tool twic").plain == f"No row matches. {told}"
    assert told in fact("stats --tool twic").plain
    assert fact("history --tool twice@1").plain.endswith("Write --tool twice, without a version.")
    assert fact("history --tool thrice").plain == "No row matches."
    assert "There is no tool" not in fact("stats --tool thrice").plain
    assert "There is no tool" not in fact("stats --tool removed").plain


def test_a_row_that_another_program_changed_is_left_out_and_named(fact, keep_tools, keep_runs, workshop):
    keep_tools("twice", "thrice")
    keep_runs("twice", 2)
    keep_runs("thrice", 1)
    with closing(sqlite3.connect(workshop.database_path)) as connection, connection:
        [(broken,)] = connection.execute("SELECT id FROM tool_executions WHERE tool_name = 'thrice'")
        connection.execute("UPDATE tool_executions SET status = 'fine' WHERE tool_name = 'thrice'")
        connection.execute("UPDATE tools SET version = 'new' WHERE name = 'thrice'")
    listed = fact("history").plain
    assert listed.startswith("2 rows. 1 row left out as unreadable: the column status is 'fine'")
    assert len(fact("history --json")) == 2
    assert "1 row left out" in fact("history --to all.json").plain
    tools = fact("tools").plain
    assert tools.startswith("1 tool. 1 row left out as unreadable: in thrice new, the columns major,")
    assert [row["name"] for row in fact("tools --json")] == ["twice"]
    for line in (f"show {broken[:8]}", f"rerun {broken}"):
        with pytest.raises(UnknownName, match="can't be read from the database: the column status is 'fine'"):
            fact(line)
    with pytest.raises(UnknownName, match="The current version of thrice can't be read"):
        fact("show thrice")
    fact("remove thrice --yes")
    assert fact("tools").plain.startswith("1 tool\n")


def test_the_latest_rows_come_first_though_the_clock_was_set_back(fact, workshop):
    core = workshop.core

    async def keep() -> None:
        for number, (kind, minute) in enumerate([("run", 30), ("try", 40), ("run", 10), ("try", 11)]):
            at = f"2026-01-01T00:{minute}:00.000Z"
            known = {"session_id": core.session_id, "tool_name": f"n{number}", "status": Status.OK}
            if kind == "run":
                await core._store.commit([ExecutionRow(executed_at=at, **known)])
            else:
                row = GenerationRow(generation_id=f"{number}", attempt=1, started_at=at, **known)
                await core._store.commit(generations=[row])

    workshop.submit(keep()).wait(lambda: None)
    names = [row["tool_name"] for row in fact("history --json")]
    assert names.index("n2") < names.index("n0")
    assert names.index("n3") < names.index("n1")
    assert {row["tool_name"] for row in fact("history --json -n 2")} <= {"n3", "n2", "n1"}
    assert "n3" in {row["tool_name"] for row in fact("history --json -n 1")}


def test_a_file_gets_all_rows_unless_so_many_are_asked_for(fact, keep_runs, folder):
    keep_runs("twice", 30)
    assert "30 rows" in fact("history --to all.json").plain
    assert len(json.loads((folder / "all.json").read_text())) == 30
    assert "7 rows" in fact("history --to some.json -n 7").plain


def test_a_file_that_is_something_else_is_not_lost(fact, keep_runs, folder):
    file = folder / "rows.json"
    file.write_text("mine")
    with pytest.raises(CellError, match="--replace"):
        fact("history --to rows.json")
    assert file.read_text() == "mine"
    for expected in (0, 3, 6):  # written over, and written again
        fact("history --to rows.json --replace" if expected == 0 else "history --to rows.json")
        assert len(json.loads(file.read_text())) == expected
        keep_runs("twice", 3)


def test_what_is_neither_a_tool_nor_a_row_is_said_to_be_neither(fact, keep_tools):
    keep_tools("twice")
    with pytest.raises(UnknownName) as caught:
        fact("show deadbeef")
    assert (
        caught.value.line
        == "No tool, run or generation is named 'deadbeef'. List them with %fact tools and %fact history."
    )
    with pytest.raises(UnknownName, match="Did you mean 'twice'"):
        fact("show twise")
    with pytest.raises(UnknownName, match="twice has no version 9"):
        fact("show twice@9")


def test_an_id_is_named_by_no_fewer_than_four_characters(fact, keep_runs, workshop):
    keep_runs("twice", 1)
    [row] = fact("history --json")
    for length in (1, 2, 3):
        short = row["id"][:length]
        with pytest.raises(
            UnknownName, match=f"'{short}' is too short to name a run. The first 4 characters"
        ):
            fact(f"rerun {short}")
        with pytest.raises(UnknownName, match=rf"is named '{short}'\. .* The first 4 characters of an id"):
            fact(f"show {short}")
        with pytest.raises(
            UnknownName, match=r"There is no session '.+'\. .* The first 4 characters of an id"
        ):
            fact(f"history --session {workshop.core.session_id[:length]}")
    assert row["id"] in fact(f"show {row['id'][:4]}").plain
    assert len(fact(f"history --json --session {workshop.core.session_id[:4]}")) == 1


def test_an_id_that_begins_a_run_and_a_generation_names_neither(fact, keep_runs, workshop):
    keep_runs("twice", 1, id="abcd1")
    row = GenerationRow(generation_id="abcd2", attempt=1, tool_name="t", status=Status.OK)
    workshop.submit(workshop.core._store.commit(generations=[row])).wait(lambda: None)
    for line in ("show abcd", "rerun abcd"):
        with pytest.raises(UnknownName, match=r"A run and a generation begin with 'abcd'\. Write more"):
            fact(line)
    assert "Run abcd1" in fact("show abcd1").plain
    assert "Generation abcd2" in fact("show abcd2").plain


def test_a_row_with_much_in_it_scrolls_by_itself(fact, keep_runs):
    keep_runs("twice", 1, printed="tick\n" * 500)
    [row] = fact("history --json")
    page = fact(f"show {row['id']}")
    assert page.html.count("overflow:auto") == 1
    assert page.plain.count("tick") == 500


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("history -n 1e30", "-n: '1e30' is not a whole number from 1 to 1000000000"),
        ("history --since 3 days", "Put quotes around a value that has spaces"),
        ("history --to ~nobody-of-that-name/x.json", "is not a valid path"),
        ("tools\t--jsn", "Did you mean '--json'"),
        ("rerun", "%fact rerun needs ID."),
        ("rerun 1 --fresh", "%fact rerun has no option --fresh."),
        ("import", "%fact import needs FILE."),
        ("trust a b", "%fact trust does not take 'b'."),
        ("show", "%fact show needs NAME|ID."),
        ("history slugify", "does not take 'slugify'. Write %fact history --tool slugify"),
        ("history 5", "does not take '5'. Write %fact history -n 5"),
        ("histry", "%fact has no subcommand 'histry'. Did you mean 'history'?"),
        ("exports x", "Did you mean 'export'?"),
        ("costs", "%fact show ID shows the tokens of a generation."),
        (
            "undo slugify",
            "%fact has no subcommand 'undo'. %fact rollback NAME goes back to an earlier version.",
        ),
        ("search slug", "Write %fact tools --search TEXT for tools, %fact history --search TEXT for runs."),
        ("List", "%fact tools lists the tools; %fact history lists the runs."),
        ("rm slugify", "%fact remove NAME removes a tool."),
        ("run slugify", "Write a cell: %%fact_run NAME. To repeat a run: %fact rerun ID"),
        ("help", "%fact has no subcommand 'help'. Write %fact --help"),
        ("xyzzy", "%fact has no subcommand 'xyzzy'. %fact --help lists the subcommands."),
        ("a\x1bb", r"no subcommand 'a\x1bb'."),
    ],
)
def test_a_line_that_can_t_be_read_is_one_clear_line(fact, line, told):
    with pytest.raises(CellError) as caught:
        fact(line)
    assert told in caught.value.line
    assert "\n" not in str(caught.value)


def test_a_word_filters_the_tools_as_a_search_does(fact, keep_tools):
    keep_tools("double_it", "halve_it")
    for line in ("tools double", "tools --search double", "tools DOU --search it", "tools 'double it'"):
        assert [row["name"] for row in fact(f"{line} --json")] == ["double_it"]
    assert len(fact("tools twice --json")) == 2
    assert fact("tools nothing").plain.startswith("No tool matches 'nothing'.")


def test_the_history_is_searched_by_tool_and_description(fact, keep_tools, keep_runs):
    keep_tools("double_it", "halve_it")
    keep_runs("double_it", 1)
    keep_runs("halve_it", 1)
    assert [row["tool_name"] for row in fact("history --search double --json")] == ["double_it"]
    assert len(fact("history --search twice --json")) == 2
    assert [row["tool_name"] for row in fact("history --search 'halve twice' --json")] == ["halve_it"]


@pytest.fixture
def keep_map(workshop):
    """Store a map and its first runs, all by default; `bad` are the statuses of the rows that failed."""

    def keep(total: int, bad: dict[int, Status], *, kept: int | None = None, ended: bool = True) -> None:
        known = {"session_id": workshop.core.session_id, "tool_name": "twice"}
        counts = {"total": total, "ok": total - len(bad), "failed": len(bad)}
        row = MapRow(
            **known,
            **counts,
            id="abcdef",
            tool_version="1.0.0",
            content_key="k",
            status=Status.OK if ended else Status.INTERRUPTED,
            ended_at="2026-01-01T00:00:00.000Z" if ended else None,
        )
        runs = [
            ExecutionRow(
                **known,
                status=bad.get(number, Status.OK),
                error="no such number" if number in bad else None,
                parent_id=row.id,
                position=number,
            )
            for number in range(total if kept is None else kept)
        ]
        workshop.run(workshop.core._store.maps.put(row))
        workshop.run(workshop.core._store.commit(executions=runs))

    return keep


def test_a_long_map_shows_its_failed_rows_wherever_they_are(fact, keep_tools, keep_map):
    keep_tools("twice")
    bad = {250: Status.ERROR, 299: Status.INVALID}
    keep_map(300, bad, kept=0)
    assert fact("show abcdef").plain.splitlines()[-1] == "Its runs were removed by %fact prune"
    assert fact("show abcdef --json")["rows_left_out"] == 300
    keep_map(300, bad)
    shown = fact("show abcdef").plain
    assert shown.index("2 failed runs") < shown.index("The first 200 runs")
    assert shown.count("no such number") == 2


@pytest.mark.parametrize("total", [20, 300])
def test_the_json_of_a_map_holds_all_of_its_rows_and_those_that_failed(fact, keep_map, total):
    keep_map(total, {3: Status.ERROR, 7: Status.TIMEOUT})
    data = fact("show abcdef --json")
    assert [run["position"] for run in data["rows"]] == [*range(total)]
    assert [run["position"] for run in data["failed_rows"]] == [3, 7]
    assert data["rows_left_out"] == 0


def test_the_json_of_a_very_long_map_says_how_many_rows_it_leaves_out(fact, keep_map, monkeypatch):
    monkeypatch.setattr("fact_magics.notebook.commands.history._JSON_ROWS", 10)
    keep_map(30, {29: Status.ERROR})
    data = fact("show abcdef --json")
    assert (len(data["rows"]), data["rows_left_out"]) == (10, 20)
    assert [run["position"] for run in data["failed_rows"]] == [29]


def test_a_map_says_how_many_of_its_runs_were_pruned_and_whether_it_has_ended(fact, keep_map):
    keep_map(20, {}, kept=15)
    assert "15 runs; the others were removed by %fact prune" in fact("show abcdef").plain
    assert "killed" not in fact("history").plain
    keep_map(20, {}, kept=15, ended=False)
    for line in ("history", "show abcdef"):
        shown = fact(line).plain
        assert "20 rows · 20 ok · it still runs, or its kernel was killed" in shown
        assert "removed by %fact prune" not in shown


def test_a_map_is_not_run_again_as_a_run(fact, keep_map):
    keep_map(2, {})
    with pytest.raises(
        CellError, match=r"abcdef is a map of twice, not a run\. %fact show abcdef lists its runs"
    ):
        fact("rerun abcdef")


def test_a_status_of_failures_also_lists_the_failed_rows_of_maps(fact, keep_map):
    keep_map(20, {3: Status.ERROR, 7: Status.TIMEOUT})
    assert [row["kind"] for row in fact("history --json")] == ["map"]
    assert [row["kind"] for row in fact("history --status ok --json")] == ["map"]
    [row] = fact("history --status error --json")
    assert (row["kind"], row["parent_id"], row["position"]) == ("run", "abcdef", 3)
    assert "row 3 of map abcdef" in fact("history --status error").plain
    told = "No row matches. The rows of maps are not searched; find them without --search"
    assert told in fact("history --status error --search number").plain
    assert "1 row to " in fact("history --status timeout --to slow.csv").plain


def test_a_search_finds_the_maps_of_tools_that_match(fact, keep_tools, workshop):
    keep_tools("double_it", "halve_it")
    for number, name in enumerate(("double_it", "halve_it", "halve_it")):
        row = MapRow(
            id=f"map{number}",
            session_id=workshop.core.session_id,
            tool_name=name,
            tool_version="1.0.0",
            content_key="k",
            started_at=f"2026-01-0{number + 1}T00:00:00.000Z",
        )
        workshop.run(workshop.core._store.maps.put(row))

    def found(line: str) -> list[str]:
        return [row["id"] for row in fact(f"history {line} --json")]

    assert found("--search halve") == ["map2", "map1"]
    assert found("--search twice") == ["map2", "map1", "map0"]
    assert found("--search twice -n 1") == ["map2"]
    assert found("--search twice --tool double_it") == ["map0"]
    assert found("--search nothing") == []
