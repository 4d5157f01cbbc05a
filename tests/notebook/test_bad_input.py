"""Whatever is wrong with a cell: one clear line, nothing stored that should not be, nothing lost, the kernel fine."""

from __future__ import annotations

import sqlite3

import pytest

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def stocked(module_desk):
    """A desk that holds one tool."""
    source = "def plus(a: int, b: int = 1) -> int:\n    return a + b\n"
    assert module_desk.write("plus", source, examples=">>> plus(1)\n2\n").status == "ok"
    return module_desk


@pytest.fixture
def desk(stocked):
    stocked.server._script.clear()
    return stocked


def one_line(cell) -> str:
    """The error, once it is sure that it is one line of a known kind, without frames of this package."""
    assert cell.status == "error", cell.plain
    assert cell.error_name in ("CellError", "UnknownName", "BindingRefused", "SettingsError", "ProviderError")
    assert "File " not in cell.traceback
    assert "fact_magics/" not in cell.traceback
    assert cell.displays == []
    return cell.error


GENERATE = {
    "an_empty_body": ("%%fact_generate neo\n", "no body"),
    "a_blank_body": ("%%fact_generate neo\n\n   \n", "no body"),
    "no_name": ("%%fact_generate\nWrite.", "needs NAME"),
    "no_identifier": ("%%fact_generate 9neo\nWrite.", "not a Python identifier"),
    "a_dash_in_the_name": ("%%fact_generate to-slug\nWrite.", "not a Python identifier"),
    "a_keyword": ("%%fact_generate class\nWrite.", "keyword"),
    "a_version": ("%%fact_generate neo@1\nWrite.", "not a Python identifier"),
    "two_names": ("%%fact_generate neo trinity\nWrite.", "does not take 'trinity'"),
    "a_duplicate_option": ("%%fact_generate neo --model a/b --model c/d\nWrite.", "given twice"),
    "no_attempts": ("%%fact_generate neo --attempts 0\nWrite.", "from 1 to 10"),
    "too_many_attempts": ("%%fact_generate neo --attempts 99\nWrite.", "1 to 10"),
    "half_an_attempt": ("%%fact_generate neo --attempts 1.5\nWrite.", "whole number"),
    "an_unknown_option": ("%%fact_generate neo --atempts 2\nWrite.", "Did you mean '--attempts'"),
    "an_unknown_variable": ("%%fact_generate neo\nWrite {{missing_one}}.", "missing_one"),
    "an_unknown_model": ("%%fact_generate neo --model claud-sonet\nWrite.", "claude"),
}

EXAMPLES = {
    "an_assignment": ("x = neo(1)", "assignment"),
    "a_print": ("print(neo(1))", "neo"),
    "a_wrapped_call": ("len(neo(1))", "neo"),
    "another_tool": ("plus(1)", "neo"),
    "an_attribute": ("neo(1).real", "neo"),
    "a_directive": ("neo(1) # doctest: +SKIP", "doctest"),
    "an_expression_as_argument": ("neo(1 + x)", "literal"),
    "a_call_as_argument": ("neo(open('x'))", "open"),
    "a_statement": ("import os", "neo"),
    "no_python": ("neo(1", ""),
    "an_unpacking": ("neo(*[1])", ""),
}


@pytest.mark.parametrize("what", GENERATE)
def test_a_cell_that_asks_for_a_tool_wrongly(desk, what):
    code, part = GENERATE[what]
    before, asked = desk.counts(), len(desk.server.requests)
    error = one_line(desk.run(code))
    assert part in error
    assert len(error.splitlines()) == 1
    assert desk.counts() == before
    assert len(desk.server.requests) == asked


@pytest.mark.parametrize("what", EXAMPLES)
def test_an_example_outside_the_grammar_is_shown_with_its_line(desk, what):
    example, part = EXAMPLES[what]
    before, asked = desk.counts(), len(desk.server.requests)
    error = one_line(desk.run(f"%%fact_generate neo\nWrite it\nwell.\n\n>>> neo(2)\n3\n\n>>> {example}\n2\n"))
    assert "Line 7" in error
    assert example in error
    assert part in error
    assert desk.counts() == before
    assert len(desk.server.requests) == asked


