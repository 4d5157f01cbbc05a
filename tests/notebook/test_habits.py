"""What people do with cells and values without thinking: Tab, `?`, `;`, `_`, empty cells, copies, pools."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.thorough]

GREET = (
    'def greet(name: str, *, greeting: str = "Hello", times: int = 1) -> str:\n'
    '    """Greet somebody.\n\n    Parameters\n    ----------\n    name : str\n        Who.\n    """\n'
    '    print("greeting", name)\n'
    '    return " ".join([f"{greeting}, {name}!"] * times)\n'
)
DICE = "def dice() -> int:\n    return 4\n"
OPEN = 'def ready(wait: float = 0.0, *, names: list[str] = ["a", "b"]) -> int:\n    return len(names)\n'


@pytest.fixture(scope="module")
def habitual(module_desk):
    made = [
        module_desk.write("greet", GREET, examples=">>> greet(\"you\")\n'Hello, you!'\n"),
        module_desk.write("dice", DICE, examples=">>> dice()\n4\n"),
        module_desk.write("ready", OPEN, examples=">>> ready()\n2\n"),
    ]
    assert [cell.status for cell in made] == ["ok"] * len(made), [cell.traceback for cell in made]
    return module_desk


@pytest.fixture
def desk(habitual):
    habitual.server._script.clear()
    return habitual


def replied(desk, request):
    while True:
        reply = desk.kernel.client.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == request:
            return reply["content"]


def payload(desk, code):
    """What a cell asks the front end to do: show a page, put a cell."""
    return replied(desk, desk.kernel.client.execute(code))["payload"]


def page(desk, code):
    [shown] = payload(desk, code)
    return shown["data"]["text/plain"]


def runs(desk, name):
    return desk.query("SELECT status FROM tool_executions WHERE tool_name = ?", name)


def shown(cell):
    return [output for output in cell.outputs if output.get("data")]


# Tab


def test_a_front_end_is_offered_what_fits_wherever_the_cursor_is(desk):
    """Over the real protocol: with what to replace, and with the kinds that JupyterLab marks."""
    code = "%%time\n%%fact_run gr --timeout 5\nname = 'you'\nti"
    client = desk.kernel.client
    first = replied(desk, client.complete(code, code.index(" --timeout")))
    assert (first["matches"], code[first["cursor_start"] : first["cursor_end"]]) == (["greet"], "gr")
    assert [one["type"] for one in first["metadata"]["_jupyter_types_experimental"]] == ["function"]
    last = replied(desk, client.complete(code.replace("gr ", "greet ", 1), len(code) + 3))
    assert (last["matches"], last["cursor_end"] - last["cursor_start"]) == (["times = "], 2)
    assert [one["type"] for one in last["metadata"]["_jupyter_types_experimental"]] == ["param"]


def test_the_import_of_a_tool_completes(desk):
    code = "from fact_magics.tools import di"
    assert replied(desk, desk.kernel.client.complete(code, len(code)))["matches"] == ["dice"]
    desk.run("import fact_magics.tools as box")
    assert "greet" in replied(desk, desk.kernel.client.complete("box.gr", 6))["matches"]


# Asking what something is


@pytest.mark.parametrize("magic", ["%%fact_generate", "%%fact_edit", "%%fact_run", "%fact"])
def test_a_question_mark_shows_the_page_that_help_shows(desk, magic):
    asked = page(desk, f"{magic}?")
    body = "" if magic == "%fact" else "\n-"
    told = desk.run(f"{magic} --help{body}").stdout
    assert told.strip() in asked
    assert "Options" in told
    assert "Examples" in told


@pytest.mark.parametrize("name", ["tools", "show", "history", "trust"])
def test_each_subcommand_has_help_with_examples(desk, name):
    told = desk.run(f"%fact {name} --help").stdout
    assert f"%fact {name}" in told
    assert "Examples" in told


def test_a_question_mark_after_a_tool_shows_the_tool_and_two_its_source(desk):
    asked, source = page(desk, "greet?"), page(desk, "greet??")
    assert "greet" in asked
    assert "Greet somebody." in asked
    assert "1.0.0 · proven" in asked
    assert "class" not in asked.lower()
    assert "times" in source
    assert "print" in source
    assert "self._loaded" not in source  # not the source of the handle


def test_a_tool_explains_itself_as_a_function_does(desk):
    told = desk.run("help(greet)").stdout
    assert "Greet somebody." in told
    assert desk.value("str(__import__('inspect').signature(greet))").startswith("(name: str, *, greeting")
    inspected = replied(desk, desk.kernel.client.inspect("greet", 3))
    assert "Greet somebody." in inspected["data"]["text/plain"]


# An empty body


@pytest.mark.parametrize("body", ["", "\n\n", "\n# later", "\nname = ..."])
def test_an_empty_body_shows_the_lines_to_write_and_leaves_the_cell_as_it_is(desk, body):
    code = f"# so\n%%fact_run greet --fresh{body}"
    assert payload(desk, code) == []
    cell = desk.run(code)
    assert cell.status == "ok", cell.traceback
    lines = cell.stdout.splitlines()
    assert lines[0] == "name = ...  # str, required: Who."
    filled = cell.stdout.replace("...", "'you'", 1)
    assert "Hello, you!" in desk.run(f"%%fact_run greet\n{filled}").plain


def test_a_tool_that_takes_nothing_just_runs(desk):
    cell = desk.run("%%fact_run dice")
    assert cell.plain.startswith("4")


def test_defaults_are_shown_before_they_are_used_and_braces_use_them_all(desk):
    lines = desk.run("%%fact_run ready").stdout
    assert "wait = 0.0" in lines
    assert "names = ['a', 'b']" in lines
    assert desk.run(f"%%fact_run ready\n{lines}").plain.startswith("2")
    assert desk.run("%%fact_run ready\n{}").plain.startswith("2")


# A trailing semicolon


@pytest.mark.parametrize(
    "cell",
    [
        "%%fact_run greet;\nname = 'silent'",
        "%%fact_run greet ;\nname = 'silent'",
        "%%fact_run greet\nname = 'silent';",
        "%%fact_run greet\nname = 'silent';  # so\n\n",
        '%%fact_run greet\n{"name": "silent"};',
        "%%fact_run greet --fresh;\nname = 'silent'",
    ],
)
def test_a_semicolon_runs_records_and_shows_no_value(desk, cell):
    before = len(runs(desk, "greet"))
    desk.run("kept = list(Out)")
    ran = desk.run(cell)
    assert ran.status == "ok", ran.traceback
    assert shown(ran) == []
    assert ran.stdout == "greeting silent\n"
    assert len(runs(desk, "greet")) == before + 1
    assert desk.value("list(Out) == kept")


def test_a_semicolon_hides_the_value_and_not_what_the_tool_prints(desk):
    desk.server.writes("def says(n: int) -> int:\n    print('line', n)\n    return n\n")
    assert desk.run("%%fact_generate says\nSay.\n\n>>> says(1)\n1").status == "ok"
    for cell in ("%%fact_run says;\nn = 2", "%%fact_run says\nn = 2;", "%%fact_run says --fresh;\nn = 2"):
        ran = desk.run(cell)
        assert ran.stdout == "line 2\n"
        assert shown(ran) == []
    desk.run("get_ipython().ast_node_interactivity = 'none'")
    try:
        ran = desk.run("%%fact_run says\nn = 2")
        assert (ran.stdout, shown(ran)) == ("line 2\n", [])
    finally:
        desk.run("get_ipython().ast_node_interactivity = 'last_expr'")


def test_a_semicolon_in_a_string_or_a_remark_is_none(desk):
    assert "'Hello, ;!'" in desk.run("%%fact_run greet\nname = ';'").plain
    assert "Hello" in desk.run("%%fact_run greet\nname = 'a'  # so;").plain


def test_a_silent_run_still_binds_and_still_fails(desk):
    desk.run("%%fact_run greet --into said;\nname = 'bound'")
    assert desk.value("said") == "Hello, bound!"
    failed = desk.run("%%fact_run greet;\nname = 3")
    assert (failed.status, failed.error_name) == ("error", "InvalidInput")
    assert shown(desk.run("%%fact_run greet --no-raise\nname = 3;")) == []


@pytest.mark.parametrize(
    "end",
    ["%%fact_generate quiet;\nQuiet.\n\n>>> quiet()\n1", "%%fact_generate quiet\nQuiet.\n\n>>> quiet()\n1;"],
)
def test_a_silent_generation_binds_its_tool_and_shows_nothing(desk, end):
    desk.run("globals().pop('quiet', None)")
    desk.server.writes("def quiet() -> int:\n    return 1\n")
    cell = desk.run(end)
    assert cell.status == "ok", cell.traceback
    assert shown(cell) == []
    assert desk.value("[quiet.metadata.proven, quiet.metadata.contract]") == [True, ">>> quiet()\n1"]


def test_a_sentence_may_end_in_a_semicolon(desk):
    desk.server.writes("def joined(words: list[str]) -> str:\n    return ';'.join(words)\n")
    cell = desk.run("%%fact_generate joined\nJoin the words by ;")
    assert "joined 1.0.0" in cell.plain
    assert desk.value("joined.metadata.description") == "Join the words by ;"


def test_a_silent_line_shows_nothing(desk):
    assert shown(desk.run("%fact tools;")) == []


# Values


def value(desk, expression):
    """What an expression comes to, without what it prints on the way."""
    assert desk.run(f"_come_to = {expression}").status == "ok"
    return desk.value("_come_to")


def test_out_and_underscore_hold_the_output_and_show_its_record_again(desk):
    cell = desk.run("%%fact_run greet\nname = 'again'")
    number = cell.execution_count or int(desk.value("max(Out)"))
    assert desk.run("_").plain.count("Hello, again!") == 1
    assert "Hello, again!" in desk.run(f"Out[{number}]").plain
    assert desk.value(f"Out[{number}].result") == "Hello, again!"


def test_captured_output_is_the_record_once(desk):
    desk.run("%%capture got\n%%fact_run greet\nname = 'caught'")
    again = desk.run("got()")
    assert again.plain.count("'Hello, caught!'") == 1


def test_cells_are_run_again_by_every_way_that_ipython_has(desk):
    desk.run("%%fact_run greet --fresh\nname = 'rerun'")
    number = desk.value("len(In) - 2")
    before = len(runs(desk, "greet"))
    assert "Hello, rerun!" in desk.run(f"%rerun {number}").plain
    desk.run(f"%macro greets {number}")
    assert "Hello, rerun!" in desk.run("greets").plain
    desk.run(f"again = get_ipython().run_cell(In[{number}])")
    assert desk.value("again.result.result") == "Hello, rerun!"
    desk.run(f"exec(In[{number}])")
    assert "await" not in desk.run(f"%history -t {number}").stdout
    [put] = payload(desk, f"%recall {number}")
    assert put["text"].startswith("%%fact_run greet --fresh")
    assert len(runs(desk, "greet")) == before + 4


def test_tools_go_where_functions_go(desk):
    desk.run("from functools import partial\nfrom concurrent.futures import ThreadPoolExecutor")
    assert value(desk, "list(map(greet, ['a', 'b']))") == ["Hello, a!", "Hello, b!"]
    assert value(desk, "partial(greet, greeting='Hi')('c')") == "Hi, c!"
    assert value(desk, "list(ThreadPoolExecutor(2).map(greet, ['d', 'e']))") == ["Hello, d!", "Hello, e!"]
    assert value(desk, "sorted(['b', 'a'], key=greet)") == ["a", "b"]


def test_a_copy_of_a_tool_is_the_tool(desk):
    desk.run("import copy, pickle\nfrom fact_magics.tools import greet as other")
    assert desk.value("[copy.copy(greet) is greet, copy.deepcopy([greet])[0] is greet]") == [True, True]
    assert desk.value("[other == greet, hash(other) == hash(greet), other == dice]") == [True, True, False]
    assert desk.value("pickle.loads(pickle.dumps(greet)) == greet")


def test_a_tool_runs_in_processes_that_are_spawned(desk):
    desk.run("import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor")
    code = (
        "with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:\n"
        "    print(list(pool.map(dice.__class__.__call__, [dice])))\n"
    )
    cell = desk.run(code)
    assert cell.status == "ok", cell.traceback
    assert cell.stdout.strip() == "[4]"


def test_in_a_forked_process_a_tool_says_what_to_do_instead(desk):
    desk.run("import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor")
    code = (
        "with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('fork')) as pool:\n"
        "    list(pool.map(greet, ['never said']))\n"
    )
    cell = desk.run(code)
    assert cell.error_name == "FactError"
    assert "spawn" in cell.error
    # Those that hold on to a tool without pickling it are told too.
    again = desk.run(
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n    pool.apply(eval, ('greet(\"nor this\")', {'greet': greet}))"
    )
    assert again.error_name == "FactError"


def test_a_pickle_from_another_toolbox_says_so_when_it_is_called(desk):
    desk.run("import pickle\nsent = pickle.dumps(greet).replace(greet.id.encode(), b'f' * len(greet.id))")
    desk.run("foreign = pickle.loads(sent)")
    cell = desk.run("foreign('x')")
    assert cell.error_name == "FactError"
    assert "another FACT_HOME" in cell.error
