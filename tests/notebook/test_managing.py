"""``%fact``, tools, show, history: tables with a plain twin, JSON, filters, help."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def stocked(module_desk):
    """Two tools, four runs, a generation that failed, in a session."""
    desk = module_desk
    half = "def half(n: int) -> float:\n    '''Halve a number.'''\n    print('halving')\n    return n / 2\n"
    assert desk.write("half", half, examples=">>> half(2)\n1.0\n", options="--tag arithmetic").status == "ok"
    assert (
        desk.write("shelve", "def shelve(n: int) -> int:\n    '''Put it away.'''\n    return 1 // n\n").status
        == "ok"
    )
    desk.run("%%fact_run half\nn = 7")
    desk.run("%%fact_run half\nn = 7")
    desk.run("%%fact_run shelve\nn = 0")
    desk.run("%%fact_run half\nn = 'seven'")
    desk.server.reply("No.")
    desk.write("never", options="--attempts 1")
    return desk


@pytest.fixture
def desk(stocked):
    return stocked


def test_fact_alone_shows_the_state(desk):
    cell = desk.run("%fact")
    for part in ("claude-sonnet-5-5", "Anthropic key", "environment", str(desk.home), "rlimits", "Session"):
        assert part in cell.plain
        assert part in cell.html
    state = json.loads(desk.run("%fact --json").stdout)
    assert state["model"] == "claude-sonnet-5-5"
    assert state["database"] == str(desk.home / "fact_magics.db")
    assert state["logs"] == str(desk.home / "logs")
    assert state["isolation"]
    assert state["session"]
    assert state["cache"]["entries"] >= 1


def test_state_names_the_model_that_config_sets_and_why(desk):
    desk.run("%config FactMagics.model = 'shelf'")
    plain = desk.run("%fact").plain
    desk.run("%config FactMagics.model = None")
    assert "shelf" in plain
    assert "%config" in plain


def test_models_lists_what_can_be_named_and_how_it_went(desk):
    cell = desk.run("%fact models")
    for text in (cell.plain, cell.html):
        assert "claude-opus-5-5" in text
        assert "2 of 3" in text  # half and shelve were accepted, never was not
        assert desk.server.key not in text
    rows = json.loads(desk.run("%fact models --json").stdout)["models"]
    [default] = [row for row in rows if row["is_default"]]
    assert (default["name"], default["setting"]) == ("claude-sonnet-5-5", "ANTHROPIC_API_KEY")


@pytest.mark.parametrize("line", ["", "tools", "show", "history", "models", "trust"])
def test_each_subcommand_has_help(desk, line):
    text = desk.run(f"%fact {line} --help").stdout
    assert text.startswith("%fact")
    assert "--help" in text
    assert "Examples" in text
    if not line:
        assert all(word in text for word in ("tools", "show", "history"))


def test_tools_lists_what_there_is_and_searches(desk):
    cell = desk.run("%fact tools")
    for text in (cell.plain, cell.html):
        assert "half" in text
        assert "unproven" in text
        assert "Halve a number." in text
        assert "never" not in text
    assert "shelve" not in desk.run("%fact tools --search halve").plain
    assert "half" in desk.run("%fact tools --search arithmetic").plain
    assert "No tool" in desk.run("%fact tools --search zzz").plain
    listed = json.loads(desk.run("%fact tools --json").stdout)
    assert {tool["name"] for tool in listed} == {"half", "shelve"}
    assert all(tool["source"] and tool["version"] == "1.0.0" for tool in listed)


def test_show_shows_a_tool_whole(desk):
    cell = desk.run("%fact show half")
    for part in ("half(n: int) -&gt; float", "Halve a number.", "1.0.0", "proven", "n / 2"):
        assert part in cell.html
    data = json.loads(desk.run("%fact show half@1 --json").stdout)
    assert data["signature"] == "half(n: int) -> float"
    assert data["schema"]["properties"]["n"]["type"] == "integer"
    assert data["contract"] == ">>> half(2)\n1.0"


def test_history_lists_this_session_newest_first(desk):
    rows = desk.history()
    assert [(row["kind"], row["tool_name"], row["status"]) for row in rows] == [
        ("generation", "never", "error"),
        ("run", "half", "invalid"),
        ("run", "shelve", "error"),
        ("run", "half", "ok"),
        ("run", "half", "ok"),
        ("generation", "shelve", "ok"),
        ("generation", "half", "ok"),
    ]
    assert [row["cached"] for row in rows if row["kind"] == "run"] == [False, False, True, False]
    plain = desk.run("%fact history").plain
    assert plain.index("never") < plain.index("shelve")
    assert '{"n": 7} → 3.5' in plain
    assert "cached" in plain


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-n 2", ["never", "half"]),
        ("--tool shelve", ["shelve", "shelve"]),
        ("--status invalid", ["half"]),
        ("--status error", ["never", "shelve"]),
        ("--tool half --status ok -n 1", ["half"]),
        ("--search halving", ["half", "half", "half"]),
        ("--search ZeroDivisionError", ["shelve"]),
        ("--search seven", ["half"]),
        ("--since 1h -n 1", ["never"]),
        ("--since 2999-01-01", []),
        ("--tool nothing", []),
        ("--session all -n 3", ["never", "half", "shelve"]),
    ],
)
def test_history_filters(desk, options, expected):
    assert [row["tool_name"] for row in desk.history(options)] == expected


def test_history_of_a_named_session(desk):
    session = json.loads(desk.run("%fact --json").stdout)["session"]
    assert len(desk.history(f"--session {session}")) == 7


def test_history_goes_to_a_file(desk):
    cell = desk.run("%fact history --to out.json")
    assert "7 rows" in cell.plain
    assert len(desk.value("_json.load(open('out.json'))")) == 7
    assert desk.run("%fact history --to /nowhere/out.json").error_name == "CellError"


def test_show_shows_a_run_and_a_generation_whole(desk):
    rows = desk.history()
    run = next(row for row in rows if row["status"] == "error" and row["kind"] == "run")
    cell = desk.run(f"%fact show {run['id'][:8]}")
    for part in ("ZeroDivisionError", "1 // n", "shelve", '"n": 0'):
        assert part in cell.plain
    generation = rows[0]
    cell = desk.run(f"%fact show {generation['generation_id'][:8]}")
    assert "No." in cell.plain
    assert "Write never." in cell.plain
    assert json.loads(desk.run(f"%fact show {run['id']} --json").stdout)["status"] == "error"


def test_a_search_with_the_signs_of_a_query_language_is_only_words(desk):
    for text in ('"', "a OR b", "NEAR(", "*", "-x", "'; DROP TABLE tools; --", "half*", "%"):
        for listed in ("history", "tools"):
            cell = desk.run(f"%fact {listed} --search {json.dumps(text)}")
            # Signs alone are no words; that is said in one line, as any other fault of a cell.
            assert cell.status == "ok" or cell.error_name == "CellError", (listed, text, cell.error)
    assert desk.query("SELECT count(*) FROM tools") == [(2,)]


def test_managing_changes_nothing(desk):
    before = desk.counts()
    for line in ("", "tools", "show half", "history", "history --session all"):
        assert desk.run(f"%fact {line}").status == "ok"
    assert desk.counts() == before


def test_the_documented_columns_are_there(desk):
    [columns] = desk.query("SELECT group_concat(name) FROM pragma_table_info('tool_executions')")
    for name in ("id", "session_id", "tool_id", "tool_name", "tool_version", "input_data", "output_data",
                 "status", "error", "cached", "duration_ms", "executed_at"):  # fmt: skip
        assert name in columns[0].split(",")
    tables = {name for (name,) in desk.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"sessions", "tools", "generations", "tool_executions", "cache"} <= tables
    for (when,) in desk.query("SELECT executed_at FROM tool_executions"):
        assert when.endswith("Z")