@pytest.mark.parametrize(
    ("expected", "part"),
    [("", "value"), ("x", "literal"), ("2\n3", ""), ("Traceback (most recent call last):", "exception")],
)
def test_an_example_without_a_readable_expectation_is_refused(desk, expected, part):
    before = desk.counts()
    error = one_line(desk.run(f"%%fact_generate neo\nWrite.\n\n>>> neo(2)\n{expected}\n"))
    assert part in error
    assert desk.counts() == before


RUN = {
    "no_such_tool": ("%%fact_run pluss\na = 1", "Did you mean 'plus'"),
    "no_such_version": ("%%fact_run plus@4\na = 1", "1.0.0"),
    "an_import": ("%%fact_run plus\nimport os\na = 1", "Line 1"),
    "a_call_alone": ("%%fact_run plus\na = 1\nprint(a)", "Line 2"),
    "an_augmented_assignment": ("%%fact_run plus\na = 1\na += 1", "Line 2"),
    "a_tuple_target": ("%%fact_run plus\na, b = 1, 2", "Line 1"),
    "an_attribute_target": ("%%fact_run plus\na.b = 1", "Line 1"),
    "two_targets": ("%%fact_run plus\na = b = 1", "Line 1"),
    "a_loop": ("%%fact_run plus\nfor a in [1]: pass", "Line 1"),
    "the_same_name_twice": ("%%fact_run plus\na = 1\na = 2", "again"),
    "no_python": ("%%fact_run plus\na = ", "line 1"),
    "no_json": ('%%fact_run plus\n{"a": 1,\n "b": }', "line 2, column 7"),
    "json_with_more_after_it": ('%%fact_run plus\n{"a": 1} {"b": 2}', "column 10"),
    "json_with_a_name_twice": ('%%fact_run plus\n{"a": 1, "a": 2}', "twice"),
    "an_unknown_notebook_name": ("%%fact_run plus\na = nowhere", "nowhere"),
    "an_expression_that_raises": ("%%fact_run plus\na = 1 / 0", "ZeroDivisionError"),
    "an_option_of_the_other_magic": ("%%fact_run plus --model x\na = 1", "no option --model"),
    "deep_json": ("%%fact_run plus\n" + '{"a": ' + "[" * 100_000, ""),
    "a_null_byte": ("%%fact_run plus\na = '\0'", ""),
}


@pytest.mark.parametrize("what", RUN)
def test_a_run_that_can_t_be_read(desk, what):
    code, part = RUN[what]
    before = desk.counts()
    error = one_line(desk.run(code))
    assert part in error
    assert desk.counts() == before
    assert desk.value("['a' in globals(), 'b' in globals()]") == [False, False]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("b = 1", "a: "),
        ("a = 'x'", "a: "),
        ("a = 1\nbb = 2", "Did you mean 'b'"),
        ("a = open", "a: "),
        ("a = (n for n in [])", "a: "),
        ("a = 1e400", "a: "),
        ('{"a": NaN}', "a: "),
        ('{"a": 1, "c": 2}', "c: unknown"),
        ("a = [1] * 1000", "a: "),
    ],
)
def test_input_that_does_not_fit_is_recorded_as_invalid_and_nothing_else(desk, body, part):
    before = desk.counts()
    cell = desk.run(f"%%fact_run plus\n{body}")
    assert cell.error_name == "InvalidInput"
    assert part in cell.error
    assert max(len(line) for line in cell.error.splitlines()) < 400
    assert desk.counts() == {**before, "tool_executions": before["tool_executions"] + 1}
    assert desk.history("-n 1")[0]["status"] == "invalid"


FACT = {
    "%fact nothing": "no subcommand",
    "%fact histry": "Did you mean 'history'",
    "%fact plus": "%fact has no subcommand 'plus'. Write %fact show plus",
    "%fact --jsn": "Did you mean '--json'",
    "%fact tools extra word": "does not take",
    "%fact show": "needs NAME|ID",
    "%fact show nothing_here": "nothing_here",
    "%fact show plus@8": "1.0.0",
    "%fact history -n 0": "whole number from 1",
    "%fact history -n x": "not a number",
    "%fact history --status fine": "ok, error, invalid",
    "%fact history --status erorr": "Did you mean 'error'",
    "%fact history --since lately": "since",
    "%fact trust /nowhere/.env": "/nowhere/.env",
}


@pytest.mark.parametrize("line", FACT)
def test_a_line_of_fact_that_can_t_be_read(desk, line):
    before = desk.counts()
    assert FACT[line] in one_line(desk.run(line))
    assert desk.counts() == before


def test_a_refused_key_is_one_line_and_recorded_without_the_key(desk):
    desk.server.fails(401, f"invalid x-api-key {desk.server.key}")
    cell = desk.write("neo")
    assert cell.error_name == "ProviderError"
    assert "key" in cell.error
    assert "ANTHROPIC_API_KEY" in cell.error
    assert desk.server.key not in str(cell.messages)
    [(status, reason)] = desk.query("SELECT status, reason FROM generations WHERE tool_name = 'neo'")
    assert status == "error"
    assert desk.server.key not in reason


def test_the_kernel_is_fine_after_all_of_it(desk):
    assert desk.run("plus(20, b=22)").plain == "42"
    assert desk.run("'neo' in globals()").plain == "False"
    assert desk.query("SELECT count(*) FROM tools") == [(1,)]


def test_a_missing_key_with_a_named_model_is_one_line(start_kernel, shout_cell):
    kernel = start_kernel()
    cell = kernel.run(shout_cell.replace("shout\n", "shout --model claude-sonnet-5-5\n", 1))
    assert cell.error_name == "ProviderError"
    assert "ANTHROPIC_API_KEY" in cell.error
    cell = kernel.run("%%fact_generate slugify\nTurn a title into a URL slug.")
    assert cell.status == "ok"
    assert "from the shelf, no model was called" in cell.plain


def test_no_network_is_one_line(start_kernel, shout_cell):
    kernel = start_kernel(ANTHROPIC_API_KEY="sk-nobody", ANTHROPIC_BASE_URL="http://127.0.0.1:9")
    cell = kernel.run(shout_cell)
    assert cell.error_name == "ProviderError"
    assert len(cell.error.splitlines()) == 1
    assert kernel.run("1 + 1").plain == "2"


@pytest.mark.parametrize("damage", ["newer", "no_database", "unreadable_url"])
def test_a_database_that_can_t_be_used_is_one_line_and_stays_as_it_was(start_kernel, home, damage, tmp_path):
    home.mkdir(parents=True)
    file = home / "fact_magics.db"
    env = {}
    if damage == "newer":
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE tools (id TEXT)")
            connection.execute("PRAGMA user_version = 9999")
        connection.close()
    elif damage == "no_database":
        file.write_bytes(b"these are my diaries\n" * 200)
    else:
        env = {"DATABASE_URL": "sqlite://"}
    before = file.read_bytes() if file.exists() else b""
    kernel = start_kernel(**env)

    for code in (
        "%fact",
        "%%fact_generate slugify\nTurn a title into a URL slug.",
        "%%fact_run x\ny = 1",
        "%fact history",
    ):
        cell = kernel.run(code)
        assert cell.status == "error", code
        assert cell.error_name in ("StoreError", "SettingsError", "ProviderError"), cell.traceback
        assert len(cell.error.splitlines()) == 1
        assert "Traceback" not in cell.traceback

    assert (file.read_bytes() if file.exists() else b"") == before
    assert kernel.run("1 + 1").plain == "2"
